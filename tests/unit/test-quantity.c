// SPDX-License-Identifier: MIT
/* test-quantity.c: sizes and durations are exact to the last unit, and nothing else passes. */
#include "quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define NS_PER_S 1000000000ull

enum { UNTOUCHED = 4711 };

static void assert_size(const char *text, uint64_t expected)
{
	uint64_t v = UNTOUCHED;

	if (!quantity_parse_size(&v, text) || v != expected)
		fail_msg("%s: %llu instead of %llu", text, (unsigned long long)v,
			 (unsigned long long)expected);
}

static void assert_duration(const char *text, uint64_t expected)
{
	uint64_t v = UNTOUCHED;

	if (!quantity_parse_duration(&v, text) || v != expected)
		fail_msg("%s: %llu instead of %llu", text, (unsigned long long)v,
			 (unsigned long long)expected);
}

static void a_count_is_digits_only(void **state)
{
	static const char *const bad[] = {"",
					  " ",
					  "-1",
					  "+1",
					  " 1",
					  "1 ",
					  "1.0",
					  "1.",
					  "1K",
					  "0x10",
					  "1e3",
					  "ten",
					  ".",
					  "18446744073709551616",
					  "99999999999999999999999"};
	uint64_t v;

	(void)state;
	assert_true(quantity_parse_count(&v, "0"));
	assert_int_equal(v, 0);
	assert_true(quantity_parse_count(&v, "007"));
	assert_int_equal(v, 7);
	assert_true(quantity_parse_count(&v, "18446744073709551615"));
	assert_true(v == UINT64_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (quantity_parse_count(&v, bad[i]))
			fail_msg("accepted: \"%s\"", bad[i]);
}

static void every_unit_of_size_has_its_factor(void **state)
{
	static const struct {
		const char *prefix;
		uint64_t factor;
	} prefixes[] = {
		{"K", 1000},	    {"k", 1000},       {"Ki", 1ull << 10}, {"M", 1000000},
		{"Mi", 1ull << 20}, {"G", 1000000000}, {"Gi", 1ull << 30}, {"T", 1000000000000ull},
		{"Ti", 1ull << 40},
	};
	char text[64];

	(void)state;
	assert_size("0", 0);
	assert_size("17", 17);
	assert_size("17B", 17);
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		(void)snprintf(text, sizeof(text), "3%s", prefixes[i].prefix);
		assert_size(text, 3 * prefixes[i].factor);
		(void)snprintf(text, sizeof(text), "3%sB", prefixes[i].prefix);
		assert_size(text, 3 * prefixes[i].factor);
		(void)snprintf(text, sizeof(text), "2.5%s", prefixes[i].prefix);
		assert_size(text, 2 * prefixes[i].factor + prefixes[i].factor / 2);
		/* The largest multiple that is below 2^64, and one more. */
		(void)snprintf(text, sizeof(text), "%llu%s",
			       (unsigned long long)(UINT64_MAX / prefixes[i].factor),
			       prefixes[i].prefix);
		assert_size(text, UINT64_MAX / prefixes[i].factor * prefixes[i].factor);
		(void)snprintf(text, sizeof(text), "%llu%s",
			       (unsigned long long)(UINT64_MAX / prefixes[i].factor) + 1,
			       prefixes[i].prefix);
		assert_false(quantity_parse_size(&(uint64_t){0}, text));
	}
	assert_size("18446744073709551615", UINT64_MAX);
	assert_size("0.001K", 1);
	assert_size("1.000000001G", 1000000001);
	assert_size("1.00000000099999999999G", 1000000000);
}

static void what_is_no_size_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"M",
		"-1M",
		"+1M",
		" 1M",
		"1 M",
		"1M ",
		"1MM",
		"1m",
		"1mB",
		"1MiBs",
		"1.M",
		".5M",
		"1..5M",
		"1,5M",
		"1b",
		"1KiBB",
		"1e6",
		"0x1M",
		"1M5",
		"1i",
		"1.5.2",
		"inf",
		"nan",
		"1P",
		"1\xc3\xa9",
		"1M\n",
		"18446744073709551616",
		"18446744073709551615.9K",
		"17179869184Gi",
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (quantity_parse_size(&v, bad[i]))
			fail_msg("accepted: \"%s\"", bad[i]);
}

