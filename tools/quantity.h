/* SPDX-License-Identifier: MIT */
/* quantity.h: sizes and durations as people write and read them. Pure functions. */
#ifndef RETINA_TOOLS_QUANTITY_H
#define RETINA_TOOLS_QUANTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** quantity_parse_count() - digits only; false: not a number, or above 2^64 - 1 */
bool quantity_parse_count(uint64_t *ret, const char *text);

/** quantity_parse_size() - bytes: 100, 1.5M, 100MB, 64Mi, 64MiB (K M G T: 1000, Ki ...: 1024) */
bool quantity_parse_size(uint64_t *ret, const char *text);

/** quantity_parse_duration() - nanoseconds: 10m, 1h30m, 1.5s, 100ms; a bare number is seconds */
bool quantity_parse_duration(uint64_t *ret, const char *text);

/** quantity_parse_cpus() - a list such as 0-3,5; false: malformed, or more than `max` */
bool quantity_parse_cpus(unsigned *cpus, unsigned max, unsigned *ret_count, const char *text);

/** quantity_size() - "12.3 MB"; returns text */
char *quantity_size(char *text, size_t size, uint64_t bytes);

/** quantity_duration() - "1h02m", "2m05s", "3.2s", "10ms"; returns text */
char *quantity_duration(char *text, size_t size, uint64_t ns);

/** quantity_rate() - "12.3 k", "1.2 M": a number that is read at a glance; returns text */
char *quantity_rate(char *text, size_t size, double rate);

#endif
