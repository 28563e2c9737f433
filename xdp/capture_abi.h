/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * capture_abi.h: the whole contract between the tap's BPF programs and user space.
 *
 * A CPU has one ring. The kernel writes finished pcapng Enhanced Packet Blocks into it ("records"),
 * user space reads them in place. Positions count bytes from the start of the capture and only
 * grow. A ring is cut into segments; a position's low bits are its offset in the segment, the next
 * ones number the segment's descriptor, and the descriptor says where in the memory the segment
 * lies. So the order of the memory is free: a new segment takes the place that was given back last
 * and is still in the CPU's cache, and as long as the reader keeps up a large ring works in a small
 * part of its memory. A ring is an element of the map `rings`:
 *
 *   0            ring_size           + RING_SLACK          + segments * sizeof(struct ring_segment)
 *   | ring       | never written     | segment descriptors |
 *
 * The slack is there for the verifier, which adds the largest record to the largest offset.
 * No record crosses the end of a segment; what is left of a segment is 0 or at least
 * RECORD_FILLER_MIN bytes and holds one filler block.
 */
#ifndef RETINA_CAPTURE_ABI_H
#define RETINA_CAPTURE_ABI_H

#include <linux/types.h>

/* Bytes of packet data that a record can hold at most: tcpdump's and dumpcap's default too. */
#define RECORD_SNAPLEN_MAX 262144u

/* Bytes of a record around its packet data: header 28, flags option 8, queue option 8, end of
 * options 4, trailing length 4, padding of the data 3. */
#define RECORD_OVERHEAD_MAX 55u

/* A pcapng custom block that must not be copied; the smallest has type, length, PEN, length. */
#define RECORD_FILLER	  0x40000BADu
#define RECORD_FILLER_MIN 16u

#define RING_SLACK (RECORD_SNAPLEN_MAX + 4096u)

/* pcapng block type and the options used (draft-ietf-opsawg-pcapng, section 4.3). */
#define RECORD_PACKET	       6u
#define RECORD_OPTION_FLAGS    (2u | 4u << 16) /* epb_flags, 4 bytes, little endian */
#define RECORD_OPTION_QUEUE    (6u | 4u << 16) /* epb_queue, 4 bytes, little endian */
#define RECORD_OPTION_FLAGS_BE (2u << 16 | 4u)
#define RECORD_OPTION_QUEUE_BE (6u << 16 | 4u)

/* epb_flags: bits 0-1 direction, bits 2-4 how the frame was addressed. */
#define RECORD_INBOUND	   1u
#define RECORD_OUTBOUND	   2u
#define RECORD_UNICAST	   (1u << 2)
#define RECORD_MULTICAST   (2u << 2)
#define RECORD_BROADCAST   (3u << 2)
#define RECORD_PROMISCUOUS (4u << 2)

/* The positions of one ring. Producer and consumer write to cache lines of their own, two apart
 * because CPUs fetch lines in pairs. */
struct ring_control {
	__u64 head;	 /* producer: end of what is published */
	__u64 busy;	 /* producer: 1 while a record is being written */
	__u64 warm_tail; /* producer: the tail's segment when a place was last looked for */
	__u64 warm;	 /* producer: the segment whose place was taken then */
	__u64 producer_pad[12];
	__u64 tail; /* consumer: everything below may be overwritten */
	__u64 consumer_pad[15];
};

/* What a segment holds, complete once the head has left it. Only the producer writes. */
struct ring_segment {
	__u64 place;	/* in the ring's memory, in segments; never twice in a ring */
	__u64 first_ns; /* stamp of the first record */
	__u64 last_ns;	/* stamp of the last record */
	__u64 packets;
	__u64 used; /* bytes of records, the filler not counted */
};

/* Where a packet went: a slot per exit path. SEEN counts on entry all but reentrant ones, which may
 * touch no counter that the interrupted program was changing. */
enum tap_slot {
	TAP_SEEN,
	TAP_REJECTED,
	TAP_CAPTURED,
	TAP_LOST_RING_FULL,
	TAP_LOST_REENTRANT, /* the program was interrupted by itself on this CPU */
	TAP_LOST_NO_RING,   /* a CPU that came online after the start */
	TAP_LOST_COPY,	    /* the kernel refused to copy the frame's bytes */
	TAP_SLOTS = 8
};

enum tap_direction { TAP_IN, TAP_OUT, TAP_DIRECTIONS };

struct tap_tally {
	__u64 packets;
	__u64 bytes; /* of the frame as it was on the wire */
};

/* One per CPU, interface and direction: element (cpu * interfaces + id) * 2 + direction. */
struct tap_counters {
	struct tap_tally slot[TAP_SLOTS];
};

/*
 * Slots of the program arrays `xdp_programs` and `tc_programs`; to all but TAP_FILTER the direction
 * is added. A hook's entry program calls the filter that `filter_generation` names, or goes on as
 * ACCEPT does; the filter, generated from an expression, calls ACCEPT or REJECT. ACCEPT calls
 * SELECT when there are targets or a sample, else it records; SELECT calls RECORD or REJECT.
 */
enum tap_program {
	TAP_ACCEPT = 0,
	TAP_REJECT = 2,
	TAP_SELECT = 4,
	TAP_RECORD = 6,
	TAP_FILTER = 8, /* up to 15: TAP_FILTER_SLOT() */
	TAP_PROGRAMS = 16
};

enum tap_framing { TAP_ETHERNET, TAP_RAW }; /* TAP_RAW: frames start with an IP header */

#define TAP_GENERATIONS 2u /* filter_generation counts from 1; 0: no filter, everything matches */

/* The slot of a filter. The filters of a generation change together, by one store to
 * filter_generation. */
#define TAP_FILTER_SLOT(generation, framing, direction) \
	(TAP_FILTER + ((generation)-1) * 4 + (framing)*2 + (direction))

/* Value of the map `interfaces`, keyed by ifindex. */
struct tap_interface {
	__u32 id;	/* index of its interface description block in the file */
	__u32 ethernet; /* 1 when frames start with an Ethernet header */
};

#endif
