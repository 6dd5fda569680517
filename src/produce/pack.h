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

/* Bytes that have a bit for each stored column. */
static inline Size
sth_present_bytes(const SthTopic *topic)
{
	return (Size) (topic->ncolumns + 7) / 8;
}

extern Size sth_pack_begin(const SthTopic *topic, const Datum *values,
						   const bool *isnull);
extern uint8 *sth_pack_row(const SthTopic *topic, const bool *isnull,
						   uint8 *row, uint8 *present, int *row_align);
extern void sth_pack_forget(void);

#endif							/* STH_PRODUCE_PACK_H */
