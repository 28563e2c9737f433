/* SPDX-License-Identifier: MIT */
/* plan.h: which kind, flow and size the i-th frame of a run has. */
#ifndef TRAFFIC_PLAN_H
#define TRAFFIC_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet.h"

#define PLAN_KINDS_MAX 32 /* entries of a --kind list; a kind may stand in it more than once */

struct plan {
	enum packet_kind kinds[PLAN_KINDS_MAX];
	unsigned kinds_count;
	uint32_t flows;
	bool random_flows;
	uint64_t seed;
	bool imix; /* 60, 590 and 1514 bytes at 7:4:1; shorter frames grow to their kind's minimum
		    */
	size_t size_min; /* bytes without FCS; 0: each kind's minimum */
	size_t size_max;
};

struct plan_pick {
	enum packet_kind kind;
	uint32_t flow;
	size_t size;
};

/** plan_pick() - the @i-th frame of the run; the same for the same arguments */
struct plan_pick plan_pick(const struct plan *plan, const struct packet_config *config, uint64_t i);

/** plan_minimum() - the smallest size that every kind in the plan can have, in bytes */
size_t plan_minimum(const struct plan *plan, const struct packet_config *config);

/** plan_maximum() - the largest size that plan_pick() may return, in bytes */
size_t plan_maximum(const struct plan *plan, const struct packet_config *config);

#endif
