/* SPDX-License-Identifier: MIT */
/* test-generator.c: the parts of retina-traffic that need no network. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pcap/dlt.h>

#include "locate.h"
#include "pace.h"
#include "packet.h"
#include "payload.h"
#include "plan.h"
#include "tracker.h"

static struct packet_config make_config(unsigned vlans)
{
	struct packet_config config = {
		.src_mac = {2, 0, 0, 0, 0, 1},
		.dst_mac = {2, 0, 0, 0, 0, 2},
		.src4 = {198, 18, 0, 250},
		.dst4 = {198, 18, 128, 1},
		.src6 = {0x20, 0x01, 0, 2, [14] = 0xff, [15] = 0xff},
		.dst6 = {0x20, 0x01, 0, 2, [15] = 9},
		.vlan = {100, 200},
		.vlans = vlans,
		.stream = 0xdeadbeef,
	};

	return config;
}

static void payload_comes_back_as_written(void **state)
{
	static const size_t sizes[] = {16, 17, 18, 23, 24, 31, 100, 1458, 8958};
	static const uint64_t seqs[] = {0, 1, 0xffffffff, PAYLOAD_SEQ_MAX};
	uint8_t data[9000];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t j = 0; j < sizeof(seqs) / sizeof(seqs[0]); j++) {
			struct payload_stamp stamp;

			payload_write(data, sizes[i], 77, seqs[j]);
			assert_int_equal(payload_read(data, sizes[i], sizes[i], &stamp),
					 PAYLOAD_GOOD);
			assert_int_equal(stamp.stream, 77);
			assert_int_equal(stamp.seq, seqs[j]);
		}
	}
}

static void payload_shows_every_single_bit_that_changed(void **state)
{
	struct payload_stamp stamp;
	uint8_t data[120];

	(void)state;
	payload_write(data, sizeof(data), 5, 123456);
	for (size_t bit = 0; bit < sizeof(data) * 8; bit++) {
		enum payload_verdict verdict;

		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		verdict = payload_read(data, sizeof(data), sizeof(data), &stamp);
		/* In the magic it is not ours any more; anywhere else it is damaged. */
		assert_int_equal(verdict, bit < 16 ? PAYLOAD_FOREIGN : PAYLOAD_CORRUPT);
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void payload_of_two_halves_is_corrupt(void **state)
{
	struct payload_stamp stamp;
	uint8_t data[200];
	uint8_t other[200];

	(void)state;
	payload_write(data, sizeof(data), 5, 1);
	payload_write(other, sizeof(other), 5, 2);
	memcpy(data + 100, other + 100, 100);
	assert_int_equal(payload_read(data, sizeof(data), sizeof(data), &stamp), PAYLOAD_CORRUPT);
}

static void payload_that_is_cut_still_tells_its_number(void **state)
{
	struct payload_stamp stamp;
	uint8_t data[100];

	(void)state;
	payload_write(data, sizeof(data), 5, 42);
	for (size_t caplen = PAYLOAD_CHECK_OFFSET; caplen < sizeof(data); caplen++) {
		stamp.seq = 0;
		assert_int_equal(payload_read(data, caplen, sizeof(data), &stamp),
				 PAYLOAD_TRUNCATED);
		assert_int_equal(stamp.seq, 42);
	}
	assert_int_equal(payload_read(data, PAYLOAD_CHECK_OFFSET - 1, sizeof(data), &stamp),
			 PAYLOAD_FOREIGN);
}

static void minimum_sizes_are_what_the_headers_need(void **state)
{
	static const size_t untagged[PACKET_KINDS] = {
		[PACKET_UDP4] = 60,  [PACKET_UDP6] = 78,  [PACKET_TCP4] = 70,  [PACKET_TCP6] = 90,
		[PACKET_ICMP4] = 60, [PACKET_ICMP6] = 78, [PACKET_DNS4] = 124, [PACKET_DNS6] = 144,
	};
	struct packet_config plain = make_config(0);
	struct packet_config vlan = make_config(1);
	struct packet_config qinq = make_config(2);

	(void)state;
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++)
		assert_int_equal(packet_minimum(&plain, kind), untagged[kind]);
	assert_int_equal(packet_minimum(&vlan, PACKET_UDP4), 62);
	assert_int_equal(packet_minimum(&qinq, PACKET_UDP4), 66);
	assert_int_equal(packet_minimum(&qinq, PACKET_DNS6), 152);
}

/* Another way to sum than checksum.c's: byte by byte, folded each time. */
static uint16_t ones_sum(uint16_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint32_t wide = sum + (uint32_t)(i % 2 ? p[i] : p[i] << 8);

		sum = (uint16_t)(wide % 0x10000 + wide / 0x10000);
	}
	return sum;
}

