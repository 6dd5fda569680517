/*-------------------------------------------------------------------------
 *
 * value.c
 *	  Which type is printed how; arrays.
 *
 * Types are known by the OIDs that PostgreSQL has fixed for its own.  Domains
 * are printed as what they are over, enums by the labels in the footer.
 *
 *-------------------------------------------------------------------------
 */
#include "print.h"

#include <stdlib.h>

typedef struct Type
{
	uint32_t	oid;
	uint32_t	array;			/* OID of the type of arrays of it */
	SthLayout	layout;
	Printer		print;
} Type;

const char *const printed_types =
"  boolean, integers, real, double precision, numeric: as they are\n"
"    (NaN and the infinities as strings)\n"
"  text, varchar, char, enums: as strings; bytea: \"\\\\x...\"\n"
"  json as it was given, jsonb decoded\n"
"  uuid, bit, varbit, inet, cidr, macaddr, macaddr8: as strings\n"
"  date, time, timetz, timestamp, timestamptz (in UTC), interval: ISO 8601\n"
"  arrays of these: as arrays, without their lower bounds\n"
"  all others: {\"type\": ..., \"hex\": the bytes on disk}\n";

static const Type types[] = {
	{16, 1000, {1, 1, 1, 0}, print_bool},
	{17, 1001, {-1, 4, 0, 1}, print_bytea},
	{20, 1016, {8, 8, 1, 0}, print_int},
	{21, 1005, {2, 2, 1, 0}, print_int},
	{23, 1007, {4, 4, 1, 0}, print_int},
	{25, 1009, {-1, 4, 0, 1}, print_text},
	{114, 199, {-1, 4, 0, 1}, print_json},
	{650, 651, {-1, 4, 0, 1}, print_cidr},
	{700, 1021, {4, 4, 1, 0}, print_float4},
	{701, 1022, {8, 8, 1, 0}, print_float8},
	{774, 775, {8, 4, 0, 0}, print_macaddr},
	{829, 1040, {6, 4, 0, 0}, print_macaddr},
	{869, 1041, {-1, 4, 0, 1}, print_inet},
	{1042, 1014, {-1, 4, 0, 1}, print_text},	/* char(n) */
	{1043, 1015, {-1, 4, 0, 1}, print_text},	/* varchar */
	{1082, 1182, {4, 4, 1, 0}, print_date},
	{1083, 1183, {8, 8, 1, 0}, print_time},
	{1114, 1115, {8, 8, 1, 0}, print_timestamp},
	{1184, 1185, {8, 8, 1, 0}, print_timestamptz},
	{1186, 1187, {16, 8, 0, 0}, print_interval},
	{1266, 1270, {12, 8, 0, 0}, print_timetz},
	{1560, 1561, {-1, 4, 0, 1}, print_bits},
	{1562, 1563, {-1, 4, 0, 1}, print_bits},
	{1700, 1231, {-1, 4, 0, 1}, print_numeric},
	{2950, 2951, {16, 1, 0, 0}, print_uuid},
	{3802, 3807, {-1, 4, 0, 1}, print_jsonb},
};

/*
 * Arrays: varlena header, number of dimensions, offset of the elements if
 * there are NULLs, type of the elements.
 */
#define ARRAY_HEAD 16
#define ARRAY_MAX_DIMS 6

typedef struct Array
{
	const Type *type;
	const uint8_t *value;		/* with its header, from where alignment
								 * counts */
	const uint8_t *p;			/* the next one */
	const uint8_t *end;
	const uint8_t *nulls;		/* a bit each, set: not NULL; or NULL */
	size_t		next;
	int			ndims;
	const uint8_t *dims;
} Array;

/* The type of this OID, or the one that arrays of this OID are of. */
static const Type *
find_type(uint32_t oid, bool *is_array)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
	{
		*is_array = types[i].array == oid;
		if (types[i].oid == oid || *is_array)
			return &types[i];
	}
	return NULL;
}

/* The bytes of a datum of this layout, without a varlena's header. */
static const uint8_t *
bytes_of(const SthLayout *layout, const uintptr_t *value, size_t *len)
{
	const uint8_t *p = (const uint8_t *) *value;

	if (layout->len > 0)
	{
		*len = (size_t) layout->len;
		return layout->byval ? (const uint8_t *) value : p;
	}
	if (*p & 1)
	{
		*len = (size_t) (*p >> 1) - 1;
		return p + 1;
	}
	*len = sth_varlena_long_size(p) - 4;
	return p + 4;
}

