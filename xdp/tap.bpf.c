// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * tap.bpf.c: the passive source. Each frame becomes a finished pcapng block in the ring of the CPU
 * that handles it, and goes on unharmed: every path ends in XDP_PASS or TCX_NEXT.
 *
 *   tap_* -> filter -> accept_* -> select_* -> record_*
 *                   -> reject_*            -> reject_*
 *
 * Each arrow is a tail call, and a stage that has nothing to do is left out: tap_*, which is
 * attached to the hook, and accept_* record a frame themselves when there is no filter, and neither
 * targets nor a sample. Every path of a frame that is seen ends in one call of tap(), which counts
 * it.
 *
 * Invariants: one CPU has one producer at a time (bottom halves are off in XDP and tc; the busy
 * flag turns the exceptions into counted losses). A record is written whole before the head moves
 * past it. The packet's own memory is never written.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "capture_abi.h"
#include "stages.h"

#define ETHER_ADDRESSES 12u /* bytes before a VLAN tag */
#define VLAN_TAG	4u

#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))

/* Set between open and load, then constants for verifier and JIT. */
const volatile __u64 ring_mask = (1u << 20) - 1; /* ring size - 1 */
const volatile __u64 segment_mask = (1u << 19) - 1;
const volatile __u32 segment_shift = 19;
const volatile __u32 snaplen = RECORD_SNAPLEN_MAX;
const volatile __u32 interface_max = 1;
const volatile bool one_interface = true; /* spares the look-up: its id is 0 */
const volatile bool one_is_ethernet = true;
const volatile bool clock_is_tai = true; /* else monotonic */

/* Added to the kernel's clock to make it Unix time; user space keeps it right. */
__u64 clock_offset_ns;

/* Which filters judge, 1 to TAP_GENERATIONS; 0: none, everything matches. User space first puts a
 * generation's programs into their slots, and waits for a grace period before it takes out those of
 * the one before: every frame is judged by exactly one filter. */
__u32 filter_generation;

/* 1: the programs of select.bpf.c are in their slots, and are to be called. */
__u32 is_selecting;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	/* Set at load; this is what the constants above ask for. */
	__uint(value_size, (1u << 20) + RING_SLACK + 4096);
} rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* possible CPUs */
	__type(key, __u32);
	__type(value, struct ring_control);
} controls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* possible CPUs * interfaces * directions */
	__type(key, __u32);
	__type(value, struct tap_counters);
} counters SEC(".maps");

/* What the two kinds of hook know of a frame. */
struct frame {
	__u32 ifindex;
	__u32 direction; /* enum tap_direction */
	__u32 len;	 /* bytes on the wire, a tag from metadata included */
	__u32 flags;	 /* epb_flags */
	__u32 queue;	 /* receive queue + 1, 0: not known */
	__u32 tag;	 /* VLAN tag that the kernel took out, in network order; 0: none */
};

static __always_inline void count(struct tap_counters *c, enum tap_slot slot, __u32 bytes)
{
	c->slot[slot].packets++;
	c->slot[slot].bytes += bytes;
}

/* Copies the first caplen bytes of the frame, its VLAN tag back in its place. */
static __always_inline long copy(void *ctx, bool is_xdp, const struct frame *f, char *to,
				 __u32 caplen)
{
	long r;

	if (!f->tag)
		return caplen ? read_bytes(ctx, is_xdp, 0, to, caplen) : 0;
	if (caplen < ETHER_ADDRESSES + VLAN_TAG) {
		char head[ETHER_ADDRESSES + VLAN_TAG];

		if (!caplen)
			return 0;
		r = read_bytes(ctx, is_xdp, 0, head, ETHER_ADDRESSES);
		if (r)
			return r;
		__builtin_memcpy(head + ETHER_ADDRESSES, &f->tag, VLAN_TAG);
		for (__u32 i = 0; i < sizeof(head); i++)
			if (i < caplen)
				to[i] = head[i];
		return 0;
	}
	r = read_bytes(ctx, is_xdp, 0, to, ETHER_ADDRESSES);
	if (r)
		return r;
	*(__u32 *)(to + ETHER_ADDRESSES) = f->tag;
	caplen -= ETHER_ADDRESSES + VLAN_TAG;
	if (!caplen)
		return 0;
	return read_bytes(ctx, is_xdp, ETHER_ADDRESSES, to + ETHER_ADDRESSES + VLAN_TAG, caplen);
}

