// SPDX-License-Identifier: MIT
/* test-ring.c: every record is found once and in order, wherever segment or ring end. */
#include "base/ring.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/limits.h"
#include "base/record.h"
#include "producer.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* Bytes of a record around its data, without the queue option. */
enum { AROUND = 28 + 8 + 4 + 4, QUEUE_OPTION = 8 };

static struct producer make_ring(uint64_t size, uint64_t segment_size, uint32_t snaplen)
{
	struct producer p;

	assert_int_equal(ring_geometry_check(size, segment_size, snaplen), 0);
	assert_int_equal(producer_init(&p, size, segment_size, snaplen), 0);
	return p;
}

static struct packet packet_of_len(uint32_t record_len, uint64_t ns)
{
	return (struct packet){.ns = ns,
			       .origlen = record_len - AROUND,
			       .flags = RECORD_INBOUND,
			       .seed = record_len};
}

static void a_record_may_fill_a_segment_exactly_or_leaves_room_for_a_filler(void **state)
{
	(void)state;
	for (uint32_t queue = 0; queue <= 1; queue++)
		for (uint32_t left = 0; left <= 64; left += 4) {
			struct producer p = make_ring(8192, 4096, 4096 - 71);
			struct packet first = packet_of_len(1000, 1), second, third;
			const struct packet *expected[] = {&first, &second, &third};
			uint64_t at = 0, start;
			const uint8_t *record;
			bool stays = left == 0 || left >= RECORD_FILLER_MIN;

			second = packet_of_len(4096 - 1000 - left - queue * QUEUE_OPTION, 2);
			second.queue = queue;
			third = packet_of_len(AROUND, 3);
			assert_true(producer_write(&p, &first));
			assert_true(producer_write(&p, &second));
			assert_int_equal(ring_head(&p.ring),
					 stays ? 4096 - left : 8192 - 1000 - left);
			if (stays)
				assert_true(producer_write(&p, &third));
			for (unsigned i = 0; i < (stays ? 3u : 2u); i++) {
				record = ring_next(&p.ring, &at, ring_head(&p.ring));
				assert_non_null(record);
				assert_null(packet_difference(expected[i], p.snaplen, record));
				start = at - record_len(record);
				assert_int_equal(start / 4096, (at - 1) / 4096);
			}
			assert_null(ring_next(&p.ring, &at, ring_head(&p.ring)));
			assert_int_equal(at, ring_head(&p.ring));
			assert_true(producer_slack_is_untouched(&p));
			producer_release(&p);
		}
}

/* What the test knows of the records in a ring. */
struct oracle {
	struct packet packets[1024];
	uint64_t ends[1024]; /* position behind the record */
	unsigned first, count;
};

static struct packet *oracle_at(struct oracle *o, unsigned i)
{
	return &o->packets[(o->first + i) % COUNT_OF(o->packets)];
}

static void oracle_add(struct oracle *o, const struct packet *k, uint64_t end)
{
	unsigned i = (o->first + o->count++) % COUNT_OF(o->packets);

	assert_true(o->count <= COUNT_OF(o->packets));
	o->packets[i] = *k;
	o->ends[i] = end;
}

/* Sizes that leave 0, 4, 8, ... bytes of the segment are as frequent as any others. */
static struct packet random_packet(const struct producer *p, uint32_t *seed, uint64_t ns)
{
	uint64_t segment = p->ring.segment_size;
	uint64_t room = segment - (p->ring.control->head & (segment - 1));
	uint32_t left = next_random(seed) % 8 * 4, around;
	struct packet k = {.ns = ns,
			   .interface = next_random(seed) % 3,
			   .flags = 1 + next_random(seed) % 2,
			   .queue = next_random(seed) % 3,
			   .seed = next_random(seed)};

	around = AROUND + (k.queue ? QUEUE_OPTION : 0);
	if (next_random(seed) % 2 && room > around + left && room - around - left <= p->snaplen)
		k.origlen = (uint32_t)(room - around - left) - next_random(seed) % 4 % room;
	else
		k.origlen = next_random(seed) % (p->snaplen + p->snaplen / 8 + 2);
	return k;
}

