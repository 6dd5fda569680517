/*-------------------------------------------------------------------------
 *
 * holder.c
 *	  Who may delete objects of a bucket.
 *
 * Several databases may know of the same objects: copies of one, made by
 * CREATE DATABASE ... TEMPLATE, from a backup, of a data directory, or by
 * promoting a standby.  At most one of them deletes: the holder.  It is named
 * by the highest of the keys
 *
 *		<prefix>owner/0000000001, <prefix>owner/0000000002, ...
 *
 * each of which is created once and never changed.  What it says:
 *
 *		incarnation 0123456789abcdef	of the holder (incarnation.c)
 *		system 7123456789012345678		its cluster, database and timeline
 *		database 16384
 *		timeline 1
 *		ancestor fedcba9876543210		of holders before it, whose objects are
 *		...								its now; any number of them
 *
 * Whoever finds no such key makes the first one.  A standby that was promoted
 * takes over from the primary; any other copy does by take_over() only.  A
 * holder looks before it deletes, and so notices that it is none any more.
 *
 * That is one look at a time: all of it is requests, which the caller drives,
 *
 *		holder = sth_holder_begin(server, how)
 *		until sth_holder_is_done(holder): sth_store_drive()
 *		sth_holder_check(holder)	raises what went wrong
 *		sth_holder_is_us(holder), sth_holder_may_delete(holder, key)
 *		sth_holder_end(holder)
 *
 * Failure: a look that breaks off may have made a key, which the next one
 * finds.  When two take over at the same time, one key is there first, and
 * the other goes on from that.
 *
 * Memory: the context that it was begun in.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <sys/uio.h>

#include "access/timeline.h"
#include "access/xlog.h"
#include "base/compat.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "s3/s3.h"
#include "store/holder.h"
#include "store/stores.h"
#include "utils/memutils.h"

/* A key says not more than this. */
#define MAX_LEN (32 * 1024)
#define MAX_ANCESTORS 1000

#define FOLDER "owner/"
#define NUMBER_LEN 10

typedef enum Step
{
	STEP_LIST,					/* which is the highest key? */
	STEP_READ,					/* what does it say? */
	STEP_WRITE,					/* the next one */
	STEP_DONE
} Step;

struct SthHolder
{
	MemoryContext context;
	SthHolding	how;
	SthBucketStore *store;		/* keeps the client */
	SthS3	   *s3;
	char	   *folder;
	char	   *us;				/* our incarnation */
	uint64		system;
	Oid			database;
	TimeLineID	timeline;

	Step		step;
	SthS3Op    *op;
	char	   *highest;		/* key; NULL: there is none */
	uint64		number;
	Size		len;			/* of what it says */
	uint8	   *text;
	struct iovec piece;			/* of what is written */

	/* what the highest key says */
	char	   *incarnation;
	uint64		its_system;
	Oid			its_database;
	TimeLineID	its_timeline;
	List	   *ancestors;
};

/* Was this server started as a standby, and if it is none now, promoted? */
static bool started_as_standby = false;

void
sth_holder_init(void)
{
	struct stat file;

	started_as_standby = stat("standby.signal", &file) == 0;
}

static void
begin_list(SthHolder *holder, const char *start_after)
{
	holder->step = STEP_LIST;
	holder->op = sth_s3_list(holder->s3, holder->folder, start_after, 1000);
}

/* Begins to look who holds the bucket of a server; in a transaction. */
SthHolder *
sth_holder_begin(Oid server, SthHolding how)
{
	SthHolder  *holder = palloc0(sizeof(SthHolder));
	SthServer  *options = sth_server_get(server, false);

	holder->context = CurrentMemoryContext;
	holder->how = how;
	holder->store = sth_bucket_open(options, NULL);
	holder->s3 = sth_bucket_s3(holder->store);
	holder->folder = psprintf("%s%s", options->options.prefix, FOLDER);
	holder->us = pstrdup(sth_store_incarnation());
	holder->system = GetSystemIdentifier();
	holder->database = MyDatabaseId;
	holder->timeline = GetWALInsertionTimeLine();
	begin_list(holder, NULL);
	return holder;
}

