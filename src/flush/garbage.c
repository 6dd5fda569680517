/*-------------------------------------------------------------------------
 *
 * garbage.c
 *	  Deleting objects in buckets that nobody needs any more.
 *
 * The ledger, streamhouse.object, has them: garbage, in which no segment is
 * any more, and orphans, whose upload was given up.  Garbage is deleted when
 * it has been that for streamhouse.gc_grace, since standbys and copies of the
 * database may still read it, and no transaction can see a segment in it.  An
 * orphan is read by nobody, but may still be on its way, so it is deleted when
 * it has been one for streamhouse.orphan_age.
 *
 * Only the database that holds the bucket deletes, and only what it or a
 * holder before it has written (store/holder.c): what a copy finds in its
 * ledger may be alive where it was copied from.  For each server that has
 * objects, one after the other:
 *
 *	1. it is looked who holds the bucket, without a transaction;
 *	2. a transaction lists some of the server's objects;
 *	3. they are deleted in the bucket, without a transaction, and of orphans
 *	   the uploads aborted before that a worker may have left behind;
 *	4. another transaction deletes the rows of those that are gone; and if all
 *	   are that were listed, again.
 *
 * Failure: an error, a crash or a worker that ends between these leaves rows
 * of objects of which some are gone already.  They are listed again, and
 * deleting what is not there is no error.
 *
 * Memory: "streamhouse garbage", until the objects are deleted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "base/compat.h"
#include "base/failpoint.h"
#include "base/guc.h"
#include "catalog/objects.h"
#include "catalog/relations.h"
#include "catalog/server.h"
#include "flush/garbage.h"
#include "log/owner.h"
#include "segment/remove.h"
#include "store/holder.h"
#include "store/store.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* As many are deleted at a time; a bucket takes not more in one request. */
#define MAX_OBJECTS 1000

/* A look for garbage. */
typedef struct Garbage
{
	MemoryContext context;
	Oid			tail;
	List	   *servers;		/* still to be looked at, the current one
								 * first */
	SthHolder  *holder;
	SthRemoval *removal;		/* NULL: nothing is being deleted */
	List	   *objects;		/* that are: SthDeadObjects */
	bool		failed;			/* some could not be */
} Garbage;

static Garbage *current = NULL;

/* When it was looked last, and whether there may be something to find. */
static TimestampTz looked_at = 0;
static bool expected = true;

/* Servers of which this process has found out who holds the bucket. */
static List *looked_for = NIL;

static TimestampTz
time_ago(int seconds)
{
	return GetCurrentTimestamp() - (int64) seconds * USECS_PER_SEC;
}

static bool
is_here(Garbage *garbage)
{
	return sth_owner_keep_extension() &&
		sth_relations()->tail == garbage->tail;
}

/* Lists servers, and finds what transactions have left to each other. */
static void
list_servers(Garbage *garbage)
{
	if (!is_here(garbage))
		return;
	sth_owner_lock();
	sth_objects_remove_unused();
	garbage->servers = sth_objects_servers();
}

/* Is it time to delete an object, for whoever may? */
static bool
is_time(const char *key, char state, TimestampTz since, void *arg)
{
	return since <= time_ago(state == STH_OBJECT_ORPHAN ? sth_orphan_age :
							 sth_gc_grace);
}

/*
 * Looks who holds the bucket of the current server, if there is something to
 * delete; and once in any case, so that the first to write becomes the holder.
 */
static void
begin_server(Garbage *garbage)
{
	Oid			server = linitial_oid(garbage->servers);

	if (sth_server_get(server, true) != NULL)
	{
		if (list_member_oid(looked_for, server) &&
			sth_objects_dead(server, is_time, NULL, 1) == NIL)
			return;
		garbage->holder = sth_holder_begin(server, STH_HOLDING_LOOK);
	}
	else if (is_here(garbage))
		ereport(LOG,
				(errmsg("%d objects of a dropped server stay in its bucket",
						sth_objects_forget_server(server))));
}

/* The bucket has a holder; this need not be looked for every time. */
static void
note_looked_for(Oid server)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	looked_for = list_append_unique_oid(looked_for, server);
	MemoryContextSwitchTo(old);
}

/*
 * Is it time to, and may we?  What another began to upload, who held the bucket
 * before, may have become live there after we had been copied from it.
 */
static bool
may_delete(const char *key, char state, TimestampTz since, void *arg)
{
	Garbage    *garbage = arg;

	if (!is_time(key, state, since, NULL) ||
		!sth_holder_may_delete(garbage->holder, key))
		return false;
	return state != STH_OBJECT_ORPHAN || since <= time_ago(sth_gc_grace) ||
		sth_store_wrote(key, sth_store_incarnation());
}

