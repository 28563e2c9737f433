/* SPDX-License-Identifier: MIT */
/* packet_file.h: a capture file of any kind that libpcap reads, compressed or not (see
 * packet_file.c). */
#ifndef RETINA_TOOLS_PACKET_FILE_H
#define RETINA_TOOLS_PACKET_FILE_H

#include <stdbool.h>
#include <stdint.h>

struct packet_file;

struct packet {
	const uint8_t *data; /* until the next one is read */
	uint32_t caplen, len;
};

/** packet_file_open() - NULL after a line on standard error */
struct packet_file *packet_file_open(const char *path);

/** packet_file_link_type() - LINKTYPE_ value of its packets; all kinds of raw IP are 101 */
int packet_file_link_type(const struct packet_file *f);

/** packet_file_next() - 1, 0 at the end, -1 after a line on standard error: the file is damaged */
int packet_file_next(struct packet_file *f, struct packet *ret);

/** packet_file_close() - takes NULL, returns NULL */
struct packet_file *packet_file_close(struct packet_file *f);

#endif
