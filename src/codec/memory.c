/*-------------------------------------------------------------------------
 *
 * memory.c
 *	  Buffers that grow, over the caller's allocator.
 *
 * A buffer doubles, so that appending costs constant time per byte, and never
 * shrinks: who has seen a block of one huge row frees it.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/memory.h"

#include <string.h>

#define FIRST_SIZE 1024

void *
sth_allocate_zeroed(const SthMemory *memory, size_t size)
{
	void	   *p = memory->allocate(memory->context, size);

	if (p != NULL)
		memset(p, 0, size);
	return p;
}

void
sth_release(const SthMemory *memory, void *what)
{
	if (what != NULL)
		memory->release(memory->context, what);
}

int
sth_buffer_grow(const SthMemory *memory, SthBuffer *buffer, size_t more)
{
	size_t		size = buffer->size < FIRST_SIZE ? FIRST_SIZE : buffer->size;
	uint8_t    *data;

	if (more > SIZE_MAX / 4 || buffer->len > SIZE_MAX / 4)
		return 0;
	while (size < buffer->len + more)
		size *= 2;
	data = memory->allocate(memory->context, size);
	if (data == NULL)
		return 0;
	if (buffer->len > 0)
		memcpy(data, buffer->data, buffer->len);
	sth_release(memory, buffer->data);
	buffer->data = data;
	buffer->size = size;
	return 1;
}

/* Empties the buffer and makes room for 'size' bytes; 0 if there is none. */
int
sth_buffer_reset(const SthMemory *memory, SthBuffer *buffer, size_t size)
{
	buffer->len = 0;
	return sth_buffer_reserve(memory, buffer, size);
}

int
sth_buffer_append(const SthMemory *memory, SthBuffer *buffer,
				  const void *data, size_t len)
{
	if (!sth_buffer_reserve(memory, buffer, len))
		return 0;
	if (len > 0)
		memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
	return 1;
}

void
sth_buffer_free(const SthMemory *memory, SthBuffer *buffer)
{
	sth_release(memory, buffer->data);
	memset(buffer, 0, sizeof(*buffer));
}
