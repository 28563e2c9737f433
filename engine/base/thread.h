/* SPDX-License-Identifier: MIT */
/* thread.h: how the library's threads begin (see thread.c). */
#ifndef RETINA_BASE_THREAD_H
#define RETINA_BASE_THREAD_H

#include <pthread.h>

/** thread_start() - a thread that gets no signals; Return: 0 or -errno */
int thread_start(pthread_t *ret, void *(*run)(void *), void *data);

/** thread_settle() - names the calling thread (15 bytes count) and pins it; @cpu: -1: any */
__attribute__((format(printf, 2, 3))) void thread_settle(int cpu, const char *name, ...);

#endif