static __always_inline struct ring_segment *segment_of(char *ring, __u64 position)
{
	return (struct ring_segment *)(ring + ring_mask + 1 + RING_SLACK) +
	       ((position & ring_mask) >> segment_shift);
}

/* Where a position lies in the ring's memory. */
static __always_inline __u64 place_of(char *ring, __u64 position)
{
	__u64 place = segment_of(ring, position)->place << segment_shift;

	return (place | (position & segment_mask)) & ring_mask;
}

/*
 * Begins the segment at head in the memory that was released last: it changes places with that
 * segment's descriptor, which stands for a later segment now. Further segments before the next
 * release take what was released before. Only descriptors outside [tail, head) are touched.
 */
static __always_inline bool open_segment(struct ring_control *c, char *ring, __u64 head, __u64 tail)
{
	__u64 tail_segment = tail >> segment_shift, segment = head >> segment_shift;
	__u64 count = (ring_mask + 1) >> segment_shift, place;
	struct ring_segment *mine, *warm;

	if (segment - tail_segment >= count)
		return false;
	if (c->warm_tail != tail_segment) {
		c->warm_tail = tail_segment;
		c->warm = tail_segment;
	}
	/* Below head - size a segment's descriptor has come round to one that is in use. */
	if (c->warm && c->warm + count > segment + 1) {
		c->warm--;
		mine = segment_of(ring, head);
		warm = segment_of(ring, c->warm << segment_shift);
		place = mine->place;
		mine->place = warm->place;
		warm->place = place;
	}
	return true;
}

/* A block that readers skip fills what is left of the segment. */
static __always_inline void fill(char *ring, __u64 head)
{
	__u64 at = place_of(ring, head);
	__u64 end = (at | segment_mask) - 3; /* of the trailing length */
	__u32 len = segment_mask + 1 - (head & segment_mask);
	__u32 *block = (__u32 *)(ring + at);

	block[0] = RECORD_FILLER;
	block[1] = len;
	block[2] = 0; /* private enterprise number: none */
	*(__u32 *)(ring + end) = len;
}

