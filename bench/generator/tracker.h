/* SPDX-License-Identifier: MIT */
/* tracker.h: which sequence numbers of a stream were seen. */
#ifndef TRAFFIC_TRACKER_H
#define TRAFFIC_TRACKER_H

#include <stdbool.h>
#include <stdint.h>

#define TRACKER_MISSING_SHOWN 10

struct tracker;

struct tracker_result {
	uint64_t seen;	     /* different numbers in the range */
	uint64_t duplicates; /* in the range */
	uint64_t reordered;  /* smaller than one seen before */
	uint64_t outside;    /* of the range, each time */
	uint64_t missing;
	uint64_t first; /* the range; without one: the smallest and largest number seen */
	uint64_t last;
	uint64_t first_missing[TRACKER_MISSING_SHOWN];
	unsigned first_missing_count;
};

/**
 * tracker_new() - nothing seen yet
 * @ranged: the numbers from @first to @last are expected, and only those; else what lies between
 * the smallest and largest one seen
 * Return: 0 or -ENOMEM.
 */
int tracker_new(struct tracker **ret, uint32_t stream, bool ranged, uint64_t first, uint64_t last);
struct tracker *tracker_free(struct tracker *tracker);

uint32_t tracker_stream(const struct tracker *tracker);

/** tracker_see() - Return: 0; -ENOMEM; -ERANGE for a number absurdly far from the others: not
 * counted */
int tracker_see(struct tracker *tracker, uint64_t seq);

/** tracker_result() - the account so far */
void tracker_result(const struct tracker *tracker, struct tracker_result *ret);

#endif
