/*-------------------------------------------------------------------------
 *
 * footer.h
 *	  What an object says of itself, at its end: who wrote it, of which topics,
 *	  which segments it has and where their blocks are.
 *
 * It tells all that is needed to make the topics and the catalog anew from
 * objects alone, or to read an object without a server.  docs/segment-format.md
 * has the bytes.
 *
 * A reader fetches the end of the object, asks sth_trailer_parse where the
 * footer is, opens it, and walks topics, segments and blocks.  Opening checks
 * everything, so the walk cannot fail.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_FOOTER_H
#define STH_CODEC_FOOTER_H

#include "codec/block.h"

#define STH_FOOTER_MAGIC 0x31466853U	/* "ShF1" */
#define STH_TRAILER_MAGIC UINT64_C(0x3173754f48727453)	/* "StrHOus1" */
#define STH_FOOTER_VERSION 1
#define STH_TRAILER_LEN 32
#define STH_UUID_LEN 16

/* No footer is longer. */
#define STH_FOOTER_MAX STH_CHUNK_MAX

/* A trailer, taken apart. */
typedef struct SthTrailer
{
	uint64_t	object_len;
	uint64_t	footer_position;
	uint32_t	footer_len;
	uint32_t	footer_crc;
} SthTrailer;

/* Who wrote the object. */
typedef struct SthObjectInfo
{
	uint8_t		object_id[STH_UUID_LEN];
	uint8_t		incarnation[STH_UUID_LEN];	/* of the cluster */
	int64_t		written_at;		/* microseconds since 2000-01-01 */
	uint32_t	pg_major;
	SthText		encoding;		/* of all text, names included: "UTF8" */
	SthText		software;		/* "streamhouse 0.1.0" */
} SthObjectInfo;

typedef struct SthOption
{
	SthText		name;
	SthText		value;
} SthOption;

/* A label of an enum: values are stored as OIDs. */
typedef struct SthEnumLabel
{
	uint32_t	oid;
	SthText		name;
} SthEnumLabel;

/* A column of a topic; for writing labels is an array, in their order. */
typedef struct SthColumnInfo
{
	SthColumnType column;
	uint32_t	base_type;		/* what the domain is over; else the type */
	int			flags;			/* STH_COLUMN_* */
	SthText		name;
	SthText		type_name;		/* as DDL would have it */
	uint32_t	nlabels;
	const SthEnumLabel *labels;
	SthInput	label_input;	/* when read */
} SthColumnInfo;

#define STH_COLUMN_NOT_NULL	0x01
#define STH_COLUMN_ASSIGNED	0x02	/* by the log: _partition, _offset ... */

/* A topic; for writing options and columns are arrays. */
typedef struct SthTopicInfo
{
	uint8_t		topic_id[STH_UUID_LEN];
	SthText		schema;
	SthText		name;
	uint32_t	noptions;
	const SthOption *options;
	SthInput	option_input;
	uint32_t	ncolumns;
	const SthColumnInfo *columns;
	SthInput	column_input;
} SthTopicInfo;

/* Consecutive offsets of one log; those that no block has are void. */
typedef struct SthSegment
{
	uint32_t	topic;			/* by its place in the footer */
	int32_t		log_id;
	int32_t		partition;
	int32_t		epoch;
	int64_t		base_offset;
	int64_t		end_offset;		/* after the last one */
	int64_t		start_offset;	/* the log's, when this was written */
	uint64_t	nrows;
	uint64_t	position;		/* of its blocks in the object */
	uint64_t	len;
	int64_t		min_time;		/* INT64_MAX if there is no row */
	int64_t		max_time;		/* INT64_MIN if there is no row */
	int32_t		generation;
	uint32_t	flags;			/* STH_SEGMENT_* */
	int32_t		key_attnum;		/* the column that routes rows, or 0 */
	uint32_t	npartitions;	/* how many there were to route to */
	uint32_t	first_block;	/* by its place in the index */
	uint32_t	nblocks;
} SthSegment;

#define STH_SEGMENT_ROUTED	0x01	/* a row named its partition itself */

/* A footer that has been opened; points into the bytes given. */
typedef struct SthFooter
{
	SthObjectInfo info;
	uint32_t	ntopics;
	uint32_t	nsegments;
	uint32_t	nblocks;
	SthInput	topics;
	const uint8_t *segments;
	const uint8_t *index;		/* nblocks entries of STH_INDEX_ENTRY_LEN */
} SthFooter;

/* What a footer is made of. */
typedef struct SthFooterParts
{
	SthObjectInfo info;
	const SthTopicInfo *topics;
	uint32_t	ntopics;
	const SthSegment *segments;
	uint32_t	nsegments;
	const uint8_t *index;
	uint32_t	nblocks;
} SthFooterParts;

extern SthCodecResult sth_footer_append(const SthFooterParts *parts,
										uint64_t position,
										const SthMemory *memory,
										SthBuffer *out, SthFault *fault);

extern SthCodecResult sth_trailer_parse(const uint8_t *trailer,
										uint64_t object_len,
										SthTrailer *out, SthFault *fault);
extern SthCodecResult sth_footer_open(const uint8_t *footer,
									  const SthTrailer *trailer,
									  SthFooter *out, SthFault *fault);
extern int	sth_footer_next_topic(SthInput *topics, SthTopicInfo *topic);
extern int	sth_topic_next_option(SthTopicInfo *topic, SthOption *option);
extern int	sth_topic_next_column(SthTopicInfo *topic, SthColumnInfo *column);
extern int	sth_column_next_label(SthColumnInfo *column, SthEnumLabel *label);
extern void sth_footer_segment(const SthFooter *footer, uint32_t i,
							   SthSegment *segment);
extern void sth_footer_block(const SthFooter *footer, uint32_t i,
							 SthIndexEntry *entry);

#endif							/* STH_CODEC_FOOTER_H */
