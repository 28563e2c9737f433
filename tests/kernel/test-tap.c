// SPDX-License-Identifier: MIT
/*
 * test-tap.c: the tap's programs, loaded as a capture loads them, run on frames of every size by
 * BPF_PROG_TEST_RUN. A twin ring in user space (producer.c) says where each record must go and when
 * the ring is full; the frame that was sent says what must be in it. Nothing is attached.
 */
#include "tap.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/limits.h"
#include "base/record.h"
#include "tap.skel.h"
#include "producer.h"

enum { SKIPPED = 77, TC_NEXT = -1, FRAME_MAX = 70000, FLIGHT_MAX = 4096, LOOPBACK = 1 };

enum program { XDP, INGRESS, EGRESS, PROGRAMS };
static const char *const program_names[PROGRAMS] = {"tap_xdp", "tap_ingress", "tap_egress"};

/* A frame on its way through a program, and what its record must say. */
struct frame {
	uint32_t len, seed;
	uint32_t interface, flags, queue; /* queue + 1, 0: none */
	uint32_t tag;			  /* in front of byte 12, network order; 0: none */
};

struct fixture {
	struct tap *tap;
	struct ring *ring;
	struct producer twin;
	int fds[PROGRAMS], interfaces_fd;
	uint32_t snaplen, seed;
	struct frame flight[FLIGHT_MAX]; /* recorded, not yet compared */
	unsigned flight_count;
	uint64_t last_ns;
	uint64_t seen, captured, full; /* in this direction, as the twin has it */
	uint64_t seen_bytes, captured_bytes;
};

static unsigned cpu;

static void print_line(void *data, enum retina_log_level level, const char *format, va_list args)
{
	(void)data;
	if (level > RETINA_LOG_WARNING)
		return;
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
}

static const struct log log_to_stderr = {print_line, NULL};

/* The tap does not show its programs; but they are files of this process. */
static int find_fd(const char *kind, const char *name)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	uint32_t newest = 0;
	int found = -1;

	assert_non_null(d);
	/* The newest: a test that failed may have left some behind. */
	while ((e = readdir(d))) {
		char link[64] = "";
		int fd = atoi(e->d_name);

		if (readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1) < 0 ||
		    strcmp(link, kind) != 0)
			continue;
		if (strcmp(kind, "anon_inode:bpf-prog") == 0) {
			struct bpf_prog_info info = {0};
			uint32_t len = sizeof(info);

			if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
			    strcmp(info.name, name) == 0 && info.id > newest) {
				newest = info.id;
				found = fd;
			}
		} else {
			struct bpf_map_info info = {0};
			uint32_t len = sizeof(info);

			if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
			    strcmp(info.name, name) == 0 && info.id > newest) {
				newest = info.id;
				found = fd;
			}
		}
	}
	(void)closedir(d);
	return found;
}

static void open_tap(struct fixture *x, uint64_t size, uint64_t segment, uint32_t snaplen,
		     unsigned interfaces)
{
	const struct tap_config config = {.ring_size = size,
					  .segment_size = segment,
					  .snaplen = snaplen,
					  .interface_max = interfaces,
					  .one_interface = interfaces == 1,
					  .one_is_ethernet = true};

	assert_int_equal(ring_geometry_check(size, segment, snaplen), 0);
	*x = (struct fixture){.snaplen = snaplen, .seed = 17 + snaplen};
	assert_int_equal(tap_new(&x->tap, &config, &log_to_stderr), 0);
	x->ring = tap_ring(x->tap, cpu);
	assert_int_equal(producer_init(&x->twin, size, segment, snaplen), 0);
	for (unsigned i = 0; i < PROGRAMS; i++) {
		x->fds[i] = find_fd("anon_inode:bpf-prog", program_names[i]);
		assert_true(x->fds[i] >= 0);
	}
	x->interfaces_fd = find_fd("anon_inode:bpf-map", "interfaces");
	assert_true(x->interfaces_fd >= 0);
}

static void close_tap(struct fixture *x)
{
	const uint8_t *slack = x->ring->data + x->ring->size;

	/* Between the ring and its descriptors nothing was ever written. */
	assert_true(slack[0] == 0 && memcmp(slack, slack + 1, RING_SLACK - 1) == 0);
	producer_release(&x->twin);
	assert_null(tap_free(x->tap));
}

/* --- frames --- */