static void verify_checksums(const uint8_t *frame, size_t size, unsigned vlans)
{
	const uint8_t *ip = frame + 14 + 4 * vlans;
	size_t ip_size = size - 14 - 4 * vlans;
	uint8_t pseudo[40] = {0};
	size_t header_size = 20;
	uint8_t protocol;
	uint16_t sum = 0;

	if (ip[0] >> 4 == 4) {
		protocol = ip[9];
		assert_int_equal(ones_sum(0, ip, 20), 0xffff);
		assert_int_equal(ip[2] << 8 | ip[3], ip_size);
		memcpy(pseudo, ip + 12, 8);
	} else {
		protocol = ip[6];
		header_size = 40;
		assert_int_equal(ip[4] << 8 | ip[5], ip_size - 40);
		memcpy(pseudo, ip + 8, 32);
	}
	pseudo[35] = protocol;
	pseudo[38] = (uint8_t)((ip_size - header_size) >> 8);
	pseudo[39] = (uint8_t)(ip_size - header_size);
	if (protocol != 1) /* ICMP has no pseudo header */
		sum = ones_sum(0, pseudo, sizeof(pseudo));
	assert_int_equal(ones_sum(sum, ip + header_size, ip_size - header_size), 0xffff);
	if (protocol == 17)
		assert_true(ip[header_size + 6] || ip[header_size + 7]);
}

static void frames_of_every_kind_are_found_with_right_checksums(void **state)
{
	static uint8_t frame[9000];

	(void)state;
	for (unsigned vlans = 0; vlans <= 2; vlans++) {
		struct packet_config config = make_config(vlans);

		for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
			for (size_t i = 0; i < 400; i++) {
				size_t size = packet_minimum(&config, kind) + i % 7 * (i % 5) * 37 +
					      i % 4;
				struct locate_payload at;
				struct payload_stamp stamp;

				packet_build(frame, &config, kind, size, (uint32_t)i * 777,
					     i * 9999999);
				verify_checksums(frame, size, vlans);
				assert_true(locate_payload(DLT_EN10MB, frame, size, size, &at));
				assert_int_equal(payload_read(at.data, at.caplen, at.len, &stamp),
						 PAYLOAD_GOOD);
				assert_int_equal(stamp.stream, 0xdeadbeef);
				assert_int_equal(stamp.seq, i * 9999999);
				assert_ptr_equal(at.data + at.len, frame + size);
			}
		}
	}
}

static void locating_never_reads_beyond_a_cut_frame(void **state)
{
	struct packet_config config = make_config(2);

	(void)state;
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		uint8_t whole[300];

		packet_build(whole, &config, kind, sizeof(whole), 1, 1);
		for (size_t caplen = 0; caplen <= sizeof(whole); caplen++) {
			/* Exactly as much memory as there are bytes: the sanitizer guards its end.
			 */
			uint8_t *cut = malloc(caplen + 1);
			struct locate_payload at;

			memcpy(cut + 1, whole, caplen);
			if (locate_payload(DLT_EN10MB, cut + 1, caplen, sizeof(whole), &at))
				assert_true(at.data + at.caplen <= cut + 1 + caplen);
			free(cut);
		}
	}
}

static void flows_differ_in_address_and_port(void **state)
{
	struct packet_config config = make_config(0);
	uint8_t a[60];
	uint8_t b[60];

	(void)state;
	packet_build(a, &config, PACKET_UDP4, sizeof(a), 0, 1);
	packet_build(b, &config, PACKET_UDP4, sizeof(b), 1, 1);
	assert_memory_not_equal(a + 26, b + 26, 4); /* source address */
	assert_memory_equal(a + 30, b + 30, 4);
	assert_memory_not_equal(a + 34, b + 34, 2); /* source port */
}

static void imix_keeps_its_proportions_in_every_flow(void **state)
{
	struct packet_config config = make_config(0);
	struct plan plan = {.kinds = {PACKET_UDP4}, .kinds_count = 1, .flows = 12, .imix = true};
	unsigned small[12] = {0};
	unsigned large[12] = {0};

	(void)state;
	for (uint64_t i = 0; i < 12 * 12 * 10; i++) {
		struct plan_pick pick = plan_pick(&plan, &config, i);

		small[pick.flow] += pick.size == 60;
		large[pick.flow] += pick.size == 1514;
	}
	for (unsigned flow = 0; flow < 12; flow++) {
		assert_int_equal(small[flow], 70);
		assert_int_equal(large[flow], 10);
	}
}

static void random_sizes_fill_their_range_and_repeat_with_their_seed(void **state)
{
	struct packet_config config = make_config(0);
	struct plan plan = {.kinds = {PACKET_UDP4},
			    .kinds_count = 1,
			    .flows = 1,
			    .seed = 3,
			    .size_min = 60,
			    .size_max = 69};
	unsigned seen[10] = {0};

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		size_t size = plan_pick(&plan, &config, i).size;

		assert_in_range(size, 60, 69);
		assert_int_equal(size, plan_pick(&plan, &config, i).size);
		seen[size - 60]++;
	}
	for (unsigned i = 0; i < 10; i++)
		assert_in_range(seen[i], 60, 140);
}

