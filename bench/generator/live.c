/* SPDX-License-Identifier: MIT */
/*
 * live.c: sends frames that the kernel makes from a template ("live frames" of BPF_PROG_TEST_RUN).
 *
 * An XDP program runs over each copy of the template, stamps it and redirects it to the interface:
 * over a million frames a second from one core, because no system call and no sk_buff is involved.
 * The program gives each frame its own sequence number: stamp, flow field and transport checksum
 * are rewritten; the filler, and what else depends on the sequence number in packet.c (IP and ICMP
 * identification, TCP sequence), stay as in the template. A flow is a source port (ICMP identifier)
 * only. A call takes about 25 ms to set up, so there is no pacing, and the kind changes from call
 * to call.
 *
 * A frame that the driver refuses is gone, its sequence number with it, and the kernel does not say
 * so. So "packets" is what the interface's own counter says it sent; the rest is in "errors", and a
 * check against first_seq..last_seq finds it missing. A veth refuses everything unless its other
 * end has NAPI (GRO on, or an XDP program).
 *
 * The program is written as instructions here: it depends on the run's offsets and constants, and
 * this needs neither clang nor libbpf. Runs in the main thread.
 */
#include <endian.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "checksum.h"
#include "live.h"
#include "pace.h"
#include "payload.h"

#define CALL_FRAMES_FIRST \
	65536 /* frames of the first call: its speed tells how many the next can have */
#define CALL_FRAMES_MAX 1048576	   /* about a second: the reaction time to a signal */
#define SETTLE_NS	1500000000 /* some drivers count once a second */
#define SETTLE_STEP_NS	1000000
#define PROGRAM_MAX	96 /* instructions */

/* What the program's registers hold from its prologue on. */
#define R_SEQ  BPF_REG_1
#define R_SUM  BPF_REG_3
#define R_DATA BPF_REG_7
#define R_MAP  BPF_REG_9

struct program {
	struct bpf_insn insns[PROGRAM_MAX];
	unsigned count;
};

struct live {
	const struct send_config *config;
	int map_fd; /* array of one u64: the next sequence number */
	int prog_fd;
	uint8_t *template;
	size_t size;
	enum packet_kind kind;
};

static int sys_bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	long r = syscall(__NR_bpf, cmd, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

static void emit(struct program *p, uint8_t code, uint8_t dst, uint8_t src, int16_t off,
		 int32_t imm)
{
	p->insns[p->count++] = (struct bpf_insn){
		.code = code, .dst_reg = dst & 0xf, .src_reg = src & 0xf, .off = off, .imm = imm};
}

static void emit_load64(struct program *p, uint8_t dst, uint8_t pseudo, uint64_t value)
{
	uint64_t high = pseudo == BPF_PSEUDO_MAP_VALUE ? 0 : value >> 32;

	emit(p, BPF_LD | BPF_DW | BPF_IMM, dst, pseudo, 0, (int32_t)value);
	emit(p, 0, 0, 0, 0, (int32_t)high);
}

static void emit_alu(struct program *p, uint8_t op, uint8_t dst, int32_t imm)
{
	emit(p, BPF_ALU64 | BPF_K | op, dst, 0, 0, imm);
}

static void emit_alu_reg(struct program *p, uint8_t op, uint8_t dst, uint8_t src)
{
	emit(p, BPF_ALU64 | BPF_X | op, dst, src, 0, 0);
}

/* Store bits @shift..@shift+15 of @value at @offset in network order, and add them to the checksum.
 */
static void emit_put16(struct program *p, uint8_t value, int shift, size_t offset)
{
	emit_alu_reg(p, BPF_MOV, BPF_REG_4, value);
	emit_alu(p, BPF_RSH, BPF_REG_4, shift);
	emit_alu(p, BPF_AND, BPF_REG_4, 0xffff);
	emit_alu_reg(p, BPF_ADD, R_SUM, BPF_REG_4);
	emit(p, BPF_ALU | BPF_END | BPF_TO_BE, BPF_REG_4, 0, 0, 16);
	emit(p, BPF_STX | BPF_MEM | BPF_H, R_DATA, BPF_REG_4, (int16_t)offset, 0);
}

static void emit_prologue(struct program *p, int map_fd, size_t needed)
{
	emit(p, BPF_LDX | BPF_MEM | BPF_W, R_DATA, BPF_REG_1, offsetof(struct xdp_md, data), 0);
	emit(p, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct xdp_md, data_end),
	     0);
	emit_alu_reg(p, BPF_MOV, BPF_REG_0, R_DATA);
	emit_alu(p, BPF_ADD, BPF_REG_0, (int32_t)needed);
	emit(p, BPF_JMP | BPF_X | BPF_JLE, BPF_REG_0, BPF_REG_2, 2, 0);
	emit_alu(p, BPF_MOV, BPF_REG_0, XDP_DROP);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	/* No atomics: a run has one thread. */
	emit_load64(p, R_MAP, BPF_PSEUDO_MAP_VALUE, (uint32_t)map_fd);
	emit(p, BPF_LDX | BPF_MEM | BPF_DW, R_SEQ, R_MAP, 0, 0);
	emit_alu_reg(p, BPF_MOV, BPF_REG_2, R_SEQ);
	emit_alu(p, BPF_ADD, BPF_REG_2, 1);
	emit(p, BPF_STX | BPF_MEM | BPF_DW, R_MAP, BPF_REG_2, 0, 0);
}

