/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  The parts of shared memory that the server starts with.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_BASE_SHMEM_H
#define STH_BASE_SHMEM_H

/* A part of shared memory: says what it needs, then makes or finds it. */
typedef void (*SthShmemRequest) (void);
typedef void (*SthShmemStartup) (void);

extern void sth_shmem_init(void);
extern void sth_shmem_register(SthShmemRequest request,
							   SthShmemStartup startup);

#endif							/* STH_BASE_SHMEM_H */