static void check_descriptors(const struct ring *r, uint64_t from, uint64_t head)
{
	/* Whole segments only; those the head has left. */
	for (uint64_t s = (from + r->segment_size - 1) & -r->segment_size;
	     s + r->segment_size <= head; s += r->segment_size) {
		const struct ring_segment *d = &r->segments[(s & (r->size - 1)) / r->segment_size];
		struct ring_segment expected = {0};
		const uint8_t *record;
		uint64_t at = s;

		while ((record = ring_next(r, &at, s + r->segment_size))) {
			if (!expected.packets++)
				expected.first_ns = record_ns(record);
			expected.last_ns = record_ns(record);
			expected.used += record_len(record);
		}
		assert_int_equal(d->first_ns, expected.first_ns);
		assert_int_equal(d->last_ns, expected.last_ns);
		assert_int_equal(d->packets, expected.packets);
		assert_int_equal(d->used, expected.used);
	}
}

static void walk(struct producer *p, struct oracle *o, uint32_t *seed)
{
	unsigned take = next_random(seed) % (o->count + 1);
	uint64_t at = p->ring.control->tail;

	for (unsigned i = 0; i < take; i++) {
		const uint8_t *record = ring_next(&p->ring, &at, ring_head(&p->ring));

		assert_non_null(record);
		assert_null(packet_difference(oracle_at(o, i), p->snaplen, record));
		assert_int_equal(at, o->ends[(o->first + i) % COUNT_OF(o->packets)]);
		assert_int_equal((at - record_len(record)) / p->ring.segment_size,
				 (at - 1) / p->ring.segment_size);
	}
	if (take == o->count)
		assert_null(ring_next(&p->ring, &at, ring_head(&p->ring)));
	o->first += take;
	o->count -= take;
	ring_release(&p->ring, at);
}

static const struct {
	uint64_t size, segment;
	uint32_t snaplen;
} geometries[] = {
	{4096, 128, 57},    {4096, 256, 185},	{4096, 512, 64},   {4096, 1024, 953},
	{4096, 2048, 1977}, {8192, 4096, 4025}, {16384, 1024, 96}, {65536, 8192, 8121},
};

static void records_of_random_sizes_come_out_once_and_in_order(void **state)
{
	(void)state;
	for (unsigned g = 0; g < COUNT_OF(geometries); g++) {
		struct producer p =
			make_ring(geometries[g].size, geometries[g].segment, geometries[g].snaplen);
		struct oracle *o = calloc(1, sizeof(*o));
		uint32_t seed = 11 + g;
		unsigned full = 0;

		/* Positions beyond 32 bits, and a start in the middle of the ring. */
		producer_start_at(&p, (1ull << 40) + geometries[g].size / 2);
		for (unsigned i = 0; i < 4000; i++) {
			struct packet k = random_packet(&p, &seed, 1000 + i);

			if (producer_write(&p, &k))
				oracle_add(o, &k, ring_head(&p.ring));
			else
				full++;
			assert_true(ring_head(&p.ring) - p.ring.control->tail <= p.ring.size);
			if (next_random(&seed) % 48 == 0 || o->count == COUNT_OF(o->packets)) {
				check_descriptors(&p.ring, p.ring.control->tail,
						  ring_head(&p.ring));
				walk(&p, o, &seed);
			}
		}
		assert_true(full > 0);
		assert_true(producer_slack_is_untouched(&p));
		free(o);
		producer_release(&p);
	}
}

static uint64_t naive_cut(const struct ring *r, uint64_t from, uint64_t to, uint64_t before_ns)
{
	uint64_t at = from, end = from;
	const uint8_t *record;

	while ((record = ring_next(r, &at, to)))
		if (record_ns(record) < before_ns)
			end = at;
	return end;
}

/* A ring full of records whose stamps grow by 0 to 2; what is in it starts anywhere. */
static void fill_ring(struct producer *p, uint32_t *seed, uint64_t *ns)
{
	for (;;) {
		struct packet k = random_packet(p, seed, *ns);

		if (!producer_write(p, &k))
			break;
		*ns += next_random(seed) % 3;
	}
}

