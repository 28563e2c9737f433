// SPDX-License-Identifier: MIT
/*
 * test-cutter.c: what producers write comes out of the packers once and in the order of time, while
 * the clock is set, behind a deadline and at the end. The clock is the test's own: clock.c is not
 * linked.
 */
#include "cutter.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/limits.h"
#include "base/record.h"
#include "packer.h"
#include "pcapng.h"
#include "producer.h"

enum { RINGS = 3, PACKERS = 2, SNAPLEN = 400, RING_SIZE = 64 * 1024, SEGMENT_SIZE = 4096 };

static _Atomic int64_t clock_step_ns;

static uint64_t read_clock(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_unix_ns(void)
{
	return read_clock(CLOCK_REALTIME) + (uint64_t)atomic_load(&clock_step_ns);
}

uint64_t clock_steady_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_offset_ns(bool tai)
{
	(void)tai;
	return 0;
}

struct fixture {
	struct producer producers[RINGS];
	struct ring *rings[RINGS];
	pthread_t threads[RINGS], sink;
	_Atomic bool stop;
	uint64_t written[RINGS]; /* records; the threads' */

	struct packer *packers[PACKERS];
	unsigned packer_count;
	struct cutter *cutter;
	uint64_t blocks; /* descriptions that were made; the cutter's */

	/* The sink's; `seen` is read by others. */
	_Atomic uint64_t seen;
	_Atomic unsigned sink_delay_ms;
	uint64_t next[RINGS];
	uint64_t last_ns, latest_ns, epochs, descriptions;
	unsigned out_of_order, wrong;
};

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	for (unsigned i = 0; i < RINGS; i++) {
		if (producer_init(&x->producers[i], RING_SIZE, SEGMENT_SIZE, SNAPLEN) < 0)
			return -1;
		x->rings[i] = &x->producers[i].ring;
	}
	atomic_store(&clock_step_ns, 0);
	*state = x;
	(void)alarm(20); /* a hang is a failure */
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;

	(void)alarm(0);
	for (unsigned i = 0; i < RINGS; i++)
		producer_release(&x->producers[i]);
	free(x);
	return 0;
}

/* --- producers: each record says its ring and its number --- */

static struct packet packet_number(unsigned ring, uint64_t n, uint64_t ns)
{
	return (struct packet){.ns = ns,
			       .interface = ring,
			       .flags = 1 + n % 2,
			       .queue = n % 3,
			       .origlen = (uint32_t)(n * 7 % 500),
			       .seed = (uint32_t)n};
}

static bool write_now(struct fixture *x, unsigned ring)
{
	struct producer *p = &x->producers[ring];
	struct packet k;

	/* The flag before the stamp, as in the kernel. */
	__atomic_store_n(&p->ring.control->busy, 1, __ATOMIC_SEQ_CST);
	k = packet_number(ring, x->written[ring], clock_unix_ns());
	if (!producer_write(p, &k))
		return false;
	x->written[ring]++;
	return true;
}

struct producing {
	struct fixture *fixture;
	unsigned ring;
};

static void *produce(void *data)
{
	struct producing *j = data;
	const struct timespec pause = {.tv_nsec = 200000};
	uint32_t seed = j->ring;

	while (!atomic_load(&j->fixture->stop)) {
		/* Bursts, and rings of different speed; a full ring waits. */
		for (unsigned i = next_random(&seed) % (20 << j->ring); i > 0; i--)
			if (!write_now(j->fixture, j->ring))
				break;
		(void)nanosleep(&pause, NULL);
	}
	free(j);
	return NULL;
}

static void start_producers(struct fixture *x)
{
	for (unsigned i = 0; i < RINGS; i++) {
		struct producing *j = malloc(sizeof(*j));

		*j = (struct producing){x, i};
		assert_int_equal(pthread_create(&x->threads[i], NULL, produce, j), 0);
	}
}

