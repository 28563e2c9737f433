/* SPDX-License-Identifier: MIT */
/* test-compressor.c: chunks of several compressors, levels and sizes are one frame, and each alone.
 */
#include "compressor.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>
#include <cmocka.h>

#include "base/limits.h"

#define CHUNK_MAX   (CHUNK_SIZE + CHUNK_SLACK)
#define COMPRESSORS 4

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Bytes that look a little like packets: repeated pieces of text and noise between. */
static void fill(uint8_t *out, size_t len, uint32_t *seed)
{
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		uint32_t r = next_random(seed);

		n = 1 + r % 64;
		if (n > len - i)
			n = len - i;
		if (i > 4096 && r & 0x4000)
			memmove(out + i, out + i - 64 - r % 4000, n);
		else
			for (size_t j = 0; j < n; j++)
				out[i + j] = r & 0x8000 ? (char)next_random(seed)
							: "GET / HTTP/1.1\r\n"[j % 16];
	}
}

/* Decodes a whole frame that stands in `size` bytes; it must end there, and be `len` bytes long. */
static void assert_decodes_to(const uint8_t *frame, size_t size, const uint8_t *data, size_t len)
{
	ZSTD_DCtx *d = ZSTD_createDCtx();
	uint8_t *out = malloc(len + 1);
	ZSTD_outBuffer sink = {out, len + 1, 0};
	ZSTD_inBuffer source = {frame, size, 0};
	size_t r;

	assert_non_null(d);
	assert_non_null(out);
	do {
		r = ZSTD_decompressStream(d, &sink, &source);
		if (ZSTD_isError(r))
			fail_msg("%s at %zu of %zu", ZSTD_getErrorName(r), source.pos, size);
	} while (r != 0 && source.pos < source.size);
	assert_int_equal(r, 0);
	assert_int_equal(source.pos, size);
	assert_int_equal(sink.pos, len);
	assert_memory_equal(out, data, len);
	free(out);
	ZSTD_freeDCtx(d);
}

static void assert_chunk_decodes_alone(const uint8_t *chunk, size_t size, const uint8_t *data,
				       size_t len)
{
	uint8_t *frame = malloc(ZSTD_FRAME_HEADER_SIZE + size + ZSTD_FRAME_END_SIZE);
	size_t n;

	assert_non_null(frame);
	n = zstd_frame_header(frame);
	memcpy(frame + n, chunk, size);
	n += size;
	n += zstd_frame_end(frame + n);
	assert_decodes_to(frame, n, data, len);
	free(frame);
}

static void header_and_end_are_an_empty_frame(void **state)
{
	uint8_t frame[ZSTD_FRAME_HEADER_SIZE + ZSTD_FRAME_END_SIZE];

	(void)state;
	assert_int_equal(zstd_frame_header(frame), 6);
	assert_int_equal(zstd_frame_end(frame + 6), 3);
	assert_memory_equal(frame, "\x28\xb5\x2f\xfd\x00\x58\x01\x00\x00", 9);
	assert_decodes_to(frame, sizeof(frame), (const uint8_t *)"", 0);
}

static void stored_bytes_decode(void **state)
{
	static const size_t lens[] = {1, 131071, 131072, 131073, 3 * 131072, CHUNK_MAX};
	uint8_t *in = malloc(CHUNK_MAX), *out = malloc(compressor_bound(CHUNK_MAX));
	uint32_t seed = 1;

	(void)state;
	assert_non_null(in);
	assert_non_null(out);
	fill(in, CHUNK_MAX, &seed);
	for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
		assert_int_equal(zstd_store(out, in, lens[i]), zstd_stored_size(lens[i]));
		assert_chunk_decodes_alone(out, zstd_stored_size(lens[i]), in, lens[i]);
	}
	free(in);
	free(out);
}

static size_t chunk_len(unsigned int i, uint32_t *seed)
{
	if (i == 7)
		return CHUNK_MAX;
	if (i % 100 == 99)
		return 1 + next_random(seed) % CHUNK_MAX;
	return 1 + next_random(seed) % (1u << next_random(seed) % 14);
}

