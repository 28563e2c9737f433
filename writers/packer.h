/* SPDX-License-Identifier: MIT */
/* packer.h: a thread that turns epochs into chunks (see packer.c). */
#ifndef RETINA_WRITERS_PACKER_H
#define RETINA_WRITERS_PACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/channel.h"
#include "base/epoch.h"
#include "encoder.h"
#include "tally_set.h"

/* Whole blocks and what the file gets for them. The packer's until it is sent, then the writer's
 * until it is sent back. */
struct chunk {
	uint8_t *raw; /* pcapng blocks, CHUNK_SIZE + CHUNK_SLACK bytes of room */
	size_t raw_len;
	uint8_t *room;	    /* of encoder_room() bytes */
	const uint8_t *out; /* the bytes for the file: in raw or in room */
	size_t out_len;
	int level;
	struct tally_set tallies; /* of the packets in it */
	uint64_t packets, first_ns, last_ns;
	unsigned interfaces; /* described in it */
	bool ends_epoch;
	bool is_end;	/* there is nothing more, and nothing in it */
	bool is_broken; /* the compressor failed: out is not valid */
};

struct packer;

struct packer_config {
	unsigned index;
	int cpu; /* to run on, -1: any */
	unsigned slices_max;
	unsigned key_max; /* of tallies */
	struct encoder_config encoder;
};

/** packer_new() - takes all memory and starts the thread; Return: 0 or -errno */
int packer_new(struct packer **ret, const struct packer_config *config);

/** packer_free() - waits for the thread: packer_send(p, NULL) must have come before */
struct packer *packer_free(struct packer *p);

/** packer_send() - cutter: the next epoch, at most PACKER_EPOCHS not yet done; NULL: the end */
void packer_send(struct packer *p, const struct epoch *e);

/** packer_done() - cutter: epochs whose slices are no longer needed */
uint64_t packer_done(const struct packer *p);

/** packer_receive() - writer: the next chunk; sleeps until there is one */
struct chunk *packer_receive(struct packer *p);

/** packer_return() - writer: the chunk may be filled again */
void packer_return(struct packer *p, struct chunk *c);

#endif
