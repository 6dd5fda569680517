/*-------------------------------------------------------------------------
 *
 * prepared.h
 *	  Prepared statements that call functions which return rows of a topic.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CONSUME_PREPARED_H
#define STH_CONSUME_PREPARED_H

extern void sth_prepared_init(void);
extern void sth_prepared_note(void);

#endif							/* STH_CONSUME_PREPARED_H */
