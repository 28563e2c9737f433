/* SPDX-License-Identifier: MIT */
/* config.h: a capture's configuration, copied, checked and with its defaults (see config.c). */
#ifndef RETINA_SESSION_CONFIG_H
#define RETINA_SESSION_CONFIG_H

#include "base/log.h"
#include "retina/capture.h"

/* c's pointers are our own copies; no field is 0 that has a default. */
struct config {
	struct retina_capture_config c;
	bool is_any;
	uint64_t segment_bytes;
	unsigned *cpus; /* for packer i: cpus[i % c.cpu_count] */
};

/** config_init() - Return: 0, or -errno after one line to the log */
int config_init(struct config *ret, const struct retina_capture_config *from,
		const struct log *log);

/** config_release() - takes a half-built one */
void config_release(struct config *c);

#endif
