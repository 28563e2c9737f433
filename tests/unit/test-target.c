// SPDX-License-Identifier: MIT
/* test-target.c: the text of targets, and the sets that they make, without a kernel. */
#include "target_set.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/limits.h"

enum { MESSAGE = 256 };

static void good_texts_come_back_in_their_canonical_form(void **state)
{
	static const char *const pairs[][2] = {
		{"10.0.0.1", "10.0.0.1"},
		{"10.0.0.1/32", "10.0.0.1"},
		{"10.1.2.3/8", "10.0.0.0/8"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"10.1.2.255/25:443", "10.1.2.128/25:443"},
		{"10.0.0.1:65535", "10.0.0.1:65535"},
		{"*:53", "*:53"},
		{"fe80::1", "fe80::1"},
		{"FE80:0::1/128", "fe80::1"},
		{"2001:db8::1/33", "2001:db8::/33"},
		{"::/0", "::/0"},
		{"[fe80::1]", "fe80::1"},
		{"[fe80::1]:80", "[fe80::1]:80"},
		{"[2001:db8::1/32]:80", "[2001:db8::]/32:80"},
		{"[2001:db8::1]/32:80", "[2001:db8::]/32:80"},
		{"::ffff:10.0.0.1", "::ffff:10.0.0.1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char text[TARGET_TEXT_MAX];
		struct target t, again;

		assert_null(target_parse(&t, pairs[i][0]));
		target_format(&t, text);
		assert_string_equal(text, pairs[i][1]);
		assert_null(target_parse(&again, text));
		assert_memory_equal(&t, &again, sizeof(t));
	}
}

static void bad_texts_are_told_from_each_other(void **state)
{
	static const char *const pairs[][2] = {
		{"", "not an IP address"},
		{"host", "not an IP address"},
		{"10.0.0", "not an IP address"},
		{"10.0.0.256", "not an IP address"},
		{"10.0.0.1/33", "0 to 32"},
		{"10.0.0.1/", "0 to 32"},
		{"10.0.0.1/-1", "0 to 32"},
		{"::1/129", "0 to 128"},
		{"10.0.0.1:0", "1 to 65535"},
		{"10.0.0.1:65536", "1 to 65535"},
		{"10.0.0.1:", "1 to 65535"},
		{"*:x", "1 to 65535"},
		{"*", "not an IP address"},
		{"[::1", "open"},
		{"[::1]80", "behind the bracket"},
		{"[10.0.0.1]:80", "for IPv6"},
		{"[::1/64]/64", "0 to 128"},
		{" 10.0.0.1", "not an IP address"},
		{"1234567890123456789012345678901234567890123456789012345678901234", "too long"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct target t;
		const char *why = target_parse(&t, pairs[i][0]);

		assert_non_null(why);
		if (!strstr(why, pairs[i][1]))
			fail_msg("%s: %s", pairs[i][0], why);
	}
}

static bool collect(void *data, const struct target *t)
{
	char text[TARGET_TEXT_MAX], *all = data;

	target_format(t, text);
	(void)strcat(strcat(all, text), " ");
	return true;
}

static void sets_hold_each_target_once_in_order(void **state)
{
	char error[MESSAGE], all[512] = "";
	struct target_sets *s;

	(void)state;
	assert_int_equal(target_sets_new(&s), 0);
	assert_int_equal(target_sets_add(s, TARGET_SIDE_INCLUDE, "10.0.0.9", error, MESSAGE), 1);
	assert_int_equal(target_sets_add(s, TARGET_SIDE_INCLUDE, "*:53", error, MESSAGE), 1);
	assert_int_equal(target_sets_add(s, TARGET_SIDE_INCLUDE, "fe80::/10", error, MESSAGE), 1);
	assert_int_equal(target_sets_add(s, TARGET_SIDE_INCLUDE, "10.0.0.9:80", error, MESSAGE), 1);
	assert_int_equal(target_sets_add(s, TARGET_SIDE_INCLUDE, "10.0.0.9/32", error, MESSAGE), 0);
	assert_int_equal(target_sets_add(s, TARGET_SIDE_INCLUDE, "nonsense", error, MESSAGE),
			 -EINVAL);
	assert_non_null(strstr(error, "nonsense: not an IP address"));
	target_sets_each(s, TARGET_SIDE_INCLUDE, collect, all);
	assert_string_equal(all, "*:53 10.0.0.9 10.0.0.9:80 fe80::/10 ");
	assert_int_equal(target_sets_count(s, TARGET_SIDE_EXCLUDE), 0);
	assert_int_equal(target_sets_remove(s, TARGET_SIDE_INCLUDE, "10.0.0.9", error, MESSAGE), 1);
	assert_int_equal(target_sets_remove(s, TARGET_SIDE_INCLUDE, "10.0.0.9", error, MESSAGE),
			 -ENOENT);
	assert_string_equal(error, "10.0.0.9 is not in the set");
	assert_int_equal(target_sets_count(s, TARGET_SIDE_INCLUDE), 3);
	assert_null(target_sets_free(s));
}

/* Writes a file of targets; returns "@PATH". */
static const char *list_file(const char *text, unsigned numbers)
{
	static char path[64];
	FILE *f;
	int fd;

	(void)strcpy(path, "@/tmp/retina-targets-XXXXXX");
	fd = mkstemp(path + 1);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_non_null(f);
	(void)fputs(text, f);
	for (unsigned i = 0; i < numbers; i++)
		(void)fprintf(f, "20.%u.%u.%u\n", i >> 16, i >> 8 & 255, i & 255);
	assert_int_equal(fclose(f), 0);
	return path;
}

static void a_file_counts_whole_or_not_at_all(void **state)
{
	static const char fine[] = "# a list\n\n  10.0.0.1 # the first\r\n10.0.0.2\n10.0.0.1\n*:53";
	char error[MESSAGE];
	struct target_sets *s;
	const char *file;

	(void)state;
	assert_int_equal(target_sets_new(&s), 0);
	file = list_file(fine, 0);
	assert_int_equal(target_sets_add(s, TARGET_SIDE_EXCLUDE, file, error, MESSAGE), 3);
	assert_int_equal(target_sets_remove(s, TARGET_SIDE_EXCLUDE, file, error, MESSAGE), 3);
	(void)unlink(file + 1);
	assert_int_equal(target_sets_count(s, TARGET_SIDE_EXCLUDE), 0);
	assert_int_equal(target_sets_add(s, TARGET_SIDE_EXCLUDE, file, error, MESSAGE), -ENOENT);

	file = list_file("10.0.0.1\n\n10.0.0.x\n", 0);
	assert_int_equal(target_sets_add(s, TARGET_SIDE_EXCLUDE, file, error, MESSAGE), -EINVAL);
	assert_non_null(strstr(error, ":3: 10.0.0.x: not an IP address"));
	(void)unlink(file + 1);
	assert_int_equal(target_sets_count(s, TARGET_SIDE_EXCLUDE), 0);

	file = list_file("", TARGETS_MAX + 1);
	assert_int_equal(target_sets_add(s, TARGET_SIDE_EXCLUDE, file, error, MESSAGE), -ENOSPC);
	(void)unlink(file + 1);
	file = list_file("", TARGETS_MAX);
	assert_int_equal(target_sets_add(s, TARGET_SIDE_EXCLUDE, file, error, MESSAGE),
			 TARGETS_MAX);
	(void)unlink(file + 1);
	assert_null(target_sets_free(s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_texts_come_back_in_their_canonical_form),
		cmocka_unit_test(bad_texts_are_told_from_each_other),
		cmocka_unit_test(sets_hold_each_target_once_in_order),
		cmocka_unit_test(a_file_counts_whole_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
