/* SPDX-License-Identifier: MIT */
/* pace.h: when to send what. */
#ifndef TRAFFIC_PACE_H
#define TRAFFIC_PACE_H

#include <stdint.h>

#define PACE_NEVER UINT64_MAX /* a deadline that does not come */

/** pace_now_ns() - CLOCK_MONOTONIC */
uint64_t pace_now_ns(void);

/** pace_due_ns() - when the @n-th packet is due after the start at @rate packets a second (0: at
 * once) */
uint64_t pace_due_ns(uint64_t rate, uint64_t n);

/** pace_burst() - packets to send at a time at @rate, 1 to @max: about a third of a millisecond's
 * worth; all for rate 0 */
unsigned pace_burst(uint64_t rate, unsigned max);

/** pace_prepare() - make this thread's timers precise; the sleeps of pace_wait() depend on it */
void pace_prepare(void);

/** pace_wait() - sleep until shortly before @deadline_ns, spin the rest; returns early on a signal
 */
void pace_wait(uint64_t deadline_ns);

#endif
