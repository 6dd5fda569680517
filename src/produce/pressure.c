/*-------------------------------------------------------------------------
 *
 * pressure.c
 *	  Slowing producers when rows come faster than they are flushed.
 *
 * What waits in the tail is limited per foreign server by
 * streamhouse.max_tail_size (log/tail_size.c).  From three quarters of it on
 * whoever produces is delayed, at the beginning of each statement and after
 * each 64 kB that it writes: hardly at first, a second when little room is
 * left.  When none is left, producing is an error.  The worker flushes from
 * half of it on whatever there is, so that nobody is delayed because no log
 * by itself is due; and when it has made room, all goes on as before.
 *
 * A transaction is stopped too if it alone is too large for the room that is
 * left; but for what it has written itself it is not delayed, since that
 * cannot be flushed before it commits.
 *
 * All of this is before the commit, where a transaction holds up nobody: it
 * has taken no offsets, and its locks conflict with neither other producers
 * nor the worker.  Nothing is delayed or refused in the commit itself, so
 * transactions that have all found room may together exceed the limit by what
 * they have not committed yet.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "base/compat.h"
#include "base/guc.h"
#include "catalog/relations.h"
#include "foreign/foreign.h"
#include "log/failures.h"
#include "log/tail_size.h"
#include "miscadmin.h"
#include "produce/pressure.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* From this part of the limit on producers are slowed, in percent. */
#define SLOW_FROM 75

/* The delay when no room is left, in milliseconds. */
#define MAX_DELAY_MS 1000

/* A failure that is older than this is not the reason any more, in ms. */
#define REASON_MS (10 * 60 * 1000)

/* How often it is looked whether the delay can be cut short. */
#define LOOK_MS 50

static char *
pretty(int64 bytes)
{
	return text_to_cstring(DatumGetTextPP(DirectFunctionCall1(pg_size_pretty,
															  Int64GetDatum(bytes))));
}

/* What an error says to do about it. */
static const char *
advise(bool has_failed)
{
	if (sth_max_workers == 0)
		return "No background worker may run that could write segments: set streamhouse.max_workers to 1 or more.";
	if (has_failed)
		return "Segments cannot be written: see to the cause, or raise streamhouse.max_tail_size meanwhile.";
	return "Segments are written more slowly than rows come, or a transaction is too large: produce less at a time, or raise streamhouse.max_tail_size.";
}

static void
refuse(Relation rel, Oid server, int64 size, int64 written)
{
	SthFailure	failure;
	bool		has_failed = sth_failures_of_server(sth_relations()->tail,
													server, &failure);

	has_failed = has_failed &&
		!TimestampDifferenceExceeds(failure.at, GetCurrentTimestamp(), REASON_MS);
	ereport(ERROR,
			(errcode(ERRCODE_DISK_FULL),
			 errmsg("cannot produce to topic \"%s\" because too much waits to be written to segments",
					RelationGetRelationName(rel)),
			 errdetail("Of the topics of server \"%s\" %s wait in the tail, this transaction has %s, and streamhouse.max_tail_size is %s.%s%s",
					   GetForeignServer(server)->servername, pretty(size),
					   pretty(written), pretty(sth_tail_size_limit()),
					   has_failed ? " The last failure: " : "",
					   has_failed ? failure.message : ""),
			 errhint("%s", advise(has_failed))));
}

/* How long to wait with so much in the tail, in ms; rises from 0. */
static int
delay_at(int64 size)
{
	int64		limit = sth_tail_size_limit();
	int64		from = limit / 100 * SLOW_FROM;

	if (size <= from)
		return 0;
	return (int) (MAX_DELAY_MS * pow(Min((double) (size - from) / (limit - from), 1.0), 3));
}

/* Waits, but not longer than what waits in the tail asks for by then. */
static void
wait_for_room(SthTailAccount account, int delay)
{
	TimestampTz start = GetCurrentTimestamp();

	for (;;)
	{
		long		passed = TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());
		long		left = Min(delay, delay_at(sth_tail_account_size(account))) - passed;

		if (left <= 0)
			return;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(left, LOOK_MS), sth_wait_event(STH_WAIT_FOR_ROOM));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * To be called by who produces to a topic of a server: waits if much is in the
 * tail, and raises an error if there is no room left.  'written' is what this
 * transaction has written so far.
 */
void
sth_pressure_check(Relation rel, Oid server, int64 written)
{
	SthTailAccount account = sth_tail_account(sth_relations()->tail, server);
	int64		size = sth_tail_account_size(account);
	int			delay;

	if (size + written >= sth_tail_size_limit())
		refuse(rel, server, size, written);
	delay = delay_at(size);
	if (delay > 0)
		wait_for_room(account, delay);
}