static void stop_producers(struct fixture *x)
{
	atomic_store(&x->stop, true);
	for (unsigned i = 0; i < RINGS; i++)
		assert_int_equal(pthread_join(x->threads[i], NULL), 0);
}

static uint64_t total_written(const struct fixture *x)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < RINGS; i++)
		n += x->written[i];
	return n;
}

/* --- the writer's place --- */

static void check_record(struct fixture *x, const uint8_t *r)
{
	unsigned ring = record_interface(r);
	struct packet k = packet_number(ring % RINGS, x->next[ring % RINGS]++, record_ns(r));

	x->wrong += ring >= RINGS || packet_difference(&k, SNAPLEN, r) != NULL;
	x->out_of_order += record_ns(r) < x->last_ns;
	x->last_ns = record_ns(r);
	if (x->last_ns > x->latest_ns)
		x->latest_ns = x->last_ns;
	atomic_fetch_add(&x->seen, 1);
}

static void *drain(void *data)
{
	struct fixture *x = data;

	for (;;) {
		struct packer *p = x->packers[x->epochs % x->packer_count];
		bool ends;

		(void)usleep(atomic_load(&x->sink_delay_ms) * 1000);
		do {
			struct chunk *c = packer_receive(p);

			if (c->is_end)
				return NULL;
			for (size_t i = 0; i < c->raw_len; i += record_len(c->raw + i)) {
				if (record_is_packet(c->raw + i))
					check_record(x, c->raw + i);
				else
					x->descriptions++;
			}
			ends = c->ends_epoch;
			packer_return(p, c);
		} while (!ends);
		x->epochs++;
	}
}

static int no_blocks(void *data, struct buffer *b)
{
	(void)data;
	(void)b;
	return 0;
}

/* Now and then an interface is described. */
static int some_blocks(void *data, struct buffer *b)
{
	static const struct pcapng_interface i = {.link_type = 1};
	struct fixture *x = data;

	if (x->blocks >= 5)
		return 0;
	x->blocks++;
	return pcapng_interface_description(b, &i);
}

static struct output no_output(void *data)
{
	(void)data;
	return (struct output){0};
}

static void start(struct fixture *x, unsigned packers, uint64_t flush_interval_ns,
		  uint64_t deadline_ns)
{
	const struct cutter_config config = {.rings = x->rings,
					     .ring_count = RINGS,
					     .packers = x->packers,
					     .packer_count = packers,
					     .key_max = RINGS * TAP_DIRECTIONS,
					     .level = 1,
					     .flush_interval_ns = flush_interval_ns,
					     .deadline_ns = deadline_ns,
					     .blocks_before = some_blocks,
					     .blocks_after = no_blocks,
					     .output = no_output,
					     .data = x};

	x->packer_count = packers;
	for (unsigned i = 0; i < packers; i++) {
		const struct packer_config p = {.index = i,
						.cpu = -1,
						.slices_max = RINGS,
						.key_max = RINGS * TAP_DIRECTIONS};

		assert_int_equal(packer_new(&x->packers[i], &p), 0);
	}
	assert_int_equal(pthread_create(&x->sink, NULL, drain, x), 0);
	assert_int_equal(cutter_new(&x->cutter, &config), 0);
}

/* The tallies behind the end are read, then all is gone but the rings. */
static void end(struct fixture *x, uint64_t end_ns, struct retina_tally *beyond)
{
	cutter_finish(x->cutter, end_ns);
	assert_int_equal(pthread_join(x->sink, NULL), 0);
	for (unsigned i = 0; i < x->packer_count; i++)
		packer_free(x->packers[i]);
	for (unsigned key = 0; beyond && key < RINGS * TAP_DIRECTIONS; key++) {
		beyond->packets += cutter_beyond(x->cutter, key).packets;
		beyond->bytes += cutter_beyond(x->cutter, key).bytes;
	}
	assert_null(cutter_free(x->cutter));
	assert_int_equal(x->wrong, 0);
	assert_int_equal(x->descriptions, x->blocks);
}

