// SPDX-License-Identifier: MIT
/*
 * ring.c: the consumer's side of a ring that one source fills with records, most often the kernel
 * through pages of a BPF map. The memory is the source's; one thread cuts and releases (the
 * cutter), packers only read slices that were cut and not yet released.
 *
 * Invariant: tail <= every slice in use <= head <= tail + size, and every position handed out is
 * the boundary of a block.
 */
#include "base/ring.h"

#include <errno.h>
#include <stdatomic.h>
#include "base/limits.h"
#include "base/record.h"

enum { PAGE = 4096 };

static bool is_power_of_two(uint64_t v)
{
	return v && !(v & (v - 1));
}

int ring_geometry_check(uint64_t size, uint64_t segment_size, uint32_t snaplen)
{
	if (!is_power_of_two(size) || !is_power_of_two(segment_size))
		return -EINVAL;
	if (size < PAGE || size > RING_SIZE_MAX || segment_size > size / 2)
		return -EINVAL;
	if (snaplen > RECORD_SNAPLEN_MAX)
		return -EINVAL;
	/* A record and the smallest filler behind it fit a segment. */
	if (snaplen + RECORD_OVERHEAD_MAX + RECORD_FILLER_MIN > segment_size)
		return -EINVAL;
	return 0;
}

uint64_t ring_element_size(uint64_t size, uint64_t segment_size)
{
	uint64_t descriptors = size / segment_size * sizeof(struct ring_segment);

	return (size + RING_SLACK + descriptors + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

void ring_init(struct ring *r, uint8_t *element, struct ring_control *control, uint64_t size,
	       uint64_t segment_size)
{
	*r = (struct ring){
		.data = element,
		.control = control,
		.segments = (struct ring_segment *)(element + size + RING_SLACK),
		.size = size,
		.segment_size = segment_size,
	};
	for (uint64_t i = 0; i < size / segment_size; i++)
		r->segments[i].place = i;
}

uint64_t ring_head(const struct ring *r)
{
	/* Pairs with the exchange at the end of record() in tap.bpf.c: the records are whole. */
	return __atomic_load_n(&r->control->head, __ATOMIC_ACQUIRE);
}

bool ring_busy(const struct ring *r)
{
	return __atomic_load_n(&r->control->busy, __ATOMIC_ACQUIRE);
}

void ring_release(struct ring *r, uint64_t position)
{
	/* Pairs with the producer's look at the tail: whoever read these bytes is done. */
	__atomic_store_n(&r->control->tail, position, __ATOMIC_RELEASE);
}

static uint64_t segment_start(const struct ring *r, uint64_t position)
{
	return position & ~(r->segment_size - 1);
}

uint64_t ring_cut(const struct ring *r, uint64_t from, uint64_t to, uint64_t before_ns)
{
	while (to > from) {
		uint64_t start = segment_start(r, to - 1);
		const uint8_t *block;
		uint32_t len;

		/* A whole segment of newer records is passed at once. */
		if (start >= from && ring_segment(r, start)->first_ns >= before_ns) {
			to = start;
			continue;
		}
		/* Every block ends with its length. */
		memcpy(&len, ring_at(r, to - sizeof(len)), sizeof(len));
		block = ring_at(r, to - len);
		if (record_is_packet(block) && record_ns(block) < before_ns)
			break;
		to -= len;
	}
	return to;
}

uint64_t ring_moment(const struct ring *r, uint64_t from, uint64_t to, uint64_t bytes)
{
	uint64_t start = segment_start(r, from + bytes);

	/* A segment that just began may have no record yet: then head == start. */
	if (start <= from || start >= to)
		return UINT64_MAX;
	return ring_segment(r, start)->first_ns;
}

const uint8_t *ring_next(const struct ring *r, uint64_t *position, uint64_t to)
{
	while (*position < to) {
		const uint8_t *block = ring_at(r, *position);

		*position += record_len(block);
		if (record_is_packet(block))
			return block;
	}
	return NULL;
}