static void frame_bytes(const struct frame *f, uint8_t *to)
{
	static const uint8_t addresses[4][6] = {
		{0}, {255, 255, 255, 255, 255, 255}, {1, 0, 94, 1, 2, 3}, {2, 3, 4, 5, 6, 7}};
	uint32_t seed = f->seed;

	for (uint32_t i = 0; i < f->len; i += 2) { /* there is room for one more */
		uint32_t r = next_random(&seed);

		memcpy(to + i, &r, 2);
	}
	memcpy(to, addresses[f->seed % 4], 6);
	to[12] = 0x88; /* an EtherType that nobody looks into */
	to[13] = 0xb5;
}

/* epb_flags of a frame that loopback, whose address is all zero, receives. */
static uint32_t frame_flags(enum program program, uint32_t seed)
{
	/* Its broadcast address is all zero, too. */
	static const uint32_t receptions[4] = {RECORD_UNICAST, RECORD_MULTICAST, RECORD_MULTICAST,
					       RECORD_PROMISCUOUS};

	if (program == XDP)
		return RECORD_INBOUND;
	return program == EGRESS ? RECORD_OUTBOUND : RECORD_INBOUND | receptions[seed % 4];
}

/* Runs a program once; it must let the frame pass as it is. Returns 0, or -errno when TEST_RUN
 * does not take such a frame. */
static int run_raw(int fd, bool is_xdp, const uint8_t *data, uint32_t len, void *ctx, uint32_t size)
{
	static uint8_t out[FRAME_MAX + 16];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = data, .data_size_in = len, .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = ctx, .ctx_size_in = size, .repeat = 1);

	if (bpf_prog_test_run_opts(fd, &o) < 0)
		return -errno;
	assert_int_equal((int)o.retval, is_xdp ? XDP_PASS : TC_NEXT);
	assert_int_equal(o.data_size_out, len);
	assert_memory_equal(out, data, len);
	return 0;
}

static int run(struct fixture *x, enum program program, const struct frame *f)
{
	static uint8_t data[FRAME_MAX];

	frame_bytes(f, data);
	return run_raw(x->fds[program], program == XDP, data, f->len, NULL, 0);
}

/* --- records --- */

static uint32_t on_wire(const struct frame *f)
{
	return f->len + (f->tag ? 4 : 0);
}

/* Where the twin puts it is where the kernel must. */
static void expect(struct fixture *x, const struct frame *f)
{
	struct packet k = {.ns = 1, .origlen = on_wire(f), .queue = f->queue};

	x->seen++;
	x->seen_bytes += on_wire(f);
	if (producer_write(&x->twin, &k)) {
		assert_true(x->flight_count < FLIGHT_MAX);
		x->flight[x->flight_count++] = *f;
		x->captured++;
		x->captured_bytes += on_wire(f);
	} else {
		x->full++;
	}
	assert_int_equal(ring_head(x->ring), ring_head(&x->twin.ring));
	assert_false(ring_busy(x->ring));
}

static void assert_is_record_of(const struct fixture *x, const struct frame *f, const uint8_t *r)
{
	static uint8_t bytes[FRAME_MAX];
	uint32_t caplen = on_wire(f) < x->snaplen ? on_wire(f) : x->snaplen;
	const uint8_t *at = r + RECORD_HEADER + caplen;

	frame_bytes(f, bytes);
	if (f->tag) {
		memmove(bytes + 16, bytes + 12, f->len - 12);
		memcpy(bytes + 12, &f->tag, 4);
	}
	assert_int_equal(record_type(r), RECORD_PACKET);
	assert_int_equal(record_word(r, record_len(r) / 4 - 1), record_len(r));
	assert_int_equal(record_interface(r), f->interface);
	assert_int_equal(record_caplen(r), caplen);
	assert_int_equal(record_origlen(r), on_wire(f));
	assert_memory_equal(r + RECORD_HEADER, bytes, caplen);
	for (; (at - r) % 4; at++)
		assert_int_equal(*at, 0);
	assert_int_equal(record_word(at, 0), RECORD_OPTION_FLAGS);
	assert_int_equal(record_word(at, 1), f->flags);
	at += 8;
	if (f->queue) {
		assert_int_equal(record_word(at, 0), RECORD_OPTION_QUEUE);
		assert_int_equal(record_word(at, 1), f->queue - 1);
		at += 8;
	}
	assert_int_equal(record_word(at, 0), 0);
	assert_ptr_equal(at + 8, r + record_len(r));
}

