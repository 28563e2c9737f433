/* SPDX-License-Identifier: MIT */
/* send.h: one run of generated traffic. */
#ifndef TRAFFIC_SEND_H
#define TRAFFIC_SEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "device.h"
#include "packet.h"
#include "plan.h"
#include "report.h"

#define SEND_GSO_SEGMENTS 64 /* per message; what UDP_SEGMENT takes on every kernel that has it */
#define SEND_GSO_BYTES	  65000 /* per message; below the 65,507 of a UDP datagram */
#define SEND_UDP_FLOWS	  512	/* a socket each */

enum send_method {
	SEND_PACKET, /* AF_PACKET, through qdisc and tc egress */
	SEND_BYPASS, /* AF_PACKET, straight to the driver */
	SEND_LIVE,   /* frames made by BPF_PROG_TEST_RUN */
	SEND_UDP,    /* UDP sockets: the kernel builds the headers */
	SEND_METHODS,
};

struct send_config {
	struct device device;
	enum send_method method;
	struct packet_config packet;
	struct plan plan;
	uint64_t rate;	      /* packets a second; 0: flat out */
	uint64_t count;	      /* packets; 0: no limit */
	uint64_t duration_ns; /* 0: no limit */
	unsigned burst;	      /* packets at a time; 0: chosen by the rate */
	uint64_t first_seq;
	unsigned gso; /* payload bytes of a segment; 0: no GSO. SEND_UDP only */
	/* SEND_UDP: from packet.src4 and src6, not from the addresses that routing picks. */
	bool bind_src4;
	bool bind_src6;
};

const char *send_method_name(enum send_method method);
enum send_method send_method_find(const char *name);

/**
 * send_run() - send until a limit is reached or @stop is set
 * @report: its counts and times are filled in; also right when the run fails half-way
 * Return: 0 or -errno of the method.
 */
int send_run(const struct send_config *config, struct report *report, const atomic_bool *stop);

#endif