static void every_unit_of_time_has_its_factor(void **state)
{
	(void)state;
	assert_duration("0", 0);
	assert_duration("90", 90 * NS_PER_S);
	assert_duration("1.5", NS_PER_S + NS_PER_S / 2);
	assert_duration("0.000000001", 1);
	assert_duration("7ns", 7);
	assert_duration("7us", 7000);
	assert_duration("7µs", 7000);
	assert_duration("7ms", 7000000);
	assert_duration("7s", 7 * NS_PER_S);
	assert_duration("7m", 420 * NS_PER_S);
	assert_duration("7h", 25200 * NS_PER_S);
	assert_duration("7d", 604800 * NS_PER_S);
	assert_duration("1h30m", 5400 * NS_PER_S);
	assert_duration("1h2m3s4ms5us6ns", 3723 * NS_PER_S + 4005006);
	assert_duration("1.5h", 5400 * NS_PER_S);
	assert_duration("0.25s0.25s", NS_PER_S / 2);
	assert_duration("18446744073709551615ns", UINT64_MAX);
	assert_duration("18446744073", 18446744073 * NS_PER_S);
	assert_duration("18446744073s709551615ns", UINT64_MAX);
}

static void what_is_no_duration_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"s",
		"-1s",
		"+1s",
		" 1s",
		"1 s",
		"1s ",
		"1h30",
		"1x",
		"1min",
		"1S",
		"1.s",
		".5s",
		"1.5.5",
		"1.5.5s",
		"1h-1m",
		"1:30",
		"1e3",
		"forever",
		"1h 30m",
		"18446744074",
		"18446744073709551616ns",
		"18446744073s709551616ns",
		"213504d",
		"5124096h",
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (quantity_parse_duration(&v, bad[i]))
			fail_msg("accepted: \"%s\"", bad[i]);
}

static void a_list_of_cpus_is_numbers_and_ranges(void **state)
{
	static const char *const bad[] = {
		"",
		",",
		"1,",
		",1",
		"1,,2",
		"-",
		"1-",
		"-1",
		"1--2",
		"3-1",
		"1 2",
		" 1",
		"1-2-3",
		"a",
		"1,a",
		"8",
		"0-8",
		"4294967296",
		"1.5",
		"0x1",
		"1\n",
		"18446744073709551616",
		"0-18446744073709551617",
		"0-7,0", /* nine, and there is room for eight */
	};
	unsigned cpus[8], count;

	(void)state;
	assert_true(quantity_parse_cpus(cpus, 8, &count, "3"));
	assert_int_equal(count, 1);
	assert_int_equal(cpus[0], 3);
	assert_true(quantity_parse_cpus(cpus, 8, &count, "5,0-2,7"));
	assert_int_equal(count, 5);
	assert_memory_equal(cpus, ((unsigned[]){5, 0, 1, 2, 7}), 5 * sizeof(cpus[0]));
	assert_true(quantity_parse_cpus(cpus, 8, &count, "0-7"));
	assert_int_equal(count, 8);
	assert_true(quantity_parse_cpus(cpus, 8, &count, "2-2"));
	assert_int_equal(count, 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (quantity_parse_cpus(cpus, 8, &count, bad[i]))
			fail_msg("accepted: \"%s\"", bad[i]);
}

static void assert_shows(const char *got, const char *expected)
{
	assert_string_equal(got, expected);
}

static void quantities_are_shown_as_people_read_them(void **state)
{
	char t[64];

	(void)state;
	assert_shows(quantity_size(t, sizeof(t), 0), "0 B");
	assert_shows(quantity_size(t, sizeof(t), 999), "999 B");
	assert_shows(quantity_size(t, sizeof(t), 1000), "1.0 kB");
	assert_shows(quantity_size(t, sizeof(t), 12345678), "12.3 MB");
	assert_shows(quantity_size(t, sizeof(t), 99949), "99.9 kB");
	assert_shows(quantity_size(t, sizeof(t), 99950), "100 kB");
	assert_shows(quantity_size(t, sizeof(t), 999499), "999 kB");
	assert_shows(quantity_size(t, sizeof(t), 999500), "1.0 MB");
	assert_shows(quantity_size(t, sizeof(t), UINT64_MAX), "18446744 TB");
	assert_shows(quantity_rate(t, sizeof(t), 1234567.0), "1.2 M");
	assert_shows(quantity_duration(t, sizeof(t), 0), "0.0s");
	assert_shows(quantity_duration(t, sizeof(t), 3200000000), "3.2s");
	assert_shows(quantity_duration(t, sizeof(t), 125 * NS_PER_S), "2m05s");
	assert_shows(quantity_duration(t, sizeof(t), 3720 * NS_PER_S), "1h02m");
	assert_shows(quantity_duration(t, sizeof(t), 3600 * NS_PER_S - 1), "59m59s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_count_is_digits_only),
		cmocka_unit_test(every_unit_of_size_has_its_factor),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(every_unit_of_time_has_its_factor),
		cmocka_unit_test(what_is_no_duration_is_refused),
		cmocka_unit_test(a_list_of_cpus_is_numbers_and_ranges),
		cmocka_unit_test(quantities_are_shown_as_people_read_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