static void emit_stamp(struct program *p, const struct live *live, size_t payload)
{
	uint32_t filler_hash = payload_filler_hash(live->template + payload + PAYLOAD_STAMP_SIZE,
						   live->size - payload - PAYLOAD_STAMP_SIZE);

	for (int i = 0; i < 3; i++)
		emit_put16(p, R_SEQ, 32 - 16 * i, payload + PAYLOAD_SEQ_OFFSET + 2 * (size_t)i);
	/* payload_stamp_hash() */
	emit_alu_reg(p, BPF_MOV, BPF_REG_5, R_SEQ);
	emit_load64(p, BPF_REG_2, 0, PAYLOAD_MIX);
	emit_alu_reg(p, BPF_MUL, BPF_REG_5, BPF_REG_2);
	emit_load64(p, BPF_REG_2, 0, live->config->packet.stream);
	emit_alu_reg(p, BPF_ADD, BPF_REG_5, BPF_REG_2);
	emit_alu_reg(p, BPF_MOV, BPF_REG_2, BPF_REG_5);
	emit_alu(p, BPF_RSH, BPF_REG_2, 32);
	emit_alu_reg(p, BPF_XOR, BPF_REG_5, BPF_REG_2);
	emit_load64(p, BPF_REG_2, 0, filler_hash);
	emit_alu_reg(p, BPF_XOR, BPF_REG_5, BPF_REG_2);
	for (int i = 0; i < 2; i++)
		emit_put16(p, BPF_REG_5, 16 - 16 * i,
			   payload + PAYLOAD_CHECK_OFFSET + 2 * (size_t)i);
}

static void emit_flow(struct program *p, const struct live *live, size_t offset)
{
	emit_alu_reg(p, BPF_MOV, BPF_REG_5, R_SEQ);
	emit_alu(p, BPF_MOD, BPF_REG_5, (int32_t)live->config->plan.flows);
	emit_alu(p, BPF_ADD, BPF_REG_5, PACKET_PORT_FIRST);
	emit_put16(p, BPF_REG_5, 0, offset);
}