static int chunk_level(unsigned int i, uint32_t *seed)
{
	static const int usual[] = {1, 3, -1, -5, COMPRESSOR_STORED, 2, -50, 0};

	if (i % 131 == 130)
		return 4 + next_random(seed) % (COMPRESSOR_LEVEL_MAX - 3);
	return usual[next_random(seed) % 8];
}

/* TEST_CHUNKS and TEST_FRAME (a path: keep the frame, and the content beside it) are for runs by
 * hand. */
static void chunks_of_any_size_and_level_stitch_into_one_frame(void **state)
{
	const char *wish = getenv("TEST_CHUNKS"), *path = getenv("TEST_FRAME");
	const unsigned int chunks = wish ? (unsigned int)atoi(wish) : 500;
	uint8_t *data, *frame, *p;
	struct compressor *c[COMPRESSORS];
	uint32_t seed = 42;
	size_t total = 0, at = 0, len;

	(void)state;
	for (unsigned int i = 0; i < COMPRESSORS; i++)
		assert_int_equal(compressor_new(&c[i]), 0);
	for (unsigned int i = 0; i < chunks; i++)
		total += i == 7 || i % 100 == 99 ? CHUNK_MAX : 8192;
	data = malloc(total);
	frame = malloc(compressor_bound(total) + 64 * (size_t)chunks);
	assert_non_null(data);
	assert_non_null(frame);
	p = frame + zstd_frame_header(frame);
	for (unsigned int i = 0; i < chunks; i++) {
		size_t n = chunk_len(i, &seed);
		int level = chunk_level(i, &seed);

		fill(data + at, n, &seed);
		assert_int_equal(compressor_pack(c[i % COMPRESSORS], level, data + at, n, p,
						 compressor_bound(n), &len),
				 0);
		assert_true(len <= zstd_stored_size(n));
		assert_chunk_decodes_alone(p, len, data + at, n);
		at += n;
		p += len;
	}
	p += zstd_frame_end(p);
	assert_decodes_to(frame, p - frame, data, at);
	if (path) {
		char content[256];
		FILE *f = fopen(path, "w");

		assert_int_equal(fwrite(frame, 1, p - frame, f), p - frame);
		fclose(f);
		(void)snprintf(content, sizeof(content), "%s.content", path);
		f = fopen(content, "w");
		assert_int_equal(fwrite(data, 1, at, f), at);
		fclose(f);
	}
	for (unsigned int i = 0; i < COMPRESSORS; i++)
		c[i] = compressor_free(c[i]);
	free(data);
	free(frame);
}

static void higher_level_packs_smaller(void **state)
{
	uint8_t *in = malloc(CHUNK_SIZE), *out = malloc(compressor_bound(CHUNK_SIZE));
	static const int levels[] = {COMPRESSOR_STORED, -5, 1, 6};
	size_t len, before = SIZE_MAX;
	struct compressor *c;
	uint32_t seed = 3;

	(void)state;
	assert_int_equal(compressor_new(&c), 0);
	fill(in, CHUNK_SIZE, &seed);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(compressor_pack(c, levels[i], in, CHUNK_SIZE, out,
						 compressor_bound(CHUNK_SIZE), &len),
				 0);
		assert_true(len < before);
		before = len;
	}
	compressor_free(c);
	free(in);
	free(out);
}