static void a_cut_at_any_moment_is_what_a_naive_walk_finds(void **state)
{
	(void)state;
	for (unsigned g = 0; g < COUNT_OF(geometries); g++) {
		struct producer p =
			make_ring(geometries[g].size, geometries[g].segment, geometries[g].snaplen);
		uint32_t seed = 5 + g;
		uint64_t ns = 1000;

		for (unsigned round = 0; round < 12; round++) {
			uint64_t from = p.ring.control->tail, to, first = ns;

			fill_ring(&p, &seed, &ns);
			to = ring_head(&p.ring);
			for (uint64_t moment = first > 300 ? first - 300 : 0; moment <= ns + 1;
			     moment++)
				assert_int_equal(ring_cut(&p.ring, from, to, moment),
						 naive_cut(&p.ring, from, to, moment));
			assert_int_equal(ring_cut(&p.ring, from, to, 0), from);
			assert_int_equal(ring_cut(&p.ring, from, to, UINT64_MAX),
					 naive_cut(&p.ring, from, to, UINT64_MAX));
			assert_int_equal(ring_cut(&p.ring, from, from, UINT64_MAX), from);
			/* Cut again behind the cut, and release what is between. */
			from = ring_cut(&p.ring, from, to, first + (ns - first) / 2);
			assert_int_equal(ring_cut(&p.ring, from, to, ns - 1),
					 naive_cut(&p.ring, from, to, ns - 1));
			ring_release(&p.ring, from);
		}
		producer_release(&p);
	}
}

static bool is_boundary(const struct ring *r, uint64_t from, uint64_t to, uint64_t position)
{
	while (from < to && from < position)
		from += record_len(ring_at(r, from));
	return from == position;
}

static void a_cut_among_stamps_that_go_back_is_still_at_a_block(void **state)
{
	struct producer p = make_ring(4096, 1024, 100);
	uint32_t seed = 3;

	(void)state;
	for (unsigned round = 0; round < 50; round++) {
		uint64_t from = p.ring.control->tail, cut;

		for (;;) {
			struct packet k = random_packet(&p, &seed, next_random(&seed) % 50);

			if (!producer_write(&p, &k))
				break;
		}
		for (uint64_t moment = 0; moment < 52; moment++) {
			cut = ring_cut(&p.ring, from, ring_head(&p.ring), moment);
			assert_true(cut >= from && cut <= ring_head(&p.ring));
			assert_true(is_boundary(&p.ring, from, ring_head(&p.ring), cut));
		}
		ring_release(&p.ring, ring_cut(&p.ring, from, ring_head(&p.ring), 25));
	}
	producer_release(&p);
}

static void a_moment_is_the_first_stamp_of_a_later_segment(void **state)
{
	struct producer p = make_ring(16384, 1024, 96);
	uint32_t seed = 8;
	uint64_t ns = 1;

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		uint64_t from = p.ring.control->tail, to, first;

		fill_ring(&p, &seed, &ns);
		to = ring_head(&p.ring);
		for (uint64_t bytes = 0; bytes <= 16384 + 2048; bytes += 4) {
			uint64_t start = (from + bytes) / 1024 * 1024;
			uint64_t moment = ring_moment(&p.ring, from, to, bytes);

			if (start <= from || start >= to) {
				assert_int_equal(moment, UINT64_MAX);
				continue;
			}
			first = start;
			assert_int_equal(moment, record_ns(ring_next(&p.ring, &first, to)));
			/* So it parts the slice there, or before for equal stamps. */
			assert_true(ring_cut(&p.ring, from, to, moment) <= start);
		}
		ring_release(&p.ring, ring_cut(&p.ring, from, to, ns - ns % 97));
	}
	producer_release(&p);
}

static void a_segment_that_has_just_begun_gives_no_moment(void **state)
{
	struct producer p = make_ring(4096, 1024, 953);
	struct packet k = packet_of_len(512, 9);

	(void)state;
	assert_true(producer_write(&p, &k));
	assert_true(producer_write(&p, &k));
	assert_int_equal(ring_head(&p.ring), 1024);
	assert_int_equal(ring_moment(&p.ring, 0, 1024, 1024), UINT64_MAX);
	assert_int_equal(ring_moment(&p.ring, 0, 1024, 5000), UINT64_MAX);
	assert_int_equal(ring_cut(&p.ring, 0, 1024, 10), 1024);
	assert_int_equal(ring_cut(&p.ring, 0, 1024, 9), 0);
	producer_release(&p);
}

