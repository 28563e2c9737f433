// SPDX-License-Identifier: MIT
/*
 * merge.c: k-way merge by time stamp: a binary heap of one cursor per slice. One packer owns it.
 *
 * Invariants: records of one slice keep their order, whatever their stamps say; if the stamps of
 * every slice grow, so do those of the result.
 */
#include "merge.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include "base/record.h"

struct cursor {
	uint64_t ns; /* stamp of the record: the heap's key */
	const uint8_t *record;
	unsigned index; /* of the slice: breaks ties, so that the order is always the same */
	const struct ring *ring;
	uint64_t position, to; /* what comes behind the record */
};

struct merge {
	unsigned count;
	bool pending; /* the top's record has been handed out */
	struct cursor heap[];
};

int merge_new(struct merge **ret, unsigned slices_max)
{
	struct merge *m = calloc(1, sizeof(*m) + slices_max * sizeof(m->heap[0]));

	if (!m)
		return -ENOMEM;
	*ret = m;
	return 0;
}

struct merge *merge_free(struct merge *m)
{
	free(m);
	return NULL;
}

static bool cursor_advance(struct cursor *c)
{
	c->record = ring_next(c->ring, &c->position, c->to);
	if (!c->record)
		return false;
	c->ns = record_ns(c->record);
	return true;
}

static bool cursor_is_before(const struct cursor *a, const struct cursor *b)
{
	return a->ns != b->ns ? a->ns < b->ns : a->index < b->index;
}

static void sift_down(struct merge *m, unsigned i)
{
	struct cursor moving = m->heap[i];

	for (;;) {
		unsigned child = 2 * i + 1;

		if (child >= m->count)
			break;
		if (child + 1 < m->count && cursor_is_before(&m->heap[child + 1], &m->heap[child]))
			child++;
		if (!cursor_is_before(&m->heap[child], &moving))
			break;
		m->heap[i] = m->heap[child];
		i = child;
	}
	m->heap[i] = moving;
}

void merge_begin(struct merge *m, const struct slice *slices, unsigned count)
{
	m->count = 0;
	m->pending = false;
	for (unsigned i = 0; i < count; i++) {
		struct cursor c = {.index = i,
				   .ring = slices[i].ring,
				   .position = slices[i].from,
				   .to = slices[i].to};

		if (cursor_advance(&c))
			m->heap[m->count++] = c;
	}
	for (unsigned i = m->count / 2; i-- > 0;)
		sift_down(m, i);
}

const uint8_t *merge_next(struct merge *m)
{
	if (m->pending) {
		if (!cursor_advance(&m->heap[0]))
			m->heap[0] = m->heap[--m->count];
		if (m->count > 1)
			sift_down(m, 0);
	}
	m->pending = m->count > 0;
	return m->count > 0 ? m->heap[0].record : NULL;
}
