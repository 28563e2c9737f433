/* SPDX-License-Identifier: MIT */
/*
 * pace.c: keeps a sender to its rate.
 *
 * Every deadline is computed from the start, never from the previous deadline, so no error adds up:
 * a sender that was held up catches up. At high rates packets go in bursts, because a timer can't
 * wake a process 200,000 times a second: a third of a millisecond between bursts leaves time to
 * sleep, and the sender's core to others. A sleep ends late by some microseconds, so it ends early
 * on purpose and the rest is spun.
 *
 * No state but the calling thread's timer slack.
 */
#include <stdbool.h>
#include <sys/prctl.h>
#include <time.h>

#include "pace.h"

#define SECOND_NS	  UINT64_C(1000000000)
#define BURSTS_PER_SECOND 3000
#define SPIN_NS		  30000 /* longer than most wake-ups take here */

uint64_t pace_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

uint64_t pace_due_ns(uint64_t rate, uint64_t n)
{
	if (rate == 0)
		return 0;
	/* In two parts: n x 10^9 overflows after 18 billion packets. */
	return n / rate * SECOND_NS + n % rate * SECOND_NS / rate;
}

unsigned pace_burst(uint64_t rate, unsigned max)
{
	uint64_t burst = rate / BURSTS_PER_SECOND;

	if (rate == 0 || burst > max)
		return max;
	return burst == 0 ? 1 : (unsigned)burst;
}

void pace_prepare(void)
{
	(void)prctl(PR_SET_TIMERSLACK, 1UL);
}

void pace_wait(uint64_t deadline_ns)
{
	uint64_t now = pace_now_ns();

	if (deadline_ns > now + SPIN_NS) {
		uint64_t wake = deadline_ns - SPIN_NS;
		struct timespec at = {(time_t)(wake / SECOND_NS), (long)(wake % SECOND_NS)};

		if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
			return;
	}
	while (pace_now_ns() < deadline_ns)
		;
}