static void a_full_ring_refuses_and_keeps_what_it_has(void **state)
{
	struct producer p = make_ring(4096, 1024, 953);
	struct packet k = packet_of_len(512, 1), small = packet_of_len(AROUND, 2);
	uint8_t *before = malloc(4096);
	uint64_t at = 0;

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		k.seed = i;
		assert_true(producer_write(&p, &k));
	}
	memcpy(before, p.memory, 4096);
	assert_false(producer_write(&p, &small));
	assert_false(producer_write(&p, &k));
	assert_false(ring_busy(&p.ring));
	assert_int_equal(ring_head(&p.ring), 4096);
	assert_memory_equal(before, p.memory, 4096);
	for (unsigned i = 0; i < 8; i++) {
		k.seed = i;
		assert_null(packet_difference(&k, p.snaplen, ring_next(&p.ring, &at, 4096)));
	}
	/* A segment is back when all of it is released, and not a byte earlier. */
	ring_release(&p.ring, 1023);
	assert_false(producer_write(&p, &small));
	ring_release(&p.ring, 1024);
	assert_true(producer_write(&p, &small));
	assert_false(producer_write(&p, &(struct packet){.origlen = 953}));
	assert_int_equal(ring_head(&p.ring), 4096 + AROUND);
	free(before);
	producer_release(&p);
}

/* With a reader that keeps up, a large ring works in the memory of a few segments; with one that
 * does not, in all of it, each place once. */
static void a_segment_takes_the_place_that_was_released_last(void **state)
{
	struct producer p = make_ring(65536, 1024, 953);
	struct packet k = packet_of_len(512, 1);
	bool is_used[64] = {false};
	unsigned used = 0;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		assert_true(producer_write(&p, &k));
		is_used[ring_segment(&p.ring, ring_head(&p.ring) - 1)->place] = true;
		if (ring_head(&p.ring) > 2048)
			ring_release(&p.ring, ring_head(&p.ring) - 2048);
	}
	for (unsigned i = 0; i < 64; i++)
		used += is_used[i];
	assert_in_range(used, 3, 5);

	ring_release(&p.ring, ring_head(&p.ring));
	memset(is_used, 0, sizeof(is_used));
	for (used = 0; used < 128; used++) {
		assert_true(producer_write(&p, &k));
		if (ring_head(&p.ring) % 1024)
			continue;
		assert_false(is_used[ring_segment(&p.ring, ring_head(&p.ring) - 1)->place]);
		is_used[ring_segment(&p.ring, ring_head(&p.ring) - 1)->place] = true;
	}
	assert_false(producer_write(&p, &k));
	producer_release(&p);
}

static void a_ring_is_busy_while_a_record_is_written(void **state)
{
	struct producer p = make_ring(4096, 1024, 100);
	struct packet k = packet_of_len(100, 1);
	uint64_t end;

	(void)state;
	assert_false(ring_busy(&p.ring));
	end = producer_begin(&p, &k);
	assert_true(ring_busy(&p.ring));
	assert_int_equal(ring_head(&p.ring), 0);
	producer_publish(&p, end);
	assert_false(ring_busy(&p.ring));
	assert_int_equal(ring_head(&p.ring), 100);
	producer_release(&p);
}

static void geometry_has_its_limits(void **state)
{
	(void)state;
	assert_int_equal(ring_geometry_check(4096, 128, 57), 0);
	assert_int_equal(ring_geometry_check(4096, 128, 58), -EINVAL);
	assert_int_equal(ring_geometry_check(4096, 2048, 2048 - 71), 0);
	assert_int_equal(ring_geometry_check(4096, 2048, 2048 - 70), -EINVAL);
	assert_int_equal(ring_geometry_check(2048, 1024, 1), -EINVAL);
	assert_int_equal(ring_geometry_check(4096, 4096, 1), -EINVAL);
	assert_int_equal(ring_geometry_check(4096, 8192, 1), -EINVAL);
	assert_int_equal(ring_geometry_check(4096, 64, 1), -EINVAL);
	assert_int_equal(ring_geometry_check(4096, 0, 1), -EINVAL);
	assert_int_equal(ring_geometry_check(0, 0, 1), -EINVAL);
	assert_int_equal(ring_geometry_check(8191, 1024, 1), -EINVAL);
	assert_int_equal(ring_geometry_check(12288, 1024, 1), -EINVAL);
	assert_int_equal(ring_geometry_check(8192, 1000, 1), -EINVAL);
	assert_int_equal(ring_geometry_check(RING_SIZE_MAX, 1 * MIB, RECORD_SNAPLEN_MAX), 0);
	assert_int_equal(ring_geometry_check(2 * RING_SIZE_MAX, 1 * MIB, 1), -EINVAL);
	assert_int_equal(ring_geometry_check(1ull << 63, 1 * MIB, 1), -EINVAL);
	assert_int_equal(ring_geometry_check(1 * MIB, 512 * KIB, RECORD_SNAPLEN_MAX), 0);
	assert_int_equal(ring_geometry_check(512 * KIB, 256 * KIB, RECORD_SNAPLEN_MAX), -EINVAL);
	assert_int_equal(ring_geometry_check(1 * MIB, 512 * KIB, RECORD_SNAPLEN_MAX + 1), -EINVAL);
	assert_int_equal(ring_geometry_check(1 * MIB, 512 * KIB, UINT32_MAX), -EINVAL);
}