/* Compares all that is in the ring, then gives back `keep` records less than all of it. */
static void compare(struct fixture *x)
{
	uint64_t at = x->ring->control->tail, head = ring_head(x->ring);
	uint64_t segment = x->ring->segment_size;

	for (unsigned i = 0; i < x->flight_count; i++) {
		const uint8_t *r = ring_next(x->ring, &at, head);
		uint64_t start;

		assert_non_null(r);
		assert_is_record_of(x, &x->flight[i], r);
		assert_true(record_ns(r) >= x->last_ns);
		x->last_ns = record_ns(r);
		start = at - record_len(r);
		assert_int_equal(start / segment, (at - 1) / segment);
		if (start % segment == 0)
			assert_int_equal(
				x->ring->segments[start % x->ring->size / segment].first_ns,
				record_ns(r));
	}
	assert_null(ring_next(x->ring, &at, head));
	assert_int_equal(at, head);
	/* The twin's descriptors have the same counts. */
	for (uint64_t i = 0; i < x->ring->size / segment && head >= x->ring->size; i++) {
		assert_int_equal(x->ring->segments[i].packets, x->twin.ring.segments[i].packets);
		assert_int_equal(x->ring->segments[i].used, x->twin.ring.segments[i].used);
	}
	x->flight_count = 0;
	ring_release(x->ring, head);
	ring_release(&x->twin.ring, head);
}

static void assert_counted(struct fixture *x, unsigned direction, unsigned id)
{
	struct tap_counters c;

	tap_read(x->tap, id, direction, &c);
	assert_int_equal(c.slot[TAP_SEEN].packets, x->seen);
	assert_int_equal(c.slot[TAP_SEEN].bytes, x->seen_bytes);
	assert_int_equal(c.slot[TAP_CAPTURED].packets, x->captured);
	assert_int_equal(c.slot[TAP_CAPTURED].bytes, x->captured_bytes);
	assert_int_equal(c.slot[TAP_LOST_RING_FULL].packets, x->full);
	assert_int_equal(c.slot[TAP_LOST_RING_FULL].bytes, x->seen_bytes - x->captured_bytes);
	assert_int_equal(c.slot[TAP_REJECTED].packets, 0);
	assert_int_equal(c.slot[TAP_LOST_REENTRANT].packets, 0);
	assert_int_equal(c.slot[TAP_LOST_NO_RING].packets, 0);
	assert_int_equal(c.slot[TAP_LOST_COPY].packets, 0);
}

/* Sizes that leave 0, 4, 8, ... bytes of a segment, that touch the snap length, and any others. */
static uint32_t random_len(struct fixture *x, enum program program, uint32_t max)
{
	uint64_t segment = x->ring->segment_size;
	uint64_t room = segment - (ring_head(x->ring) & (segment - 1));
	uint32_t around = program == XDP ? 52 : 44, len = 0;

	switch (next_random(&x->seed) % 4) {
	case 0:
		len = (uint32_t)room - around - next_random(&x->seed) % 8 * 4 -
		      next_random(&x->seed) % 4;
		break;
	case 1:
		len = x->snaplen + next_random(&x->seed) % 9 - 4;
		break;
	case 2:
		len = 14 + next_random(&x->seed) % 200;
		break;
	default:
		len = 14 + next_random(&x->seed) % (max - 13);
	}
	return len >= 14 && len <= max ? len : 14 + next_random(&x->seed) % (max - 13);
}

static void record_many(uint64_t size, uint64_t segment, uint32_t snaplen, unsigned count)
{
	static struct fixture x;

	for (enum program p = XDP; p < PROGRAMS; p++) {
		uint32_t max = 65000;
		uint64_t before;

		open_tap(&x, size, segment, snaplen, 1);
		before = clock_unix_ns();
		for (unsigned i = 0; i < count; i++) {
			struct frame f = {.seed = next_random(&x.seed), .queue = p == XDP};

			f.flags = frame_flags(p, f.seed);
			f.len = random_len(&x, p, max);
			/* What TEST_RUN takes depends on the kernel: one page for tc before 6.19.
			 */
			while (run(&x, p, &f) < 0) {
				assert_true(max > 3000);
				max -= max > 5000 ? 500 : 50;
				f.len = max;
			}
			expect(&x, &f);
			if (x.full ? next_random(&x.seed) % 24 == 0
				   : next_random(&x.seed) % 200 == 0)
				compare(&x);
		}
		compare(&x);
		if (p == XDP)
			assert_int_equal(max, 65000); /* in many buffers */
		if (snaplen > 100) /* else a record and its loss differ too little */
			assert_true(x.captured > 0);
		assert_counted(&x, p == EGRESS ? TAP_OUT : TAP_IN, 0);
		/* On a clock that differs by less than its offset's measurement. */
		assert_true(x.last_ns + NS_PER_S > before);
		assert_true(x.last_ns < clock_unix_ns() + NS_PER_S);
		close_tap(&x);
	}
}

