/* SPDX-License-Identifier: MIT */
/*
 * buffer.c: a growable run of bytes. Whoever embeds the struct owns it, and only that thread
 * touches it. Invariant: len <= size, and `data` holds `size` bytes (NULL when size is 0). Growth
 * doubles, so that a buffer which is reset and filled again soon stops allocating.
 */
#include "buffer.h"

#include <stdlib.h>

#include "base/errno.h"
#include "base/limits.h"

#define FIRST_SIZE (4 * KIB)

int buffer_reserve(struct buffer *b, size_t more)
{
	size_t size = b->size ? b->size : FIRST_SIZE;
	uint8_t *data;

	if (more <= b->size - b->len)
		return 0;
	if (more > SIZE_MAX / 2 - b->len)
		return -ENOMEM;
	while (size < b->len + more)
		size *= 2;
	data = realloc(b->data, size);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->size = size;
	return 0;
}

void buffer_reset(struct buffer *b)
{
	b->len = 0;
}

void buffer_release(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer){0};
}
