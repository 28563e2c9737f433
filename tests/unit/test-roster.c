// SPDX-License-Identifier: MIT
/* test-roster.c: each interface is described once, before its statistics, and found until it is
 * gone. */
#include "roster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/record.h"

enum { MAX = 5, STATISTICS = 5, SECTION = 0x0a0d0d0a };

static const struct roster_selection no_selection = {"", ""};

static struct interface interface(unsigned n)
{
	struct interface i = {
		.ifindex = 100 + n, .link_type = LINK_TYPE_ETHERNET, .has_mac = n % 2};

	(void)snprintf(i.name, sizeof(i.name), "if%u", n);
	return i;
}

static const struct hook_choice hooks = {HOOK_TCX, HOOK_TCX, "a reason"};

static struct member *join(struct roster *r, unsigned n)
{
	struct interface i = interface(n);
	struct member *m = roster_add(r, &i, &hooks);

	if (m)
		roster_publish(r);
	return m;
}

static unsigned count_blocks(const struct buffer *b, uint32_t type)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < b->len; i += record_len(b->data + i)) {
		uint32_t len = record_len(b->data + i);

		assert_true(len % 4 == 0 && len <= b->len - i);
		assert_int_equal(record_word(b->data + i, len / 4 - 1), len);
		n += record_type(b->data + i) == type;
	}
	assert_int_equal(i, b->len);
	return n;
}

static void members_are_added_until_it_is_full(void **state)
{
	struct roster r;

	(void)state;
	assert_int_equal(roster_init(&r, MAX, 128, "clock"), 0);
	for (unsigned i = 0; i < MAX; i++) {
		assert_int_equal(roster_count(&r), i);
		assert_ptr_equal(join(&r, i), &r.members[i]);
	}
	assert_null(join(&r, MAX));
	assert_int_equal(roster_count(&r), MAX);
	roster_release(&r);
	roster_release(&r);
}

static void members_are_found_until_they_are_gone(void **state)
{
	struct roster r;
	struct member *m;

	(void)state;
	assert_int_equal(roster_init(&r, MAX, 128, "clock"), 0);
	for (unsigned i = 0; i < 3; i++)
		join(&r, i);
	assert_ptr_equal(roster_find(&r, 101), &r.members[1]); /* not attached, but known */
	r.members[1].start_ns = 5;
	assert_ptr_equal(roster_find(&r, 101), &r.members[1]);
	assert_ptr_equal(roster_find(&r, 100), &r.members[0]);
	assert_null(roster_find(&r, 999));
	r.members[1].end_ns = 6;
	assert_null(roster_find(&r, 101));
	/* An interface that comes back is another member. */
	m = join(&r, 1);
	m->start_ns = 7;
	assert_ptr_equal(roster_find(&r, 101), &r.members[3]);
	roster_release(&r);
}

static void each_member_is_described_once(void **state)
{
	struct buffer b = {0};
	struct roster r;

	(void)state;
	assert_int_equal(roster_init(&r, MAX, 128, "clock"), 0);
	assert_int_equal(roster_describe(&r, &no_selection, &b), 0);
	assert_int_equal(b.len, 0);
	join(&r, 0);
	join(&r, 1);
	assert_int_equal(roster_describe(&r, &no_selection, &b), 0);
	assert_int_equal(count_blocks(&b, RECORD_INTERFACE_DESCRIPTION), 2);
	/* Link type, then snap length. */
	assert_int_equal(record_word(b.data, 2), LINK_TYPE_ETHERNET);
	assert_int_equal(record_word(b.data, 3), 128);
	assert_non_null(memmem(b.data, b.len, "if1", 3));
	assert_non_null(
		memmem(b.data, b.len, "clock: clock; hooks: in tcx, out tcx (a reason)", 47));
	buffer_reset(&b);
	assert_int_equal(roster_describe(&r, &no_selection, &b), 0);
	assert_int_equal(b.len, 0);
	join(&r, 2);
	assert_int_equal(roster_describe(&r, &no_selection, &b), 0);
	assert_int_equal(count_blocks(&b, RECORD_INTERFACE_DESCRIPTION), 1);
	assert_non_null(memmem(b.data, b.len, "if2", 3));
	assert_int_equal(r.described, 3);
	/* One that was added but not published is not there yet. */
	buffer_reset(&b);
	struct interface i = interface(3);
	assert_non_null(roster_add(&r, &i, &hooks));
	assert_int_equal(roster_describe(&r, &no_selection, &b), 0);
	assert_int_equal(b.len, 0);
	buffer_release(&b);
	roster_release(&r);
}

