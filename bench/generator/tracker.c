/* SPDX-License-Identifier: MIT */
/*
 * tracker.c: a bitmap of sequence numbers that grows where it is needed.
 *
 * The bitmap is a table of chunks of 65536 bits; the table grows at both ends, so that a stream may
 * start anywhere, and a chunk exists once a number in it was seen. A billion packets take 128 MiB.
 *
 * Owned by one thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tracker.h"

#define CHUNK_BITS  65536
#define CHUNK_WORDS (CHUNK_BITS / 64)
#define CHUNKS_MAX  (UINT64_C(1) << 20) /* 2^36 numbers */

struct tracker {
	uint32_t stream;
	bool ranged;
	uint64_t first; /* of the range, or the smallest seen */
	uint64_t last;
	uint64_t seen;
	uint64_t duplicates;
	uint64_t reordered;
	uint64_t outside;
	uint64_t highest;     /* seen so far; counts once seen + duplicates > 0 */
	uint64_t chunk_first; /* number of the table's first chunk */
	uint64_t chunk_count;
	uint64_t **chunks; /* NULL: no bit set */
};

int tracker_new(struct tracker **ret, uint32_t stream, bool ranged, uint64_t first, uint64_t last)
{
	struct tracker *tracker = calloc(1, sizeof(*tracker));

	if (!tracker)
		return -ENOMEM;
	tracker->stream = stream;
	tracker->ranged = ranged;
	tracker->first = ranged ? first : UINT64_MAX;
	tracker->last = ranged ? last : 0;
	*ret = tracker;
	return 0;
}

struct tracker *tracker_free(struct tracker *tracker)
{
	if (!tracker)
		return NULL;
	for (uint64_t i = 0; i < tracker->chunk_count; i++)
		free(tracker->chunks[i]);
	free(tracker->chunks);
	free(tracker);
	return NULL;
}

uint32_t tracker_stream(const struct tracker *tracker)
{
	return tracker->stream;
}

/* Make the table reach to @chunk; twice as far as needed upwards, as numbers mostly rise. */
static int grow(struct tracker *tracker, uint64_t chunk)
{
	uint64_t first = tracker->chunk_count ? tracker->chunk_first : chunk;
	uint64_t end = first + tracker->chunk_count;
	uint64_t **chunks;
	uint64_t shift;

	if (chunk >= first && chunk < end)
		return 0;
	if (chunk >= end)
		end = chunk + 1 + tracker->chunk_count;
	if (chunk < first)
		first = chunk;
	if (end - first > CHUNKS_MAX * 2)
		return -ERANGE;
	chunks = calloc(end - first, sizeof(*chunks));
	if (!chunks)
		return -ENOMEM;
	shift = tracker->chunk_first - first;
	if (tracker->chunk_count)
		memcpy(chunks + shift, tracker->chunks, tracker->chunk_count * sizeof(*chunks));
	free(tracker->chunks);
	tracker->chunks = chunks;
	tracker->chunk_first = first;
	tracker->chunk_count = end - first;
	return 0;
}

static uint64_t *find_word(const struct tracker *tracker, uint64_t seq)
{
	uint64_t chunk = seq / CHUNK_BITS - tracker->chunk_first;

	if (chunk >= tracker->chunk_count || !tracker->chunks[chunk])
		return NULL;
	return &tracker->chunks[chunk][seq % CHUNK_BITS / 64];
}

int tracker_see(struct tracker *tracker, uint64_t seq)
{
	uint64_t bit = UINT64_C(1) << seq % 64;
	uint64_t *word;
	int r;

	if (tracker->ranged && (seq < tracker->first || seq > tracker->last)) {
		tracker->outside++;
		return 0;
	}
	word = find_word(tracker, seq);
	if (!word) {
		uint64_t **chunk;

		r = grow(tracker, seq / CHUNK_BITS);
		if (r < 0)
			return r;
		chunk = &tracker->chunks[seq / CHUNK_BITS - tracker->chunk_first];
		*chunk = calloc(CHUNK_WORDS, sizeof(**chunk));
		if (!*chunk)
			return -ENOMEM;
		word = find_word(tracker, seq);
	}
	if (tracker->seen + tracker->duplicates > 0 && seq < tracker->highest)
		tracker->reordered++;
	if (seq > tracker->highest)
		tracker->highest = seq;
	if (*word & bit) {
		tracker->duplicates++;
		return 0;
	}
	*word |= bit;
	tracker->seen++;
	if (!tracker->ranged) {
		tracker->first = seq < tracker->first ? seq : tracker->first;
		tracker->last = seq > tracker->last ? seq : tracker->last;
	}
	return 0;
}

void tracker_result(const struct tracker *tracker, struct tracker_result *ret)
{
	*ret = (struct tracker_result){
		.seen = tracker->seen,
		.duplicates = tracker->duplicates,
		.reordered = tracker->reordered,
		.outside = tracker->outside,
		.first = tracker->first,
		.last = tracker->last,
	};
	if (tracker->first > tracker->last)
		return; /* nothing expected */
	ret->missing = tracker->last - tracker->first + 1 - tracker->seen;
	for (uint64_t seq = tracker->first; ret->first_missing_count < TRACKER_MISSING_SHOWN &&
					    ret->first_missing_count < ret->missing;) {
		const uint64_t *word = find_word(tracker, seq);

		if (word && *word == UINT64_MAX) {
			seq = (seq | 63) + 1; /* all 64 are there */
			continue;
		}
		if (!word || !(*word >> seq % 64 & 1))
			ret->first_missing[ret->first_missing_count++] = seq;
		seq++;
	}
}
