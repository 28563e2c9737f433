// SPDX-License-Identifier: MIT
/* test-packer.c: epochs go in, chunks of whole blocks come out, merged, counted and encoded. */
#include "packer.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <cmocka.h>
#include "base/limits.h"
#include "base/record.h"
#include "buffer.h"
#include "compressor.h"
#include "pcapng.h"
#include "producer.h"

enum { RINGS = 3, KEYS = 8, SNAPLEN = 9000 };

struct fixture {
	struct producer producers[RINGS];
	struct slice slices[RINGS];
	struct packer *packer;
	uint32_t seed;
	uint64_t ns;
};

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	for (unsigned i = 0; i < RINGS; i++) {
		if (producer_init(&x->producers[i], 8 * MIB, 1 * MIB, SNAPLEN) < 0)
			return -1;
		x->slices[i].ring = &x->producers[i].ring;
	}
	x->seed = 9;
	x->ns = 1000;
	*state = x;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;

	for (unsigned i = 0; i < RINGS; i++)
		producer_release(&x->producers[i]);
	free(x);
	return 0;
}

static void start(struct fixture *x, struct encoder_config encoder)
{
	const struct packer_config config = {
		.cpu = -1, .slices_max = RINGS, .key_max = KEYS, .encoder = encoder};

	assert_int_equal(packer_new(&x->packer, &config), 0);
}

static void stop(struct fixture *x)
{
	struct chunk *c;

	packer_send(x->packer, NULL);
	c = packer_receive(x->packer);
	assert_true(c->is_end);
	assert_int_equal(c->raw_len, 0);
	x->packer = packer_free(x->packer);
	assert_null(x->packer);
}

/* `bytes` of records, about, on all rings. */
static void fill(struct fixture *x, uint64_t bytes, uint32_t origlen_max)
{
	for (unsigned i = 0; i < RINGS; i++)
		x->slices[i].from = ring_head(&x->producers[i].ring);
	while (bytes > 0) {
		struct packet k = {.ns = x->ns,
				   .interface = next_random(&x->seed) % (KEYS / 2),
				   .flags = 1 + next_random(&x->seed) % 2,
				   .origlen = 1 + next_random(&x->seed) % origlen_max,
				   .seed = next_random(&x->seed)};
		uint32_t len = packet_record_len(&k, SNAPLEN);

		assert_true(producer_write(&x->producers[next_random(&x->seed) % RINGS], &k));
		x->ns += next_random(&x->seed) % 3;
		bytes -= len < bytes ? len : bytes;
	}
	for (unsigned i = 0; i < RINGS; i++)
		x->slices[i].to = ring_head(&x->producers[i].ring);
}

static void give_back(struct fixture *x)
{
	for (unsigned i = 0; i < RINGS; i++) {
		/* Whoever still read it would be found out. */
		for (uint64_t at = x->slices[i].from; at < x->slices[i].to; at += 64)
			*(uint8_t *)ring_at(x->slices[i].ring, at) = 0xee;
		ring_release(&x->producers[i].ring, x->slices[i].to);
	}
}

static void assert_decodes_alone(const struct chunk *c)
{
	size_t size = ZSTD_FRAME_HEADER_SIZE + c->out_len + ZSTD_FRAME_END_SIZE, n, decoded;
	uint8_t *frame = malloc(size), *content = malloc(c->raw_len);

	n = zstd_frame_header(frame);
	memcpy(frame + n, c->out, c->out_len);
	n += c->out_len;
	n += zstd_frame_end(frame + n);
	decoded = ZSTD_decompress(content, c->raw_len, frame, n);
	assert_int_equal(decoded, c->raw_len);
	assert_memory_equal(content, c->raw, c->raw_len);
	free(frame);
	free(content);
}

/* What a chunk says of itself is what is in it. */
static void assert_is_consistent(const struct chunk *c, uint64_t *last_ns)
{
	struct retina_tally tallies[KEYS] = {0};
	unsigned interfaces = 0, used = 0;
	uint64_t packets = 0, first = 0, last = 0;
	size_t i;

	assert_false(c->is_broken);
	assert_true(c->raw_len <= CHUNK_SIZE + CHUNK_SLACK);
	for (i = 0; i < c->raw_len; i += record_len(c->raw + i)) {
		const uint8_t *r = c->raw + i;

		assert_int_equal(record_word(r, record_len(r) / 4 - 1), record_len(r));
		assert_int_not_equal(record_type(r), RECORD_FILLER);
		interfaces += record_type(r) == RECORD_INTERFACE_DESCRIPTION;
		if (!record_is_packet(r))
			continue;
		assert_true(record_ns(r) >= *last_ns);
		*last_ns = last = record_ns(r);
		if (!packets++)
			first = last;
		used += !tallies[tally_key(r)].packets;
		tallies[tally_key(r)].packets++;
		tallies[tally_key(r)].bytes += record_origlen(r);
	}
	assert_int_equal(i, c->raw_len);
	assert_int_equal(c->packets, packets);
	assert_int_equal(c->first_ns, first);
	assert_int_equal(c->last_ns, last);
	assert_int_equal(c->interfaces, interfaces);
	assert_int_equal(c->tallies.count, used);
	assert_memory_equal(c->tallies.by_key, tallies, sizeof(tallies));
}

/* Receives the chunks of one epoch; returns the bytes of its blocks. */
static size_t receive(struct fixture *x, bool is_zstd, int level, unsigned *ret_chunks)
{
	uint64_t last_ns = 0;
	size_t len = 0;
	bool ends = false;

	for (*ret_chunks = 0; !ends; (*ret_chunks)++) {
		struct chunk *c = packer_receive(x->packer);

		assert_false(c->is_end);
		assert_is_consistent(c, &last_ns);
		if (c->raw_len && is_zstd) {
			assert_decodes_alone(c);
			assert_int_equal(c->level, level);
		} else if (c->raw_len) {
			assert_ptr_equal(c->out, c->raw);
			assert_int_equal(c->out_len, c->raw_len);
		}
		len += c->raw_len;
		ends = c->ends_epoch;
		packer_return(x->packer, c);
	}
	return len;
}