static struct retina_ledger ledger(uint64_t n)
{
	struct retina_ledger l = {.seen = {n, n}, .rejected = {n / 16, n}, .captured = {n / 4, n}};

	for (unsigned i = 0; i < RETINA_LOSSES; i++)
		l.lost[i] = (struct retina_tally){n / 16, n};
	return l;
}

static uint64_t option_u64(const struct buffer *b, uint16_t code)
{
	size_t i = 20, end = record_len(b->data) - 4;

	while (i + 4 <= end) {
		uint16_t found, len;
		uint64_t v;

		memcpy(&found, b->data + i, 2);
		memcpy(&len, b->data + i + 2, 2);
		if (found == code) {
			assert_int_equal(len, 8);
			memcpy(&v, b->data + i + 4, 8);
			return v;
		}
		i += 4 + ((len + 3u) & ~3u);
	}
	fail_msg("no option %u", code);
	return 0;
}

static void statistics_say_both_directions_and_fit_their_room(void **state)
{
	const uint64_t most[] = {0, 16, 1600, 1ull << 32, UINT64_MAX};
	struct roster r;

	(void)state;
	assert_int_equal(roster_init(&r, 1, 128, "clock"), 0);
	join(&r, 0);
	r.members[0].start_ns = 1000;
	for (unsigned i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
		struct member_ledgers l = {ledger(most[i]), ledger(most[i])};
		struct retina_ledger sum = l.in;
		struct buffer b = {0};

		retina_ledger_add(&sum, &l.out);
		assert_int_equal(roster_statistics(&r, 0, &l, 5000, NULL, &b), 0);
		assert_int_equal(count_blocks(&b, STATISTICS), 1);
		assert_true(b.len <= STATISTICS_ROOM);
		assert_int_equal(record_word(b.data, 2), 0);
		assert_int_equal(option_u64(&b, 4), sum.seen.packets);
		assert_int_equal(option_u64(&b, 6), sum.seen.packets - sum.rejected.packets);
		assert_int_equal(option_u64(&b, 7), retina_ledger_lost(&sum).packets);
		assert_int_equal(option_u64(&b, 8), sum.captured.packets);
		assert_non_null(memmem(b.data, b.len, "in: seen ", 9));
		assert_non_null(memmem(b.data, b.len, "; out: seen ", 12));
		if (i == 1)
			assert_non_null(
				memmem(b.data, b.len,
				       "captured 4, lost 5 ring_full 1 reentrant 1 no_ring 1 "
				       "copy 1 disk 1",
				       66));
		buffer_release(&b);
	}
	roster_release(&r);
}

static void a_section_header_names_the_writer(void **state)
{
	struct buffer b = {0};

	(void)state;
	assert_int_equal(section_header(&b, "an application", "a comment"), 0);
	assert_int_equal(count_blocks(&b, SECTION), 1);
	assert_non_null(memmem(b.data, b.len, "an application", 14));
	assert_non_null(memmem(b.data, b.len, "a comment", 9));
	assert_non_null(memmem(b.data, b.len, "Linux", 5));
	buffer_reset(&b);
	assert_int_equal(section_header(&b, NULL, NULL), 0);
	assert_int_equal(count_blocks(&b, SECTION), 1);
	buffer_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_added_until_it_is_full),
		cmocka_unit_test(members_are_found_until_they_are_gone),
		cmocka_unit_test(each_member_is_described_once),
		cmocka_unit_test(statistics_say_both_directions_and_fit_their_room),
		cmocka_unit_test(a_section_header_names_the_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
