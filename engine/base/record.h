/* SPDX-License-Identifier: MIT */
/*
 * record.h: reads a record, the finished pcapng Enhanced Packet Block that a source left in a ring
 * (xdp/capture_abi.h has its shape). A record is only ever pointed at: whoever holds the pointer
 * holds the slice of the ring that it lies in. Any thread. Source: draft-ietf-opsawg-pcapng 4.3.
 */
#ifndef RETINA_BASE_RECORD_H
#define RETINA_BASE_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "capture_abi.h"

enum { RECORD_HEADER = 28 }; /* bytes before the packet's data */

/* Another block's type, which stands between records: the description of an interface. */
enum { RECORD_INTERFACE_DESCRIPTION = 1 };

static inline uint32_t record_word(const uint8_t *r, unsigned index)
{
	uint32_t w;

	memcpy(&w, r + index * sizeof(w), sizeof(w));
	return w;
}

static inline uint32_t record_type(const uint8_t *r)
{
	return record_word(r, 0);
}

/** record_len() - bytes of the whole block, a multiple of 4 */
static inline uint32_t record_len(const uint8_t *r)
{
	return record_word(r, 1);
}

static inline bool record_is_packet(const uint8_t *r)
{
	return record_type(r) == RECORD_PACKET;
}

static inline uint32_t record_interface(const uint8_t *r)
{
	return record_word(r, 2);
}

/** record_ns() - when the frame was seen, nanoseconds of Unix time */
static inline uint64_t record_ns(const uint8_t *r)
{
	return (uint64_t)record_word(r, 3) << 32 | record_word(r, 4);
}

static inline uint32_t record_caplen(const uint8_t *r)
{
	return record_word(r, 5);
}

static inline uint32_t record_origlen(const uint8_t *r)
{
	return record_word(r, 6);
}

/** record_flags() - epb_flags, which a source writes as the first option of every record */
static inline uint32_t record_flags(const uint8_t *r)
{
	uint32_t padded = (record_caplen(r) + 3) & ~3u;

	return record_word(r, (RECORD_HEADER + padded) / sizeof(uint32_t) + 1);
}

/** record_direction() - enum tap_direction */
static inline unsigned record_direction(const uint8_t *r)
{
	return (record_flags(r) & 3) == RECORD_OUTBOUND ? TAP_OUT : TAP_IN;
}

#endif