/* `bytes` of records whose stamps are all later than any that the cutter will meet by itself. */
static void fill_with_the_future(struct fixture *x, unsigned ring, uint64_t bytes)
{
	uint64_t ns = clock_unix_ns() + 600 * NS_PER_S;

	while (ring_head(x->rings[ring]) + 600 < bytes) {
		struct packet k = packet_number(ring, x->written[ring], ns++);

		assert_true(producer_write(&x->producers[ring], &k));
		x->written[ring]++;
	}
}

/* --- tests --- */

static void all_records_come_out_once_and_in_time_order(void **state)
{
	struct fixture *x = *state;

	for (unsigned packers = 1; packers <= PACKERS; packers++) {
		x->epochs = 0;
		atomic_store(&x->stop, false);
		for (unsigned i = 0; i < RINGS; i++) {
			/* A cutter begins with empty rings. */
			producer_release(&x->producers[i]);
			assert_int_equal(producer_init(&x->producers[i], RING_SIZE, SEGMENT_SIZE,
						       SNAPLEN),
					 0);
		}
		start(x, packers, 5 * NS_PER_MS, UINT64_MAX);
		start_producers(x);
		(void)usleep(60000);
		stop_producers(x);
		end(x, UINT64_MAX, NULL);
		assert_int_equal(atomic_load(&x->seen), total_written(x));
		assert_int_equal(x->out_of_order, 0);
		assert_true(x->epochs > 3);
	}
}

static void what_is_recorded_is_out_after_the_flush_interval(void **state)
{
	struct fixture *x = *state;

	start(x, 1, 10 * NS_PER_MS, UINT64_MAX);
	assert_true(write_now(x, 0));
	for (unsigned i = 0; i < 200 && !atomic_load(&x->seen); i++)
		(void)usleep(5000);
	assert_int_equal(atomic_load(&x->seen), 1);
	end(x, UINT64_MAX, NULL);
}

static void nothing_at_or_behind_the_deadline_is_cut(void **state)
{
	struct fixture *x = *state;
	uint64_t now = clock_steady_ns(), end_ns = clock_unix_ns() + 20 * NS_PER_MS;
	struct retina_tally beyond = {0};

	start(x, 2, 3 * NS_PER_MS, now + 20 * NS_PER_MS);
	start_producers(x);
	(void)usleep(35000);
	stop_producers(x);
	end(x, end_ns, &beyond);
	assert_true(x->latest_ns < end_ns);
	assert_true(beyond.packets > 0);
	assert_int_equal(atomic_load(&x->seen) + beyond.packets, total_written(x));
	assert_int_equal(x->out_of_order, 0);
}

static void step_the_clock(struct fixture *x, int64_t step_ns)
{
	uint64_t before;

	start(x, 2, 5 * NS_PER_MS, UINT64_MAX);
	start_producers(x);
	(void)usleep(20000);
	atomic_store(&clock_step_ns, step_ns);
	(void)usleep(20000);
	/* It goes on: what is written now is out soon, not when the old time is reached. */
	before = atomic_load(&x->seen);
	for (unsigned i = 0; i < 200 && atomic_load(&x->seen) < before + 1000; i++)
		(void)usleep(5000);
	assert_true(atomic_load(&x->seen) >= before + 1000);
	stop_producers(x);
	end(x, UINT64_MAX, NULL);
	assert_int_equal(atomic_load(&x->seen), total_written(x));
}

static void a_clock_that_is_set_back_stalls_nothing(void **state)
{
	step_the_clock(*state, -3600 * (int64_t)NS_PER_S);
}

static void a_clock_that_is_set_forward_stalls_nothing(void **state)
{
	step_the_clock(*state, 3600 * (int64_t)NS_PER_S);
	assert_int_equal(((struct fixture *)*state)->out_of_order, 0);
}

