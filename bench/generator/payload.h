/* SPDX-License-Identifier: MIT */
/* payload.h: the stamp that every generated frame carries. */
#ifndef TRAFFIC_PAYLOAD_H
#define TRAFFIC_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

/* Bytes: magic (2), stream (4, masked), sequence number (6), check (4); all big-endian. */
#define PAYLOAD_STAMP_SIZE   16
#define PAYLOAD_SEQ_OFFSET   6
#define PAYLOAD_CHECK_OFFSET 12
#define PAYLOAD_MAGIC	     0x5258 /* "RX" */
#define PAYLOAD_SEQ_MAX	     ((UINT64_C(1) << 48) - 1)
#define PAYLOAD_MIX	     UINT64_C(0x9e3779b97f4a7c15)

struct payload_stamp {
	uint64_t seq;
	uint32_t stream;
};

enum payload_verdict {
	PAYLOAD_FOREIGN, /* not ours, or too short to tell */
	PAYLOAD_GOOD,	 /* ours and whole */
	PAYLOAD_CORRUPT, /* ours, but stamp and content do not agree: the stamp can't be trusted */
	PAYLOAD_TRUNCATED, /* ours by its stamp; cut before its end, so its content is unknown */
};

/**
 * payload_write() - fill a payload: stamp, then filler that depends on the sequence number
 * @p:    receives @len bytes
 * @len:  at least PAYLOAD_STAMP_SIZE
 * @seq:  at most PAYLOAD_SEQ_MAX
 */
void payload_write(uint8_t *p, size_t len, uint32_t stream, uint64_t seq);

/**
 * payload_read() - judge a payload
 * @p:      the first @caplen of its @len bytes
 * @ret:    receives the stamp unless the verdict is PAYLOAD_FOREIGN
 */
enum payload_verdict payload_read(const uint8_t *p, size_t caplen, size_t len,
				  struct payload_stamp *ret);

/** payload_filler_hash() - the part of the check that depends on what follows the stamp */
uint32_t payload_filler_hash(const uint8_t *filler, size_t len);

/** payload_stamp_hash() - the part of the check that depends on the stamp; live.c does it in BPF */
uint32_t payload_stamp_hash(uint32_t stream, uint64_t seq);

#endif
