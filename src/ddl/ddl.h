/*-------------------------------------------------------------------------
 *
 * ddl.h
 *	  What CREATE, ALTER and DROP do to topics.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_DDL_DDL_H
#define STH_DDL_DDL_H

#include "access/tupdesc.h"
#include "utils/relcache.h"

/* hooks.c */
extern void sth_ddl_init(void);

/* sync.c */
extern void sth_topic_sync(Oid relid, bool created);

/* signature.c */
extern bytea *sth_signature_make(TupleDesc desc);
extern void sth_signature_check_change(Relation rel, const bytea *before);

/* server.c */
extern char *sth_server_place(const char *name, Oid *oid);
extern void sth_server_check_place(Oid oid, const char *before);

#endif							/* STH_DDL_DDL_H */