static void a_busy_ring_is_not_cut_before_its_record_is_whole(void **state)
{
	struct fixture *x = *state;
	struct packet k = packet_number(0, 0, clock_unix_ns());
	uint64_t position;

	start(x, 1, 2 * NS_PER_MS, UINT64_MAX);
	position = producer_begin(&x->producers[0], &k);
	x->written[0]++;
	(void)usleep(3000);
	assert_true(write_now(x, 1)); /* later, in a ring that is ready */
	(void)usleep(30000);
	assert_int_equal(atomic_load(&x->seen), 0);
	producer_publish(&x->producers[0], position);
	end(x, UINT64_MAX, NULL);
	assert_int_equal(atomic_load(&x->seen), 2);
	assert_int_equal(x->out_of_order, 0);
}

static void the_end_drains_full_rings_in_portions(void **state)
{
	struct fixture *x = *state;

	for (unsigned i = 0; i < RINGS; i++)
		fill_with_the_future(x, i, RING_SIZE);
	start(x, 2, 3600 * NS_PER_S, UINT64_MAX);
	(void)usleep(5000);
	assert_int_equal(atomic_load(&x->seen), 0);
	end(x, UINT64_MAX, NULL);
	assert_int_equal(atomic_load(&x->seen), total_written(x));
	assert_int_equal(x->out_of_order, 0);
	assert_true(x->epochs >= 3);
}

static void the_end_sleeps_while_packers_work(void **state)
{
	struct fixture *x = *state;
	uint64_t before;

	fill_with_the_future(x, 0, RING_SIZE);
	start(x, 1, 3600 * NS_PER_S, UINT64_MAX);
	(void)usleep(5000);
	atomic_store(&x->sink_delay_ms, 20);
	before = read_clock(CLOCK_PROCESS_CPUTIME_ID);
	end(x, clock_unix_ns() + 3600 * NS_PER_S, NULL);
	assert_int_equal(atomic_load(&x->seen), total_written(x));
	assert_true(x->epochs >= 5); /* so it has waited for 40 ms at least */
	assert_true(read_clock(CLOCK_PROCESS_CPUTIME_ID) - before < 25 * NS_PER_MS);
}

static void a_ring_full_of_later_records_does_not_keep_the_end(void **state)
{
	struct fixture *x = *state;
	struct retina_tally beyond = {0};

	assert_true(write_now(x, 1));
	(void)usleep(1000);
	fill_with_the_future(x, 0, RING_SIZE);
	fill_with_the_future(x, 2, RING_SIZE);
	start(x, 1, 3600 * NS_PER_S, UINT64_MAX);
	end(x, clock_unix_ns(), &beyond);
	assert_int_equal(atomic_load(&x->seen), 1);
	assert_int_equal(beyond.packets, total_written(x) - 1);
}

static void the_fullest_ring_is_told_in_percent(void **state)
{
	struct fixture *x = *state;

	start(x, 1, 3600 * NS_PER_S, UINT64_MAX);
	assert_int_equal(cutter_fill_percent(x->rings, RINGS), 0);
	fill_with_the_future(x, 1, RING_SIZE / 4);
	fill_with_the_future(x, 2, RING_SIZE / 2);
	assert_in_range(cutter_fill_percent(x->rings, RINGS), 48, 50);
	end(x, UINT64_MAX, NULL);
	assert_int_equal(atomic_load(&x->seen), total_written(x));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_records_come_out_once_and_in_time_order),
		TEST(what_is_recorded_is_out_after_the_flush_interval),
		TEST(nothing_at_or_behind_the_deadline_is_cut),
		TEST(a_clock_that_is_set_back_stalls_nothing),
		TEST(a_clock_that_is_set_forward_stalls_nothing),
		TEST(a_busy_ring_is_not_cut_before_its_record_is_whole),
		TEST(the_fullest_ring_is_told_in_percent),
		TEST(the_end_drains_full_rings_in_portions),
		TEST(the_end_sleeps_while_packers_work),
		TEST(a_ring_full_of_later_records_does_not_keep_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
