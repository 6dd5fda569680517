/*-------------------------------------------------------------------------
 *
 * topic_argument.h
 *	  The topic that a function reads from.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CONSUME_TOPIC_ARGUMENT_H
#define STH_CONSUME_TOPIC_ARGUMENT_H

#include "base/compat.h"
#include "fmgr.h"
#include "nodes/bitmapset.h"
#include "utils/relcache.h"

extern Oid	sth_topic_argument(FunctionCallInfo fcinfo, int n);
extern bool sth_topic_can_select(Oid relid);
extern Relation sth_topic_open_for_select(Oid relid);
extern bool sth_topic_has_column(Relation rel, AttrNumber attnum, Oid type);
STH_NORETURN extern void sth_topic_report_change(Relation rel);
extern void sth_topic_check_result(FunctionCallInfo fcinfo, Relation rel);
extern Bitmapset *sth_all_columns(Relation rel);

#endif							/* STH_CONSUME_TOPIC_ARGUMENT_H */