static void an_element_holds_ring_slack_and_descriptors_in_whole_pages(void **state)
{
	(void)state;
	for (unsigned g = 0; g < COUNT_OF(geometries); g++) {
		uint64_t size = geometries[g].size, segment = geometries[g].segment;
		uint64_t element = ring_element_size(size, segment);
		uint64_t need = size + RING_SLACK + size / segment * sizeof(struct ring_segment);

		assert_int_equal(element % 4096, 0);
		assert_in_range(element, need, need + 4095);
	}
	/* A BPF array's element stays below 2 GiB. */
	assert_true(ring_element_size(RING_SIZE_MAX, 1 * MIB) < 2 * GIB);
}

/* --- a producer and a consumer at the same time --- */

enum { RACE_PACKETS = 20000 };

static struct packet race_packet(uint32_t *seed, unsigned i)
{
	return (struct packet){.ns = 1000 + i,
			       .interface = i,
			       .flags = 1 + i % 2,
			       .origlen = next_random(seed) % 200,
			       .queue = i % 3,
			       .seed = next_random(seed)};
}

static void *produce(void *data)
{
	struct producer *p = data;
	uint32_t seed = 77;

	for (unsigned i = 0; i < RACE_PACKETS; i++) {
		struct packet k = race_packet(&seed, i);

		while (!producer_write(p, &k))
			(void)sched_yield();
	}
	return NULL;
}

static void a_consumer_beside_the_producer_sees_only_whole_records(void **state)
{
	struct producer p = make_ring(8192, 1024, 120);
	uint64_t at = 0, cut;
	uint32_t seed = 77;
	unsigned n = 0;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, produce, &p), 0);
	while (n < RACE_PACKETS) {
		uint64_t head = ring_head(&p.ring);
		const uint8_t *record;

		/* Alternately all there is, and what is older than a moment within it. */
		cut = head;
		if (n % 3)
			cut = ring_cut(&p.ring, at, head, 1000 + n + 5);
		else if (head - at > 2048)
			cut = ring_cut(&p.ring, at, head, ring_moment(&p.ring, at, head, 2048));
		while ((record = ring_next(&p.ring, &at, cut))) {
			struct packet k = race_packet(&seed, n++);

			assert_null(packet_difference(&k, p.snaplen, record));
		}
		assert_int_equal(at, cut);
		ring_release(&p.ring, at);
		if (at == head)
			(void)sched_yield();
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(producer_slack_is_untouched(&p));
	producer_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_may_fill_a_segment_exactly_or_leaves_room_for_a_filler),
		cmocka_unit_test(records_of_random_sizes_come_out_once_and_in_order),
		cmocka_unit_test(a_cut_at_any_moment_is_what_a_naive_walk_finds),
		cmocka_unit_test(a_cut_among_stamps_that_go_back_is_still_at_a_block),
		cmocka_unit_test(a_moment_is_the_first_stamp_of_a_later_segment),
		cmocka_unit_test(a_segment_that_has_just_begun_gives_no_moment),
		cmocka_unit_test(a_full_ring_refuses_and_keeps_what_it_has),
		cmocka_unit_test(a_segment_takes_the_place_that_was_released_last),
		cmocka_unit_test(a_ring_is_busy_while_a_record_is_written),
		cmocka_unit_test(geometry_has_its_limits),
		cmocka_unit_test(an_element_holds_ring_slack_and_descriptors_in_whole_pages),
		cmocka_unit_test(a_consumer_beside_the_producer_sees_only_whole_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
