/* SPDX-License-Identifier: MIT */
/* tap.h: the passive source: BPF programs that write records into one ring per CPU (see tap.c). */
#ifndef RETINA_SOURCE_TAP_H
#define RETINA_SOURCE_TAP_H

#include <stdbool.h>
#include <stdint.h>
#include "base/log.h"
#include "base/ring.h"
#include "classic.h"
#include "hook.h"
#include "interface.h"
#include "target_set.h"

struct tap;

struct tap_config {
	uint64_t ring_size;    /* bytes of one CPU's ring, a power of two */
	uint64_t segment_size; /* bytes, a power of two */
	uint32_t snaplen;      /* bytes, 1 .. RECORD_SNAPLEN_MAX */
	unsigned interface_max;
	bool one_interface; /* there will never be a second one: its id is 0 */
	bool one_is_ethernet;
	enum hook hook;
	uint32_t sample; /* one in so many, 0: all */
	bool sample_by_flow;
};

/**
 * tap_new() - loads the programs and maps the rings; attaches nothing
 * @log: must outlive the tap
 * Return: 0, or -errno after one line in the log.
 */
int tap_new(struct tap **ret, const struct tap_config *config, const struct log *log);

/** tap_free() - detaches what is still attached, then frees; returns NULL */
struct tap *tap_free(struct tap *t);

/** tap_hooks() - the hooks that tap_attach() will use for an interface */
struct hook_choice tap_hooks(const struct tap *t, const struct interface *i);

/**
 * tap_attach() - starts recording an interface
 * @id: index of its interface description in the file, below interface_max, never used before
 * Return: 0, or -errno after one line in the log, with nothing left attached to the interface.
 */
int tap_attach(struct tap *t, const struct interface *i, uint32_t id, bool in, bool out,
	       const struct hook_choice *hooks);

/** tap_detach() - ends the recording of one interface, which may be gone already */
void tap_detach(struct tap *t, uint32_t id);

/** tap_detach_all() - when it returns, no program is running any more: all heads are final */
void tap_detach_all(struct tap *t);

/**
 * tap_set_filter() - from one moment on all frames are judged by these programs
 * @ethernet: for interfaces whose frames start with an Ethernet header, @raw: with an IP header;
 *            NULL, both or none: everything matches
 * @ret_moment_ns: receives that moment, Unix time: what is stamped before it was judged by the
 *            filter before
 * When it returns, no CPU is in a program of the filter before. One thread at a time.
 * Return: 0, or -errno after lines in the log, with the filter before still in place.
 */
int tap_set_filter(struct tap *t, const struct classic *ethernet, const struct classic *raw,
		   uint64_t *ret_moment_ns);

/**
 * tap_select() - from now on the target sets and the sample decide, too
 * @ret: receives where the image of the sets belongs; the tap keeps it
 * Loads programs at the first call: a tenth of a second. Return: 0, or -errno after a line in the
 * log.
 */
int tap_select(struct tap *t, struct target_maps *ret);

unsigned tap_ring_count(const struct tap *t);
struct ring *tap_ring(struct tap *t, unsigned index);

/** tap_read() - adds up the counters of an interface and direction over the CPUs; any thread */
void tap_read(const struct tap *t, uint32_t id, unsigned direction, struct tap_counters *ret);

bool tap_clock_is_tai(const struct tap *t);
void tap_set_clock_offset(struct tap *t, uint64_t offset_ns);

#endif
