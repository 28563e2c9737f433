/* SPDX-License-Identifier: MIT */
/* checksum.h: the Internet checksum (RFC 1071). */
#ifndef TRAFFIC_CHECKSUM_H
#define TRAFFIC_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/** checksum_add() - @sum plus the big-endian 16-bit words of @p; an odd last byte counts as its
 * word's high half */
uint64_t checksum_add(uint64_t sum, const uint8_t *p, size_t len);

/** checksum_finish() - fold and complement: the value to store in big-endian order */
uint16_t checksum_finish(uint64_t sum);

#endif
