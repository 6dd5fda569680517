/*-------------------------------------------------------------------------
 *
 * scan.h
 *	  poll() and read() in FROM: a scan of their own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CONSUME_SCAN_H
#define STH_CONSUME_SCAN_H

#include "fmgr.h"
#include "nodes/extensible.h"

/* The functions whose rows it can take. */
extern PGDLLEXPORT Datum sth_poll(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum sth_read(PG_FUNCTION_ARGS);

extern void sth_scan_init(void);

extern const CustomScanMethods sth_scan_methods;

#endif							/* STH_CONSUME_SCAN_H */