/* Takes over a page of the listing, which is in the order of the keys. */
static void
note_page(SthHolder *holder)
{
	SthS3Op    *op = holder->op;
	bool		more;
	int			n;
	const SthS3Item *items = sth_s3_op_items(op, &n, &more);
	size_t		prefix_len = strlen(holder->folder);

	for (int i = 0; i < n; i++)
	{
		const char *name = items[i].key + prefix_len;

		if (strncmp(items[i].key, holder->folder, prefix_len) != 0 ||
			strlen(name) != NUMBER_LEN ||
			strspn(name, "0123456789") != NUMBER_LEN)
			continue;
		holder->highest = pstrdup(items[i].key);
		holder->number = strtou64(name, NULL, 10);
		holder->len = items[i].size;
	}
	if (more && n > 0)
		begin_list(holder, pstrdup(items[n - 1].key));
	sth_s3_op_free(op);
	if (holder->op == op)
		holder->op = NULL;
}

/* The value of a line "name value", or NULL; *text moves behind the line. */
static char *
next_line(char **text, const char **name)
{
	char	   *line = *text;
	char	   *end = strchr(line, '\n');
	char	   *space;

	if (end == NULL)
		return NULL;
	*end = '\0';
	*text = end + 1;
	space = strchr(line, ' ');
	if (space == NULL)
		return NULL;
	*space = '\0';
	*name = line;
	return space + 1;
}

/* Understands what the highest key says. */
static void
parse(SthHolder *holder)
{
	char	   *text = (char *) holder->text;
	const char *name;
	char	   *value;

	holder->incarnation = NULL;
	holder->ancestors = NIL;
	while ((value = next_line(&text, &name)) != NULL)
	{
		if (strcmp(name, "incarnation") == 0)
			holder->incarnation = value;
		else if (strcmp(name, "system") == 0)
			holder->its_system = strtou64(value, NULL, 10);
		else if (strcmp(name, "database") == 0)
			holder->its_database = (Oid) strtou64(value, NULL, 10);
		else if (strcmp(name, "timeline") == 0)
			holder->its_timeline = (TimeLineID) strtou64(value, NULL, 10);
		else if (strcmp(name, "ancestor") == 0 &&
				 list_length(holder->ancestors) < MAX_ANCESTORS)
			holder->ancestors = lappend(holder->ancestors, value);
	}
}

/* Begins to read the highest key; false: it is none of ours. */
static bool
begin_read(SthHolder *holder)
{
	if (holder->len == 0 || holder->len > MAX_LEN)
		return false;
	holder->step = STEP_READ;
	holder->text = palloc0(holder->len + 1);
	holder->op = sth_s3_get(holder->s3, holder->highest, 0, holder->len,
							holder->text);
	return true;
}

/* Begins to write the key after the highest. */
static void
begin_write(SthHolder *holder)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	appendStringInfo(&text, "incarnation %s\nsystem " UINT64_FORMAT "\ndatabase %u\ntimeline %u\n",
					 holder->us, holder->system, holder->database,
					 holder->timeline);
	if (holder->incarnation != NULL)
		appendStringInfo(&text, "ancestor %s\n", holder->incarnation);
	foreach(lc, holder->ancestors)
		if (strcmp(lfirst(lc), holder->us) != 0)
		appendStringInfo(&text, "ancestor %s\n", (char *) lfirst(lc));
	holder->step = STEP_WRITE;
	holder->piece.iov_base = text.data;
	holder->piece.iov_len = text.len;

	holder->op = sth_s3_put(holder->s3,
							psprintf("%s%0*llu", holder->folder, NUMBER_LEN,
									 (unsigned long long) holder->number + 1),
							&holder->piece, 1, true);
}

/*
 * Is the holder the primary that we were a standby of?  Not if it has taken
 * over from us since, nor if it went another way before we were promoted.
 */