static void the_smallest_ring_holds_every_frame_exactly_or_counts_it(void **state)
{
	(void)state;
	record_many(4096, 128, 57, 3000);
	record_many(4096, 128, 1, 1000);
	record_many(4096, 2048, 1977, 3000);
}

static void every_small_snap_length_is_exact(void **state)
{
	static const uint32_t snaplens[] = {2, 3, 4, 5, 11, 12, 13, 14, 15, 16, 17, 128};

	(void)state;
	for (unsigned i = 0; i < sizeof(snaplens) / sizeof(snaplens[0]); i++)
		record_many(8192, 1024, snaplens[i], 300);
}

static void larger_rings_hold_jumbo_frames_and_frags(void **state)
{
	(void)state;
	record_many(65536, 16384, 9000, 1500);
	record_many(262144, 131072, 65535, 1000);
}

static void the_largest_snap_length_needs_a_ring_of_a_mebibyte(void **state)
{
	(void)state;
	record_many(1 * MIB, 512 * KIB, RECORD_SNAPLEN_MAX, 600);
}

static void a_full_ring_keeps_what_it_has_until_space_is_released(void **state)
{
	static struct fixture x;
	struct frame f = {.len = 400, .flags = RECORD_OUTBOUND};
	uint8_t *before = malloc(4096);

	(void)state;
	open_tap(&x, 4096, 1024, 953, 1);
	while (!x.full) {
		f.seed++;
		assert_int_equal(run(&x, EGRESS, &f), 0);
		expect(&x, &f);
	}
	memcpy(before, x.ring->data, 4096);
	for (f.len = 14; f.len < 1000; f.len += 13) {
		uint64_t full = x.full;

		if (44 + ((f.len + 3) & ~3u) <= 1024 - ring_head(x.ring) % 1024)
			continue; /* would still fit the segment's rest */
		assert_int_equal(run(&x, EGRESS, &f), 0);
		expect(&x, &f);
		assert_int_equal(x.full, full + 1);
	}
	assert_memory_equal(before, x.ring->data, 4096);
	assert_counted(&x, TAP_OUT, 0);
	compare(&x);
	assert_int_equal(run(&x, EGRESS, &f), 0);
	expect(&x, &f);
	compare(&x);
	free(before);
	close_tap(&x);
}

static void a_program_that_interrupts_itself_touches_nothing(void **state)
{
	static struct fixture x;
	struct frame f = {.len = 100, .flags = RECORD_OUTBOUND, .seed = 1};

	(void)state;
	open_tap(&x, 4096, 1024, 953, 1);
	for (enum program p = XDP; p < PROGRAMS; p++) {
		unsigned direction = p == EGRESS ? TAP_OUT : TAP_IN;
		struct tap_counters was, is;

		tap_read(x.tap, 0, direction, &was);
		x.ring->control->busy = 1;
		assert_int_equal(run(&x, p, &f), 0);
		assert_int_equal(x.ring->control->busy, 1);
		assert_int_equal(ring_head(x.ring), 0);
		x.ring->control->busy = 0;
		tap_read(x.tap, 0, direction, &is);
		was.slot[TAP_LOST_REENTRANT].packets++;
		was.slot[TAP_LOST_REENTRANT].bytes += 100;
		assert_memory_equal(&was, &is, sizeof(is));
	}
	assert_int_equal(run(&x, EGRESS, &f), 0);
	expect(&x, &f);
	compare(&x);
	close_tap(&x);
}

