/* SPDX-License-Identifier: MIT */
/* producer.h: a source in user space, which fills a ring as record() of xdp/tap.bpf.c does. */
#ifndef RETINA_TESTS_PRODUCER_H
#define RETINA_TESTS_PRODUCER_H

#include <stdbool.h>
#include <stdint.h>
#include "base/ring.h"

/* A frame that never existed: its bytes follow from the seed. */
struct packet {
	uint64_t ns;
	uint32_t interface;
	uint32_t origlen;
	uint32_t flags; /* epb_flags */
	uint32_t queue; /* + 1, 0: none */
	uint32_t seed;
};

struct producer {
	struct ring ring;
	uint32_t snaplen;
	uint8_t *memory;
};

/** producer_init() - an empty ring of its own; Return: 0 or -ENOMEM */
int producer_init(struct producer *p, uint64_t size, uint64_t segment_size, uint32_t snaplen);
void producer_release(struct producer *p);

/** producer_start_at() - as if the ring had been in use up to here; a segment's start, ring empty
 */
void producer_start_at(struct producer *p, uint64_t position);

/** producer_write() - one record; false: the ring is full, nothing has changed */
bool producer_write(struct producer *p, const struct packet *k);

/** producer_begin(), producer_publish() - the same in two steps: between them the ring is busy */
uint64_t producer_begin(struct producer *p, const struct packet *k);
void producer_publish(struct producer *p, uint64_t end);

/** producer_slack_is_untouched() - no byte was written between the ring and its descriptors */
bool producer_slack_is_untouched(const struct producer *p);

/** packet_caplen() - bytes of it that a record holds */
uint32_t packet_caplen(const struct packet *k, uint32_t snaplen);

/** packet_record_len() - bytes of its record */
uint32_t packet_record_len(const struct packet *k, uint32_t snaplen);

/** packet_bytes() - the frame's first bytes */
void packet_bytes(const struct packet *k, uint8_t *to, uint32_t len);

/** packet_difference() - NULL if the record is this packet's, else what is wrong with it */
const char *packet_difference(const struct packet *k, uint32_t snaplen, const uint8_t *record);

/** next_random() - 24 bits, the same on every run */
uint32_t next_random(uint32_t *seed);

#endif
