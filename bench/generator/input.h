/* SPDX-License-Identifier: MIT */
/* input.h: reads a capture file of any packing. */
#ifndef TRAFFIC_INPUT_H
#define TRAFFIC_INPUT_H

#include <stdint.h>

struct input;

struct input_record {
	const uint8_t *data; /* @caplen bytes, valid until the next call */
	uint32_t caplen;
	uint32_t len;	  /* on the wire */
	uint64_t time_ns; /* since 1970 */
};

/**
 * input_open() - open a pcap or pcapng file
 * @path: "-" is standard input; a name that ends in .zst goes through zstdcat(1)
 * Return: 0, or -errno; -EINVAL means that it is no capture file.
 */
int input_open(struct input **ret, const char *path);

/** input_close() - Return: NULL */
struct input *input_close(struct input *input);

/** input_link_type() - a DLT_ value */
int input_link_type(const struct input *input);

/** input_next() - Return: 1 and a record; 0 at the end; -EIO when the file is damaged (see
 * input_error()) */
int input_next(struct input *input, struct input_record *ret);

/** input_error() - what is wrong, in words */
const char *input_error(const struct input *input);

#endif
