// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * select.bpf.c: target sets and sampling, the part of the selection that is not an expression.
 *
 * A frame is selected when neither of its ends is an excluded target, one of them is an included
 * one (or none is included), and it is in the sample. An end is an address with its port. Hosts,
 * with or without a port, are looked up in a hash, so that their number does not count; networks in
 * a trie. Only kinds of targets that exist are looked for.
 *
 * Addresses are those of IPv4, IPv6 and of ARP's sender and target, behind up to TAGS_MAX VLAN
 * tags; those in tunnels are not looked at. Ports are those of TCP, UDP, UDP-Lite, SCTP and DCCP,
 * in the first fragment only. What cannot be read, because the frame ends before it, matches no
 * target.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "stages.h"
#include "target_abi.h"

#define TAGS_MAX	3
#define IP6_HEADERS_MAX 8 /* extension headers that are walked */

/* enum target_kind. User space sets a kind's bit after it put the first target in, and clears it
 * before it takes the last one out. */
__u32 target_kinds;

const volatile __u32 sample_n = 0; /* one in so many, 0 and 1: all */
const volatile bool sample_by_flow = false;
const volatile __u32 sample_seed = 0; /* of flows: which ones */

/* Both grow as targets come: memory of a capture without any counts more than the speed of adding.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct target_host);
	__type(value, __u8);
} target_hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct target_prefix);
	__type(value, __u8);
} target_prefixes SEC(".maps");

/* The two ends of a packet. */
struct ends {
	__be32 address[2][4];
	__be16 port[2]; /* 0: none */
	__u8 family;	/* 0: no address was found */
	__u8 protocol;
	__be16 ether_type;
	bool is_fragment;
	__u8 mac[2][6]; /* destination and source; 0 without an Ethernet header */
};

/* Not on the stack, of which the verifier follows every byte: it would walk each way through the
 * headers to the very end. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ends);
} target_ends SEC(".maps");

static __always_inline bool has_ports(__u8 protocol)
{
	const __u64 below_64 = 1ull << IPPROTO_TCP | 1ull << IPPROTO_UDP | 1ull << IPPROTO_DCCP;

	return (protocol < 64 && below_64 >> protocol & 1) || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_UDPLITE;
}

static __always_inline void read_ports(void *ctx, bool is_xdp, __u32 at, struct ends *e)
{
	__be16 port[2];

	if (!has_ports(e->protocol) || read_bytes(ctx, is_xdp, at, port, sizeof(port)))
		return;
	e->port[0] = port[0];
	e->port[1] = port[1];
}

static __always_inline void read_ip4(void *ctx, bool is_xdp, __u32 at, struct ends *e)
{
	struct {
		__u8 version_len, tos;
		__be16 len, id, fragment;
		__u8 ttl, protocol;
		__be16 sum;
		__be32 address[2];
	} h;

	if (read_bytes(ctx, is_xdp, at, &h, sizeof(h)) || h.version_len >> 4 != 4)
		return;
	e->family = 4;
	e->protocol = h.protocol;
	e->address[0][0] = h.address[0];
	e->address[1][0] = h.address[1];
	e->is_fragment = h.fragment & bpf_htons(0x3fff); /* more fragments, or an offset */
	if (!(h.fragment & bpf_htons(0x1fff)))
		read_ports(ctx, is_xdp, at + (h.version_len & 15) * 4, e);
}

/* Extension headers that tell where the next header is. Masks, for every branch in the loop is many
 * for the verifier. */
static __always_inline bool is_extension(__u8 protocol)
{
	const __u64 below_64 = 1ull << IPPROTO_HOPOPTS | 1ull << IPPROTO_ROUTING |
			       1ull << IPPROTO_FRAGMENT | 1ull << IPPROTO_AH |
			       1ull << IPPROTO_DSTOPTS;

	return (protocol < 64 && below_64 >> protocol & 1) || protocol == IPPROTO_MH;
}

static __always_inline void read_ip6(void *ctx, bool is_xdp, __u32 at, struct ends *e)
{
	struct {
		__be32 version;
		__be16 len;
		__u8 next, hops;
		__be32 address[2][4];
	} h;
	struct {
		__u8 next, len;
		__be16 fragment; /* of a fragment header: offset, more fragments */
	} x;
	bool is_first = true;

	if (read_bytes(ctx, is_xdp, at, &h, sizeof(h)) ||
	    (h.version & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000))
		return;
	e->family = 6;
	__builtin_memcpy(e->address, h.address, sizeof(e->address));
	e->protocol = h.next;
	at += sizeof(h);
#pragma clang loop unroll(disable)
	for (int i = 0; i < IP6_HEADERS_MAX && is_extension(e->protocol); i++) {
		if (read_bytes(ctx, is_xdp, at, &x, sizeof(x)))
			return;
		if (e->protocol == IPPROTO_FRAGMENT) {
			at += 8;
			e->is_fragment |= !!(x.fragment & bpf_htons(0xfff9));
			is_first = !(x.fragment & bpf_htons(0xfff8));
		} else {
			at += e->protocol == IPPROTO_AH ? (x.len + 2) * 4 : (x.len + 1) * 8;
		}
		e->protocol = x.next;
		if (!is_first)
			return; /* what follows is no header */
	}
	read_ports(ctx, is_xdp, at, e);
}

