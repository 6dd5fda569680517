/*-------------------------------------------------------------------------
 *
 * objects.h
 *	  What streamhouse.object says.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CATALOG_OBJECTS_H
#define STH_CATALOG_OBJECTS_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/snapshot.h"

/* What the state of an object may be. */
#define STH_OBJECT_UPLOADING 'u'	/* on its way to a bucket, or was */
#define STH_OBJECT_LIVE 'l'		/* segments are in it */
#define STH_OBJECT_ORPHAN 'o'	/* an upload that was given up */
#define STH_OBJECT_GARBAGE 'g'	/* no segment is in it any more */

/* Columns of streamhouse.object */
typedef struct FormData_sth_object
{
	int64		object_id;
	int64		size;
	TimestampTz written_at;
	TimestampTz changed_at;
	Oid			server;
	char		state;
	/* text key follows, of objects in a bucket */
} FormData_sth_object;

#define Natts_sth_object 7
#define Anum_sth_object_object_id 1
#define Anum_sth_object_size 2
#define Anum_sth_object_written_at 3
#define Anum_sth_object_changed_at 4
#define Anum_sth_object_server 5
#define Anum_sth_object_state 6
#define Anum_sth_object_key 7

/* An object in a bucket that can be deleted. */
typedef struct SthDeadObject
{
	int64		object_id;
	char	   *key;
	bool		is_orphan;
} SthDeadObject;

/* May an object in this state since then be deleted? */
typedef bool (*SthMayDelete) (const char *key, char state, TimestampTz since,
							  void *arg);

extern bool sth_object_find(int64 object_id, Snapshot snapshot,
							FormData_sth_object *object);
extern char *sth_object_key(int64 object_id, Snapshot snapshot);
extern void sth_object_insert(const FormData_sth_object *object,
							  const char *key);
extern bool sth_object_change(int64 object_id, char from, char to);
extern bool sth_object_forget_unused(int64 object_id);
extern void sth_object_delete(int64 object_id);
extern List *sth_objects_unused(void);
extern void sth_object_give_up(int64 object_id);
extern void sth_objects_give_up(void);
extern List *sth_objects_servers(void);
extern bool sth_server_has_objects(Oid server);
extern int	sth_objects_forget_server(Oid server);
extern List *sth_objects_dead(Oid server, SthMayDelete may_delete, void *arg,
							  int max);

#endif							/* STH_CATALOG_OBJECTS_H */
