/*-------------------------------------------------------------------------
 *
 * types.c
 *	  Which column types topics take; docs/format.md has the list for users.
 *
 * A row of a topic may be read years later, from an object that has left the
 * database: so a type is taken only if its stored form means the same
 * without this database's catalogs.  That rules out whatever holds OIDs of
 * objects (reg*, arrays over domains and enums, composites) and types whose
 * form is an implementation detail.  A column of an enum type is taken: its
 * labels can be kept beside the data.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "catalog/types.h"
#include "utils/lsyscache.h"

static const Oid storable[] = {
	BOOLOID, INT2OID, INT4OID, INT8OID, FLOAT4OID, FLOAT8OID, NUMERICOID,
	TEXTOID, VARCHAROID, BPCHAROID, BYTEAOID, JSONOID, JSONBOID, UUIDOID,
	DATEOID, TIMEOID, TIMETZOID, TIMESTAMPOID, TIMESTAMPTZOID, INTERVALOID,
	INETOID, CIDROID, MACADDROID, MACADDR8OID, BITOID, VARBITOID,
	POINTOID, LSEGOID, PATHOID, BOXOID, POLYGONOID, LINEOID, CIRCLEOID,
	INT4RANGEOID, INT8RANGEOID, NUMRANGEOID, DATERANGEOID, TSRANGEOID,
	TSTZRANGEOID, INT4MULTIRANGEOID, INT8MULTIRANGEOID, NUMMULTIRANGEOID,
	DATEMULTIRANGEOID, TSMULTIRANGEOID, TSTZMULTIRANGEOID,
};

/*
 * Types whose text form depends on no setting and no locale, so that a key
 * always goes to the same partition.
 */
static const Oid keys[] = {
	BOOLOID, INT2OID, INT4OID, INT8OID, NUMERICOID,
	TEXTOID, VARCHAROID, BPCHAROID, BYTEAOID, UUIDOID,
	INETOID, CIDROID, MACADDROID, MACADDR8OID,
};

static bool
is_among(Oid type, const Oid *types, int n)
{
	for (int i = 0; i < n; i++)
		if (types[i] == type)
			return true;
	return false;
}

/* May a column of a topic be of this type? */
bool
sth_type_is_storable(Oid type)
{
	Oid			base = getBaseType(type);
	Oid			element;

	if (is_among(base, storable, lengthof(storable)))
		return true;
	if (get_typtype(base) == TYPTYPE_ENUM)
		return true;
	element = get_element_type(base);
	/* a true array: not int2vector and the like */
	return OidIsValid(element) && get_array_type(element) == base &&
		is_among(element, storable, lengthof(storable));
}

/* May the key column of a topic be of this type? */
bool
sth_type_is_key(Oid type)
{
	Oid			base = getBaseType(type);

	return is_among(base, keys, lengthof(keys)) ||
		get_typtype(base) == TYPTYPE_ENUM;
}
