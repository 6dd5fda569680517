/*-------------------------------------------------------------------------
 *
 * pack.c
 *	  A row's values, packed as frames hold them.
 *
 * A row is packed in two steps, because room for it has to be found between
 * them: first its values are got out of line and compressed storage, which
 * tells how much room is enough, and then they are laid out as codec/row.h
 * says.  There is one row at hand at a time; nothing is called in between that
 * could bring another one.
 *
 * Memory: what had to be detoasted lies in a context of its own until the row
 * is packed, or the transaction is over.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "base/compat.h"
#include "base/guc.h"
#include "codec/row.h"
#include "produce/pack.h"
#include "utils/memutils.h"

/* Values of the row at hand: as they were given, or detoasted here. */
static Datum plain[MaxHeapAttributeNumber];
static MemoryContext detoasted = NULL;
static bool has_detoasted = false;

/* A value without compression and not out of line, until sth_pack_forget. */
static struct varlena *
detoast(struct varlena *value)
{
	MemoryContext old;

	if (detoasted == NULL)
		detoasted = AllocSetContextCreate(TopMemoryContext,
										  "streamhouse detoasted values",
										  ALLOCSET_START_SMALL_SIZES);
	has_detoasted = true;
	old = MemoryContextSwitchTo(detoasted);
	value = detoast_attr(value);
	MemoryContextSwitchTo(old);
	return value;
}

/* The row at hand is not wanted any more.  Must not fail. */
void
sth_pack_forget(void)
{
	if (has_detoasted)
		MemoryContextReset(detoasted);
	has_detoasted = false;
}

/*
 * Takes a row: values and isnull have a place for each column of the table.
 * Returns a bound of what it takes packed.
 */
Size
sth_pack_begin(const SthTopic *topic, const Datum *values,
			   const bool *isnull)
{
	Size		bound = 0;
	Size		size = 0;

	for (int i = 0; i < topic->ncolumns; i++)
	{
		const SthColumn *column = &topic->columns[i];
		int			index = column->attnum - 1;
		Size		len;

		if (isnull[index])
			continue;
		plain[i] = values[index];
		if (column->layout.len == -1)
		{
			struct varlena *value = (struct varlena *) DatumGetPointer(values[index]);

			if (VARATT_IS_EXTERNAL(value) || VARATT_IS_COMPRESSED(value))
				value = detoast(value);
			plain[i] = PointerGetDatum(value);
			len = VARSIZE_ANY(value);
		}
		else
			len = column->layout.len;
		size += len;
		bound += len + VARHDRSZ + MAXIMUM_ALIGNOF;
	}
	if (size > (Size) sth_max_record_size * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row is too large for a topic"),
				 errdetail("Its values take %zu bytes; streamhouse.max_record_size is %zu.",
						   size, (Size) sth_max_record_size * 1024),
				 errhint("Keep the large value elsewhere and produce a reference to it, or raise streamhouse.max_record_size.")));
	return bound;
}

static inline bool
fits_short_header(const SthColumn *column, Size data_len)
{
	return column->layout.packable &&
		data_len + VARHDRSZ_SHORT <= STH_SHORT_MAX;
}

static inline uint8 *
pad_to(uint8 *row, uint8 *p, int align, int *row_align)
{
	uint8	   *aligned = row + STH_ALIGN_UP((Size) (p - row), align);

	while (p < aligned)
		*p++ = 0;
	if (align > *row_align)
		*row_align = align > 4 ? 8 : align > 1 ? 4 : 1;
	return p;
}

/* Packs a variable-length value at p; returns its end. */
static uint8 *
pack_varlena(const SthColumn *column, uint8 *row, uint8 *p,
			 const struct varlena *value, int *row_align)
{
	Size		data_len = VARSIZE_ANY_EXHDR(value);

	if (fits_short_header(column, data_len))
	{
		SET_VARSIZE_SHORT(p, data_len + VARHDRSZ_SHORT);
		p += VARHDRSZ_SHORT;
	}
	else
	{
		p = pad_to(row, p, column->layout.align, row_align);
		SET_VARSIZE(p, data_len + VARHDRSZ);
		p += VARHDRSZ;
	}
	memcpy(p, VARDATA_ANY(value), data_len);
	return p + data_len;
}

/* Packs one value at p; returns its end. */
static inline uint8 *
pack_value(const SthColumn *column, uint8 *row, uint8 *p, Datum value,
		   int *row_align)
{
	const SthLayout *layout = &column->layout;

	if (layout->byval)
	{
		/* little-endian: the low bytes come first */
		memcpy(p, &value, layout->len);
		return p + layout->len;
	}
	if (layout->len == -1)
		return pack_varlena(column, row, p,
							(struct varlena *) DatumGetPointer(value),
							row_align);
	p = pad_to(row, p, layout->align, row_align);
	memcpy(p, DatumGetPointer(value), layout->len);
	return p + layout->len;
}

/*
 * Packs the row that sth_pack_begin has taken at 'row', which is aligned for
 * any value.  Sets the bits of the columns that it has, and raises the
 * alignment that it needs.  Returns its end.
 */
uint8 *
sth_pack_row(const SthTopic *topic, const bool *isnull, uint8 *row,
			 uint8 *present, int *row_align)
{
	uint8	   *p = row;

	memset(present, 0, sth_present_bytes(topic));
	for (int i = 0; i < topic->ncolumns; i++)
	{
		const SthColumn *column = &topic->columns[i];

		if (isnull[column->attnum - 1])
			continue;
		present[i >> 3] |= 1 << (i & 7);
		p = pack_value(column, row, p, plain[i], row_align);
	}
	sth_pack_forget();
	return p;
}
