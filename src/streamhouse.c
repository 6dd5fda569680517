/*-------------------------------------------------------------------------
 *
 * streamhouse.c
 *	  Streaming topics as tables: where the library is loaded.
 *
 * Everything else is in the folders beside this file; LAYERS tells which may
 * use which.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/shmem.h"
#include "base/stats.h"
#include "base/tally.h"
#include "base/transaction.h"
#include "base/wakeup.h"
#include "catalog/relations.h"
#include "catalog/topic.h"
#include "consume/claim.h"
#include "consume/prepared.h"
#include "consume/scan.h"
#include "ddl/ddl.h"
#include "fmgr.h"
#include "log/failures.h"
#include "log/log.h"
#include "log/sequencer.h"
#include "log/tail_size.h"
#include "log/waiters.h"
#include "miscadmin.h"
#include "produce/commit.h"
#include "produce/pending.h"
#include "s3/health.h"
#include "store/holder.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

/*
 * Offsets are given from shared memory, which is there only if the server was
 * started with the library.  Raising the error here makes every function of
 * the extension raise it, since calling one loads the library.
 */
void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("streamhouse must be loaded when the server starts"),
				 errhint("Add streamhouse to shared_preload_libraries in postgresql.conf and restart the server.")));

	sth_guc_init();
	sth_shmem_init();
	sth_transaction_init();
	sth_wakeup_init();
	sth_sequencer_init();
	sth_tail_size_init();
	sth_failures_init();
	sth_waiters_init();
	sth_stats_init();
	sth_health_init();
	sth_claim_init();
	sth_prepared_init();
	sth_scan_init();
	sth_relations_init();
	sth_topic_init();
	sth_holder_init();

	/* transactions that end call who registered last first: see commit.c */
	sth_log_init();
	sth_tally_init();
	sth_commit_init();
	sth_pending_init();
	sth_ddl_init();
	sth_worker_init();
}
