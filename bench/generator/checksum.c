/* SPDX-License-Identifier: MIT */
/*
 * checksum.c: the Internet checksum, four bytes at a time.
 *
 * 2^16 is 1 modulo 65535, so 32-bit words may be added as they are and folded at the end: at
 * 200,000 frames of a kilobyte a second the sum is most of the work of building a frame. The 64-bit
 * sum can't overflow below 16 GiB.
 *
 * Pure functions: no state, any thread.
 */
#include <endian.h>
#include <string.h>

#include "checksum.h"

uint64_t checksum_add(uint64_t sum, const uint8_t *p, size_t len)
{
	for (; len >= 4; p += 4, len -= 4) {
		uint32_t word;

		memcpy(&word, p, sizeof(word));
		sum += be32toh(word);
	}
	if (len >= 2)
		sum += (uint64_t)p[0] << 8 | p[1];
	if (len & 1)
		sum += (uint64_t)p[len - 1] << 8;
	return sum;
}

uint16_t checksum_finish(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}