static bool
is_our_primary(const SthHolder *holder)
{
	ListCell   *lc;

	if (!started_as_standby || holder->its_system != holder->system ||
		holder->its_database != holder->database ||
		holder->its_timeline >= holder->timeline ||
		!tliInHistory(holder->its_timeline,
					  readTimeLineHistory(holder->timeline)))
		return false;
	foreach(lc, holder->ancestors)
		if (strcmp(lfirst(lc), holder->us) == 0)
		return false;
	return true;
}

/* The highest key is known and read, or there is none. */
static void
decide(SthHolder *holder)
{
	if (holder->how == STH_HOLDING_ASK)
		holder->step = STEP_DONE;
	else if (holder->incarnation != NULL &&
			 (strcmp(holder->incarnation, holder->us) == 0 ||
			  (holder->how == STH_HOLDING_LOOK && !is_our_primary(holder))))
		holder->step = STEP_DONE;
	else
		begin_write(holder);
}

/* Goes on after an operation that succeeded. */
static void
go_on(SthHolder *holder)
{
	switch (holder->step)
	{
		case STEP_LIST:
			note_page(holder);
			if (holder->op != NULL)
				break;
			if (holder->highest == NULL)
				decide(holder);
			else if (!begin_read(holder))
				holder->step = STEP_DONE;
			break;
		case STEP_READ:
			sth_s3_op_free(holder->op);
			holder->op = NULL;
			parse(holder);
			if (holder->incarnation == NULL)
				holder->step = STEP_DONE;
			else
				decide(holder);
			break;
		case STEP_WRITE:
			sth_s3_op_free(holder->op);
			holder->op = NULL;
			if (holder->incarnation != NULL)
				holder->ancestors = lcons(holder->incarnation,
										  holder->ancestors);
			holder->incarnation = holder->us;
			holder->step = STEP_DONE;
			break;
		case STEP_DONE:
			break;
	}
}

/* Is the answer there, or will it not come?  To be called again until it is. */
bool
sth_holder_is_done(SthHolder *holder)
{
	MemoryContext old = MemoryContextSwitchTo(holder->context);

	while (holder->step != STEP_DONE && sth_s3_op_done(holder->op))
	{
		/* somebody else was there first */
		if (holder->step == STEP_WRITE &&
			sth_s3_op_result(holder->op) == STH_S3_EXISTS)
		{
			sth_s3_op_free(holder->op);
			begin_list(holder, NULL);
			continue;
		}
		if (sth_s3_op_result(holder->op) != STH_S3_OK)
			break;
		go_on(holder);
	}
	MemoryContextSwitchTo(old);
	return holder->step == STEP_DONE || sth_s3_op_done(holder->op);
}

/* Waits for what is on its way. */
void
sth_holder_wait(SthHolder *holder)
{
	if (holder->op != NULL)
		sth_s3_wait(holder->op, sth_wait_event(STH_WAIT_FOR_STORE));
}

/* Raises an error if the answer could not be had. */
void
sth_holder_check(const SthHolder *holder)
{
	if (holder->step != STEP_DONE)
		sth_s3_report(holder->op, ERROR);
	if (holder->incarnation == NULL && holder->highest != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("key \"%s\" does not say who holds the bucket",
						holder->highest),
				 errhint("It was not written by streamhouse. Nothing is deleted in the bucket until it is removed.")));
}

/* Does nobody hold it? */
bool
sth_holder_is_none(const SthHolder *holder)
{
	return holder->incarnation == NULL;
}

/* Do we hold it? */
bool
sth_holder_is_us(const SthHolder *holder)
{
	return holder->incarnation != NULL && strcmp(holder->incarnation, holder->us) == 0;
}

/* Is a key ours to delete: do we hold the bucket, and was it written by us? */
bool
sth_holder_may_delete(const SthHolder *holder, const char *key)
{
	ListCell   *lc;

	if (!sth_holder_is_us(holder))
		return false;
	if (sth_store_wrote(key, holder->us))
		return true;
	foreach(lc, holder->ancestors)
		if (sth_store_wrote(key, lfirst(lc)))
		return true;
	return false;
}

void
sth_holder_end(SthHolder *holder)
{
	if (holder->op != NULL)
		sth_s3_op_free(holder->op);
	holder->op = NULL;
	sth_bucket_close(holder->store);
}