static bool
print_element(FILE *out, Array *array)
{
	size_t		i = array->next++;
	const SthLayout *layout = &array->type->layout;
	uintptr_t	value;
	const uint8_t *bytes;
	size_t		len;

	if (array->nulls != NULL && !(array->nulls[i / 8] >> i % 8 & 1))
	{
		fputs("null", out);
		return true;
	}
	/* of elements, those passed by value are aligned too */
	if (layout->byval)
		array->p = array->value + STH_ALIGN_UP((size_t) (array->p - array->value), layout->align);
	if (array->p > array->end)
		return false;
	array->p = sth_row_fetch(layout, array->value, array->p, array->end, &value);
	if (array->p == NULL)
		return false;
	bytes = bytes_of(layout, &value, &len);
	return array->type->print(out, bytes, len);
}

static bool
print_dimension(FILE *out, Array *array, int dim)
{
	uint32_t	n = sth_get_u32(array->dims + 4 * dim);

	fputc('[', out);
	for (uint32_t i = 0; i < n; i++)
	{
		if (i > 0)
			fputs(", ", out);
		if (dim + 1 < array->ndims ? !print_dimension(out, array, dim + 1) :
			!print_element(out, array))
			return false;
	}
	fputc(']', out);
	return true;
}

/* Takes an array of len bytes, header included, apart and prints it. */
static bool
walk_array(FILE *out, const Type *type, const uint8_t *value, size_t len)
{
	Array		array = {type, value, NULL, value + len, NULL, 0, 0, NULL};
	uint32_t	offset;
	uint64_t	n = 1;
	size_t		head;

	if (len < ARRAY_HEAD || sth_get_u32(value + 12) != type->oid)
		return false;
	array.ndims = (int) sth_get_u32(value + 4);
	offset = sth_get_u32(value + 8);
	if (array.ndims == 0)
		return fputs("[]", out) >= 0;
	if (array.ndims < 0 || array.ndims > ARRAY_MAX_DIMS)
		return false;
	head = ARRAY_HEAD + 8 * (size_t) array.ndims;
	if (len < head)
		return false;
	array.dims = value + ARRAY_HEAD;
	for (int i = 0; i < array.ndims; i++)
	{
		uint32_t	dim = sth_get_u32(array.dims + 4 * i);

		/* each element has a byte, or a bit of the bitmap */
		if (dim == 0 || dim > len * 8 / n)
			return false;
		n *= dim;
	}
	if (offset > 0)
	{
		if (offset > len || offset < head + (n + 7) / 8)
			return false;
		array.nulls = value + head;
	}
	array.p = value + (offset > 0 ? offset : STH_ALIGN_UP(head, 8));
	return print_dimension(out, &array, 0);
}

/* Prints an array, of which p does not have the varlena header. */
static bool
print_array(FILE *out, const Type *type, const uint8_t *p, size_t len)
{
	uint8_t    *value = malloc(len + 4);
	bool		fine;

	if (value == NULL)
		return false;
	sth_put_u32(value, (uint32_t) (len + 4) << 2);
	memcpy(value + 4, p, len);
	fine = walk_array(out, type, value, len + 4);
	free(value);
	return fine;
}

static bool
print_label(FILE *out, SthColumnInfo column, uintptr_t value)
{
	SthEnumLabel label;

	while (sth_column_next_label(&column, &label))
		if (label.oid == (uint32_t) value)
		{
			print_string(out, label.name.data, label.name.len);
			return true;
		}
	return false;
}

/*
 * Prints a datum; false if it is not a value of the column's type.
 */
bool
print_column(FILE *out, const SthColumnInfo *column, uintptr_t value)
{
	const SthLayout *layout = &column->column.layout;
	bool		is_array;
	const Type *type = find_type(column->base_type, &is_array);
	const uint8_t *p;
	size_t		len;

	if (column->nlabels > 0)
		return print_label(out, *column, value);
	p = bytes_of(layout, &value, &len);
	if (type != NULL && is_array)
		return layout->len == -1 && print_array(out, type, p, len);
	if (type != NULL)
		return layout->len == type->layout.len &&
			layout->byval == type->layout.byval && type->print(out, p, len);
	fputs("{\"type\": ", out);
	print_string(out, column->type_name.data, column->type_name.len);
	fputs(", \"hex\": \"", out);
	print_hex(out, p, len);
	fputs("\"}", out);
	return true;
}
