/* SPDX-License-Identifier: MIT */
/* cutter.h: the thread that cuts the rings into epochs (see cutter.c). */
#ifndef RETINA_SESSION_CUTTER_H
#define RETINA_SESSION_CUTTER_H

#include <stdint.h>
#include "base/ring.h"
#include "buffer.h"
#include "packer.h"
#include "retina/ledger.h"

struct cutter;

/* What the writer has done so far. */
struct output {
	uint64_t raw_bytes; /* before compression */
	uint64_t bytes;	    /* of the file */
	uint64_t wait_ns;   /* spent waiting for the disk */
};

struct cutter_config {
	struct ring *const *rings;
	unsigned ring_count;
	struct packer *const *packers;
	unsigned packer_count;
	unsigned key_max;	    /* of tallies */
	int level;		    /* of compression, 0: by load */
	uint64_t flush_interval_ns; /* between epochs at the latest */
	uint64_t deadline_ns;	    /* steady clock: what is stamped later is not cut; UINT64_MAX */

	/* Called on the cutter's thread after the heads were read: append whole pcapng blocks that
	 * must stand before, and behind, the records up to them. 0 or -errno (then none). */
	int (*blocks_before)(void *data, struct buffer *b);
	int (*blocks_after)(void *data, struct buffer *b);
	struct output (*output)(void *data);
	void *data;
};

/** cutter_new() - starts the thread; Return: 0 or -errno */
int cutter_new(struct cutter **ret, const struct cutter_config *config);

/**
 * cutter_finish() - after the last record was written: cuts what is left before end_ns, tells the
 * packers that there is no more, and joins the thread
 */
void cutter_finish(struct cutter *c, uint64_t end_ns);

/** cutter_free() - after cutter_finish() */
struct cutter *cutter_free(struct cutter *c);

/** cutter_beyond() - packets that came at or after end_ns; after cutter_finish() */
struct retina_tally cutter_beyond(const struct cutter *c, unsigned key);

/** cutter_fill_percent() - of the fullest ring, now; any thread, also without a cutter */
unsigned cutter_fill_percent(struct ring *const *rings, unsigned count);

#endif
