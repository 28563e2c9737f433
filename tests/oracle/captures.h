/* SPDX-License-Identifier: MIT */
/* captures.h: the frames of many capture files in memory (see captures.c). */
#ifndef RETINA_TESTS_CAPTURES_H
#define RETINA_TESTS_CAPTURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capture_frame {
	uint8_t *data;
	uint32_t len;
};

struct capture_list {
	struct capture_frame *frames;
	size_t count, room;
};

struct captures {
	struct capture_list by_framing[2]; /* Ethernet, raw IP */
};

/** captures_read() - adds a file's frames, CAPTURE_FRAMES_MAX at most; whether there were any */
bool captures_read(struct captures *c, const char *path);

void captures_release(struct captures *c);

#endif
