// SPDX-License-Identifier: MIT
/* test-merge.c: slices of many rings come out as one, sorted, nothing missing, ties always alike.
 */
#include "merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/record.h"
#include "producer.h"

enum { SLICES_MAX = 64, RECORDS_MAX = 64 * 64 };

/* A record as the test expects it: which slice, which one in it. */
struct expected {
	struct packet packet;
	unsigned slice, index;
};

struct fixture {
	struct producer producers[SLICES_MAX];
	struct slice slices[SLICES_MAX];
	unsigned slice_count;
	struct expected expected[RECORDS_MAX];
	unsigned count;
	struct merge *merge;
	uint32_t seed;
};

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	for (unsigned i = 0; i < SLICES_MAX; i++)
		if (producer_init(&x->producers[i], 4096, 512, 64) < 0)
			return -1;
	x->seed = 23;
	*state = x;
	return merge_new(&x->merge, SLICES_MAX);
}

static int tear_down(void **state)
{
	struct fixture *x = *state;

	for (unsigned i = 0; i < SLICES_MAX; i++)
		producer_release(&x->producers[i]);
	assert_null(merge_free(x->merge));
	free(x);
	return 0;
}

static void begin(struct fixture *x, unsigned slice_count)
{
	x->slice_count = slice_count;
	x->count = 0;
	for (unsigned i = 0; i < slice_count; i++) {
		struct ring *r = &x->producers[i].ring;

		ring_release(r, ring_head(r));
		x->slices[i] = (struct slice){r, ring_head(r), ring_head(r)};
	}
}

/* false: the ring is full */
static bool add(struct fixture *x, unsigned slice, uint64_t ns)
{
	struct expected *e = &x->expected[x->count];

	*e = (struct expected){.slice = slice,
			       .index = x->count,
			       .packet = {.ns = ns,
					  .interface = slice,
					  .flags = RECORD_INBOUND,
					  .queue = next_random(&x->seed) % 2,
					  .origlen = next_random(&x->seed) % 100,
					  .seed = next_random(&x->seed)}};
	if (!producer_write(&x->producers[slice], &e->packet))
		return false;
	x->slices[slice].to = ring_head(&x->producers[slice].ring);
	x->count++;
	return true;
}

static int by_stamp_slice_and_order(const void *a, const void *b)
{
	const struct expected *m = a, *n = b;

	if (m->packet.ns != n->packet.ns)
		return m->packet.ns < n->packet.ns ? -1 : 1;
	if (m->slice != n->slice)
		return m->slice < n->slice ? -1 : 1;
	return m->index < n->index ? -1 : 1;
}

static void assert_merges_as_sorted(struct fixture *x)
{
	qsort(x->expected, x->count, sizeof(x->expected[0]), by_stamp_slice_and_order);
	merge_begin(x->merge, x->slices, x->slice_count);
	for (unsigned i = 0; i < x->count; i++) {
		const uint8_t *record = merge_next(x->merge);

		assert_non_null(record);
		assert_null(packet_difference(&x->expected[i].packet, 64, record));
	}
	assert_null(merge_next(x->merge));
	assert_null(merge_next(x->merge));
}

static void any_number_of_slices_comes_out_as_sorted(void **state)
{
	struct fixture *x = *state;

	for (unsigned slices = 0; slices <= SLICES_MAX; slices++) {
		begin(x, slices);
		for (unsigned s = 0; s < slices; s++) {
			uint64_t ns = next_random(&x->seed) % 20;
			unsigned records = next_random(&x->seed) % 40;

			/* Some are empty, and ties within and across slices are frequent. */
			for (unsigned i = 0; records > 4 && i < records; i++) {
				if (!add(x, s, ns))
					break;
				ns += next_random(&x->seed) % 3;
			}
		}
		assert_merges_as_sorted(x);
	}
}

static void ties_come_out_in_the_order_of_the_slices(void **state)
{
	struct fixture *x = *state;

	begin(x, 5);
	for (unsigned i = 0; i < 100; i++)
		(void)add(x, 4 - i % 5, 7);
	assert_merges_as_sorted(x);
}

static void one_slice_after_the_other_needs_no_interleaving(void **state)
{
	struct fixture *x = *state;

	begin(x, SLICES_MAX);
	for (unsigned s = 0; s < SLICES_MAX; s++)
		for (unsigned i = 0; i < 20; i++)
			(void)add(x, s, (SLICES_MAX - s) * 100 + i);
	assert_merges_as_sorted(x);
}

static void slices_without_a_record_give_nothing(void **state)
{
	struct fixture *x = *state;
	struct ring *r = &x->producers[0].ring;

	begin(x, 3);
	merge_begin(x->merge, x->slices, 3);
	assert_null(merge_next(x->merge));
	merge_begin(x->merge, x->slices, 0);
	assert_null(merge_next(x->merge));

	/* A slice that is one filler, beside one with a record. */
	while (ring_head(r) % 512 == 0 || 512 - ring_head(r) % 512 >= 104)
		assert_true(add(x, 0, 1));
	begin(x, 2);
	while (x->slices[0].to % 512 == 0 || record_is_packet(ring_at(r, x->slices[0].from))) {
		begin(x, 2);
		assert_true(add(x, 0, 2));
	}
	x->slices[0].to = x->slices[0].from + record_len(ring_at(r, x->slices[0].from));
	x->count = 0;
	assert_true(add(x, 1, 3));
	assert_merges_as_sorted(x);
	merge_begin(x->merge, x->slices, 1);
	assert_null(merge_next(x->merge));
}

static void stamps_that_go_back_keep_the_order_of_their_slice(void **state)
{
	struct fixture *x = *state;

	for (unsigned round = 0; round < 50; round++) {
		unsigned next[8] = {0}, seen = 0, slices = 1 + round % 8;
		const uint8_t *record;

		begin(x, slices);
		for (unsigned i = 0; i < 200; i++)
			(void)add(x, next_random(&x->seed) % slices, next_random(&x->seed) % 1000);
		merge_begin(x->merge, x->slices, slices);
		while ((record = merge_next(x->merge))) {
			unsigned s = record_interface(record);

			/* The next one of its slice, in the order of writing. */
			while (x->expected[next[s]].slice != s)
				next[s]++;
			assert_null(packet_difference(&x->expected[next[s]++].packet, 64, record));
			seen++;
		}
		assert_int_equal(seen, x->count);
	}
}

static void a_merge_may_begin_again_before_its_end(void **state)
{
	struct fixture *x = *state;

	begin(x, 4);
	for (unsigned i = 0; i < 40; i++)
		(void)add(x, i % 4, i / 3);
	merge_begin(x->merge, x->slices, 4);
	for (unsigned i = 0; i < 7; i++)
		assert_non_null(merge_next(x->merge));
	assert_merges_as_sorted(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_number_of_slices_comes_out_as_sorted),
		cmocka_unit_test(ties_come_out_in_the_order_of_the_slices),
		cmocka_unit_test(one_slice_after_the_other_needs_no_interleaving),
		cmocka_unit_test(slices_without_a_record_give_nothing),
		cmocka_unit_test(stamps_that_go_back_keep_the_order_of_their_slice),
		cmocka_unit_test(a_merge_may_begin_again_before_its_end),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
