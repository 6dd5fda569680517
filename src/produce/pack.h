/*-------------------------------------------------------------------------
 *
 * pack.h
 *	  A row's values, packed as frames hold them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_PRODUCE_PACK_H
#define STH_PRODUCE_PACK_H

#include "catalog/topic.h"
#include "codec/frame.h"

/* The columns of rows. */
typedef struct SthRowColumns
{
	int			n;
	Size		present_bytes;	/* a bit for each */
	SthFrameColumn *in_frame;	/* as a frame describes them */
	SthColumn	columns[FLEXIBLE_ARRAY_MEMBER];
} SthRowColumns;

extern SthRowColumns *sth_row_columns_create(MemoryContext context,
											 int ncolumns,
											 const SthColumn *columns);
extern bool sth_row_columns_equal(const SthRowColumns *columns, int n,
								  const SthColumn *others);

extern Size sth_pack_begin(const SthRowColumns *columns, const Datum *values,
						   const bool *isnull);
extern uint8 *sth_pack_row(const SthRowColumns *columns, const bool *isnull,
						   uint8 *row, uint8 *present, int *row_align);
extern void sth_pack_forget(void);

#endif							/* STH_PRODUCE_PACK_H */