static __always_inline void read_arp(void *ctx, bool is_xdp, __u32 at, struct ends *e)
{
	struct {
		__be16 hardware, protocol;
		__u8 hardware_len, protocol_len;
		__be16 operation;
		__u8 sender_mac[6], sender[4], target_mac[6], target[4];
	} h;

	if (read_bytes(ctx, is_xdp, at, &h, sizeof(h)) || h.protocol != bpf_htons(ETH_P_IP) ||
	    h.hardware_len != 6 || h.protocol_len != 4)
		return;
	e->family = 4;
	__builtin_memcpy(&e->address[0][0], h.sender, 4);
	__builtin_memcpy(&e->address[1][0], h.target, 4);
}

/* e is all 0. */
static __always_inline void find_ends(void *ctx, bool is_xdp, bool ethernet, struct ends *e)
{
	struct ethhdr h;
	struct {
		__be16 tci, type;
	} tag;
	__u32 at = 0;
	__u8 version;

	if (!ethernet) {
		if (read_bytes(ctx, is_xdp, 0, &version, 1))
			return;
		e->ether_type = bpf_htons(version >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP);
	} else {
		if (read_bytes(ctx, is_xdp, 0, &h, sizeof(h)))
			return;
		__builtin_memcpy(e->mac[0], h.h_dest, 6);
		__builtin_memcpy(e->mac[1], h.h_source, 6);
		e->ether_type = h.h_proto;
		at = sizeof(h);
		for (int i = 0; i < TAGS_MAX; i++) {
			if (e->ether_type != bpf_htons(ETH_P_8021Q) &&
			    e->ether_type != bpf_htons(ETH_P_8021AD) &&
			    e->ether_type != bpf_htons(ETH_P_QINQ1))
				break;
			if (read_bytes(ctx, is_xdp, at, &tag, sizeof(tag)))
				return;
			e->ether_type = tag.type;
			at += sizeof(tag);
		}
	}
	if (e->ether_type == bpf_htons(ETH_P_IP))
		read_ip4(ctx, is_xdp, at, e);
	else if (e->ether_type == bpf_htons(ETH_P_IPV6))
		read_ip6(ctx, is_xdp, at, e);
	else if (e->ether_type == bpf_htons(ETH_P_ARP))
		read_arp(ctx, is_xdp, at, e);
}

/* The sets that an address, a port or both are in. */
static __always_inline __u32 sets_of_host(const __be32 *address, __u8 family, __be16 port)
{
	struct target_host key = {.family = family, .port = port};
	__u8 *sets;

	if (family)
		__builtin_memcpy(key.address, address, sizeof(key.address));
	sets = bpf_map_lookup_elem(&target_hosts, &key);
	return sets ? *sets : 0;
}

static __always_inline __u32 sets_of_prefix(const __be32 *address, __u8 family, __be16 port,
					    __u8 set)
{
	struct target_prefix key = {
		.len = TARGET_PREFIX_BITS + (family == 4 ? 32 : 128),
		.set = set,
		.family = family,
		.port = port,
	};

	__builtin_memcpy(key.address, address, sizeof(key.address));
	return bpf_map_lookup_elem(&target_prefixes, &key) ? set : 0;
}

static __always_inline __u32 sets_of_end(const struct ends *e, unsigned end, __u32 kinds)
{
	__u32 host = e->family == 4 ? TARGET_HOST_4 : TARGET_HOST_6;
	__u32 host_port = e->family == 4 ? TARGET_HOST_PORT_4 : TARGET_HOST_PORT_6;
	const __be32 *address = e->address[end];
	__be16 port = e->port[end];
	__u32 sets = 0;

	if (kinds & host)
		sets |= sets_of_host(address, e->family, 0);
	if (kinds & host_port && port)
		sets |= sets_of_host(address, e->family, port);
	if (kinds & TARGET_PORT && port)
		sets |= sets_of_host(address, 0, port);
	if (kinds & TARGET_PREFIX_INCLUDE)
		sets |= sets_of_prefix(address, e->family, 0, TARGET_INCLUDE);
	if (kinds & TARGET_PREFIX_EXCLUDE)
		sets |= sets_of_prefix(address, e->family, 0, TARGET_EXCLUDE);
	if (kinds & TARGET_PREFIX_PORT_INCLUDE && port)
		sets |= sets_of_prefix(address, e->family, port, TARGET_INCLUDE);
	if (kinds & TARGET_PREFIX_PORT_EXCLUDE && port)
		sets |= sets_of_prefix(address, e->family, port, TARGET_EXCLUDE);
	return sets;
}