static __always_inline void note(char *ring, __u64 head, __u64 now_ns, __u32 len)
{
	struct ring_segment *s = segment_of(ring, head);

	if (!(head & segment_mask)) {
		s->first_ns = now_ns;
		s->packets = 0;
		s->used = 0;
	}
	s->last_ns = now_ns;
	s->packets++;
	s->used += len;
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OPTION_FLAGS RECORD_OPTION_FLAGS
#define OPTION_QUEUE RECORD_OPTION_QUEUE
#else
#define OPTION_FLAGS RECORD_OPTION_FLAGS_BE
#define OPTION_QUEUE RECORD_OPTION_QUEUE_BE
#endif

/* Writes one record; returns where the frame went. */
static __always_inline enum tap_slot record(void *ctx, bool is_xdp, const struct frame *f, __u32 id,
					    struct ring_control *c, char *ring)
{
	__u32 caplen = f->len < snaplen ? f->len : snaplen;
	__u64 padded, head, start, room, now_ns;
	__u32 len, *block, *option;

	if (caplen > RECORD_SNAPLEN_MAX) /* never; the verifier wants it said */
		return TAP_LOST_COPY;
	padded = (caplen + 3) & ~3u;
	len = 28 + padded + 8 + (f->queue ? 8 : 0) + 4 + 4;

	head = start = c->head;
	room = segment_mask + 1 - (head & segment_mask);
	if (len != room && len + RECORD_FILLER_MIN > room)
		start += room;
	/* In an open segment there is room. Plain load of the tail: what is written below depends
	 * on it, and the consumer's release is behind its last read (ring_release()). */
	if (!(start & segment_mask) && !open_segment(c, ring, start, READ_ONCE(c->tail)))
		return TAP_LOST_RING_FULL;
	if (start != head)
		fill(ring, head);

	now_ns = (clock_is_tai ? bpf_ktime_get_tai_ns() : bpf_ktime_get_ns()) +
		 READ_ONCE(clock_offset_ns);
	block = (__u32 *)(ring + place_of(ring, start));
	block[0] = RECORD_PACKET;
	block[1] = len;
	block[2] = id;
	block[3] = now_ns >> 32;
	block[4] = now_ns;
	block[5] = caplen;
	block[6] = f->len;
	option = (__u32 *)((char *)(block + 7) + padded);
	if (caplen)
		option[-1] = 0; /* the padding; the data overwrites its own part */
	if (copy(ctx, is_xdp, f, (char *)(block + 7), caplen))
		return TAP_LOST_COPY;
	*option++ = OPTION_FLAGS;
	*option++ = f->flags;
	if (f->queue) {
		*option++ = OPTION_QUEUE;
		*option++ = f->queue - 1;
	}
	*option++ = 0; /* end of options */
	*option = len;
	note(ring, start, now_ns, len);

	/* Full barrier: pairs with the acquire in ring_head(); the record is whole before the
	 * head says so. */
	__sync_lock_test_and_set(&c->head, start + len);
	return TAP_CAPTURED;
}

/* Counts a frame and, when it was accepted, records it. is_xdp and accepted are constants for the
 * compiler, so that each kind of program has its own code only. */
static __always_inline void tap(void *ctx, bool is_xdp, struct frame *f, __u16 vlan_proto,
				__u16 vlan_tci, bool accepted)
{
	__u32 cpu = bpf_get_smp_processor_id(), id = 0, key;
	bool ethernet = one_is_ethernet;
	struct tap_counters *tallies;
	struct ring_control *c;
	char *ring;

	if (!one_interface) {
		struct tap_interface *i = bpf_map_lookup_elem(&interfaces, &f->ifindex);

		if (!i)
			return; /* not yet or no longer recorded: not seen */
		id = i->id;
		ethernet = i->ethernet;
	}
	if (vlan_proto && ethernet) {
		f->tag = vlan_proto | (__u32)bpf_htons(vlan_tci) << 16;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		f->tag = (__u32)vlan_proto << 16 | vlan_tci;
#endif
		f->len += VLAN_TAG;
	}
	key = (cpu * interface_max + id) * TAP_DIRECTIONS + f->direction;
	tallies = bpf_map_lookup_elem(&counters, &key);
	c = bpf_map_lookup_elem(&controls, &cpu);
	if (!tallies || !c)
		return; /* never: the maps have an element for every possible CPU */
	if (READ_ONCE(c->busy)) {
		struct tap_tally *t = &tallies->slot[TAP_LOST_REENTRANT];

		__sync_fetch_and_add(&t->packets, 1);
		__sync_fetch_and_add(&t->bytes, f->len);
		return;
	}
	/* From here to the end an interrupt of this CPU finds the flag set: it leaves the ring and
	 * the plain counters alone. */
	WRITE_ONCE(c->busy, 1);
	count(tallies, TAP_SEEN, f->len);
	if (!accepted)
		count(tallies, TAP_REJECTED, f->len);
	else if ((ring = bpf_map_lookup_elem(&rings, &cpu)))
		count(tallies, record(ctx, is_xdp, f, id, c, ring), f->len);
	else
		count(tallies, TAP_LOST_NO_RING, f->len);
	WRITE_ONCE(c->busy, 0);
}

/* The next two return when there is nothing to call. Slots are constants, for which the JIT writes
 * direct jumps. */
#define CALL_FILTER(ctx, programs, framing, direction)                                       \
	switch (READ_ONCE(filter_generation)) {                                              \
	case 1:                                                                              \
		bpf_tail_call_static(ctx, programs, TAP_FILTER_SLOT(1, framing, direction)); \
		break;                                                                       \
	case 2:                                                                              \
		bpf_tail_call_static(ctx, programs, TAP_FILTER_SLOT(2, framing, direction)); \
		break;                                                                       \
	}

#define CALL_SELECT(ctx, programs, direction) \
	if (READ_ONCE(is_selecting))          \
		bpf_tail_call_static(ctx, programs, TAP_SELECT + direction);

static __always_inline int tap_frame_xdp(struct xdp_md *ctx, bool accepted)
{
	struct frame f = {
		.ifindex = ctx->ingress_ifindex,
		.direction = TAP_IN,
		.len = bpf_xdp_get_buff_len(ctx),
		.flags = RECORD_INBOUND,
		.queue = ctx->rx_queue_index + 1,
	};

	tap(ctx, true, &f, 0, 0, accepted);
	return XDP_PASS;
}

/* skb->pkt_type (linux/if_packet.h) as epb_flags has it. */
static __always_inline __u32 reception(__u32 pkt_type)
{
	switch (pkt_type) {
	case 0:
		return RECORD_UNICAST;
	case 1:
		return RECORD_BROADCAST;
	case 2:
		return RECORD_MULTICAST;
	case 3:
		return RECORD_PROMISCUOUS;
	}
	return 0;
}

static __always_inline int tap_frame_in(struct __sk_buff *skb, bool accepted)
{
	struct frame f = {
		.ifindex = skb->ifindex,
		.direction = TAP_IN,
		.len = skb->len,
		.flags = RECORD_INBOUND | reception(skb->pkt_type),
		.queue = skb->queue_mapping, /* the stack stores receive queue + 1 */
	};

	tap(skb, false, &f, skb->vlan_present ? skb->vlan_proto : 0, skb->vlan_tci, accepted);
	return PASS_TC;
}

static __always_inline int tap_frame_out(struct __sk_buff *skb, bool accepted)
{
	struct frame f = {
		.ifindex = skb->ifindex,
		.direction = TAP_OUT,
		.len = skb->len,
		.flags = RECORD_OUTBOUND,
	};

	tap(skb, false, &f, skb->vlan_present ? skb->vlan_proto : 0, skb->vlan_tci, accepted);
	return PASS_TC;
}

/* --- stages: each hook's own, for the contexts differ --- */

SEC("xdp.frags")
int tap_xdp(struct xdp_md *ctx)
{
	CALL_FILTER(ctx, &xdp_programs, TAP_ETHERNET, TAP_IN);
	CALL_SELECT(ctx, &xdp_programs, TAP_IN);
	return tap_frame_xdp(ctx, true);
}

SEC("tc")
int tap_ingress(struct __sk_buff *skb)
{
	CALL_FILTER(skb, &tc_programs, TAP_ETHERNET, TAP_IN);
	CALL_SELECT(skb, &tc_programs, TAP_IN);
	return tap_frame_in(skb, true);
}

SEC("tc")
int tap_egress(struct __sk_buff *skb)
{
	CALL_FILTER(skb, &tc_programs, TAP_ETHERNET, TAP_OUT);
	CALL_SELECT(skb, &tc_programs, TAP_OUT);
	return tap_frame_out(skb, true);
}

/* For interfaces whose frames start with an IP header. */
SEC("tc")
int tap_ingress_raw(struct __sk_buff *skb)
{
	CALL_FILTER(skb, &tc_programs, TAP_RAW, TAP_IN);
	CALL_SELECT(skb, &tc_programs, TAP_IN);
	return tap_frame_in(skb, true);
}

SEC("tc")
int tap_egress_raw(struct __sk_buff *skb)
{
	CALL_FILTER(skb, &tc_programs, TAP_RAW, TAP_OUT);
	CALL_SELECT(skb, &tc_programs, TAP_OUT);
	return tap_frame_out(skb, true);
}

SEC("xdp.frags")
int accept_xdp(struct xdp_md *ctx)
{
	CALL_SELECT(ctx, &xdp_programs, TAP_IN);
	return tap_frame_xdp(ctx, true);
}

SEC("tc")
int accept_ingress(struct __sk_buff *skb)
{
	CALL_SELECT(skb, &tc_programs, TAP_IN);
	return tap_frame_in(skb, true);
}

SEC("tc")
int accept_egress(struct __sk_buff *skb)
{
	CALL_SELECT(skb, &tc_programs, TAP_OUT);
	return tap_frame_out(skb, true);
}

SEC("xdp.frags")
int record_xdp(struct xdp_md *ctx)
{
	return tap_frame_xdp(ctx, true);
}

SEC("tc")
int record_ingress(struct __sk_buff *skb)
{
	return tap_frame_in(skb, true);
}

SEC("tc")
int record_egress(struct __sk_buff *skb)
{
	return tap_frame_out(skb, true);
}

SEC("xdp.frags")
int reject_xdp(struct xdp_md *ctx)
{
	return tap_frame_xdp(ctx, false);
}

SEC("tc")
int reject_ingress(struct __sk_buff *skb)
{
	return tap_frame_in(skb, false);
}

SEC("tc")
int reject_egress(struct __sk_buff *skb)
{
	return tap_frame_out(skb, false);
}

char _license[] SEC("license") = "Dual MIT/GPL";
