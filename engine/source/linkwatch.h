/* SPDX-License-Identifier: MIT */
/* linkwatch.h: tells of interfaces that appear and vanish (see linkwatch.c). */
#ifndef RETINA_SOURCE_LINKWATCH_H
#define RETINA_SOURCE_LINKWATCH_H

#include <stdbool.h>
#include <stdint.h>

struct linkwatch;

struct linkwatch_events {
	/* Also called for interfaces that are known already: at the start and after an overrun. */
	void (*appeared)(void *data, uint32_t ifindex);
	void (*vanished)(void *data, uint32_t ifindex);
	/* The kernel dropped messages: what is said by appeared() until done() is all there is. */
	void (*resync_done)(void *data);
	void *data;
};

/** linkwatch_new() - Return: 0 or the error of socket(2) */
int linkwatch_new(struct linkwatch **ret, const struct linkwatch_events *events);
struct linkwatch *linkwatch_free(struct linkwatch *w);

/** linkwatch_fd() - readable when linkwatch_process() has work */
int linkwatch_fd(const struct linkwatch *w);

/** linkwatch_list() - asks for all interfaces: appeared() for each, then resync_done() */
int linkwatch_list(struct linkwatch *w);

/** linkwatch_process() - handles what has come, never waits */
int linkwatch_process(struct linkwatch *w);

#endif
