/* SPDX-License-Identifier: MIT */
/* packet.h: builds frames: Ethernet, VLAN tags, IP, transport and our payload. */
#ifndef TRAFFIC_PACKET_H
#define TRAFFIC_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_SIZE_MIN 60    /* bytes without FCS: Ethernet's shortest frame */
#define PACKET_SIZE_MAX 65535 /* bytes without FCS: what the IP length fields can say */
#define PACKET_PORT_FIRST \
	49152 /* source ports of flows: the ephemeral range, so no dissector guesses */
#define PACKET_PORT_COUNT 16384
#define PACKET_FLOWS_MAX  1000000
#define PACKET_DNS_OFFSET 66 /* our stamp in a DNS query: the content of an EDNS option */

enum packet_kind {
	PACKET_UDP4,
	PACKET_UDP6,
	PACKET_TCP4,
	PACKET_TCP6,
	PACKET_ICMP4,
	PACKET_ICMP6,
	PACKET_DNS4,
	PACKET_DNS6,
	PACKET_KINDS,
};

struct packet_config {
	uint8_t src_mac[6];
	uint8_t dst_mac[6];
	uint8_t src4[4]; /* flow f adds f % 251 to the source address */
	uint8_t dst4[4];
	uint8_t src6[16];
	uint8_t dst6[16];
	uint16_t vlan[2]; /* outermost first */
	unsigned vlans;	  /* 0; 1: 802.1Q; 2: 802.1ad, then 802.1Q */
	uint32_t stream;
};

struct packet_layout { /* offsets in bytes from the start of the frame */
	size_t l3;
	size_t l4;
	size_t flow; /* the 16-bit field that tells flows apart: source port or ICMP identifier */
	size_t checksum; /* of the transport header */
	size_t payload;	 /* of our stamp */
};

/** packet_kind_name() - "udp4" and so on */
const char *packet_kind_name(enum packet_kind kind);

/** packet_kind_find() - the kind of that name, or PACKET_KINDS */
enum packet_kind packet_kind_find(const char *name);

/** packet_layout() - where things are in frames of @kind */
struct packet_layout packet_layout(const struct packet_config *config, enum packet_kind kind);

/** packet_minimum() - the shortest frame of @kind that has room for the stamp, in bytes */
size_t packet_minimum(const struct packet_config *config, enum packet_kind kind);

/**
 * packet_build() - write one frame with right lengths and checksums
 * @frame: receives @size bytes
 * @size:  packet_minimum() to PACKET_SIZE_MAX
 * @flow:  0 to PACKET_FLOWS_MAX - 1
 */
void packet_build(uint8_t *frame, const struct packet_config *config, enum packet_kind kind,
		  size_t size, uint32_t flow, uint64_t seq);

/**
 * packet_l4_sum() - the transport checksum's unfolded sum over pseudo header, header and payload
 * @size: of the frame. The checksum field counts as it stands: 0 while it is being computed.
 */
uint64_t packet_l4_sum(const uint8_t *frame, const struct packet_config *config,
		       enum packet_kind kind, size_t size);

#endif
