/* SPDX-License-Identifier: MIT */
/* compressor.h: chunks of zstd blocks that can be stitched into one frame, in any order. */
#ifndef RETINA_WRITERS_COMPRESSOR_H
#define RETINA_WRITERS_COMPRESSOR_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#define COMPRESSOR_STORED    INT_MIN /* a level: raw blocks, no compression */
#define COMPRESSOR_LEVEL_MIN (-50)
#define COMPRESSOR_LEVEL_MAX 19

#define ZSTD_FRAME_HEADER_SIZE 6u
#define ZSTD_FRAME_END_SIZE    3u

struct compressor;

/**
 * compressor_new() - make one compression context, for one packer
 * @ret: receives it on success
 * Call it on the packer's own thread, pinned and with signals blocked: helper threads are started
 * here that inherit both, and pack() sleeps while one of them works.
 * Return: 0, -ENOMEM, -EIO (zstd has no threads, or refused a parameter).
 */
int compressor_new(struct compressor **ret);

/** compressor_free() - takes NULL; returns NULL */
struct compressor *compressor_free(struct compressor *c);

/** compressor_bound() - output bytes that any chunk of `len` bytes fits in, at any level */
size_t compressor_bound(size_t len);

/**
 * compressor_pack() - turn one whole chunk into zstd blocks that need nothing before them
 * @level:   COMPRESSOR_LEVEL_MIN..COMPRESSOR_LEVEL_MAX (0 is zstd's default), or COMPRESSOR_STORED;
 *           may differ from call to call
 * @len:     bytes, 1..CHUNK_SIZE + CHUNK_SLACK
 * @size:    bytes of room in `out`; compressor_bound(len) always suffices
 * @ret_len: receives the bytes written; never more than zstd_stored_size(len)
 * What does not shrink is stored. After an error the next chunk is good. Owner thread only.
 * Return: 0, -ENOBUFS (size), -EINVAL (level, len), -EIO (zstd).
 */
int compressor_pack(struct compressor *c, int level, const uint8_t *in, size_t len, uint8_t *out,
		    size_t size, size_t *ret_len);

/** zstd_frame_header() - what stands before the first chunk, or one decoded alone; its size */
size_t zstd_frame_header(uint8_t out[ZSTD_FRAME_HEADER_SIZE]);

/** zstd_frame_end() - the empty last block, which closes the frame; its size */
size_t zstd_frame_end(uint8_t out[ZSTD_FRAME_END_SIZE]);

/** zstd_store() - raw blocks, none "last"; writes and returns zstd_stored_size(len) bytes */
size_t zstd_store(uint8_t *out, const uint8_t *in, size_t len);

/** zstd_stored_size() - bytes that `len` bytes take when stored */
size_t zstd_stored_size(size_t len);

#endif
