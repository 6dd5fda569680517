/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between PostgreSQL 15 and 18; every test of
 *	  PG_VERSION_NUM stands here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_BASE_COMPAT_H
#define STH_BASE_COMPAT_H

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "streamhouse supports PostgreSQL 15 to 18"
#endif

#ifdef WORDS_BIGENDIAN
#error "streamhouse stores little-endian values as PostgreSQL has them in memory"
#endif

#if SIZEOF_DATUM != 8
#error "streamhouse needs a 64-bit PostgreSQL"
#endif

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "commands/explain.h"
#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/pathnodes.h"
#include "optimizer/pathnode.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

#define STH_PG_MAJOR (PG_VERSION_NUM / 10000)

/* This backend's place in arrays of MaxBackends and more entries. */
#if PG_VERSION_NUM >= 170000
#define sth_my_proc_index()	((int) MyProcNumber)
#else
#define sth_my_proc_index()	(MyProc->pgprocno)
#endif

/* What a backend of ours can be seen waiting for. */
typedef enum SthWait
{
	STH_WAIT_FOR_ROWS,
	STH_WAIT_FOR_TURN,
	STH_WAIT_IN_LAUNCHER,
	STH_WAIT_IN_WORKER,
	STH_WAIT_FOR_PARKING,
	STH_WAIT_FOR_FLUSH
} SthWait;

#define STH_NWAITS (STH_WAIT_FOR_FLUSH + 1)

/* Extensions name their wait events from 17 on. */
static inline uint32
sth_wait_event(SthWait wait)
{
#if PG_VERSION_NUM >= 170000
	static const char *const names[STH_NWAITS] = {
		"StreamhouseConsumeWait", "StreamhouseLogTurn",
		"StreamhouseLauncherMain", "StreamhouseWorkerMain",
		"StreamhouseWorkerPark", "StreamhouseFlushWait"
	};
	static uint32 events[STH_NWAITS];

	if (events[wait] == 0)
		events[wait] = WaitEventExtensionNew(names[wait]);
	return events[wait];
#else
	return PG_WAIT_EXTENSION;
#endif
}

/* A set of events to wait for, until it is freed or the process ends. */
static inline WaitEventSet *
sth_create_wait_event_set(int nevents)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, nevents);
#else
	return CreateWaitEventSet(TopMemoryContext, nevents);
#endif
}

/* Does the current user own the database, as by membership? */
static inline bool
sth_owns_database(Oid database)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, database, GetUserId());
#else
	return pg_database_ownercheck(database, GetUserId());
#endif
}

/* Likewise, a relation? */
static inline bool
sth_owns_relation(Oid relid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relid, GetUserId());
#else
	return pg_class_ownercheck(relid, GetUserId());
#endif
}

/* May the current user use a foreign server? */
static inline bool
sth_may_use_server(Oid server)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ForeignServerRelationId, server, GetUserId(),
						   ACL_USAGE) == ACLCHECK_OK;
#else
	return pg_foreign_server_aclcheck(server, GetUserId(),
									  ACL_USAGE) == ACLCHECK_OK;
#endif
}

/* A foreign scan's path and plan node gained fields in 17 and 18. */
static inline ForeignPath *
sth_create_foreignscan_path(PlannerInfo *root, RelOptInfo *rel, double rows,
							Cost startup_cost, Cost total_cost,
							List *pathkeys, Relids required_outer,
							List *private_items)
{
#if PG_VERSION_NUM >= 180000
	return create_foreignscan_path(root, rel, NULL, rows, 0, startup_cost,
								   total_cost, pathkeys, required_outer, NULL,
								   NIL, private_items);
#elif PG_VERSION_NUM >= 170000
	return create_foreignscan_path(root, rel, NULL, rows, startup_cost,
								   total_cost, pathkeys, required_outer, NULL,
								   NIL, private_items);
#else
	return create_foreignscan_path(root, rel, NULL, rows, startup_cost,
								   total_cost, pathkeys, required_outer, NULL,
								   private_items);
#endif
}

/* What the actions of a JSON parser return: nothing before 16. */
#if PG_VERSION_NUM >= 160000
typedef JsonParseErrorType SthJsonResult;
#define STH_JSON_GO_ON return JSON_SUCCESS
#else
typedef void SthJsonResult;
#define STH_JSON_GO_ON return
#endif

/* A lexer in the current memory context, of text in the database's encoding. */
static inline JsonLexContext *
sth_json_lexer(const char *json, size_t len)
{
#if PG_VERSION_NUM >= 170000
	return makeJsonLexContextCstringLen(NULL, json, len, GetDatabaseEncoding(), true);
#else
	return makeJsonLexContextCstringLen((char *) json, (int) len, GetDatabaseEncoding(), true);
#endif
}

#endif							/* STH_BASE_COMPAT_H */