/* The level of the moment counts, not the one before: equal input, equal level, equal bytes. */
static void level_takes_effect_at_once(void **state)
{
	uint8_t *in = malloc(CHUNK_SIZE), *out = malloc(compressor_bound(CHUNK_SIZE));
	size_t fresh, changed;
	struct compressor *c;
	uint32_t seed = 4;

	(void)state;
	fill(in, CHUNK_SIZE, &seed);
	assert_int_equal(compressor_new(&c), 0);
	assert_int_equal(compressor_pack(c, 5, in, CHUNK_SIZE, out, compressor_bound(CHUNK_SIZE),
					 &fresh),
			 0);
	compressor_free(c);
	assert_int_equal(compressor_new(&c), 0);
	for (int level = -3; level <= 5; level++)
		assert_int_equal(compressor_pack(c, level, in, CHUNK_SIZE, out,
						 compressor_bound(CHUNK_SIZE), &changed),
				 0);
	assert_int_equal(changed, fresh);
	compressor_free(c);
	free(in);
	free(out);
}

static void noise_is_stored(void **state)
{
	uint8_t *in = malloc(CHUNK_SIZE), *out = malloc(compressor_bound(CHUNK_SIZE));
	struct compressor *c;
	uint32_t seed = 5;
	size_t len;

	(void)state;
	for (size_t i = 0; i < CHUNK_SIZE; i++)
		in[i] = next_random(&seed) >> 5;
	assert_int_equal(compressor_new(&c), 0);
	assert_int_equal(
		compressor_pack(c, 3, in, CHUNK_SIZE, out, compressor_bound(CHUNK_SIZE), &len), 0);
	assert_int_equal(len, zstd_stored_size(CHUNK_SIZE));
	/* Room for the stored form suffices. */
	assert_int_equal(compressor_pack(c, 3, in, CHUNK_SIZE, out, len, &len), 0);
	assert_chunk_decodes_alone(out, len, in, CHUNK_SIZE);
	compressor_free(c);
	free(in);
	free(out);
}

static void chunk_after_an_error_is_good(void **state)
{
	uint8_t *in = malloc(CHUNK_SIZE), *out = malloc(compressor_bound(CHUNK_SIZE));
	struct compressor *c;
	uint32_t seed = 6;
	size_t len = 77;

	(void)state;
	fill(in, CHUNK_SIZE, &seed);
	assert_int_equal(compressor_new(&c), 0);
	for (size_t room = 0; room < 2000; room += 400) {
		assert_int_equal(compressor_pack(c, 1, in, CHUNK_SIZE, out, room, &len), -ENOBUFS);
		assert_int_equal(len, 77);
		assert_int_equal(
			compressor_pack(c, 1, in, 30000, out, compressor_bound(30000), &len), 0);
		assert_true(len < 30000);
		assert_chunk_decodes_alone(out, len, in, 30000);
		len = 77;
	}
	compressor_free(c);
	free(in);
	free(out);
}

static void nonsense_is_refused(void **state)
{
	uint8_t in[1] = {0}, out[64];
	struct compressor *c;
	size_t len;

	(void)state;
	assert_int_equal(compressor_new(&c), 0);
	assert_int_equal(compressor_pack(c, 1, in, 0, out, sizeof(out), &len), -EINVAL);
	assert_int_equal(compressor_pack(c, 1, in, CHUNK_MAX + 1, out, sizeof(out), &len), -EINVAL);
	assert_int_equal(compressor_pack(c, 20, in, 1, out, sizeof(out), &len), -EINVAL);
	assert_int_equal(compressor_pack(c, -51, in, 1, out, sizeof(out), &len), -EINVAL);
	assert_int_equal(compressor_pack(c, COMPRESSOR_STORED, in, 1, out, 3, &len), -ENOBUFS);
	assert_int_equal(compressor_pack(c, COMPRESSOR_STORED, in, 1, out, 4, &len), 0);
	assert_int_equal(len, 4);
	assert_null(compressor_free(c));
	assert_null(compressor_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_and_end_are_an_empty_frame),
		cmocka_unit_test(stored_bytes_decode),
		cmocka_unit_test(chunks_of_any_size_and_level_stitch_into_one_frame),
		cmocka_unit_test(higher_level_packs_smaller),
		cmocka_unit_test(level_takes_effect_at_once),
		cmocka_unit_test(noise_is_stored),
		cmocka_unit_test(chunk_after_an_error_is_good),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