static __always_inline bool is_targeted(const struct ends *e, __u32 kinds)
{
	__u32 sets = 0;

	if (e->family)
		sets = sets_of_end(e, 0, kinds) | sets_of_end(e, 1, kinds);
	if (sets & TARGET_EXCLUDE)
		return false;
	return sets & TARGET_INCLUDE || !(kinds & TARGET_HAS_INCLUDE);
}

/* One round of MurmurHash3 (32 bits, by Austin Appleby, public domain). */
static __always_inline __u32 mix(__u32 hash, __u32 word)
{
	word *= 0xcc9e2d51;
	word = word << 15 | word >> 17;
	hash ^= word * 0x1b873593;
	hash = hash << 13 | hash >> 19;
	return hash * 5 + 0xe6546b64;
}

static __always_inline __u32 finish(__u32 hash)
{
	hash ^= hash >> 16;
	hash *= 0x85ebca6b;
	hash ^= hash >> 13;
	hash *= 0xc2b2ae35;
	return hash ^ hash >> 16;
}

/* Of one end; the sum of both does not tell the directions apart. */
static __always_inline __u32 hash_end(const struct ends *e, unsigned end)
{
	__u32 hash = sample_seed;

	if (!e->family) {
		const __u8 *mac = e->mac[end];

		hash = mix(hash, mac[0] | mac[1] << 8 | mac[2] << 16 | (__u32)mac[3] << 24);
		return finish(mix(hash, mac[4] | mac[5] << 8));
	}
	for (int i = 0; i < 4; i++)
		hash = mix(hash, e->address[end][i]);
	/* All fragments of a datagram are one flow, and only the first has ports. */
	return finish(mix(hash, e->is_fragment ? 0 : e->port[end]));
}

static __always_inline __u32 hash_flow(const struct ends *e)
{
	__u32 kind = (__u32)e->ether_type << 16 | (e->family ? e->protocol : 0);

	return finish(mix(hash_end(e, 0) + hash_end(e, 1), kind));
}

/* Whether a frame goes on to be recorded. */
static __always_inline bool selected(void *ctx, bool is_xdp, bool ethernet)
{
	__u32 kinds = READ_ONCE(target_kinds), number;
	__u32 zero = 0;
	struct ends *e = bpf_map_lookup_elem(&target_ends, &zero);

	if (!e)
		return false;
	__builtin_memset(e, 0, sizeof(*e));
	if (kinds || sample_by_flow)
		find_ends(ctx, is_xdp, ethernet, e);
	if (kinds && !is_targeted(e, kinds))
		return false;
	if (sample_n <= 1)
		return true;
	number = sample_by_flow ? hash_flow(e) : bpf_get_prandom_u32();
	return !((__u64)number * sample_n >> 32); /* one number in sample_n */
}

/* Whether frames of an interface start with an Ethernet header. */
static __always_inline bool is_ethernet(__u32 ifindex)
{
	struct tap_interface *i = bpf_map_lookup_elem(&interfaces, &ifindex);

	return i && i->ethernet;
}

SEC("xdp.frags")
int select_xdp(struct xdp_md *ctx)
{
	if (selected(ctx, true, true))
		bpf_tail_call_static(ctx, &xdp_programs, TAP_RECORD + TAP_IN);
	else
		bpf_tail_call_static(ctx, &xdp_programs, TAP_REJECT + TAP_IN);
	return XDP_PASS;
}

SEC("tc")
int select_ingress(struct __sk_buff *skb)
{
	if (selected(skb, false, is_ethernet(skb->ifindex)))
		bpf_tail_call_static(skb, &tc_programs, TAP_RECORD + TAP_IN);
	else
		bpf_tail_call_static(skb, &tc_programs, TAP_REJECT + TAP_IN);
	return PASS_TC;
}

SEC("tc")
int select_egress(struct __sk_buff *skb)
{
	if (selected(skb, false, is_ethernet(skb->ifindex)))
		bpf_tail_call_static(skb, &tc_programs, TAP_RECORD + TAP_OUT);
	else
		bpf_tail_call_static(skb, &tc_programs, TAP_REJECT + TAP_OUT);
	return PASS_TC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
