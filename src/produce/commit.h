/*-------------------------------------------------------------------------
 *
 * commit.h
 *	  What a committing transaction does with the rows that it has produced.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_PRODUCE_COMMIT_H
#define STH_PRODUCE_COMMIT_H

extern void sth_commit_init(void);

#endif							/* STH_PRODUCE_COMMIT_H */
