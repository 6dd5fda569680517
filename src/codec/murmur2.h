/*-------------------------------------------------------------------------
 *
 * murmur2.h
 *	  The hash by which Kafka's clients spread keys over partitions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_MURMUR2_H
#define STH_CODEC_MURMUR2_H

#include <stddef.h>
#include <stdint.h>

extern uint32_t sth_murmur2(const void *key, size_t len);
extern int	sth_murmur2_partition(const void *key, size_t len, int partitions);

#endif							/* STH_CODEC_MURMUR2_H */
