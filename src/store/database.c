/*-------------------------------------------------------------------------
 *
 * database.c
 *	  Objects kept in the database itself.
 *
 * The bytes of an object are the rows of streamhouse.object_data that have
 * its number: as many to a row as make the tuple fill a page.  It is an
 * ordinary table, so that crash safety, standbys and backups are PostgreSQL's.
 *
 * Writing goes by heap and index calls, as with the tail: no triggers, no
 * privileges.  Reading is under the snapshot under which the object was found,
 * so that an object which is deleted meanwhile stays readable.
 *
 * Failure: an object is written and deleted with the transaction; an abort
 * leaves dead tuples for vacuum.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/compat.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "catalog/relations.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "storage/bufmgr.h"
#include "store/stores.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Columns of streamhouse.object_data */
typedef struct FormData_sth_object_data
{
	int64		object_id;
	int32		chunk_no;
	/* bytea data follows, with a four-byte header */
} FormData_sth_object_data;

#define Natts_sth_object_data 3
#define Anum_sth_object_data_object_id 1
#define Anum_sth_object_data_chunk_no 2

/* The data's own header ends at a multiple of eight, and so do the data. */
#define CHUNK_FIXED (MAXALIGN(SizeofHeapTupleHeader) + 8 + 4 + VARHDRSZ)
#define CHUNK_LEN ((Size) (MaxHeapTupleSize - CHUNK_FIXED))

struct SthDatabasePut
{
	Relation	relation;
	CatalogIndexState indexes;	/* all: REINDEX CONCURRENTLY makes a second */
	CommandId	cid;
	BlockNumber nblocks;		/* at the beginning */
	bool		growing;		/* no free page was found */
	int64		object_id;
	int32		chunk_no;
	Size		len;			/* of the chunk so far */
	HeapTuple	tuple;			/* with room for a chunk */
};

struct SthDatabaseStore
{
	Relation	relation;
	Relation	index;
	Snapshot	snapshot;
};

/* Begins an object of a number that has none. */
SthDatabasePut *
sth_database_put_begin(int64 object_id)
{
	SthDatabasePut *put = palloc0(sizeof(SthDatabasePut));
	HeapTuple	tuple = palloc(HEAPTUPLESIZE + MaxHeapTupleSize);

	put->relation = table_open(sth_relations()->object_data, RowExclusiveLock);
	put->indexes = CatalogOpenIndexes(put->relation);
	put->cid = GetCurrentCommandId(true);
	put->nblocks = RelationGetNumberOfBlocks(put->relation);
	put->object_id = object_id;
	put->tuple = tuple;
	tuple->t_data = (HeapTupleHeader) ((char *) tuple + HEAPTUPLESIZE);
	tuple->t_tableOid = RelationGetRelid(put->relation);
	return put;
}

static void
insert_index_entries(SthDatabasePut *put)
{
	for (int i = 0; i < put->indexes->ri_NumIndices; i++)
	{
		IndexInfo  *info = put->indexes->ri_IndexRelationInfo[i];
		Datum		values[INDEX_MAX_KEYS];
		bool		isnull[INDEX_MAX_KEYS] = {0};

		if (!info->ii_ReadyForInserts)
			continue;
		for (int k = 0; k < info->ii_NumIndexAttrs; k++)
			values[k] = info->ii_IndexAttrNumbers[k] == Anum_sth_object_data_object_id ?
				Int64GetDatum(put->object_id) : Int32GetDatum(put->chunk_no);
		index_insert(put->indexes->ri_IndexRelationDescs[i], values, isnull,
					 &put->tuple->t_self, put->relation,
					 info->ii_Unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
					 false, info);
	}
}

/*
 * Inserts the chunk that has been collected.  Room that vacuum has made is
 * looked for until there is none.
 */
static void
insert_chunk(SthDatabasePut *put)
{
	HeapTuple	tuple = put->tuple;
	HeapTupleHeader header = tuple->t_data;
	FormData_sth_object_data *form;

	memset(header, 0, MAXALIGN(SizeofHeapTupleHeader));
	HeapTupleHeaderSetNatts(header, Natts_sth_object_data);
	header->t_hoff = MAXALIGN(SizeofHeapTupleHeader);
	header->t_infomask = HEAP_HASVARWIDTH;
	form = (FormData_sth_object_data *) ((char *) header + header->t_hoff);
	form->object_id = put->object_id;
	form->chunk_no = put->chunk_no;
	SET_VARSIZE((char *) header + CHUNK_FIXED - VARHDRSZ, VARHDRSZ + put->len);
	tuple->t_len = CHUNK_FIXED + put->len;
	ItemPointerSetInvalid(&tuple->t_self);

	heap_insert(put->relation, tuple, put->cid,
				put->growing ? HEAP_INSERT_SKIP_FSM : 0, NULL);
	if (ItemPointerGetBlockNumber(&tuple->t_self) >= put->nblocks)
		put->growing = true;
	insert_index_entries(put);
	put->chunk_no++;
	put->len = 0;
	/* the WAL writer may begin with what the commit will wait for */
	if (put->chunk_no % 128 == 0)
		XLogSetAsyncXactLSN(XactLastRecEnd);
}

