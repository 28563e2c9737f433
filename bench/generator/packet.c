/* SPDX-License-Identifier: MIT */
/*
 * packet.c: builds one frame of a kind, size, flow and sequence number.
 *
 * A frame is a pure function of its arguments: sender and tests can make the same one twice. Frames
 * have no padding: the payload grows to the size asked for, so that the whole frame is protected by
 * the stamp's check or by a header checksum. ICMP frames are echo requests; TCP frames are data
 * segments of connections that never were opened; DNS frames are queries whose name spells sequence
 * number and stream, and whose EDNS option holds the payload.
 *
 * No state, any thread.
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>

#include "checksum.h"
#include "packet.h"
#include "payload.h"

#define VLAN_TAG_SIZE 4
#define PORT_DISCARD  9
#define PORT_DNS      53
#define FLOW_HOSTS                                                                                 \
	251		/* prime, so that host and port together tell PORT_COUNT x 251 flows apart \
			 */
#define ICMP_FIXED    8 /* type, code, checksum, identifier, sequence: the same in both versions */
#define DNS_TYPE_A    1
#define DNS_TYPE_AAAA 28
#define DNS_TYPE_OPT  41
#define DNS_OPTION    65001 /* RFC 6891: for local and experimental use */
#define DNS_NAME      "\014%012llx\010%08x\006retina\004test"
#define DNS_NAME_SIZE 35

static const struct {
	const char *name;
	uint8_t version;
	uint8_t protocol;
	uint8_t header_size; /* of the transport, up to our stamp */
	uint8_t checksum;    /* its offset in the transport header */
} kinds[PACKET_KINDS] = {
	[PACKET_UDP4] = {"udp4", 4, IPPROTO_UDP, sizeof(struct udphdr), 6},
	[PACKET_UDP6] = {"udp6", 6, IPPROTO_UDP, sizeof(struct udphdr), 6},
	[PACKET_TCP4] = {"tcp4", 4, IPPROTO_TCP, sizeof(struct tcphdr), 16},
	[PACKET_TCP6] = {"tcp6", 6, IPPROTO_TCP, sizeof(struct tcphdr), 16},
	[PACKET_ICMP4] = {"icmp4", 4, IPPROTO_ICMP, ICMP_FIXED, 2},
	[PACKET_ICMP6] = {"icmp6", 6, IPPROTO_ICMPV6, ICMP_FIXED, 2},
	[PACKET_DNS4] = {"dns4", 4, IPPROTO_UDP, sizeof(struct udphdr) + PACKET_DNS_OFFSET, 6},
	[PACKET_DNS6] = {"dns6", 6, IPPROTO_UDP, sizeof(struct udphdr) + PACKET_DNS_OFFSET, 6},
};

const char *packet_kind_name(enum packet_kind kind)
{
	return kinds[kind].name;
}

enum packet_kind packet_kind_find(const char *name)
{
	unsigned kind;

	for (kind = 0; kind < PACKET_KINDS; kind++)
		if (strcmp(kinds[kind].name, name) == 0)
			break;
	return kind;
}

static bool is_icmp(enum packet_kind kind)
{
	return kinds[kind].protocol == IPPROTO_ICMP || kinds[kind].protocol == IPPROTO_ICMPV6;
}

struct packet_layout packet_layout(const struct packet_config *config, enum packet_kind kind)
{
	struct packet_layout at;

	at.l3 = ETHER_HDR_LEN + config->vlans * VLAN_TAG_SIZE;
	at.l4 = at.l3 + (kinds[kind].version == 4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr));
	at.flow = at.l4 + (is_icmp(kind) ? 4 : 0);
	at.checksum = at.l4 + kinds[kind].checksum;
	at.payload = at.l4 + kinds[kind].header_size;
	return at;
}

size_t packet_minimum(const struct packet_config *config, enum packet_kind kind)
{
	size_t size = packet_layout(config, kind).payload + PAYLOAD_STAMP_SIZE;

	return size < PACKET_SIZE_MIN ? PACKET_SIZE_MIN : size;
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void write_ethernet(uint8_t *p, const struct packet_config *config, unsigned version)
{
	memcpy(p, config->dst_mac, 6);
	memcpy(p + 6, config->src_mac, 6);
	p += 12;
	for (unsigned i = 0; i < config->vlans; i++, p += VLAN_TAG_SIZE) {
		put16(p, config->vlans == 2 && i == 0 ? 0x88a8 : ETHERTYPE_VLAN);
		put16(p + 2, config->vlan[i]);
	}
	put16(p, version == 4 ? ETHERTYPE_IP : ETHERTYPE_IPV6);
}

static void write_ip4(uint8_t *p, const struct packet_config *config, uint8_t protocol, size_t size,
		      uint32_t flow, uint64_t seq)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons((uint16_t)size),
		.id = htons((uint16_t)seq),
		.frag_off = htons(IP_DF),
		.ttl = 64,
		.protocol = protocol,
	};
	uint32_t src;

	memcpy(&src, config->src4, sizeof(src));
	ip.saddr = htonl(ntohl(src) + flow % FLOW_HOSTS);
	memcpy(&ip.daddr, config->dst4, sizeof(ip.daddr));
	memcpy(p, &ip, sizeof(ip));
	put16(p + 10, checksum_finish(checksum_add(0, p, sizeof(ip))));
}

