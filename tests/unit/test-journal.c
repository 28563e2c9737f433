// SPDX-License-Identifier: MIT
/* test-journal.c: what is settled is forgotten, what is not can be taken back, however often the
 * ring of entries wraps. */
#include "journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct journal_entry entry(uint64_t n)
{
	return (struct journal_entry){.end = n * 10,
				      .last_ns = n * 100,
				      .interfaces = (unsigned)n % 7,
				      .key = (unsigned)n % 3,
				      .tally = {n, n * 60}};
}

static void assert_entry(const struct journal_entry *e, uint64_t n)
{
	struct journal_entry expected = entry(n);

	assert_int_equal(e->end, expected.end);
	assert_int_equal(e->last_ns, expected.last_ns);
	assert_int_equal(e->interfaces, expected.interfaces);
	assert_int_equal(e->key, expected.key);
	assert_int_equal(e->tally.packets, expected.tally.packets);
	assert_int_equal(e->tally.bytes, expected.tally.bytes);
}

static void an_empty_journal_has_nothing_to_take_back(void **state)
{
	struct journal *j;
	struct journal_entry e;

	(void)state;
	assert_int_equal(journal_new(&j, 3), 0);
	assert_int_equal(journal_room(j), 3);
	assert_false(journal_pop(j, &e));
	journal_settle(j, UINT64_MAX);
	assert_int_equal(journal_settled(j)->end, 0);
	assert_int_equal(journal_settled(j)->interfaces, 0);
	assert_null(journal_free(j));
	assert_null(journal_free(NULL));
}

static void a_journal_wraps_and_keeps_its_order(void **state)
{
	(void)state;
	for (unsigned size = 1; size <= 9; size++) {
		uint64_t added = 1, popped = 1;
		struct journal *j;
		struct journal_entry e;

		assert_int_equal(journal_new(&j, size), 0);
		for (unsigned round = 0; round < 50; round++) {
			for (unsigned i = 0; i < 1 + round % size && journal_room(j); i++) {
				e = entry(added++);
				journal_add(j, &e);
			}
			assert_int_equal(journal_room(j), size - (added - popped));
			if (round % 2) {
				/* One byte short of the second: only the first is there. */
				journal_settle(j, (popped + 1) * 10 - 1);
				assert_entry(journal_settled(j), popped++);
			} else if (journal_pop(j, &e)) {
				assert_entry(&e, popped++);
			}
		}
		while (journal_pop(j, &e))
			assert_entry(&e, popped++);
		assert_int_equal(popped, added);
		assert_int_equal(journal_room(j), size);
		journal_free(j);
	}
}

static void entries_with_one_end_settle_together(void **state)
{
	struct journal *j;
	struct journal_entry e;

	(void)state;
	assert_int_equal(journal_new(&j, 4), 0);
	for (unsigned i = 0; i < 3; i++) {
		e = entry(5);
		e.key = i;
		journal_add(j, &e);
	}
	e = entry(6);
	journal_add(j, &e);
	assert_int_equal(journal_room(j), 0);
	journal_settle(j, 49);
	assert_int_equal(journal_room(j), 0);
	journal_settle(j, 50);
	assert_int_equal(journal_room(j), 3);
	assert_int_equal(journal_settled(j)->end, 50);
	assert_int_equal(journal_settled(j)->key, 2);
	/* Going back does not bring anything back. */
	journal_settle(j, 0);
	assert_int_equal(journal_settled(j)->end, 50);
	assert_true(journal_pop(j, &e));
	assert_entry(&e, 6);
	assert_int_equal(journal_settled(j)->end, 50);
	journal_free(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_journal_has_nothing_to_take_back),
		cmocka_unit_test(a_journal_wraps_and_keeps_its_order),
		cmocka_unit_test(entries_with_one_end_settle_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
