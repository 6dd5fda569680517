/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  Settings (streamhouse.*); docs/reference.md says the same to users.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "utils/guc.h"

int			sth_max_logs = 16384;
int			sth_max_record_size = 16 * 1024;
int			sth_batch_memory = 4 * 1024;
int			sth_max_workers = 4;
int			sth_segment_size = 64 * 1024;
int			sth_flush_interval = 5 * 60;
int			sth_block_size = 256;
int			sth_fetch_size = 4 * 1024;
int			sth_prefetch = 8;
int			sth_maintenance_interval = 60;
int			sth_gc_grace = 7 * 24 * 60 * 60;
int			sth_orphan_age = 60 * 60;
int			sth_max_tail_size = 64 * 1024 * 1024;

#ifdef STH_FAILPOINTS
char	   *sth_failpoint = NULL;
#endif

/* Rows on their way in, and in the tail. */
static void
define_for_producing(void)
{
	DefineCustomIntVariable("streamhouse.max_logs",
							"Sets how many logs (partitions of topics) can be produced to between two starts of the server, in all databases together.",
							"Each takes about 150 bytes of shared memory, used or not. A log takes its place with the first row produced to it and gives it up when its topic is dropped.",
							&sth_max_logs,
							16384, 64, 4 * 1024 * 1024,
							PGC_POSTMASTER, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamhouse.max_record_size",
							"Sets the size of the largest row that a topic takes.",
							"Counted are the bytes of its values, decompressed.",
							&sth_max_record_size,
							16 * 1024, 1, 256 * 1024,
							PGC_SUSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamhouse.batch_memory",
							"Sets how much memory the rows of a transaction may take before they are written.",
							"Counted is what they take packed and compressed, in all topics. Rows beyond it are written to the tail table before the transaction commits, where nobody sees them until it does.",
							&sth_batch_memory,
							4 * 1024, 64, 1024 * 1024,
							PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamhouse.max_tail_size",
							"Sets how much may wait in the tail to be written to segments.",
							"Counted is what committed rows take in the tail, of the topics of one foreign server in one database. Producing is slowed when three quarters of it are used, and refused when all is.",
							&sth_max_tail_size,
							64 * 1024 * 1024, 1024, PG_INT32_MAX,
							PGC_SIGHUP, GUC_UNIT_KB,
							NULL, NULL, NULL);
}

/* Who makes segments, when, and of what size. */
static void
define_for_segments(void)
{
	DefineCustomIntVariable("streamhouse.max_workers",
							"Sets how many databases can have a background worker of streamhouse at the same time.",
							"Others are served in turn. With 0 there are none.",
							&sth_max_workers,
							4, 0, 64,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamhouse.segment_size",
							"Sets how many bytes of a partition's rows make a segment.",
							"Counted is what they take in the tail, decompressed. A topic can have its own, by its option segment_size.",
							&sth_segment_size,
							64 * 1024, 64, 1024 * 1024,
							PGC_SIGHUP, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamhouse.flush_interval",
							"Sets after how long rows become a segment that do not fill one.",
							"A topic can have its own, by its option flush_interval.",
							&sth_flush_interval,
							5 * 60, 1, 7 * 24 * 60 * 60,
							PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamhouse.block_size",
							"Sets how many bytes of rows make a block of a segment.",
							"A block is what a query reads at least of a segment.",
							&sth_block_size,
							256, 16, 16 * 1024,
							PGC_SIGHUP, GUC_UNIT_KB,
							NULL, NULL, NULL);
}

/* Segments in buckets. */
static void
define_for_buckets(void)
{
	DefineCustomIntVariable("streamhouse.fetch_size",
							"Sets how many bytes of a segment in a bucket are fetched by one request.",
							"Fewer are at the beginning of a query. A block that is larger is fetched as a whole.",
							&sth_fetch_size,
							4 * 1024, 16, 256 * 1024,
							PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamhouse.prefetch",
							"Sets how many requests a query has on their way to a bucket at the same time.",
							"It begins with one. Each takes fetch_size of memory.",
							&sth_prefetch,
							8, 1, 256,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamhouse.maintenance_interval",
							"Sets how often objects in buckets are looked for that can be deleted.",
							NULL,
							&sth_maintenance_interval,
							60, 1, 24 * 60 * 60,
							PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamhouse.gc_grace",
							"Sets how long an object stays in its bucket after the last segment in it was deleted.",
							"A standby, a copy or a restored backup of the database reads what the bucket had not longer than this ago.",
							&sth_gc_grace,
							7 * 24 * 60 * 60, 0, 365 * 24 * 60 * 60,
							PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamhouse.orphan_age",
							"Sets how long an object whose upload was broken off may still be on its way.",
							"It is deleted after that.",
							&sth_orphan_age,
							60 * 60, 0, 30 * 24 * 60 * 60,
							PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);
}

void
sth_guc_init(void)
{
	define_for_producing();
	define_for_segments();
	define_for_buckets();
#ifdef STH_FAILPOINTS
	DefineCustomStringVariable("streamhouse.failpoint",
							   "Names a place in the code and what happens there; for tests.",
							   NULL,
							   &sth_failpoint,
							   "",
							   PGC_SUSET, GUC_NOT_IN_SAMPLE,
							   NULL, NULL, NULL);
#endif
	MarkGUCPrefixReserved("streamhouse");
}
