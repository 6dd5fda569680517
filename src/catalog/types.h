/*-------------------------------------------------------------------------
 *
 * types.h
 *	  Which column types topics take.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CATALOG_TYPES_H
#define STH_CATALOG_TYPES_H

extern bool sth_type_is_storable(Oid type);
extern bool sth_type_is_key(Oid type);

#endif							/* STH_CATALOG_TYPES_H */
