/* SPDX-License-Identifier: MIT */
/* clock.h: the kernel's packet clock and its distance to Unix time (see clock.c). */
#ifndef RETINA_BASE_CLOCK_H
#define RETINA_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define NS_PER_S  1000000000ull
#define NS_PER_MS 1000000ull

/** clock_unix_ns() - now, nanoseconds of Unix time */
uint64_t clock_unix_ns(void);

/** clock_steady_ns() - now, on a clock that is never set (CLOCK_MONOTONIC) */
uint64_t clock_steady_ns(void);

/**
 * clock_offset_ns() - what must be added to the kernel's clock to get Unix time
 * @tai: the programs read CLOCK_TAI, else CLOCK_MONOTONIC
 * Return: modulo 2^64, so that adding a negative offset works.
 */
uint64_t clock_offset_ns(bool tai);

#endif