static void emit_checksum(struct program *p, const struct live *live, size_t offset)
{
	for (int i = 0; i < 2; i++) {
		emit_alu_reg(p, BPF_MOV, BPF_REG_4, R_SUM);
		emit_alu(p, BPF_RSH, BPF_REG_4, 16);
		emit_alu(p, BPF_AND, R_SUM, 0xffff);
		emit_alu_reg(p, BPF_ADD, R_SUM, BPF_REG_4);
	}
	emit_alu(p, BPF_XOR, R_SUM, 0xffff);
	if (live->kind == PACKET_UDP4 || live->kind == PACKET_UDP6) {
		emit(p, BPF_JMP | BPF_K | BPF_JNE, R_SUM, 0, 1, 0);
		emit_alu(p, BPF_MOV, R_SUM, 0xffff);
	}
	emit(p, BPF_ALU | BPF_END | BPF_TO_BE, R_SUM, 0, 0, 16);
	emit(p, BPF_STX | BPF_MEM | BPF_H, R_DATA, R_SUM, (int16_t)offset, 0);
}

/* Make the template and the program for frames of the @pick-ed kind and size. */
static int live_load(struct live *live, const struct plan_pick *pick)
{
	const struct packet_config *packet = &live->config->packet;
	struct packet_layout at = packet_layout(packet, pick->kind);
	struct program program = {.count = 0};
	uint32_t base;

	live->kind = pick->kind;
	live->size = pick->size;
	packet_build(live->template, packet, pick->kind, pick->size, 0, live->config->first_seq);
	/* What the program fills in must not be in the sum that it starts from. */
	memset(live->template + at.flow, 0, 2);
	memset(live->template + at.checksum, 0, 2);
	memset(live->template + at.payload + PAYLOAD_SEQ_OFFSET, 0,
	       PAYLOAD_STAMP_SIZE - PAYLOAD_SEQ_OFFSET);
	base = (uint16_t)~checksum_finish(
		packet_l4_sum(live->template, packet, pick->kind, pick->size));

	emit_prologue(&program, live->map_fd, at.payload + PAYLOAD_STAMP_SIZE);
	emit_alu(&program, BPF_MOV, R_SUM, (int32_t)base);
	emit_stamp(&program, live, at.payload);
	emit_flow(&program, live, at.flow);
	emit_checksum(&program, live, at.checksum);
	emit_alu(&program, BPF_MOV, BPF_REG_1, live->config->device.index);
	emit_alu(&program, BPF_MOV, BPF_REG_2, 0);
	emit(&program, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect);
	emit(&program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);

	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insn_cnt = program.count,
		.insns = (uintptr_t)program.insns,
		.license = (uintptr_t) "Dual MIT/GPL",
		.prog_name = "traffic_live",
	};

	if (live->prog_fd >= 0)
		(void)close(live->prog_fd);
	live->prog_fd = sys_bpf(BPF_PROG_LOAD, &attr);
	return live->prog_fd < 0 ? live->prog_fd : 0;
}

static int live_read_seq(const struct live *live, uint64_t *ret)
{
	uint32_t key = 0;
	union bpf_attr attr = {
		.map_fd = (uint32_t)live->map_fd,
		.key = (uintptr_t)&key,
		.value = (uintptr_t)ret,
	};

	return sys_bpf(BPF_MAP_LOOKUP_ELEM, &attr);
}

static int live_open(struct live *live, const struct send_config *config)
{
	union bpf_attr create = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = 8,
		.max_entries = 1,
	};
	uint32_t key = 0;
	uint64_t seq = config->first_seq;

	*live = (struct live){.config = config, .map_fd = -1, .prog_fd = -1, .kind = PACKET_KINDS};
	live->template = calloc(1, LIVE_FRAME_MAX);
	if (!live->template)
		return -ENOMEM;
	live->map_fd = sys_bpf(BPF_MAP_CREATE, &create);
	if (live->map_fd < 0)
		return live->map_fd;

	union bpf_attr update = {
		.map_fd = (uint32_t)live->map_fd,
		.key = (uintptr_t)&key,
		.value = (uintptr_t)&seq,
	};

	return sys_bpf(BPF_MAP_UPDATE_ELEM, &update);
}

static void live_close(struct live *live)
{
	if (live->prog_fd >= 0)
		(void)close(live->prog_fd);
	if (live->map_fd >= 0)
		(void)close(live->map_fd);
	free(live->template);
}

