/* SPDX-License-Identifier: MIT */
/*
 * epoch.h: what the cutter hands to a packer: the slices of all rings up to one moment, and blocks
 * that belong before and behind their records. The cutter owns it; a packer may read it and the
 * slices from channel_receive() until it counts the epoch as done.
 */
#ifndef RETINA_BASE_EPOCH_H
#define RETINA_BASE_EPOCH_H

#include <stddef.h>
#include <stdint.h>
#include "base/ring.h"

struct epoch {
	struct slice *slices;
	unsigned slice_count;
	int level;	       /* of compression, as compressor_pack() takes it */
	const uint8_t *before; /* whole pcapng blocks: interface descriptions */
	size_t before_len;
	const uint8_t *after; /* whole pcapng blocks: statistics */
	size_t after_len;
};

#endif
