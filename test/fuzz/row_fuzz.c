/*
 * Rows: a number of columns, the layout of each, and the row.
 */
#include "../unit/sample.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t		ncolumns;
	uint8_t    *row;
	const uint8_t *p;

	if (size < 1 || (ncolumns = data[0] % 32) >= size)
		return 0;
	size -= 1 + ncolumns;
	row = copy_of(data + 1 + ncolumns, size);
	p = row;
	for (size_t c = 0; c < ncolumns && p != NULL; c++)
	{
		const SthLayout *layout = &sample_layouts[data[1 + c] % SAMPLE_LAYOUTS];
		uintptr_t	value;

		p = sth_row_fetch(layout, row, p, row + size, &value);
		if (p != NULL)
			touch_value(layout, value);
	}
	free(row);
	return 0;
}