/*
 * How many of @frames frames the interface has sent since it had counted @before. A counter may lag
 * behind: a veth's moves when the other end takes the frame.
 */
static int count_accepted(const struct live *live, uint32_t before, uint64_t frames, uint64_t *ret)
{
	uint64_t give_up_ns = pace_now_ns() + SETTLE_NS;

	for (;;) {
		uint32_t now = 0;
		int r = device_sent(&live->config->device, &now);

		if (r < 0)
			return r;
		/* More than made: others send on this interface too. */
		*ret = now - before < frames ? now - before : frames;
		if (*ret == frames || pace_now_ns() > give_up_ns)
			return 0;
		pace_wait(pace_now_ns() + SETTLE_STEP_NS);
	}
}

/* One call: make @frames frames and account for them. */
static int live_call(struct live *live, struct report *report, uint64_t frames)
{
	union bpf_attr attr = {0};
	uint64_t seq_before = 0;
	uint64_t seq_after = 0;
	uint64_t accepted = 0;
	uint32_t sent_before = 0;
	int call;
	int r;

	r = live_read_seq(live, &seq_before);
	if (r == 0)
		r = device_sent(&live->config->device, &sent_before);
	if (r < 0)
		return r;
	attr.test.prog_fd = (uint32_t)live->prog_fd;
	attr.test.data_in = (uintptr_t)live->template;
	attr.test.data_size_in = (uint32_t)live->size;
	attr.test.repeat = (uint32_t)frames;
	attr.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
	call = sys_bpf(BPF_PROG_TEST_RUN, &attr);
	/* An interrupted call made frames too. */
	r = live_read_seq(live, &seq_after);
	if (r == 0)
		r = count_accepted(live, sent_before, seq_after - seq_before, &accepted);
	if (r < 0)
		return r;
	frames = seq_after - seq_before;
	report->made += frames;
	report->errors += frames - accepted;
	report_add(report, live->kind, live->size, accepted);
	if (frames && !accepted)
		return -EOPNOTSUPP;
	return call == -EINTR ? 0 : call;
}

/* How many frames the next call should make. */
static uint64_t call_frames(const struct live *live, const struct report *report)
{
	const struct send_config *config = live->config;
	uint64_t elapsed_ns = pace_now_ns() - report->started_ns;
	uint64_t frames = report->made ? CALL_FRAMES_MAX : CALL_FRAMES_FIRST;

	if (config->duration_ns && report->made) {
		double left_ns = (double)config->duration_ns - (double)elapsed_ns;
		double fit = (double)report->made * left_ns / (double)elapsed_ns;

		if (fit < (double)frames)
			frames = fit < 1024 ? 1024 : (uint64_t)fit;
	}
	if (config->count) {
		uint64_t kinds = config->plan.kinds_count;
		uint64_t share = (config->count + kinds - 1) / kinds;

		if (frames > share)
			frames = share;
		if (frames > config->count - report->made)
			frames = config->count - report->made;
	}
	return frames;
}

int live_run(const struct send_config *config, struct report *report, const atomic_bool *stop)
{
	struct live live;
	int r;

	r = live_open(&live, config);
	if (r < 0)
		goto out;
	report->started_ns = pace_now_ns();
	/* Relaxed: a flag from this thread's signal handler, nothing else is published. */
	for (uint64_t calls = 0; !atomic_load_explicit(stop, memory_order_relaxed); calls++) {
		struct plan_pick pick = plan_pick(&config->plan, &config->packet, calls);

		if (config->count && report->made >= config->count)
			break;
		if (config->duration_ns &&
		    pace_now_ns() >= report->started_ns + config->duration_ns)
			break;
		if (pick.kind != live.kind)
			r = live_load(&live, &pick);
		if (r == 0)
			r = live_call(&live, report, call_frames(&live, report));
		if (r < 0)
			break;
	}
	report->ended_ns = pace_now_ns();
out:
	live_close(&live);
	return r;
}
