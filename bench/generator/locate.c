/* SPDX-License-Identifier: MIT */
/*
 * locate.c: walks the headers of a captured frame to the place of our stamp.
 *
 * It believes the headers, not the generator: a frame that was changed on its way must look
 * changed. The lengths come from the IP header (Ethernet padding is not payload), but a length of
 * 0, as in frames that the kernel will still segment, means "to the end". Every read is checked
 * against the captured bytes.
 *
 * Pure functions: no state, any thread.
 */
#include <net/ethernet.h>
#include <netinet/in.h>
#include <pcap/dlt.h>

#include "locate.h"
#include "packet.h"

#ifndef DLT_LINUX_SLL2
#define DLT_LINUX_SLL2 276
#endif

#define VLAN_TAGS_MAX 8
#define PORT_DNS      53

struct cursor {
	const uint8_t *data;
	size_t caplen;
	size_t len;
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static bool skip(struct cursor *c, size_t n)
{
	if (c->caplen < n || c->len < n)
		return false;
	c->data += n;
	c->caplen -= n;
	c->len -= n;
	return true;
}

/* What lies behind @len bytes does not belong to this layer. */
static void clip(struct cursor *c, size_t len)
{
	if (len < c->len)
		c->len = len;
	if (c->caplen > c->len)
		c->caplen = c->len;
}

bool locate_supports(int link_type)
{
	switch (link_type) {
	case DLT_EN10MB:
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
		return true;
	default:
		return false;
	}
}

static bool is_tag(uint16_t type)
{
	return type == ETHERTYPE_VLAN || type == 0x88a8 || type == 0x9100;
}

/* Skip link header and tags; @ret_type receives the EtherType. */
static bool skip_link(struct cursor *c, int link_type, uint16_t *ret_type)
{
	size_t type_at = link_type == DLT_EN10MB ? 12 : link_type == DLT_LINUX_SLL ? 14 : 0;
	size_t size = link_type == DLT_LINUX_SLL2 ? 20 : type_at + 2;

	if (link_type == DLT_RAW || link_type == DLT_IPV4 || link_type == DLT_IPV6) {
		if (c->caplen < 1)
			return false;
		*ret_type = c->data[0] >> 4 == 4 ? ETHERTYPE_IP : ETHERTYPE_IPV6;
		return true;
	}
	if (c->caplen < size)
		return false;
	*ret_type = get16(c->data + type_at);
	if (!skip(c, size))
		return false;
	for (unsigned tags = 0; is_tag(*ret_type); tags++) {
		if (tags == VLAN_TAGS_MAX || c->caplen < 4)
			return false;
		*ret_type = get16(c->data + 2);
		if (!skip(c, 4))
			return false;
	}
	return true;
}

static bool skip_ip4(struct cursor *c, uint8_t *ret_protocol, bool *ret_fragment)
{
	size_t header_size;
	uint16_t total;
	uint16_t fragment;

	if (c->caplen < 20 || c->data[0] >> 4 != 4)
		return false;
	header_size = (size_t)(c->data[0] & 0xf) * 4;
	total = get16(c->data + 2);
	fragment = get16(c->data + 6);
	*ret_protocol = c->data[9];
	*ret_fragment = fragment & 0x2000;
	if (header_size < 20 || fragment & 0x1fff)
		return false;
	if (total)
		clip(c, total);
	return skip(c, header_size);
}

static bool skip_ip6(struct cursor *c, uint8_t *ret_protocol, bool *ret_fragment)
{
	uint16_t payload_size;

	if (c->caplen < 40 || c->data[0] >> 4 != 6)
		return false;
	payload_size = get16(c->data + 4);
	*ret_protocol = c->data[6];
	if (payload_size)
		clip(c, 40 + (size_t)payload_size);
	if (!skip(c, 40))
		return false;
	for (;;) {
		size_t size;

		switch (*ret_protocol) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			if (c->caplen < 8)
				return false;
			size = ((size_t)c->data[1] + 1) * 8;
			break;
		case IPPROTO_FRAGMENT:
			if (c->caplen < 8 || get16(c->data + 2) & 0xfff8)
				return false;
			*ret_fragment = c->data[3] & 1;
			size = 8;
			break;
		default:
			return true;
		}
		*ret_protocol = c->data[0];
		if (!skip(c, size))
			return false;
	}
}

static bool skip_transport(struct cursor *c, uint8_t protocol)
{
	size_t size = 8;

	if (c->caplen < 8)
		return false;
	switch (protocol) {
	case IPPROTO_UDP:
		if (get16(c->data + 4) >= 8)
			clip(c, get16(c->data + 4));
		if (get16(c->data + 2) == PORT_DNS)
			size += PACKET_DNS_OFFSET;
		return skip(c, size);
	case IPPROTO_TCP:
		if (c->caplen < 20)
			return false;
		size = (size_t)(c->data[12] >> 4) * 4;
		return size >= 20 && skip(c, size);
	case IPPROTO_ICMP: /* echo request or reply */
		return (c->data[0] == 8 || c->data[0] == 0) && skip(c, size);
	case IPPROTO_ICMPV6:
		return (c->data[0] == 128 || c->data[0] == 129) && skip(c, size);
	default:
		return false;
	}
}

bool locate_payload(int link_type, const uint8_t *data, size_t caplen, size_t len,
		    struct locate_payload *ret)
{
	struct cursor c = {.data = data, .caplen = caplen < len ? caplen : len, .len = len};
	bool fragment = false;
	uint8_t protocol;
	uint16_t type;

	if (!skip_link(&c, link_type, &type))
		return false;
	if (type == ETHERTYPE_IP) {
		if (!skip_ip4(&c, &protocol, &fragment))
			return false;
	} else if (type != ETHERTYPE_IPV6 || !skip_ip6(&c, &protocol, &fragment)) {
		return false;
	}
	if (!skip_transport(&c, protocol))
		return false;
	*ret = (struct locate_payload){.data = c.data, .caplen = c.caplen, .len = c.len};
	if (fragment)
		ret->len = c.caplen + 1; /* its end is in another frame: content unknown */
	return true;
}
