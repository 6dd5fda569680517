/*-------------------------------------------------------------------------
 *
 * check.h
 *	  Is an object what the catalog says of it?
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_SEGMENT_CHECK_H
#define STH_SEGMENT_CHECK_H

#include "catalog/objects.h"
#include "catalog/segments.h"

extern void sth_segment_check_footer(const FormData_sth_segment *segment,
									 const struct varlena *index,
									 const FormData_sth_object *object,
									 Snapshot snapshot, const char *topic,
									 int partition);

#endif							/* STH_SEGMENT_CHECK_H */
