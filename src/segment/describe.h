/*-------------------------------------------------------------------------
 *
 * describe.h
 *	  What an object says of the topics that it has rows of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_SEGMENT_DESCRIBE_H
#define STH_SEGMENT_DESCRIBE_H

#include "catalog/topic.h"
#include "codec/footer.h"

extern void sth_describe_topic(Relation rel, const SthTopic *topic,
							   SthTopicInfo *info);
extern void sth_describe_writer(SthObjectInfo *info);

#endif							/* STH_SEGMENT_DESCRIBE_H */
