/*-------------------------------------------------------------------------
 *
 * decoded.h
 *	  A block that is decoded, and those that a session keeps for later.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_SEGMENT_DECODED_H
#define STH_SEGMENT_DECODED_H

#include "catalog/topic.h"
#include "codec/block_reader.h"
#include "lib/ilist.h"

typedef struct SthDecoded
{
	MemoryContext context;
	SthBlockReader *blocks;
	uint8	   *buffer;			/* the block's bytes */
	Size		buffer_size;

	/* what it is, once it is decoded; nothing: nrows is 0 */
	int64		object_id;
	SthIndexEntry entry;

	/* decoded.c's own */
	int32		log_id;
	Oid			objects;
	int			ncolumns;
	SthColumnType *columns;
	bool		want_times;
	MemoryContextCallback callback;
	dlist_node	link;
} SthDecoded;

extern SthDecoded *sth_decoded_create(MemoryContext parent,
									  const SthColumnType *columns,
									  int ncolumns, bool want_times);
extern void sth_decoded_reserve(SthDecoded *decoded, Size len);
extern void sth_decoded_keep(SthDecoded *decoded, int32 log_id);
extern SthDecoded *sth_decoded_take(MemoryContext parent,
									int32 log_id,
									const SthColumnType *columns,
									int ncolumns, bool want_times);

#endif							/* STH_SEGMENT_DECODED_H */