static size_t record_bytes(const struct fixture *x)
{
	size_t len = 0;

	for (unsigned i = 0; i < RINGS; i++) {
		uint64_t at = x->slices[i].from;
		const uint8_t *r;

		while ((r = ring_next(x->slices[i].ring, &at, x->slices[i].to)))
			len += record_len(r);
	}
	return len;
}

static void pack_sizes(struct fixture *x, bool is_zstd)
{
	static const uint64_t sizes[] = {1,
					 100,
					 100000,
					 CHUNK_SIZE - 5000,
					 CHUNK_SIZE,
					 CHUNK_SIZE + 9000,
					 3 * CHUNK_SIZE + 77};
	static const int levels[] = {1, COMPRESSOR_STORED, -5, 3};
	unsigned chunks;

	start(x, (struct encoder_config){.zstd = is_zstd});
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int level = levels[i % 4];
		const struct epoch e = {.slices = x->slices, .slice_count = RINGS, .level = level};
		size_t len;

		fill(x, sizes[i], i % 2 ? 1500 : SNAPLEN + 500);
		len = record_bytes(x);
		assert_int_equal(packer_done(x->packer), i);
		packer_send(x->packer, &e);
		assert_int_equal(receive(x, is_zstd, level, &chunks), len);
		assert_in_range(chunks, len / (CHUNK_SIZE + SNAPLEN + 55) + 1,
				len / CHUNK_SIZE + 1);
		assert_int_equal(packer_done(x->packer), i + 1);
		give_back(x);
	}
	stop(x);
}

static void records_become_chunks_as_they_are(void **state)
{
	pack_sizes(*state, false);
}

static void records_become_chunks_that_decode_alone(void **state)
{
	pack_sizes(*state, true);
}

static void blocks_stand_before_and_behind_the_records(void **state)
{
	struct fixture *x = *state;
	const struct pcapng_interface description = {.name = "eth0", .link_type = 1};
	const struct pcapng_statistics statistics = {.interface_id = 0, .now_ns = 1};
	struct buffer before = {0}, after = {0};
	struct epoch e = {.slices = x->slices, .slice_count = RINGS, .level = 1};
	struct chunk *c;
	size_t len;

	assert_int_equal(pcapng_interface_description(&before, &description), 0);
	assert_int_equal(pcapng_interface_description(&before, &description), 0);
	assert_int_equal(pcapng_interface_statistics(&after, &statistics), 0);
	e.before = before.data;
	e.before_len = before.len;
	e.after = after.data;
	e.after_len = after.len;
	start(x, (struct encoder_config){0});
	fill(x, 5000, 1500);
	len = record_bytes(x);
	packer_send(x->packer, &e);
	c = packer_receive(x->packer);
	assert_true(c->ends_epoch);
	assert_int_equal(c->interfaces, 2);
	assert_int_equal(c->raw_len, before.len + len + after.len);
	assert_memory_equal(c->raw, before.data, before.len);
	assert_memory_equal(c->raw + before.len + len, after.data, after.len);
	packer_return(x->packer, c);

	/* And without a record between them. */
	fill(x, 0, 1);
	packer_send(x->packer, &e);
	c = packer_receive(x->packer);
	assert_int_equal(c->raw_len, before.len + after.len);
	assert_int_equal(c->packets, 0);
	packer_return(x->packer, c);
	stop(x);
	buffer_release(&before);
	buffer_release(&after);
}

static void an_epoch_with_nothing_in_it_ends_all_the_same(void **state)
{
	struct fixture *x = *state;
	const struct epoch e = {.slices = x->slices, .slice_count = RINGS, .level = 1};
	unsigned chunks;

	start(x, (struct encoder_config){.zstd = true});
	for (unsigned i = 0; i < 20; i++) {
		fill(x, 0, 1);
		packer_send(x->packer, &e);
		assert_int_equal(receive(x, true, 1, &chunks), 0);
		assert_int_equal(chunks, 1);
	}
	stop(x);
}

static void a_packer_works_ahead_of_its_writer(void **state)
{
	struct fixture *x = *state;
	struct slice slices[PACKER_CHUNKS][RINGS];
	struct epoch epochs[PACKER_CHUNKS];
	size_t len[PACKER_CHUNKS];
	unsigned chunks;

	start(x, (struct encoder_config){.zstd = true});
	for (unsigned i = 0; i < PACKER_CHUNKS; i++) {
		fill(x, 2000, 200);
		len[i] = record_bytes(x);
		memcpy(slices[i], x->slices, sizeof(slices[i]));
		epochs[i] = (struct epoch){.slices = slices[i], .slice_count = RINGS, .level = 1};
		packer_send(x->packer, &epochs[i]);
	}
	/* They are read though nobody has asked for a chunk yet. */
	while (packer_done(x->packer) < PACKER_CHUNKS)
		(void)sched_yield();
	for (unsigned i = 0; i < PACKER_CHUNKS; i++)
		assert_int_equal(receive(x, true, 1, &chunks), len[i]);
	stop(x);
	for (unsigned i = 0; i < RINGS; i++)
		ring_release(&x->producers[i].ring, ring_head(&x->producers[i].ring));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_become_chunks_as_they_are, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(records_become_chunks_that_decode_alone, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(blocks_stand_before_and_behind_the_records, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_epoch_with_nothing_in_it_ends_all_the_same,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_packer_works_ahead_of_its_writer, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
