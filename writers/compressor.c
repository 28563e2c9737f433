/* SPDX-License-Identifier: MIT */
/*
 * compressor.c: one zstd context whose output can be stitched with that of others into one frame.
 * A packer owns one; only its thread calls in.
 *
 * zstd's multi-threaded mode cuts its input into jobs, and with no overlap a job refers to nothing
 * before itself: it starts with empty tables and invalid repeat offsets. So every job's blocks are
 * right at any place of any frame with the same window. Only the first job differs: it carries the
 * frame header and may use the frame's initial repeat offsets. It is spent on one byte and thrown
 * away (prime()); the frame then stays open for as long as the context lives, each flush yields one
 * job, and whoever writes the file puts the header and the last block around the chunks.
 *
 * Invariant: between calls the context is inside that endless frame with nothing buffered. Whatever
 * breaks this (no room, an error of zstd) clears `primed`, and the next chunk begins with prime().
 */
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_createThreadPool(), ZSTD_BLOCKSIZE_MAX */
#include "compressor.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/errno.h"
#include "base/limits.h"

/* One chunk is one job; zstd's input ring is three jobs, so a larger one only costs memory. */
#define CHUNK_MAX (CHUNK_SIZE + CHUNK_SLACK)

/* A smaller window would let a job refer to bytes its own frame header rules out. */
_Static_assert(CHUNK_MAX <= 1ull << ZSTD_WINDOW_LOG, "a chunk must fit the window");

#define BLOCK_HEADER_SIZE 3u

/* Bits of a block header, and its types. */
enum { BLOCK_LAST = 1, BLOCK_RAW = 0 << 1 };
#define BLOCK_SIZE_SHIFT 3

#define FIRST_LEVEL 1 /* of the byte thrown away: a level with small tables */

/* One thread works. The second is there because a thread counts as busy for a moment after its job
 * is done, and zstd spins for as long as no thread takes the next job: on a shared CPU that kept
 * the very thread from ending, for a quarter of all our CPU time. */
#define POOL_THREADS 2

struct compressor {
	ZSTD_CCtx *zstd;
	ZSTD_threadPool *pool;
	int level;   /* that zstd has been told */
	bool primed; /* the invariant holds */
};

static int set_parameter(struct compressor *c, ZSTD_cParameter parameter, int value)
{
	return ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, parameter, value)) ? -EIO : 0;
}

static int set_level(struct compressor *c, int level)
{
	int r;

	if (c->level == level)
		return 0;
	r = set_parameter(c, ZSTD_c_compressionLevel, level);
	if (r < 0)
		return r;
	c->level = level;
	return 0;
}

/* One job: all of `in`, flushed. */
static int flush(struct compressor *c, const uint8_t *in, size_t len, uint8_t *out, size_t size,
		 size_t *ret_len)
{
	ZSTD_inBuffer source = {in, len, 0};
	ZSTD_outBuffer sink = {out, size, 0};
	size_t left;

	do {
		left = ZSTD_compressStream2(c->zstd, &sink, &source, ZSTD_e_flush);
		if (ZSTD_isError(left))
			return -EIO;
		if (left > 0 && sink.pos == sink.size)
			return -ENOBUFS;
	} while (left > 0 || source.pos < source.size);
	*ret_len = sink.pos;
	return 0;
}

/* Begin a new endless frame, and throw its first job away. */
static int prime(struct compressor *c)
{
	static const uint8_t byte = 0;
	uint8_t waste[64];
	size_t len;

	int r;

	if (ZSTD_isError(ZSTD_CCtx_reset(c->zstd, ZSTD_reset_session_only)))
		return -EIO;
	r = flush(c, &byte, sizeof(byte), waste, sizeof(waste), &len);
	c->primed = r == 0;
	return r;
}

static int compress(struct compressor *c, int level, const uint8_t *in, size_t len, uint8_t *out,
		    size_t size, size_t *ret_len)
{
	int r = 0;

	if (!c->primed)
		r = prime(c);
	if (r == 0)
		r = set_level(c, level);
	if (r == 0)
		r = flush(c, in, len, out, size, ret_len);
	if (r < 0)
		c->primed = false;
	return r;
}

