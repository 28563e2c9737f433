/* SPDX-License-Identifier: MIT */
/* ring.h: the consumer's side of one ring of records (see ring.c). */
#ifndef RETINA_BASE_RING_H
#define RETINA_BASE_RING_H

#include <stdbool.h>
#include <stdint.h>
#include "capture_abi.h"

/* Constant after ring_init(); the memory belongs to the source. */
struct ring {
	uint8_t *data; /* size bytes */
	struct ring_control *control;
	struct ring_segment *segments;
	uint64_t size;	       /* bytes, a power of two */
	uint64_t segment_size; /* bytes, a power of two, at most half the size */
};

/* A part of a ring on its way to a file: whole records and fillers, from <= to. */
struct slice {
	const struct ring *ring;
	uint64_t from, to;
};

/** ring_geometry_check() - 0 if sources can make such a ring and every record fits, else -EINVAL */
int ring_geometry_check(uint64_t size, uint64_t segment_size, uint32_t snaplen);

/** ring_element_size() - bytes of ring, slack and segment descriptors, a multiple of the page */
uint64_t ring_element_size(uint64_t size, uint64_t segment_size);

/** ring_init() - @element: of ring_element_size() bytes, all zero; before the producer starts */
void ring_init(struct ring *r, uint8_t *element, struct ring_control *control, uint64_t size,
	       uint64_t segment_size);

/** ring_head() - end of what the producer has published */
uint64_t ring_head(const struct ring *r);

/** ring_busy() - whether the producer is in the middle of a record */
bool ring_busy(const struct ring *r);

static inline struct ring_segment *ring_segment(const struct ring *r, uint64_t position)
{
	return &r->segments[(position & (r->size - 1)) / r->segment_size];
}

/** ring_at() - the byte at a position between tail and head */
static inline uint8_t *ring_at(const struct ring *r, uint64_t position)
{
	uint64_t place = ring_segment(r, position)->place * r->segment_size;

	return r->data + ((place | (position & (r->segment_size - 1))) & (r->size - 1));
}

/**
 * ring_cut() - the end of the last record in [from, to) that is older than before_ns, or from
 * Stamps are taken to grow: where the clock was set back inside a segment, its records may stay for
 * the next cut.
 */
uint64_t ring_cut(const struct ring *r, uint64_t from, uint64_t to, uint64_t before_ns);

/**
 * ring_moment() - a moment that parts [from, to) after about `bytes`
 * Return: the stamp of the first record of a segment, UINT64_MAX if none begins there.
 */
uint64_t ring_moment(const struct ring *r, uint64_t from, uint64_t to, uint64_t bytes);

/** ring_release() - gives everything below `position` back to the producer */
void ring_release(struct ring *r, uint64_t position);

/**
 * ring_next() - step through a slice
 * @position: in: where to look; out: behind the record that was found
 * Return: the next record, NULL at the end. Fillers are skipped.
 */
const uint8_t *ring_next(const struct ring *r, uint64_t *position, uint64_t to);

#endif