static void write_ip6(uint8_t *p, const struct packet_config *config, uint8_t protocol, size_t size,
		      uint32_t flow)
{
	struct ip6_hdr ip = {.ip6_hlim = 64, .ip6_nxt = protocol};
	uint32_t low;

	ip.ip6_flow = htonl(6U << 28 | (flow & 0xfffff));
	ip.ip6_plen = htons((uint16_t)(size - sizeof(ip)));
	memcpy(&ip.ip6_src, config->src6, sizeof(ip.ip6_src));
	memcpy(&ip.ip6_dst, config->dst6, sizeof(ip.ip6_dst));
	low = htonl(ntohl(ip.ip6_src.s6_addr32[3]) + flow % FLOW_HOSTS);
	ip.ip6_src.s6_addr32[3] = low;
	memcpy(p, &ip, sizeof(ip));
}

static void write_transport(uint8_t *p, enum packet_kind kind, size_t size, uint16_t flow_id,
			    uint64_t seq)
{
	if (is_icmp(kind)) {
		memset(p, 0, ICMP_FIXED);
		p[0] = kind == PACKET_ICMP4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
		put16(p + 4, flow_id);
		put16(p + 6, (uint16_t)seq);
	} else if (kinds[kind].protocol == IPPROTO_TCP) {
		size_t payload_size = size - sizeof(struct tcphdr);
		struct tcphdr tcp = {
			.source = htons(flow_id),
			.dest = htons(PORT_DISCARD),
			.seq = htonl((uint32_t)(seq * payload_size)),
			.ack_seq = htonl(1),
			.doff = sizeof(tcp) / 4,
			.ack = 1,
			.psh = 1,
			.window = htons(65535),
		};

		memcpy(p, &tcp, sizeof(tcp));
	} else {
		bool dns = kind == PACKET_DNS4 || kind == PACKET_DNS6;

		put16(p, flow_id);
		put16(p + 2, dns ? PORT_DNS : PORT_DISCARD);
		put16(p + 4, (uint16_t)size);
		put16(p + 6, 0);
	}
}

/* One question and one OPT record whose only option reaches to the end of the message. */
static void write_dns(uint8_t *p, enum packet_kind kind, size_t size, uint32_t stream, uint64_t seq)
{
	size_t option_size = size - PACKET_DNS_OFFSET;

	memset(p, 0, PACKET_DNS_OFFSET);
	put16(p, (uint16_t)seq);
	put16(p + 2, 0x0100); /* recursion desired */
	put16(p + 4, 1);      /* one question */
	put16(p + 10, 1);     /* one additional record */
	p += 12;
	/* The terminating 0 that snprintf() writes is the name's root label. */
	(void)snprintf((char *)p, DNS_NAME_SIZE + 1, DNS_NAME, (unsigned long long)seq, stream);
	p += DNS_NAME_SIZE;
	put16(p, kind == PACKET_DNS4 ? DNS_TYPE_A : DNS_TYPE_AAAA);
	put16(p + 2, 1);
	p += 4;
	put16(p + 1, DNS_TYPE_OPT); /* its name, the root, is p[0] */
	put16(p + 3, 1232);
	put16(p + 9, (uint16_t)(option_size + 4));
	put16(p + 11, DNS_OPTION);
	put16(p + 13, (uint16_t)option_size);
}

uint64_t packet_l4_sum(const uint8_t *frame, const struct packet_config *config,
		       enum packet_kind kind, size_t size)
{
	struct packet_layout at = packet_layout(config, kind);
	size_t l4_size = size - at.l4;
	uint64_t sum = 0;

	if (kinds[kind].protocol != IPPROTO_ICMP) {
		size_t addresses = kinds[kind].version == 4 ? 8 : 32;

		sum = checksum_add(sum, frame + at.l4 - addresses, addresses);
		sum += kinds[kind].protocol + l4_size;
	}
	return checksum_add(sum, frame + at.l4, l4_size);
}

void packet_build(uint8_t *frame, const struct packet_config *config, enum packet_kind kind,
		  size_t size, uint32_t flow, uint64_t seq)
{
	struct packet_layout at = packet_layout(config, kind);
	uint16_t flow_id = (uint16_t)(PACKET_PORT_FIRST + flow % PACKET_PORT_COUNT);
	uint16_t checksum;

	write_ethernet(frame, config, kinds[kind].version);
	if (kinds[kind].version == 4)
		write_ip4(frame + at.l3, config, kinds[kind].protocol, size - at.l3, flow, seq);
	else
		write_ip6(frame + at.l3, config, kinds[kind].protocol, size - at.l3, flow);
	write_transport(frame + at.l4, kind, size - at.l4, flow_id, seq);
	if (kind == PACKET_DNS4 || kind == PACKET_DNS6)
		write_dns(frame + at.l4 + sizeof(struct udphdr), kind,
			  size - at.l4 - sizeof(struct udphdr), config->stream, seq);
	payload_write(frame + at.payload, size - at.payload, config->stream, seq);

	checksum = checksum_finish(packet_l4_sum(frame, config, kind, size));
	if (checksum == 0 && kinds[kind].protocol == IPPROTO_UDP)
		checksum = 0xffff; /* RFC 768: 0 on the wire would mean "no checksum" */
	put16(frame + at.checksum, checksum);
}