int compressor_new(struct compressor **ret)
{
	struct compressor *c;
	sigset_t all, before;
	int r;

	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->level = COMPRESSOR_STORED; /* none yet */
	r = -ENOMEM;
	c->zstd = ZSTD_createCCtx();
	/* The writer's is made on the embedder's thread: the helpers get no signals all the same.
	 */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	c->pool = ZSTD_createThreadPool(POOL_THREADS);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!c->zstd || !c->pool)
		goto fail;
	r = ZSTD_isError(ZSTD_CCtx_refThreadPool(c->zstd, c->pool)) ? -EIO : 0;
	if (r == 0)
		r = set_parameter(c, ZSTD_c_nbWorkers, 1);
	if (r == 0)
		r = set_parameter(c, ZSTD_c_overlapLog,
				  1); /* 1 means none; 0 would mean "default" */
	if (r == 0)
		r = set_parameter(c, ZSTD_c_jobSize, CHUNK_MAX);
	if (r == 0)
		r = set_parameter(c, ZSTD_c_windowLog, ZSTD_WINDOW_LOG);
	if (r == 0)
		r = set_parameter(c, ZSTD_c_checksumFlag, 0);
	if (r == 0)
		r = set_level(c, FIRST_LEVEL);
	if (r == 0)
		r = prime(c);
	if (r < 0)
		goto fail;
	*ret = c;
	return 0;
fail:
	compressor_free(c);
	return r;
}

struct compressor *compressor_free(struct compressor *c)
{
	if (!c)
		return NULL;
	ZSTD_freeCCtx(c->zstd);
	ZSTD_freeThreadPool(c->pool);
	free(c);
	return NULL;
}

size_t compressor_bound(size_t len)
{
	size_t stored = zstd_stored_size(len), compressed = ZSTD_compressBound(len);

	return stored > compressed ? stored : compressed;
}

int compressor_pack(struct compressor *c, int level, const uint8_t *in, size_t len, uint8_t *out,
		    size_t size, size_t *ret_len)
{
	size_t packed;
	int r;

	if (len == 0 || len > CHUNK_MAX)
		return -EINVAL;
	if (level != COMPRESSOR_STORED) {
		if (level < COMPRESSOR_LEVEL_MIN || level > COMPRESSOR_LEVEL_MAX)
			return -EINVAL;
		r = compress(c, level, in, len, out, size, &packed);
		if (r < 0 && r != -ENOBUFS)
			return r;
		if (r == 0 && packed < zstd_stored_size(len)) {
			*ret_len = packed;
			return 0;
		}
	}
	if (zstd_stored_size(len) > size)
		return -ENOBUFS;
	*ret_len = zstd_store(out, in, len);
	return 0;
}

static void block_header(uint8_t out[BLOCK_HEADER_SIZE], uint32_t flags, size_t len)
{
	uint32_t v = flags | (uint32_t)len << BLOCK_SIZE_SHIFT;

	out[0] = v;
	out[1] = v >> 8;
	out[2] = v >> 16;
}

size_t zstd_frame_header(uint8_t out[ZSTD_FRAME_HEADER_SIZE])
{
	/* RFC 8878, 3.1.1: the magic; descriptor 0: no content size, checksum or dictionary; the
	 * window's exponent less 10 in the upper five bits, mantissa 0. */
	const uint8_t header[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, (ZSTD_WINDOW_LOG - 10) << 3};

	_Static_assert(sizeof(header) == ZSTD_FRAME_HEADER_SIZE, "as announced");
	memcpy(out, header, sizeof(header));
	return sizeof(header);
}

size_t zstd_frame_end(uint8_t out[ZSTD_FRAME_END_SIZE])
{
	_Static_assert(BLOCK_HEADER_SIZE == ZSTD_FRAME_END_SIZE, "an empty block is its header");
	block_header(out, BLOCK_RAW | BLOCK_LAST, 0);
	return ZSTD_FRAME_END_SIZE;
}

size_t zstd_store(uint8_t *out, const uint8_t *in, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		size_t n = len < ZSTD_BLOCKSIZE_MAX ? len : ZSTD_BLOCKSIZE_MAX;

		block_header(p, BLOCK_RAW, n);
		memcpy(p + BLOCK_HEADER_SIZE, in, n);
		p += BLOCK_HEADER_SIZE + n;
		in += n;
		len -= n;
	}
	return p - out;
}

size_t zstd_stored_size(size_t len)
{
	size_t blocks = (len + ZSTD_BLOCKSIZE_MAX - 1) / ZSTD_BLOCKSIZE_MAX;

	return len + blocks * BLOCK_HEADER_SIZE;
}
