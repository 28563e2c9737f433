/* SPDX-License-Identifier: MIT */
/* stages.h: the programs between a hook and the ring: filters, targets, the ends (see stages.c). */
#ifndef RETINA_SOURCE_STAGES_H
#define RETINA_SOURCE_STAGES_H

#include <stdbool.h>
#include <stdint.h>
#include "base/log.h"
#include "classic.h"
#include "target_set.h"

struct tap_bpf;
struct select_bpf;

struct stages {
	const struct log *log;
	struct tap_bpf *bpf;	   /* borrowed, loaded */
	struct select_bpf *select; /* NULL until it is needed */
	bool has_xdp;
	unsigned generation; /* of the filter in use, 0: none */
	uint32_t sample;     /* one in so many, 0: all */
	bool sample_by_flow;
};

/** stages_put() - puts the programs of tap.bpf.c into their slots; 0 or -errno */
int stages_put(struct stages *s);

/** stages_set_filter() - as tap_set_filter() */
int stages_set_filter(struct stages *s, const struct classic *ethernet, const struct classic *raw,
		      uint64_t *ret_moment_ns);

/** stages_select() - as tap_select() */
int stages_select(struct stages *s, struct target_maps *ret);

/** stages_release() - after the hooks were detached */
void stages_release(struct stages *s);

/** stages_wait() - when it returns, every program that was running when it began has returned */
void stages_wait(void);

#endif