/* Begins to delete what may be deleted of the current server. */
static void
begin_removal(Garbage *garbage)
{
	List	   *keys = NIL;
	List	   *orphans = NIL;
	ListCell   *lc;

	sth_holder_check(garbage->holder);
	note_looked_for(linitial_oid(garbage->servers));
	if (!is_here(garbage) || !sth_holder_is_us(garbage->holder))
		return;
	garbage->objects = sth_objects_dead(linitial_oid(garbage->servers),
										may_delete, garbage, MAX_OBJECTS);
	foreach(lc, garbage->objects)
	{
		SthDeadObject *object = lfirst(lc);

		keys = lappend(keys, object->key);
		if (object->is_orphan)
			orphans = lappend(orphans, object->key);
	}
	if (keys == NIL)
		return;
	/* that they are not needed must not be undone by a crash */
	XLogFlush(GetXLogInsertRecPtr());
	garbage->removal = sth_removal_begin(linitial_oid(garbage->servers),
										 keys, orphans);
}

/* Those that have been deleted; if some could not be, there is no next time. */
static void
forget_objects(Garbage *garbage)
{
	ListCell   *lc;

	garbage->failed = !sth_removal_check(garbage->removal);
	STH_FAILPOINT("garbage-deleted");
	if (!is_here(garbage))
		return;
	foreach(lc, garbage->objects)
	{
		SthDeadObject *object = lfirst(lc);

		if (sth_removal_has(garbage->removal, object->key))
			sth_object_delete(object->object_id);
	}
}

/* Runs a step; an error is logged, and false. */
static bool
in_transaction(Garbage *garbage, void (*step) (Garbage *garbage))
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool succeeded = true;

	PG_TRY();
	{
		StartTransactionCommand();
		MemoryContextSwitchTo(garbage->context);
		step(garbage);
		CommitTransactionCommand();
		MemoryContextSwitchTo(context);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(context);
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not delete objects that are not needed any more: %s",
						error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0,
				 error->hint ? errhint("%s", error->hint) : 0));
		FreeErrorData(error);
		succeeded = false;
	}
	PG_END_TRY();
	return succeeded;
}

static void
end_removal(Garbage *garbage)
{
	if (garbage->removal != NULL)
		sth_removal_end(garbage->removal);
	garbage->removal = NULL;
	garbage->objects = NIL;
}

static void
end_holder(Garbage *garbage)
{
	if (garbage->holder != NULL)
		sth_holder_end(garbage->holder);
	garbage->holder = NULL;
}

static void
end_server(Garbage *garbage)
{
	end_removal(garbage);
	end_holder(garbage);
	garbage->servers = list_delete_first(garbage->servers);
}

/*
 * Goes on with the current server, as far as it can without waiting; true if
 * it is done with.
 */
static bool
advance_server(Garbage *garbage)
{
	for (;;)
	{
		if (garbage->removal != NULL)
		{
			if (!sth_removal_is_done(garbage->removal))
				return false;
			if (!in_transaction(garbage, forget_objects) || garbage->failed)
				return true;
			/* before there are more, it may not hold the bucket any more */
			end_removal(garbage);
			end_holder(garbage);
		}
		if (garbage->holder == NULL &&
			(!in_transaction(garbage, begin_server) || garbage->holder == NULL))
			return true;
		if (!sth_holder_is_done(garbage->holder))
			return false;
		if (!in_transaction(garbage, begin_removal) || garbage->removal == NULL)
			return true;
	}
}

static void
begin_garbage(Oid tail)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "streamhouse garbage",
												  ALLOCSET_DEFAULT_SIZES);

	current = MemoryContextAllocZero(context, sizeof(Garbage));
	current->context = context;
	current->tail = tail;
	(void) in_transaction(current, list_servers);
}

static void
end_garbage(void)
{
	MemoryContextDelete(current->context);
	current = NULL;
}

/* Objects come to be in a bucket, and some of them garbage one day. */
void
sth_garbage_expect(void)
{
	expected = true;
}

/* When to look again; the setting may have changed since the last time. */
static TimestampTz
next_look(void)
{
	return expected ? looked_at + (int64) sth_maintenance_interval * USECS_PER_SEC :
		DT_NOEND;
}

bool
sth_garbage_is_busy(void)
{
	return current != NULL;
}

/* Would a turn get on? */
bool
sth_garbage_has_arrived(void)
{
	if (current == NULL)
		return false;
	if (current->removal != NULL)
		return sth_removal_is_done(current->removal);
	return current->holder == NULL || sth_holder_is_done(current->holder);
}

/*
 * Goes on with deleting, or begins.  Called by the worker, outside of a
 * transaction.  Returns when to call again, unless something arrives before.
 */
TimestampTz
sth_garbage_turn(Oid tail)
{
	if (current == NULL)
	{
		if (next_look() > GetCurrentTimestamp())
			return next_look();
		looked_at = GetCurrentTimestamp();
		begin_garbage(tail);
		expected = current->servers != NIL;
	}
	while (current->servers != NIL)
	{
		if (!advance_server(current))
			return DT_NOEND;
		end_server(current);
	}
	end_garbage();
	return next_look();
}
