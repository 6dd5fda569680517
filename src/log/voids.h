/*-------------------------------------------------------------------------
 *
 * voids.h
 *	  Closing the gaps that failed transactions have left in logs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_LOG_VOIDS_H
#define STH_LOG_VOIDS_H

extern bool sth_voids_write(bool all);

#endif							/* STH_LOG_VOIDS_H */
