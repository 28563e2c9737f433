/* SPDX-License-Identifier: MIT */
/* report.h: counts what the kernel took and prints it. */
#ifndef TRAFFIC_REPORT_H
#define TRAFFIC_REPORT_H

#include <jansson.h>
#include <stdint.h>

#include "packet.h"

struct report {
	const char *interface;
	const char *method;
	uint32_t stream;
	uint64_t first_seq;
	uint64_t made; /* sequence numbers used; differs from packets only where frames can't be
			  sent again */
	uint64_t packets;
	uint64_t bytes;	 /* of frames, without FCS */
	uint64_t errors; /* refusals by the kernel; unless the method is live, the frame was offered
			    again */
	uint64_t started_ns;
	uint64_t ended_ns;
	uint64_t by_kind[PACKET_KINDS]; /* stays zero in a replay */
	uint64_t by_size[PACKET_SIZE_MAX + 1];
};

/** report_add() - @n frames of @kind (PACKET_KINDS: unknown) and @size bytes were sent */
void report_add(struct report *report, enum packet_kind kind, size_t size, uint64_t n);

/**
 * report_print() - one JSON object on standard output
 * @extra: members to add, or NULL; the reference is taken
 * Return: 0, -ENOMEM or -EIO.
 */
int report_print(const struct report *report, json_t *extra);

#endif
