/*-------------------------------------------------------------------------
 *
 * footer_sections.h
 *	  What footer_write.c and footer_read.c share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_FOOTER_SECTIONS_H
#define STH_CODEC_FOOTER_SECTIONS_H

#include "codec/footer.h"

/* Kinds of section, in their order; the bit is that of kinds of chunk. */
typedef enum SthFooterSection
{
	STH_SECTION_INFO = 1,
	STH_SECTION_TOPICS = 2,
	STH_SECTION_SEGMENTS = 3,
	STH_SECTION_BLOCKS = 4,
} SthFooterSection;

#define STH_SECTION_COMPATIBLE STH_CHUNK_COMPATIBLE

#define STH_FOOTER_HEAD_LEN 16
#define STH_SEGMENT_LEN 104

#endif							/* STH_CODEC_FOOTER_SECTIONS_H */
