/* SPDX-License-Identifier: MIT */
/* steering.h: what a capture selects, and how that changes while it runs (see steering.c). */
#ifndef RETINA_SESSION_STEERING_H
#define RETINA_SESSION_STEERING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "buffer.h"
#include "target_set.h"

struct retina_capture;
struct steering_request;
struct steering_note;

struct steering {
	struct target_sets *targets; /* the control thread's */
	pthread_t control;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t answered;
	bool is_closed;
	struct steering_request *first; /* in the order they came */
	char *filter;			/* the expression in use; NULL: none yet */
	struct steering_note *notes;	/* changes that are not in the file yet, in order */
	_Atomic bool has_notes;		/* may be read without the lock */
};

/** steering_init() - on the thread that will be the control thread; cannot fail */
void steering_init(struct steering *s);
void steering_release(struct steering *s);

/* All of the following on the control thread, but for steering_notes(). */

/** steering_prepare() - compiles the filter and reads the targets of the configuration, after the
 * interfaces are known; 0 or -errno after a line in the log */
int steering_prepare(struct retina_capture *c);

/** steering_install() - puts them into the tap; 0 or -errno after a line in the log */
int steering_install(struct retina_capture *c);

/** steering_serve() - does what other threads have asked for */
void steering_serve(struct retina_capture *c);

/** steering_close() - whoever asks from now on hears that the capture has ended */
void steering_close(struct retina_capture *c);

/** steering_describe() - what beside the filter decides, in words; "" when nothing does */
void steering_describe(struct retina_capture *c, char *text, size_t size);

/**
 * steering_notes() - calls with each change that was not told yet, in order; the cutter's thread,
 * after it has ended the control thread
 * Return: 0, or the call's -errno: then the rest, this one included, stays.
 */
int steering_notes(struct retina_capture *c, int (*call)(void *data, const char *text), void *data);

#endif
