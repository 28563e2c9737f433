/* SPDX-License-Identifier: MIT */
/* writer.h: the thread that puts chunks into the file, in order and within the caps (see writer.c).
 */
#ifndef RETINA_WRITERS_WRITER_H
#define RETINA_WRITERS_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "encoder.h"
#include "packer.h"
#include "retina/ledger.h"

struct file;
struct writer;

enum writer_state {
	WRITER_RUNS,
	WRITER_FULL_PACKETS, /* the packet cap is reached */
	WRITER_FULL_BYTES,   /* nothing more fits below the size cap */
	WRITER_FAILED,	     /* the file cannot be written: see writer_error() */
};

struct writer_config {
	struct encoder_config encoder;
	uint64_t max_packets;	/* 0: no cap */
	uint64_t max_bytes;	/* of the file; 0: no cap */
	size_t statistics_room; /* bytes of writer_finish()'s blocks for one interface, at most */
	unsigned key_max;	/* of tallies */
	uint64_t flush_interval_ns;
	int wake_fd; /* an eventfd that is written to when the state changes */
};

/**
 * writer_new() - prepares; writes nothing
 * @file: stays the caller's; the writer's thread uses it from writer_start() to writer_join()
 * Return: 0 or -errno.
 */
int writer_new(struct writer **ret, const struct writer_config *config, struct file *file);
struct writer *writer_free(struct writer *w);

/** writer_has_room() - whether max_bytes leaves room for packets behind a head of `head` bytes */
bool writer_has_room(const struct writer *w, size_t head, unsigned interfaces);

/**
 * writer_head() - the stream's beginning: whole blocks, or pcap's file header; before start
 * Return: 0, -EFBIG (max_bytes leaves no room for packets), or the error of file_append().
 */
int writer_head(struct writer *w, const uint8_t *data, size_t len, unsigned interfaces);

/** writer_start() - starts the thread on the packers' chunks, epoch by epoch in their turn */
int writer_start(struct writer *w, struct packer **packers, unsigned count);

/** writer_join() - waits until the packers' last chunk has been handled; also if not started */
void writer_join(struct writer *w);

/** writer_interfaces() - interface descriptions in the file; after writer_join() */
unsigned writer_interfaces(const struct writer *w);

/**
 * writer_finish() - whole blocks for the end (may be none), then the end of the compressed frame;
 * all is on its way to the file's close. After writer_join().
 * Return: 0, or -errno: the file is readable up to its last whole chunk, but has no end.
 */
int writer_finish(struct writer *w, const uint8_t *blocks, size_t len);

/* What the writer knows; any thread. */
enum writer_state writer_state(const struct writer *w);
int writer_error(const struct writer *w);	   /* -errno with WRITER_FAILED */
uint64_t writer_raw_bytes(const struct writer *w); /* before compression */
uint64_t writer_bytes(const struct writer *w);	   /* of the file */
uint64_t writer_packets(const struct writer *w);
uint64_t writer_wait_ns(const struct writer *w); /* spent waiting for the disk, so far */

/* After writer_join() exact, before that a glimpse. */
struct retina_tally writer_captured(const struct writer *w, unsigned key);
struct retina_tally writer_lost(const struct writer *w, unsigned key);	 /* to errors */
struct retina_tally writer_beyond(const struct writer *w, unsigned key); /* behind a cap */
void writer_times(const struct writer *w, uint64_t *first_ns, uint64_t *last_ns);

#endif