static struct tracker_result track(bool ranged, uint64_t first, uint64_t last, const uint64_t *seqs,
				   size_t count)
{
	struct tracker *tracker;
	struct tracker_result result;

	assert_int_equal(tracker_new(&tracker, 1, ranged, first, last), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(tracker_see(tracker, seqs[i]), 0);
	tracker_result(tracker, &result);
	tracker_free(tracker);
	return result;
}

static void tracker_names_missing_double_and_late_numbers(void **state)
{
	static const uint64_t seqs[] = {10, 11, 13, 12, 12, 20, 99};
	struct tracker_result result = track(true, 9, 20, seqs, 7);
	static const uint64_t missing[] = {9, 14, 15, 16, 17, 18, 19};

	(void)state;
	assert_int_equal(result.seen, 5);
	assert_int_equal(result.duplicates, 1);
	assert_int_equal(result.reordered, 2);
	assert_int_equal(result.outside, 1);
	assert_int_equal(result.missing, 7);
	assert_int_equal(result.first_missing_count, 7);
	assert_memory_equal(result.first_missing, missing, sizeof(missing));
}

static void tracker_without_a_range_takes_what_it_saw(void **state)
{
	static const uint64_t seqs[] = {300000, 300002, 5, 6};
	struct tracker_result result = track(false, 0, 0, seqs, 4);

	(void)state;
	assert_int_equal(result.first, 5);
	assert_int_equal(result.last, 300002);
	assert_int_equal(result.missing, 300002 - 5 + 1 - 4);
	assert_int_equal(result.first_missing[0], 7);
	assert_int_equal(result.first_missing_count, TRACKER_MISSING_SHOWN);
	assert_int_equal(track(false, 0, 0, NULL, 0).missing, 0);
	assert_int_equal(track(true, 1, 0, NULL, 0).missing, 0);
	assert_int_equal(track(true, 3, 3, NULL, 0).missing, 1);
}

static void tracker_holds_a_long_stream(void **state)
{
	const uint64_t first = PAYLOAD_SEQ_MAX - 3000000;
	struct tracker *tracker;
	struct tracker_result result;

	(void)state;
	assert_int_equal(tracker_new(&tracker, 1, false, 0, 0), 0);
	for (uint64_t i = 0; i < 1000000; i++)
		if (i != 654321)
			assert_int_equal(tracker_see(tracker, first + i), 0);
	assert_int_equal(tracker_see(tracker, 1), -ERANGE);
	tracker_result(tracker, &result);
	assert_int_equal(result.seen, 999999);
	assert_int_equal(result.missing, 1);
	assert_int_equal(result.first_missing[0], first + 654321);
	tracker_free(tracker);
}

static void pace_adds_up_no_rounding(void **state)
{
	(void)state;
	assert_int_equal(pace_due_ns(0, 1000), 0);
	assert_int_equal(pace_due_ns(3, 1), 333333333);
	assert_int_equal(pace_due_ns(3, 3000000), UINT64_C(1000000) * 1000000000);
	assert_int_equal(pace_due_ns(200000, 1), 5000);
	/* Thirty years of a million packets a second. */
	assert_int_equal(pace_due_ns(1000000, UINT64_C(946080000) * 1000000),
			 UINT64_C(946080000) * 1000000000);
}

static void pace_bursts_leave_time_to_sleep(void **state)
{
	(void)state;
	assert_int_equal(pace_burst(0, 64), 64);
	assert_int_equal(pace_burst(1, 64), 1);
	assert_int_equal(pace_burst(1000, 64), 1);
	/* Between two bursts at 200,000 packets a second there are more than 100 us. */
	assert_true(pace_due_ns(200000, pace_burst(200000, 64)) > 100000);
	assert_int_equal(pace_burst(UINT64_MAX, 64), 64);
}

static void pace_wait_ends_after_its_deadline_and_soon(void **state)
{
	uint64_t deadline = pace_now_ns() + 3000000;
	uint64_t now;

	(void)state;
	pace_prepare();
	pace_wait(deadline);
	now = pace_now_ns();
	assert_true(now >= deadline);
	assert_true(now < deadline + 500000000); /* a loaded machine */
	pace_wait(deadline);			 /* long ago: returns */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(payload_comes_back_as_written),
		cmocka_unit_test(payload_shows_every_single_bit_that_changed),
		cmocka_unit_test(payload_of_two_halves_is_corrupt),
		cmocka_unit_test(payload_that_is_cut_still_tells_its_number),
		cmocka_unit_test(minimum_sizes_are_what_the_headers_need),
		cmocka_unit_test(frames_of_every_kind_are_found_with_right_checksums),
		cmocka_unit_test(locating_never_reads_beyond_a_cut_frame),
		cmocka_unit_test(flows_differ_in_address_and_port),
		cmocka_unit_test(imix_keeps_its_proportions_in_every_flow),
		cmocka_unit_test(random_sizes_fill_their_range_and_repeat_with_their_seed),
		cmocka_unit_test(tracker_names_missing_double_and_late_numbers),
		cmocka_unit_test(tracker_without_a_range_takes_what_it_saw),
		cmocka_unit_test(tracker_holds_a_long_stream),
		cmocka_unit_test(pace_adds_up_no_rounding),
		cmocka_unit_test(pace_bursts_leave_time_to_sleep),
		cmocka_unit_test(pace_wait_ends_after_its_deadline_and_soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