static void only_interfaces_that_are_recorded_are_seen(void **state)
{
	static struct fixture x;
	const struct tap_interface value = {.id = 2, .ethernet = 1};
	const uint32_t ifindex = LOOPBACK;
	struct frame f = {.len = 60, .seed = 4, .interface = 2, .flags = RECORD_OUTBOUND};

	(void)state;
	open_tap(&x, 4096, 1024, 953, 3);
	for (enum program p = XDP; p < PROGRAMS; p++)
		assert_int_equal(run(&x, p, &f), 0);
	assert_int_equal(ring_head(x.ring), 0);
	for (unsigned id = 0; id < 3; id++) {
		assert_counted(&x, TAP_IN, id);
		assert_counted(&x, TAP_OUT, id);
	}
	assert_int_equal(bpf_map_update_elem(x.interfaces_fd, &ifindex, &value, BPF_ANY), 0);
	assert_int_equal(run(&x, EGRESS, &f), 0);
	expect(&x, &f);
	assert_counted(&x, TAP_OUT, 2);
	compare(&x);
	assert_int_equal(bpf_map_delete_elem(x.interfaces_fd, &ifindex), 0);
	assert_int_equal(run(&x, EGRESS, &f), 0);
	assert_int_equal(x.flight_count, 0);
	assert_counted(&x, TAP_OUT, 2);
	close_tap(&x);
}

/* --- what TEST_RUN cannot set: a program in front does --- */

/* It obeys skb->cb: 0: VLAN protocol (network order) and 1: tag to push; 2: queue mapping; 3:
 * skb->pkt_type; then it goes on in the tap's program. */
static int load_front(int next_fd)
{
	enum { CB = offsetof(struct __sk_buff, cb) };
	int map = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "front", 4, 4, 1, NULL);
	const uint32_t zero = 0;
	const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
		{.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 6, .off = CB},
		{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 2, .off = 3, .imm = 0},
		{.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 3, .src_reg = 6, .off = CB + 4},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_vlan_push},
		{.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 6, .off = CB + 8},
		{.code = BPF_STX | BPF_MEM | BPF_W,
		 .dst_reg = 6,
		 .src_reg = 2,
		 .off = offsetof(struct __sk_buff, queue_mapping)},
		{.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 6, .off = CB + 12},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_change_type},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6},
		{.code = BPF_LD | BPF_IMM | BPF_DW,
		 .dst_reg = 2,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = map},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 7},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd;

	assert_true(map >= 0);
	fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "front", "GPL", code,
			   sizeof(code) / sizeof(code[0]), NULL);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(map, &zero, &next_fd, BPF_ANY), 0);
	/* The program holds the map, the map the tap's program: but only while somebody has it. */
	return fd;
}

static void run_tagged(int front, const struct frame *f, uint16_t proto, uint16_t tci,
		       uint32_t queue, uint32_t type)
{
	static uint8_t data[FRAME_MAX];
	struct __sk_buff skb = {.cb = {__builtin_bswap16(proto), tci, queue, type}};

	frame_bytes(f, data);
	assert_int_equal(run_raw(front, false, data, f->len, &skb, sizeof(skb)), 0);
}

static void a_vlan_tag_is_back_in_its_place(void **state)
{
	static const uint32_t snaplens[] = {1, 11, 12, 13, 14, 15, 16, 17, 18, 64, 953};
	/* In the order of PACKET_HOST, _BROADCAST, _MULTICAST, _OTHERHOST. */
	static const uint32_t receptions[4] = {RECORD_UNICAST, RECORD_BROADCAST, RECORD_MULTICAST,
					       RECORD_PROMISCUOUS};
	static struct fixture x;

	(void)state;
	for (unsigned i = 0; i < sizeof(snaplens) / sizeof(snaplens[0]); i++)
		for (enum program p = INGRESS; p <= EGRESS; p++) {
			int front;

			open_tap(&x, 8192, 1024, snaplens[i], 1);
			front = load_front(x.fds[p]);
			for (unsigned n = 0; n < 60; n++) {
				uint16_t proto = n % 2 ? 0x8100 : 0x88a8;
				uint16_t tci = (uint16_t)next_random(&x.seed);
				uint32_t queue = n % 5, type = n / 2 % 4;
				struct frame f = {.seed = next_random(&x.seed)};

				f.len = n < 10 ? 14 + n : 14 + next_random(&x.seed) % 1500;
				f.flags = p == INGRESS ? RECORD_INBOUND | receptions[type]
						       : RECORD_OUTBOUND;
				/* The way out does not know a receive queue. */
				f.queue = p == INGRESS ? queue : 0;
				if (n % 4 == 3)
					proto = 0;
				else
					f.tag = (uint32_t)__builtin_bswap16(proto) |
						(uint32_t)__builtin_bswap16(tci) << 16;
				run_tagged(front, &f, proto, tci, queue, type);
				expect(&x, &f);
				if (n % 10 == 9)
					compare(&x);
			}
			compare(&x);
			assert_counted(&x, p == EGRESS ? TAP_OUT : TAP_IN, 0);
			close(front);
			close_tap(&x);
		}
}

