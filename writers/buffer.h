/* SPDX-License-Identifier: MIT */
/* buffer.h: bytes that grow, for blocks that are built in memory. */
#ifndef RETINA_WRITERS_BUFFER_H
#define RETINA_WRITERS_BUFFER_H

#include <stddef.h>
#include <stdint.h>

/** struct buffer - zero it to begin; `data` moves when it grows, so keep offsets, not pointers */
struct buffer {
	uint8_t *data;
	size_t len;  /* bytes in use */
	size_t size; /* bytes allocated */
};

/** buffer_reserve() - make room for `more` bytes behind `len`; 0 or -ENOMEM (nothing changed) */
int buffer_reserve(struct buffer *b, size_t more);

/** buffer_reset() - forget the content, keep the memory */
void buffer_reset(struct buffer *b);

/** buffer_release() - free the memory; the buffer is empty and may be used again */
void buffer_release(struct buffer *b);

#endif
