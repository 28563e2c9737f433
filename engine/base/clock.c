// SPDX-License-Identifier: MIT
/*
 * clock.c: programs in the kernel can read CLOCK_TAI (6.1 and later) or CLOCK_MONOTONIC, files hold
 * Unix time. The difference is TAI's leap seconds, or the time of boot; both may change while we
 * run (NTP learns the leap seconds, somebody sets the clock), so the session measures it again and
 * again. Any thread.
 */
#include "base/clock.h"

#include <time.h>

static uint64_t now_ns(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t); /* cannot fail: these clocks exist since 3.10 */
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_unix_ns(void)
{
	return now_ns(CLOCK_REALTIME);
}

uint64_t clock_steady_ns(void)
{
	return now_ns(CLOCK_MONOTONIC);
}

uint64_t clock_offset_ns(bool tai)
{
	uint64_t best_span = UINT64_MAX, best = 0;

	/* Two clocks cannot be read at once: of a few tries the tightest is taken. */
	for (int i = 0; i < 5; i++) {
		uint64_t before = now_ns(tai ? CLOCK_TAI : CLOCK_MONOTONIC);
		uint64_t unix_ns = now_ns(CLOCK_REALTIME);
		uint64_t after = now_ns(tai ? CLOCK_TAI : CLOCK_MONOTONIC);

		if (after - before < best_span) {
			best_span = after - before;
			best = unix_ns - (before + (after - before) / 2);
		}
	}
	/* TAI and Unix time differ by whole seconds; anything else is the time between the reads.
	 */
	if (tai)
		best = (uint64_t)(((int64_t)best - (int64_t)(NS_PER_S / 2)) / (int64_t)NS_PER_S) *
		       NS_PER_S;
	return best;
}