/* Appends bytes to the object. */
void
sth_database_put_write(SthDatabasePut *put, const uint8 *bytes, Size len)
{
	char	   *data = (char *) put->tuple->t_data + CHUNK_FIXED;

	while (len > 0)
	{
		Size		n = Min(len, CHUNK_LEN - put->len);

		memcpy(data + put->len, bytes, n);
		put->len += n;
		bytes += n;
		len -= n;
		if (put->len < CHUNK_LEN)
			break;
		CHECK_FOR_INTERRUPTS();
		if (put->chunk_no == PG_INT32_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("object %lld is too large",
							(long long) put->object_id)));
		insert_chunk(put);
	}
}

/* All bytes have been written. */
void
sth_database_put_finish(SthDatabasePut *put)
{
	if (put->len > 0)
		insert_chunk(put);
	CatalogCloseIndexes(put->indexes);
	table_close(put->relation, NoLock);
	pfree(put->tuple);
	pfree(put);
}

/* Opens the store to read under a snapshot that the caller keeps registered. */
SthDatabaseStore *
sth_database_open(Snapshot snapshot)
{
	SthDatabaseStore *store = palloc(sizeof(SthDatabaseStore));

	store->relation = table_open(sth_relations()->object_data, AccessShareLock);
	store->index = index_open(sth_relations()->object_data_pkey,
							  AccessShareLock);
	store->snapshot = snapshot;
	return store;
}

/* The bytes of a chunk, or NULL if the tuple is not a sound one. */
static const uint8 *
chunk_data(HeapTuple tuple, int32 chunk_no, Size *len)
{
	char	   *data = (char *) tuple->t_data + CHUNK_FIXED - VARHDRSZ;

	if (tuple->t_data->t_hoff != MAXALIGN(SizeofHeapTupleHeader) ||
		tuple->t_len < CHUNK_FIXED || VARATT_IS_EXTENDED(data) ||
		VARSIZE(data) != tuple->t_len - CHUNK_FIXED + VARHDRSZ ||
		((FormData_sth_object_data *) GETSTRUCT(tuple))->chunk_no != chunk_no)
		return NULL;
	*len = VARSIZE(data) - VARHDRSZ;
	return (const uint8 *) VARDATA(data);
}

/* Reads a range; get->found tells whether all of it was there. */
void
sth_database_get(SthDatabaseStore *store, SthGet *get)
{
	int64		chunk_no = get->position / CHUNK_LEN;
	int64		last_chunk = (get->position + Max(get->len, 1) - 1) / CHUNK_LEN;
	Size		skip = get->position % CHUNK_LEN;
	Size		done = 0;
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_sth_object_data_object_id,
				BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(get->object_id));
	ScanKeyInit(&keys[1], Anum_sth_object_data_chunk_no,
				BTGreaterEqualStrategyNumber, F_INT4GE,
				Int32GetDatum((int32) Min(chunk_no, PG_INT32_MAX)));
	/* without an end the scan would look at all entries of the index's page */
	ScanKeyInit(&keys[2], Anum_sth_object_data_chunk_no,
				BTLessEqualStrategyNumber, F_INT4LE,
				Int32GetDatum((int32) Min(last_chunk, PG_INT32_MAX)));
	scan = systable_beginscan_ordered(store->relation, store->index,
									  store->snapshot, 3, keys);
	while (done < get->len &&
		   (tuple = systable_getnext_ordered(scan, ForwardScanDirection)) != NULL)
	{
		Size		len;
		const uint8 *data = chunk_data(tuple, (int32) chunk_no, &len);

		CHECK_FOR_INTERRUPTS();
		if (data == NULL || len <= skip)
			break;
		len = Min(len - skip, get->len - done);
		memcpy(get->buffer + done, data + skip, len);
		done += len;
		skip = 0;
		chunk_no++;
	}
	systable_endscan_ordered(scan);
	get->found = done == get->len;
}

void
sth_database_close(SthDatabaseStore *store)
{
	index_close(store->index, AccessShareLock);
	table_close(store->relation, AccessShareLock);
	pfree(store);
}

/* Deletes the bytes of an object. */
void
sth_store_delete(int64 object_id)
{
	const SthRelations *relations = sth_relations();
	Snapshot	snapshot = sth_fresh_snapshot();
	SthCatalogScan *scan;
	HeapTuple	tuple;

	scan = sth_catalog_begin(relations->object_data,
							 relations->object_data_pkey, RowExclusiveLock,
							 snapshot, Anum_sth_object_data_object_id,
							 Int64GetDatum(object_id), INT8OID);
	while ((tuple = sth_catalog_next(scan)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		simple_heap_delete(sth_catalog_relation(scan), &tuple->t_self);
	}
	sth_catalog_end(scan);
	UnregisterSnapshot(snapshot);
}
