// SPDX-License-Identifier: MIT
/* quantity.c: numbers with units. Pure functions; whole numbers are exact to 2^64 - 1. */
#include "quantity.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000ull

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit sizes[] = {
	{"", 1},
	{"B", 1},
	{"K", 1000},
	{"KB", 1000},
	{"Ki", 1ull << 10},
	{"KiB", 1ull << 10},
	{"k", 1000},
	{"kB", 1000},
	{"M", 1000000},
	{"MB", 1000000},
	{"Mi", 1ull << 20},
	{"MiB", 1ull << 20},
	{"G", 1000000000},
	{"GB", 1000000000},
	{"Gi", 1ull << 30},
	{"GiB", 1ull << 30},
	{"T", 1000000000000ull},
	{"TB", 1000000000000ull},
	{"Ti", 1ull << 40},
	{"TiB", 1ull << 40},
};

static const struct unit durations[] = {
	{"ns", 1},	 {"us", 1000},	       {"µs", 1000},	       {"ms", 1000000},
	{"s", NS_PER_S}, {"m", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S}, {"d", 86400 * NS_PER_S},
};

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* A number with or without a fraction, times its unit; text moves behind it. */
static bool parse_part(uint64_t *ret, const char **text, const struct unit *units, size_t count)
{
	const char *s = *text;
	uint64_t whole = 0, scale = 1, fraction = 0, factor = 0;
	size_t len;

	if (!isdigit((unsigned char)*s))
		return false;
	for (; isdigit((unsigned char)*s); s++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*s - '0'), &whole))
			return false;
	if (*s == '.') {
		if (!isdigit((unsigned char)*++s))
			return false;
		for (; isdigit((unsigned char)*s); s++)
			if (scale < 1000000000) { /* further digits are below a nanosecond */
				fraction = fraction * 10 + (uint64_t)(*s - '0');
				scale *= 10;
			}
	}
	len = strcspn(s, "0123456789.");
	for (size_t i = 0; i < count; i++)
		if (strlen(units[i].name) == len && strncmp(s, units[i].name, len) == 0)
			factor = units[i].factor;
	if (!factor || __builtin_mul_overflow(whole, factor, ret))
		return false;
	*text = s + len;
	fraction = (uint64_t)((__uint128_t)fraction * factor / scale);
	return !__builtin_add_overflow(*ret, fraction, ret);
}

bool quantity_parse_count(uint64_t *ret, const char *text)
{
	static const struct unit one[] = {{"", 1}};

	return !strchr(text, '.') && parse_part(ret, &text, one, 1) && !*text;
}

bool quantity_parse_size(uint64_t *ret, const char *text)
{
	return parse_part(ret, &text, sizes, COUNT_OF(sizes)) && !*text;
}

bool quantity_parse_duration(uint64_t *ret, const char *text)
{
	static const struct unit second[] = {{"", NS_PER_S}};
	uint64_t sum = 0, part;

	if (*text && !text[strspn(text, "0123456789.")])
		return parse_part(ret, &text, second, 1) && !*text;
	do {
		if (!parse_part(&part, &text, durations, COUNT_OF(durations)) ||
		    __builtin_add_overflow(sum, part, &sum))
			return false;
	} while (*text);
	*ret = sum;
	return true;
}

bool quantity_parse_cpus(unsigned *cpus, unsigned max, unsigned *ret_count, const char *text)
{
	unsigned count = 0;

	for (;;) {
		unsigned long first, last;
		char *end;

		if (!isdigit((unsigned char)*text))
			return false;
		first = last = strtoul(text, &end, 10);
		if (*end == '-' && isdigit((unsigned char)end[1]))
			last = strtoul(end + 1, &end, 10);
		if (last < first || last >= max)
			return false;
		for (; first <= last; first++) {
			if (count == max)
				return false;
			cpus[count++] = (unsigned)first;
		}
		if (!*end)
			break;
		if (*end != ',')
			return false;
		text = end + 1;
	}
	*ret_count = count;
	return true;
}

char *quantity_rate(char *text, size_t size, double rate)
{
	static const char *const prefixes[] = {"", "k", "M", "G", "T"};
	unsigned i = 0;

	for (; rate >= 999.5 && i + 1 < COUNT_OF(prefixes); i++)
		rate /= 1000;
	(void)snprintf(text, size, "%.*f %s", i && rate < 99.95 ? 1 : 0, rate, prefixes[i]);
	return text;
}

char *quantity_size(char *text, size_t size, uint64_t bytes)
{
	size_t len = strlen(quantity_rate(text, size, (double)bytes));

	(void)snprintf(text + len, size - len, "B");
	return text;
}

char *quantity_duration(char *text, size_t size, uint64_t ns)
{
	unsigned long long tenths = (ns + 50000000) / 100000000;
	unsigned long long s = tenths < 600 ? 0 : ns / NS_PER_S < 60 ? 60 : ns / NS_PER_S;

	if (s >= 3600)
		(void)snprintf(text, size, "%lluh%02llum", s / 3600, s / 60 % 60);
	else if (s >= 60)
		(void)snprintf(text, size, "%llum%02llus", s / 60, s % 60);
	else if (ns && tenths < 1)
		(void)snprintf(text, size, "%llums", (unsigned long long)ns / 1000000);
	else
		(void)snprintf(text, size, "%llu.%llus", tenths / 10, tenths % 10);
	return text;
}
