/* SPDX-License-Identifier: MIT */
/* outlet.h: a batch of frames on their way into the kernel. */
#ifndef TRAFFIC_OUTLET_H
#define TRAFFIC_OUTLET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet.h"
#include "report.h"

#define OUTLET_SLOTS_MAX 1024 /* what sendmmsg(2) takes in one call */

struct outlet;

struct outlet_item {
	size_t len;	       /* bytes in the slot */
	enum packet_kind kind; /* these three are for the report */
	size_t frame_size;     /* bytes of one frame on the wire */
	unsigned frames;       /* more than one in a GSO super-packet */
};

/**
 * outlet_new() - make an empty batch
 * @slots:     1 to OUTLET_SLOTS_MAX
 * @slot_size: bytes
 * Return: 0 or -ENOMEM.
 */
int outlet_new(struct outlet **ret, unsigned slots, size_t slot_size);
struct outlet *outlet_free(struct outlet *outlet);

/** outlet_slot() - memory of the next item; valid until outlet_push() */
uint8_t *outlet_slot(struct outlet *outlet);

/** outlet_push() - the slot is filled: it goes out with the next flush */
void outlet_push(struct outlet *outlet, const struct outlet_item *item);

unsigned outlet_pending(const struct outlet *outlet);
bool outlet_full(const struct outlet *outlet);

/**
 * outlet_flush() - send everything pending, in order, and report what the kernel took
 * @fd:          a bound or connected socket
 * @deadline_ns: give up then (CLOCK_MONOTONIC), or PACE_NEVER
 * A frame refused for want of room is counted as an error and offered again. What could not be sent
 * until @stop or the deadline is thrown away, unreported. Afterwards the batch is empty. Return: 0;
 * -ETIMEDOUT when nothing moved for ten seconds; the error of sendmmsg(2).
 */
int outlet_flush(struct outlet *outlet, int fd, struct report *report, uint64_t deadline_ns,
		 const atomic_bool *stop);

#endif
