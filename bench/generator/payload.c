/* SPDX-License-Identifier: MIT */
/*
 * payload.c: writes and judges the stamp at the start of a generated payload.
 *
 * A receiver must be able to say of each frame which one it is and whether a single byte of it
 * changed. Sixteen bytes do that and still fit a 60-byte UDP frame. The check is hash(filler) ^
 * hash(stream, seq): two halves, so that a BPF program, which can't hash a kilobyte, can restamp a
 * frame whose filler stays as it is. The filler comes from the sequence number, so that a record
 * made of two frames' halves does not pass.
 *
 * Pure functions: no state, any thread.
 */
#include <endian.h>
#include <string.h>
#include <xxhash.h>

#include "payload.h"

/* Bare small numbers after the magic make Wireshark see a DNS query with one question. */
#define STREAM_MASK 0x5ead7a61

static void put16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

uint32_t payload_filler_hash(const uint8_t *filler, size_t len)
{
	return (uint32_t)XXH3_64bits(filler, len);
}

uint32_t payload_stamp_hash(uint32_t stream, uint64_t seq)
{
	uint64_t x = seq * PAYLOAD_MIX + stream;

	return (uint32_t)(x ^ x >> 32);
}

static void fill(uint8_t *p, size_t len, uint64_t seq)
{
	uint64_t x = seq;

	for (; len >= sizeof(x); p += sizeof(x), len -= sizeof(x)) {
		uint64_t word;

		x += PAYLOAD_MIX;
		word = x ^ x >> 29;
		memcpy(p, &word, sizeof(word));
	}
	x += PAYLOAD_MIX;
	memcpy(p, &x, len);
}

void payload_write(uint8_t *p, size_t len, uint32_t stream, uint64_t seq)
{
	size_t filler_size = len - PAYLOAD_STAMP_SIZE;
	uint8_t *filler = p + PAYLOAD_STAMP_SIZE;

	fill(filler, filler_size, seq);
	put16(p, PAYLOAD_MAGIC);
	put32(p + 2, stream ^ STREAM_MASK);
	put16(p + PAYLOAD_SEQ_OFFSET, (uint16_t)(seq >> 32));
	put32(p + PAYLOAD_SEQ_OFFSET + 2, (uint32_t)seq);
	put32(p + PAYLOAD_CHECK_OFFSET,
	      payload_filler_hash(filler, filler_size) ^ payload_stamp_hash(stream, seq));
}

enum payload_verdict payload_read(const uint8_t *p, size_t caplen, size_t len,
				  struct payload_stamp *ret)
{
	uint32_t check;

	/* The check itself may be cut off: the stamp is readable before it. */
	if (len < PAYLOAD_STAMP_SIZE || caplen < PAYLOAD_CHECK_OFFSET || get16(p) != PAYLOAD_MAGIC)
		return PAYLOAD_FOREIGN;
	ret->stream = get32(p + 2) ^ STREAM_MASK;
	ret->seq =
		(uint64_t)get16(p + PAYLOAD_SEQ_OFFSET) << 32 | get32(p + PAYLOAD_SEQ_OFFSET + 2);
	if (caplen < len)
		return PAYLOAD_TRUNCATED;
	check = payload_filler_hash(p + PAYLOAD_STAMP_SIZE, len - PAYLOAD_STAMP_SIZE) ^
		payload_stamp_hash(ret->stream, ret->seq);
	return get32(p + PAYLOAD_CHECK_OFFSET) == check ? PAYLOAD_GOOD : PAYLOAD_CORRUPT;
}
