/* SPDX-License-Identifier: MIT */
/* tap.h: the passive source: BPF programs that write records into one ring per CPU (see tap.c). */
#ifndef RETINA_SOURCE_TAP_H
#define RETINA_SOURCE_TAP_H

#include <stdbool.h>
#include <stdint.h>
#include "base/log.h"
#include "base/ring.h"
#include "hook.h"
#include "interface.h"

struct tap;

struct tap_config {
	uint64_t ring_size;    /* bytes of one CPU's ring, a power of two */
	uint64_t segment_size; /* bytes, a power of two */
	uint32_t snaplen;      /* bytes, 1 .. RECORD_SNAPLEN_MAX */
	unsigned interface_max;
	bool one_interface; /* there will never be a second one: its id is 0 */
	bool one_is_ethernet;
	enum hook hook;
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

unsigned tap_ring_count(const struct tap *t);
struct ring *tap_ring(struct tap *t, unsigned index);

/** tap_read() - adds up the counters of an interface and direction over the CPUs; any thread */
void tap_read(const struct tap *t, uint32_t id, unsigned direction, struct tap_counters *ret);

bool tap_clock_is_tai(const struct tap *t);
void tap_set_clock_offset(struct tap *t, uint64_t offset_ns);

#endif