static void without_an_ethernet_header_no_tag_is_put_in(void **state)
{
	static struct fixture x;
	const struct tap_interface value = {.id = 1, .ethernet = 0};
	const uint32_t ifindex = LOOPBACK;
	struct frame f = {.len = 60, .seed = 8, .interface = 1, .flags = RECORD_OUTBOUND};
	int front;

	(void)state;
	open_tap(&x, 4096, 1024, 953, 2);
	assert_int_equal(bpf_map_update_elem(x.interfaces_fd, &ifindex, &value, BPF_ANY), 0);
	front = load_front(x.fds[EGRESS]);
	run_tagged(front, &f, 0x8100, 5, 0, 0);
	expect(&x, &f);
	compare(&x);
	assert_counted(&x, TAP_OUT, 1);
	close(front);
	close_tap(&x);
}

static void the_receive_queue_is_in_the_record(void **state)
{
	static struct fixture x;
	static uint8_t data[200];
	unsigned ifindex;

	(void)state;
	if (unshare(CLONE_NEWNET) < 0 ||
	    system("ip link add t0 numrxqueues 4 type veth peer name t1 2>/dev/null") != 0)
		skip();
	ifindex = if_nametoindex("t0");
	open_tap(&x, 4096, 1024, 953, 1);
	for (uint32_t queue = 0; queue < 4; queue++) {
		struct frame f = {.len = 90 + queue,
				  .seed = queue,
				  .flags = RECORD_INBOUND,
				  .queue = queue + 1};
		struct xdp_md ctx = {
			.data_end = f.len, .ingress_ifindex = ifindex, .rx_queue_index = queue};

		frame_bytes(&f, data);
		assert_int_equal(run_raw(x.fds[XDP], true, data, f.len, &ctx, sizeof(ctx)), 0);
		expect(&x, &f);
	}
	compare(&x);
	close_tap(&x);
}

static void a_cpu_without_a_ring_loses_and_counts(void **state)
{
	struct tap_bpf *b = tap_bpf__open();
	unsigned cpus = (unsigned)libbpf_num_possible_cpus(), second = 1;
	struct tap_counters c;
	static uint8_t data[100];
	uint32_t key = second * TAP_DIRECTIONS + TAP_OUT;
	cpu_set_t set, one;

	(void)state;
	assert_non_null(b);
	CPU_ZERO(&one);
	CPU_SET(second, &one);
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	if (cpus < 2 || sched_setaffinity(0, sizeof(one), &one) < 0) {
		tap_bpf__destroy(b);
		skip();
	}
	(void)bpf_map__set_max_entries(b->maps.controls, cpus);
	(void)bpf_map__set_max_entries(b->maps.counters, cpus * TAP_DIRECTIONS);
	assert_int_equal(tap_bpf__load(b), 0);
	assert_int_equal(run_raw(bpf_program__fd(b->progs.tap_egress), false, data, 100, NULL, 0),
			 0);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(b->maps.counters), &key, &c), 0);
	assert_int_equal(c.slot[TAP_SEEN].packets, 1);
	assert_int_equal(c.slot[TAP_LOST_NO_RING].packets, 1);
	assert_int_equal(c.slot[TAP_LOST_NO_RING].bytes, 100);
	assert_int_equal(c.slot[TAP_CAPTURED].packets, 0);
	tap_bpf__destroy(b);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smallest_ring_holds_every_frame_exactly_or_counts_it),
		cmocka_unit_test(every_small_snap_length_is_exact),
		cmocka_unit_test(larger_rings_hold_jumbo_frames_and_frags),
		cmocka_unit_test(the_largest_snap_length_needs_a_ring_of_a_mebibyte),
		cmocka_unit_test(a_full_ring_keeps_what_it_has_until_space_is_released),
		cmocka_unit_test(a_program_that_interrupts_itself_touches_nothing),
		cmocka_unit_test(only_interfaces_that_are_recorded_are_seen),
		cmocka_unit_test(a_vlan_tag_is_back_in_its_place),
		cmocka_unit_test(without_an_ethernet_header_no_tag_is_put_in),
		cmocka_unit_test(a_cpu_without_a_ring_loses_and_counts),
		cmocka_unit_test(the_receive_queue_is_in_the_record),
	};
	cpu_set_t set;

	if (geteuid() != 0) {
		(void)printf("loading BPF programs needs root\n");
		return SKIPPED;
	}
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &set))
			cpu++;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
