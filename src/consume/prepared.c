/*-------------------------------------------------------------------------
 *
 * prepared.c
 *	  Prepared statements that call functions which return rows of a topic.
 *
 * When the columns of a topic change, ddl/sync.c has statements planned anew
 * that call poll() or read().  One whose result has other columns then cannot
 * go on: PostgreSQL says so, but not what to do about it.  Consumers live
 * long and poll by prepared statements, which drivers make behind their back;
 * so in a session that has called such a function the error gets a hint.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "consume/prepared.h"
#include "utils/memutils.h"

static bool has_read = false;	/* this session, a topic by a function */

static emit_log_hook_type prev_emit_log_hook = NULL;

/* Called by functions that return rows of a topic. */
void
sth_prepared_note(void)
{
	has_read = true;
}

static void
add_hint(ErrorData *error)
{
	if (prev_emit_log_hook)
		prev_emit_log_hook(error);
	if (has_read && error->elevel == ERROR && error->hint == NULL &&
		error->sqlerrcode == ERRCODE_FEATURE_NOT_SUPPORTED &&
		error->message_id != NULL &&
		strcmp(error->message_id, "cached plan must not change result type") == 0)
		error->hint = MemoryContextStrdup(error->assoc_context,
										  "Prepare the statement again: the columns of a topic or table that it reads have changed.");
}

/* Called once, from _PG_init. */
void
sth_prepared_init(void)
{
	prev_emit_log_hook = emit_log_hook;
	emit_log_hook = add_hint;
}
