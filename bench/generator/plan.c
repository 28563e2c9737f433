/* SPDX-License-Identifier: MIT */
/*
 * plan.c: decides kind, flow and size of the i-th frame.
 *
 * Everything follows from the index and the seed: a run can be repeated, and a frame's properties
 * can be told from its sequence number. Kinds alternate fastest, then flows; the size pattern moves
 * on by one each time all flows had their turn, so that no flow is stuck with one size.
 *
 * Pure functions: no state, any thread.
 */
#include "plan.h"

static const size_t imix_sizes[12] = {60, 590, 60, 60, 590, 60, 1514, 60, 590, 60, 60, 590};

/* splitmix64: a well mixed number for each (seed, i, purpose). */
static uint64_t random_at(uint64_t seed, uint64_t i, uint64_t purpose)
{
	uint64_t x = (i * 2 + purpose + 1) * UINT64_C(0x9e3779b97f4a7c15) + seed;

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

struct plan_pick plan_pick(const struct plan *plan, const struct packet_config *config, uint64_t i)
{
	uint64_t turn = i / plan->kinds_count;
	struct plan_pick pick = {.kind = plan->kinds[i % plan->kinds_count]};
	size_t minimum = packet_minimum(config, pick.kind);

	pick.flow =
		(uint32_t)((plan->random_flows ? random_at(plan->seed, i, 0) : turn) % plan->flows);
	if (plan->imix)
		pick.size = imix_sizes[(turn % plan->flows + turn / plan->flows) % 12];
	else if (plan->size_max > plan->size_min)
		pick.size = plan->size_min +
			    random_at(plan->seed, i, 1) % (plan->size_max - plan->size_min + 1);
	else
		pick.size = plan->size_min;
	if (pick.size < minimum)
		pick.size = minimum;
	return pick;
}

size_t plan_minimum(const struct plan *plan, const struct packet_config *config)
{
	size_t minimum = 0;

	for (unsigned i = 0; i < plan->kinds_count; i++)
		if (packet_minimum(config, plan->kinds[i]) > minimum)
			minimum = packet_minimum(config, plan->kinds[i]);
	return minimum;
}

size_t plan_maximum(const struct plan *plan, const struct packet_config *config)
{
	size_t minimum = plan_minimum(plan, config);
	size_t maximum = plan->imix ? 1514 : plan->size_max;

	return maximum < minimum ? minimum : maximum;
}
