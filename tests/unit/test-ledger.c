// SPDX-License-Identifier: MIT
/* test-ledger.c: seen = rejected + captured + lost, in packets and in bytes. */
#include "retina/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Every field has another value, so that none can stand for another. */
static struct retina_ledger sample(uint64_t n)
{
	struct retina_ledger l = {
		.seen = {1000 * n, 60000 * n},
		.rejected = {3 * n, 300 * n},
		.captured = {20 * n, 2000 * n},
	};

	for (unsigned i = 0; i < RETINA_LOSSES; i++)
		l.lost[i] = (struct retina_tally){(100 + i) * n, (7000 + i) * n};
	return l;
}

static void balance(struct retina_ledger *l)
{
	struct retina_tally lost = retina_ledger_lost(l);

	l->seen.packets = l->rejected.packets + l->captured.packets + lost.packets;
	l->seen.bytes = l->rejected.bytes + l->captured.bytes + lost.bytes;
}

static void every_loss_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RETINA_LOSSES; i++) {
		assert_non_null(retina_loss_name((enum retina_loss)i));
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(retina_loss_name((enum retina_loss)i),
						retina_loss_name((enum retina_loss)j));
	}
	/* Scripts depend on them. */
	assert_string_equal(retina_loss_name(RETINA_LOST_RING_FULL), "ring_full");
	assert_string_equal(retina_loss_name(RETINA_LOST_REENTRANT), "reentrant");
	assert_string_equal(retina_loss_name(RETINA_LOST_NO_RING), "no_ring");
	assert_string_equal(retina_loss_name(RETINA_LOST_COPY), "copy");
	assert_string_equal(retina_loss_name(RETINA_LOST_DISK), "disk");
}

static void adding_adds_every_field(void **state)
{
	struct retina_ledger sum = sample(1), more = sample(2), expected = sample(3);
	struct retina_ledger before = more;

	(void)state;
	retina_ledger_add(&sum, &more);
	assert_memory_equal(&sum, &expected, sizeof(sum));
	assert_memory_equal(&more, &before, sizeof(more));
	retina_ledger_add(&sum, &(struct retina_ledger){0});
	assert_memory_equal(&sum, &expected, sizeof(sum));
	more = sample(3);
	retina_ledger_add(&more, &more);
	expected = sample(6);
	assert_memory_equal(&more, &expected, sizeof(more));
}

static void lost_is_the_sum_of_all_places(void **state)
{
	struct retina_ledger l = sample(1), none = {0};
	uint64_t packets = 0, bytes = 0;

	(void)state;
	for (unsigned i = 0; i < RETINA_LOSSES; i++) {
		packets += l.lost[i].packets;
		bytes += l.lost[i].bytes;
	}
	assert_int_equal(retina_ledger_lost(&l).packets, packets);
	assert_int_equal(retina_ledger_lost(&l).bytes, bytes);
	assert_int_equal(retina_ledger_lost(&none).packets, 0);
	assert_int_equal(retina_ledger_lost(&none).bytes, 0);
}

static void a_ledger_balances_only_if_packets_and_bytes_do(void **state)
{
	struct retina_ledger l = sample(5), good;
	uint64_t *fields = (uint64_t *)&l;

	(void)state;
	assert_false(retina_ledger_balanced(&l));
	balance(&l);
	assert_true(retina_ledger_balanced(&l));
	assert_true(retina_ledger_balanced(&(struct retina_ledger){0}));
	good = l;
	for (size_t i = 0; i < sizeof(l) / sizeof(*fields); i++) {
		l = good;
		fields[i]++;
		assert_false(retina_ledger_balanced(&l));
		l = good;
		fields[i]--;
		assert_false(retina_ledger_balanced(&l));
	}
}

static void balanced_ledgers_have_a_balanced_sum(void **state)
{
	struct retina_ledger sum = {0};

	(void)state;
	for (uint64_t n = 1; n < 100; n++) {
		struct retina_ledger l = sample(n * n);

		l.captured.packets += n % 5;
		balance(&l);
		retina_ledger_add(&sum, &l);
		assert_true(retina_ledger_balanced(&sum));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_loss_has_a_name_of_its_own),
		cmocka_unit_test(adding_adds_every_field),
		cmocka_unit_test(lost_is_the_sum_of_all_places),
		cmocka_unit_test(a_ledger_balances_only_if_packets_and_bytes_do),
		cmocka_unit_test(balanced_ledgers_have_a_balanced_sum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
