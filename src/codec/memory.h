/*-------------------------------------------------------------------------
 *
 * memory.h
 *	  Memory of the codec of segments: by callbacks that the caller gives.
 *
 * In the server they lead to a memory context, in tools and tests to malloc.
 * allocate returns memory aligned for anything, or NULL, which comes back as
 * STH_CODEC_NO_MEMORY; it may also leave by longjmp, if what it leaves behind
 * is then freed with the context and nothing was created that holds zstd's
 * memory (compress.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_MEMORY_H
#define STH_CODEC_MEMORY_H

#include <stddef.h>
#include <stdint.h>

typedef struct SthMemory
{
	void	   *(*allocate) (void *context, size_t size);
	void		(*release) (void *context, void *memory);
	void	   *context;
} SthMemory;

/* Bytes that grow. */
typedef struct SthBuffer
{
	uint8_t    *data;
	size_t		len;
	size_t		size;
} SthBuffer;

extern void *sth_allocate_zeroed(const SthMemory *memory, size_t size);
extern void sth_release(const SthMemory *memory, void *what);
extern int	sth_buffer_grow(const SthMemory *memory, SthBuffer *buffer,
							size_t more);
extern int	sth_buffer_reset(const SthMemory *memory, SthBuffer *buffer,
							 size_t size);
extern int	sth_buffer_append(const SthMemory *memory, SthBuffer *buffer,
							  const void *data, size_t len);
extern void sth_buffer_free(const SthMemory *memory, SthBuffer *buffer);

/* Makes room for 'more' bytes behind those that are there; 0 if there is none. */
static inline int
sth_buffer_reserve(const SthMemory *memory, SthBuffer *buffer, size_t more)
{
	return buffer->size - buffer->len >= more ||
		sth_buffer_grow(memory, buffer, more);
}

#endif							/* STH_CODEC_MEMORY_H */
