// SPDX-License-Identifier: MIT
/* test-record.c: a record's fields are read back as the source wrote them, at any size. */
#include "base/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/ring.h"
#include "producer.h"
#include "tally_set.h"

static void fields_come_back_as_written(void **state)
{
	struct producer p;
	uint32_t seed = 2;

	(void)state;
	assert_int_equal(producer_init(&p, 65536, 32768, 9000), 0);
	for (uint32_t origlen = 0; origlen < 9100; origlen += origlen < 70 ? 1 : 613) {
		struct packet k = {.ns = (uint64_t)next_random(&seed) << 32 | 0xfffffff0,
				   .interface = next_random(&seed),
				   .origlen = origlen,
				   .flags = (1 + next_random(&seed) % 2) | (next_random(&seed) % 5)
										   << 2,
				   .queue = next_random(&seed) % 3,
				   .seed = origlen};
		uint64_t at = p.ring.control->tail;
		const uint8_t *r;

		assert_true(producer_write(&p, &k));
		r = ring_next(&p.ring, &at, ring_head(&p.ring));
		assert_true(record_is_packet(r));
		assert_int_equal(record_len(r) % 4, 0);
		assert_int_equal(record_len(r), packet_record_len(&k, 9000));
		assert_in_range(record_len(r) - record_caplen(r), 44, RECORD_OVERHEAD_MAX);
		assert_int_equal(record_interface(r), k.interface);
		assert_true(record_ns(r) == k.ns);
		assert_int_equal(record_origlen(r), origlen);
		assert_int_equal(record_caplen(r), origlen < 9000 ? origlen : 9000);
		assert_int_equal(record_flags(r), k.flags);
		assert_int_equal(record_direction(r), (k.flags & 3) == 2 ? TAP_OUT : TAP_IN);
		assert_null(packet_difference(&k, 9000, r));
		ring_release(&p.ring, at);
	}
	producer_release(&p);
}

static void the_largest_record_has_the_overhead_that_is_announced(void **state)
{
	struct packet k = {.origlen = RECORD_SNAPLEN_MAX - 3, .queue = 1};

	(void)state;
	assert_int_equal(packet_record_len(&k, RECORD_SNAPLEN_MAX) - k.origlen,
			 RECORD_OVERHEAD_MAX);
	assert_true(RECORD_SNAPLEN_MAX + RECORD_OVERHEAD_MAX <= RING_SLACK);
}

static void tallies_count_by_interface_and_direction(void **state)
{
	struct retina_tally expected[6] = {0};
	struct tally_set set;
	struct producer p;
	uint32_t seed = 4;

	(void)state;
	assert_int_equal(producer_init(&p, 8192, 4096, 60), 0);
	assert_int_equal(tally_set_init(&set, 6), 0);
	for (unsigned round = 0; round < 3; round++) {
		unsigned used = 0;

		memset(expected, 0, sizeof(expected));
		tally_set_clear(&set);
		assert_int_equal(set.count, 0);
		for (unsigned i = 0; i < 50; i++) {
			struct packet k = {.interface = next_random(&seed) % (round + 1),
					   .flags = 1 + next_random(&seed) % 2,
					   .origlen = next_random(&seed) % 9000};
			uint64_t at = p.ring.control->tail;
			unsigned key = k.interface * 2 + (k.flags == 2);

			assert_true(producer_write(&p, &k));
			/* Bytes are those on the wire, whatever the snap length left. */
			tally_set_count(&set, ring_next(&p.ring, &at, ring_head(&p.ring)));
			ring_release(&p.ring, at);
			used += !expected[key].packets;
			expected[key].packets++;
			expected[key].bytes += k.origlen;
		}
		assert_int_equal(set.count, used);
		assert_memory_equal(set.by_key, expected, sizeof(expected));
	}
	tally_set_release(&set);
	producer_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_come_back_as_written),
		cmocka_unit_test(the_largest_record_has_the_overhead_that_is_announced),
		cmocka_unit_test(tallies_count_by_interface_and_direction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
