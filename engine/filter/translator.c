// SPDX-License-Identifier: MIT
/*
 * translator.c: classic BPF to eBPF. Pure; owned by its caller's thread.
 *
 * A classic program has an accumulator A, an index X, 16 scratch words and loads that end it with
 * "no match" beyond the frame's end. Registers: r6 the context, r7 A, r8 X, r9 in programs
 * with loops a zero that the verifier takes for any number. A and X are used as
 * 32-bit registers; the kernel keeps their upper halves 0.
 *
 * A load reads the packet directly where the first buffer has the bytes, else through the helper
 * that also finds them in fragments. The packet's bounds are read anew for every load: a bound that
 * was proved once and kept in a register would make each later path differ from the others, and the
 * verifier walk all of them.
 *
 * tc sees a frame whose VLAN tag the kernel may have taken out; it is recorded, and judged, with
 * the tag behind byte 12. So the program for Ethernet has two bodies, one for frames without such a
 * tag and one for those with it, in which offsets beyond the tag are 4 less and loads that touch it
 * read a copy of bytes 8 to 19, the window, on the stack.
 *
 * Where the interpreter's C is undefined (shifts by a constant above 31, scratch words that were
 * never stored) the result is as if the word were 0.
 */
#include "translator.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <stdlib.h>
#include "emitter.h"

enum { CONTEXT = BPF_REG_6, A = BPF_REG_7, X = BPF_REG_8, NOTHING = BPF_REG_9 };

/*
 * Loops are what `protochain` compiles to; a turn is one header of a packet. The verifier walks
 * every turn of every loop and keeps at most 8192 branches in mind, so together they get TURNS_MAX;
 * the longest chain of a frame of 1500 bytes has 182. A frame that takes more turns does not match.
 * Each loop has a count of its own, for with one that all share the verifier would walk a second
 * loop anew for each number of turns in the first.
 */
enum { TURNS_MAX = 400, LOOPS_MAX = 32 };

/* The stack, as offsets from the frame pointer. The kernel aligns accesses to it. */
enum { SCRATCH_WORDS = -64, LOADED = -72, WINDOW = -88, TURNS = -96 };
enum { WINDOW_FROM = 8, WINDOW_SIZE = 12 }; /* bytes of the frame */

enum { TAG_AT = 2 * ETH_ALEN, TAG_SIZE = 4, TAG_END = TAG_AT + TAG_SIZE };

/* The verifier takes offsets into a packet up to here. */
enum { PACKET_OFFSET_MAX = 0xffff };

/* Where a VLAN tag is. */
enum body { IN_FRAME, IN_METADATA };

struct translator {
	struct emitter out;
	const struct classic_insn *in;
	size_t count;
	bool *is_reachable;
	size_t loops[LOOPS_MAX]; /* where they begin */
	unsigned loop_count;
	const struct translator_config *config;
	enum body body;
};

/* Labels: one for each classic instruction of each body, and these. */
static size_t label_of(const struct translator *t, size_t insn)
{
	return t->body * t->count + insn;
}

static size_t label_accept(const struct translator *t)
{
	return 2 * t->count;
}

static size_t label_reject(const struct translator *t)
{
	return 2 * t->count + 1;
}

static size_t label_tagged(const struct translator *t)
{
	return 2 * t->count + 2;
}

enum { OTHER_LABELS = 3 };

static bool is_xdp(const struct translator *t)
{
	return t->config->hook == TRANSLATOR_XDP;
}

/* --- instructions --- */

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){ \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (int16_t)(o), .imm = (i)})

static void move(struct translator *t, int to, int from)
{
	emit(&t->out, INSN(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0));
}

static void move_word(struct translator *t, int to, int from)
{
	emit(&t->out, INSN(BPF_ALU | BPF_MOV | BPF_X, to, from, 0, 0));
}

static void set(struct translator *t, int to, uint32_t value)
{
	emit(&t->out, INSN(BPF_ALU | BPF_MOV | BPF_K, to, 0, 0, (int32_t)value));
}

static void add(struct translator *t, int to, int32_t value)
{
	emit(&t->out, INSN(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value));
}

static void add_register(struct translator *t, int to, int from)
{
	emit(&t->out, INSN(BPF_ALU64 | BPF_ADD | BPF_X, to, from, 0, 0));
}

static void word(struct translator *t, int op, int to, uint32_t value)
{
	emit(&t->out, INSN(BPF_ALU | op | BPF_K, to, 0, 0, (int32_t)value));
}

static void word_register(struct translator *t, int op, int to, int from)
{
	emit(&t->out, INSN(BPF_ALU | op | BPF_X, to, from, 0, 0));
}

static void load(struct translator *t, int size, int to, int from, int offset)
{
	emit(&t->out, INSN(BPF_LDX | BPF_MEM | size, to, from, offset, 0));
}

static void store(struct translator *t, int size, int to, int offset, int from)
{
	emit(&t->out, INSN(BPF_STX | BPF_MEM | size, to, from, offset, 0));
}

static void store_zero(struct translator *t, int offset)
{
	emit(&t->out, INSN(BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, offset, 0));
}

static void call(struct translator *t, int helper)
{
	emit(&t->out, INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper));
}

/* A short jump to where aim() is called with its result. 64-bit comparison. */
static size_t jump_if(struct translator *t, int op, int reg, int32_t value)
{
	size_t at = emitter_place(&t->out);

	emit(&t->out, INSN(BPF_JMP | op | BPF_K, reg, 0, 0, value));
	return at;
}

static size_t jump_if_register(struct translator *t, int op, int reg, int with)
{
	size_t at = emitter_place(&t->out);

	emit(&t->out, INSN(BPF_JMP | op | BPF_X, reg, with, 0, 0));
	return at;
}

static void aim(struct translator *t, size_t jump)
{
	emitter_aim(&t->out, jump);
}

static void reject_if(struct translator *t, int op, int reg, int32_t value)
{
	emit_jump(&t->out, INSN(BPF_JMP | op | BPF_K, reg, 0, 0, value), label_reject(t));
}

static void jump(struct translator *t, size_t label)
{
	emit_jump(&t->out, INSN(BPF_JMP | BPF_JA, 0, 0, 0, 0), label);
}

/* --- loads --- */

static int bytes_of(int size)
{
	return size == BPF_W ? 4 : size == BPF_H ? 2 : 1;
}

static int data_offset(const struct translator *t)
{
	return is_xdp(t) ? (int)offsetof(struct xdp_md, data)
			 : (int)offsetof(struct __sk_buff, data);
}

static int data_end_offset(const struct translator *t)
{
	return is_xdp(t) ? (int)offsetof(struct xdp_md, data_end)
			 : (int)offsetof(struct __sk_buff, data_end);
}

/* r2 holds the offset: copies bytes to the stack; r0 is not 0 when they are not there. */
static void call_load_bytes(struct translator *t, int to, int bytes)
{
	move(t, BPF_REG_1, CONTEXT);
	move(t, BPF_REG_3, BPF_REG_10);
	add(t, BPF_REG_3, to);
	set(t, BPF_REG_4, (uint32_t)bytes);
	call(t, is_xdp(t) ? BPF_FUNC_xdp_load_bytes : BPF_FUNC_skb_load_bytes);
}

/* r2 holds the offset. */
static void load_by_helper(struct translator *t, int size, int to)
{
	call_load_bytes(t, LOADED, bytes_of(size));
	reject_if(t, BPF_JNE, BPF_REG_0, 0);
	load(t, size, to, BPF_REG_10, LOADED);
}

static void to_host_order(struct translator *t, int size, int reg)
{
	if (size != BPF_B)
		emit(&t->out,
		     INSN(BPF_ALU | BPF_END | BPF_TO_BE, reg, 0, 0, size == BPF_W ? 32 : 16));
}

/* The offset is one into the packet as it lies in memory; the result is in network order. */
static void load_at(struct translator *t, int size, int to, uint32_t offset)
{
	size_t is_there, done;

	if (offset > (uint32_t)(PACKET_OFFSET_MAX - bytes_of(size))) {
		set(t, BPF_REG_2, offset);
		load_by_helper(t, size, to);
		return;
	}
	load(t, BPF_W, BPF_REG_1, CONTEXT, data_offset(t));
	load(t, BPF_W, BPF_REG_2, CONTEXT, data_end_offset(t));
	move(t, BPF_REG_3, BPF_REG_1);
	add(t, BPF_REG_3, (int32_t)offset + bytes_of(size));
	is_there = jump_if_register(t, BPF_JLE, BPF_REG_3, BPF_REG_2);
	set(t, BPF_REG_2, offset);
	load_by_helper(t, size, to);
	done = emitter_place(&t->out);
	emit(&t->out, INSN(BPF_JMP | BPF_JA, 0, 0, 0, 0));
	aim(t, is_there);
	/* An instruction's offset reaches 32767. */
	if (offset > INT16_MAX) {
		add(t, BPF_REG_1, (int32_t)offset);
		offset = 0;
	}
	load(t, size, to, BPF_REG_1, (int)offset);
	aim(t, done);
}

/* The same, with the offset in r5, of which nothing is known. */
static void load_at_register(struct translator *t, int size, int to)
{
	size_t is_far = 0, is_cut = 0, done = 0;

	if (!t->config->plain) {
		is_far = jump_if(t, BPF_JGT, BPF_REG_5, PACKET_OFFSET_MAX - 4);
		load(t, BPF_W, BPF_REG_1, CONTEXT, data_offset(t));
		load(t, BPF_W, BPF_REG_2, CONTEXT, data_end_offset(t));
		add_register(t, BPF_REG_1, BPF_REG_5);
		move(t, BPF_REG_3, BPF_REG_1);
		add(t, BPF_REG_3, bytes_of(size));
		is_cut = jump_if_register(t, BPF_JGT, BPF_REG_3, BPF_REG_2);
		load(t, size, to, BPF_REG_1, 0);
		done = emitter_place(&t->out);
		emit(&t->out, INSN(BPF_JMP | BPF_JA, 0, 0, 0, 0));
		aim(t, is_far);
		aim(t, is_cut);
	}
	reject_if(t, BPF_JGT, BPF_REG_5, INT32_MAX);
	move_word(t, BPF_REG_2, BPF_REG_5);
	load_by_helper(t, size, to);
	if (!t->config->plain)
		aim(t, done);
}

/* --- a tag that is in the metadata --- */

/* Puts the length of the frame with its tag into r1 and lets the load fail beyond it. */
static void reject_beyond_end(struct translator *t, int end_register)
{
	load(t, BPF_W, BPF_REG_1, CONTEXT, offsetof(struct __sk_buff, len));
	add(t, BPF_REG_1, TAG_SIZE);
	emit_jump(&t->out, INSN(BPF_JMP | BPF_JGT | BPF_X, end_register, BPF_REG_1, 0, 0),
		  label_reject(t));
}

/* Byte by byte, for the stack is read aligned. r1 points to the window less `offset`; the result is
 * in host order. */
static void load_from_window(struct translator *t, int size, int to, int offset)
{
	load(t, BPF_B, to, BPF_REG_1, offset);
	for (int i = 1; i < bytes_of(size); i++) {
		word(t, BPF_LSH, to, 8);
		load(t, BPF_B, BPF_REG_2, BPF_REG_1, offset + i);
		word_register(t, BPF_OR, to, BPF_REG_2);
	}
}

static void fill_window(struct translator *t)
{
	size_t done[2];

	set(t, BPF_REG_2, WINDOW_FROM);
	call_load_bytes(t, WINDOW, TAG_AT - WINDOW_FROM);
	load(t, BPF_W, BPF_REG_1, CONTEXT, offsetof(struct __sk_buff, vlan_proto));
	store(t, BPF_H, BPF_REG_10, WINDOW + 4, BPF_REG_1); /* it is in network order */
	load(t, BPF_W, BPF_REG_1, CONTEXT, offsetof(struct __sk_buff, vlan_tci));
	to_host_order(t, BPF_H, BPF_REG_1);
	store(t, BPF_H, BPF_REG_10, WINDOW + 6, BPF_REG_1);
	/* The shortest frames end within the window; what is not there is never read. */
	for (int i = 0; i < 3; i++) {
		store_zero(t, WINDOW + 8);
		set(t, BPF_REG_2, TAG_AT);
		call_load_bytes(t, WINDOW + 8, 4 - i);
		if (i < 2)
			done[i] = jump_if(t, BPF_JEQ, BPF_REG_0, 0);
	}
	aim(t, done[0]);
	aim(t, done[1]);
}

static void load_tagged(struct translator *t, int size, int to, uint32_t offset)
{
	uint32_t bytes = (uint32_t)bytes_of(size);

	if (offset <= TAG_AT - bytes || offset >= TAG_END) {
		load_at(t, size, to, offset < TAG_END ? offset : offset - TAG_SIZE);
		to_host_order(t, size, to);
		return;
	}
	set(t, BPF_REG_2, offset + bytes);
	reject_beyond_end(t, BPF_REG_2);
	move(t, BPF_REG_1, BPF_REG_10);
	load_from_window(t, size, to, WINDOW + (int)offset - WINDOW_FROM);
}

static void load_tagged_register(struct translator *t, int size, int to)
{
	int bytes = bytes_of(size);
	size_t is_before, is_behind, done;

	is_before = jump_if(t, BPF_JLE, BPF_REG_5, TAG_AT - bytes);
	is_behind = jump_if(t, BPF_JGE, BPF_REG_5, TAG_END);
	move(t, BPF_REG_2, BPF_REG_5);
	add(t, BPF_REG_2, bytes);
	reject_beyond_end(t, BPF_REG_2);
	move(t, BPF_REG_1, BPF_REG_10);
	add_register(t, BPF_REG_1, BPF_REG_5);
	load_from_window(t, size, to, WINDOW - WINDOW_FROM);
	done = emitter_place(&t->out);
	emit(&t->out, INSN(BPF_JMP | BPF_JA, 0, 0, 0, 0));
	aim(t, is_behind);
	add(t, BPF_REG_5, -TAG_SIZE);
	aim(t, is_before);
	load_at_register(t, size, to);
	to_host_order(t, size, to);
	aim(t, done);
}

/* --- classic instructions --- */

static void load_absolute(struct translator *t, int size, int to, uint32_t offset)
{
	if (t->body == IN_METADATA) {
		load_tagged(t, size, to, offset);
	} else {
		load_at(t, size, to, offset);
		to_host_order(t, size, to);
	}
}

static void load_indirect(struct translator *t, int size, uint32_t offset)
{
	move(t, BPF_REG_5, X);
	if (offset > INT32_MAX) {
		/* Added as the 64-bit number that it is: the sum does not wrap. */
		set(t, BPF_REG_1, offset);
		add_register(t, BPF_REG_5, BPF_REG_1);
	} else if (offset) {
		add(t, BPF_REG_5, (int32_t)offset);
	}
	if (t->body == IN_METADATA) {
		load_tagged_register(t, size, A);
	} else {
		load_at_register(t, size, A);
		to_host_order(t, size, A);
	}
}

static void load_length(struct translator *t, int to)
{
	if (is_xdp(t)) {
		move(t, BPF_REG_1, CONTEXT);
		call(t, BPF_FUNC_xdp_get_buff_len);
		move_word(t, to, BPF_REG_0);
		return;
	}
	load(t, BPF_W, to, CONTEXT, offsetof(struct __sk_buff, len));
	if (t->body == IN_METADATA)
		word(t, BPF_ADD, to, TAG_SIZE);
}

static int scratch(uint32_t word)
{
	return SCRATCH_WORDS + 4 * (int)word;
}

static void translate_load(struct translator *t, const struct classic_insn *i)
{
	int to = BPF_CLASS(i->code) == BPF_LD ? A : X, size = BPF_SIZE(i->code);

	switch (BPF_MODE(i->code)) {
	case BPF_ABS:
		load_absolute(t, size, to, i->k);
		break;
	case BPF_IND:
		load_indirect(t, size, i->k);
		break;
	case BPF_MSH:
		load_absolute(t, BPF_B, to, i->k);
		word(t, BPF_AND, to, 0xf);
		word(t, BPF_LSH, to, 2);
		break;
	case BPF_IMM:
		set(t, to, i->k);
		break;
	case BPF_MEM:
		load(t, BPF_W, to, BPF_REG_10, scratch(i->k));
		break;
	case BPF_LEN:
		load_length(t, to);
		break;
	}
}

static void shift(struct translator *t, int op, const struct classic_insn *i)
{
	size_t is_small, done;

	if (BPF_SRC(i->code) == BPF_K) {
		if (i->k < 32)
			word(t, op, A, i->k);
		else
			set(t, A, 0);
		return;
	}
	is_small = jump_if(t, BPF_JLT, X, 32);
	set(t, A, 0);
	done = emitter_place(&t->out);
	emit(&t->out, INSN(BPF_JMP | BPF_JA, 0, 0, 0, 0));
	aim(t, is_small);
	word_register(t, op, A, X);
	aim(t, done);
}

static void translate_arithmetic(struct translator *t, const struct classic_insn *i)
{
	int op = BPF_OP(i->code);

	switch (op) {
	case BPF_NEG:
		word(t, BPF_NEG, A, 0);
		return;
	case BPF_LSH:
	case BPF_RSH:
		shift(t, op, i);
		return;
	case BPF_DIV:
	case BPF_MOD:
		if (BPF_SRC(i->code) == BPF_X)
			reject_if(t, BPF_JEQ, X, 0);
		break;
	}
	if (BPF_SRC(i->code) == BPF_X)
		word_register(t, op, A, X);
	else
		word(t, op, A, i->k);
}

/* The comparison that holds when `op` does not; 0: there is none. */
static int opposite(int op)
{
	switch (op) {
	case BPF_JEQ:
		return BPF_JNE;
	case BPF_JGT:
		return BPF_JLE;
	case BPF_JGE:
		return BPF_JLT;
	}
	return 0;
}

static void branch(struct translator *t, int op, const struct classic_insn *i, size_t to)
{
	emit_jump(&t->out,
		  INSN(BPF_JMP32 | op | BPF_SRC(i->code), A, BPF_SRC(i->code) == BPF_X ? X : 0, 0,
		       BPF_SRC(i->code) == BPF_X ? 0 : (int32_t)i->k),
		  label_of(t, to));
}

/* The loop that begins there, or loop_count. */
static unsigned loop_at(const struct translator *t, size_t begin)
{
	unsigned i = 0;

	while (i < t->loop_count && t->loops[i] != begin)
		i++;
	return i;
}

static bool begins_loop(const struct translator *t, size_t at)
{
	return loop_at(t, at) < t->loop_count;
}

static int turns_of(unsigned loop)
{
	return TURNS - 8 * (int)loop;
}

static void count_turn(struct translator *t, size_t begin)
{
	int turns = turns_of(loop_at(t, begin));

	load(t, BPF_DW, BPF_REG_1, BPF_REG_10, turns);
	add(t, BPF_REG_1, -1);
	reject_if(t, BPF_JEQ, BPF_REG_1, 0);
	store(t, BPF_DW, BPF_REG_10, turns, BPF_REG_1);
}

/* Classic programs know only one jump backwards: an unconditional one. */
static void translate_jump(struct translator *t, size_t at)
{
	const struct classic_insn *i = &t->in[at];
	size_t if_true = at + 1 + i->jt, if_false = at + 1 + i->jf;
	int op = BPF_OP(i->code);

	if (op == BPF_JA) {
		size_t to = (uint32_t)(at + 1 + i->k);

		if (to <= at)
			count_turn(t, to);
		if (to != at + 1)
			jump(t, label_of(t, to));
		return;
	}
	if (i->jt == i->jf) {
		if (i->jt)
			jump(t, label_of(t, if_true));
	} else if (!i->jt && opposite(op)) {
		branch(t, opposite(op), i, if_false);
	} else {
		branch(t, op, i, if_true);
		if (i->jf)
			jump(t, label_of(t, if_false));
	}
}

static void translate_return(struct translator *t, const struct classic_insn *i)
{
	if (BPF_RVAL(i->code) == BPF_A) {
		reject_if(t, BPF_JEQ, A, 0);
		jump(t, label_accept(t));
	} else {
		jump(t, i->k ? label_accept(t) : label_reject(t));
	}
}

static void translate_insn(struct translator *t, size_t at)
{
	const struct classic_insn *i = &t->in[at];

	emit_island(&t->out);
	emit_label(&t->out, label_of(t, at));
	if (begins_loop(t, at)) {
		/* The verifier forgets what it knows of A and X: it walks a turn once, not once for
		 * each value that they can have. */
		word_register(t, BPF_ADD, A, NOTHING);
		word_register(t, BPF_ADD, X, NOTHING);
	}
	switch (BPF_CLASS(i->code)) {
	case BPF_LD:
	case BPF_LDX:
		translate_load(t, i);
		break;
	case BPF_ST:
		store(t, BPF_W, BPF_REG_10, scratch(i->k), A);
		break;
	case BPF_STX:
		store(t, BPF_W, BPF_REG_10, scratch(i->k), X);
		break;
	case BPF_ALU:
		translate_arithmetic(t, i);
		break;
	case BPF_JMP:
		translate_jump(t, at);
		break;
	case BPF_RET:
		translate_return(t, i);
		break;
	case BPF_MISC:
		if (BPF_MISCOP(i->code) == BPF_TAX)
			move_word(t, X, A);
		else
			move_word(t, A, X);
		break;
	}
}

/* The verifier refuses instructions that no path leads to. Returns whether a path was added. */
static bool mark_paths(struct translator *t, size_t at)
{
	const struct classic_insn *i = &t->in[at];
	bool before = true;

	if (BPF_CLASS(i->code) == BPF_RET)
		return false;
	if (i->code == (BPF_JMP | BPF_JA)) {
		size_t to = (uint32_t)(at + 1 + i->k);

		before = t->is_reachable[to];
		t->is_reachable[to] = true;
		return !before && to <= at;
	}
	if (BPF_CLASS(i->code) == BPF_JMP) {
		t->is_reachable[at + 1 + i->jt] = true;
		t->is_reachable[at + 1 + i->jf] = true;
	} else {
		t->is_reachable[at + 1] = true;
	}
	return false;
}

/* One pass finds all but what only a jump backwards leads to. */
static void find_reachable(struct translator *t)
{
	bool again;

	t->is_reachable[0] = true;
	do {
		again = false;
		for (size_t i = 0; i < t->count; i++)
			if (t->is_reachable[i])
				again = mark_paths(t, i) || again;
	} while (again);
}

static bool loads_packet(const struct classic_insn *i)
{
	int mode = BPF_MODE(i->code);

	return (BPF_CLASS(i->code) == BPF_LD || BPF_CLASS(i->code) == BPF_LDX) &&
	       (mode == BPF_ABS || mode == BPF_IND || mode == BPF_MSH || mode == BPF_LEN);
}

static int add_loop(struct translator *t, size_t begin)
{
	if (begins_loop(t, begin))
		return 0;
	if (t->loop_count == LOOPS_MAX)
		return -E2BIG;
	t->loops[t->loop_count++] = begin;
	return 0;
}

static int find_loops(struct translator *t)
{
	int r = 0;

	for (size_t at = 0; at < t->count && r == 0; at++)
		if (t->in[at].code == (BPF_JMP | BPF_JA) && (uint32_t)(at + 1 + t->in[at].k) <= at)
			r = add_loop(t, (uint32_t)(at + 1 + t->in[at].k));
	return r;
}

/* What the program needs at its begin: cleared words, counts of turns, two bodies. */
static void translate_begin(struct translator *t)
{
	bool depends_on_tag = false;
	unsigned words = 0;

	for (size_t at = 0; at < t->count; at++) {
		const struct classic_insn *i = &t->in[at];

		if (i->code == (BPF_LD | BPF_MEM) || i->code == (BPF_LDX | BPF_MEM))
			words |= 1u << i->k;
		if (loads_packet(i))
			depends_on_tag = true;
	}
	move(t, CONTEXT, BPF_REG_1);
	set(t, A, 0);
	set(t, X, 0);
	for (unsigned i = 0; i < BPF_MEMWORDS; i++)
		if (words & 1u << i)
			store_zero(t, scratch(i));
	if (t->loop_count) {
		int same = is_xdp(t) ? (int)offsetof(struct xdp_md, rx_queue_index)
				     : (int)offsetof(struct __sk_buff, len);

		load(t, BPF_W, NOTHING, CONTEXT, same);
		load(t, BPF_W, BPF_REG_1, CONTEXT, same);
		word_register(t, BPF_SUB, NOTHING, BPF_REG_1);
	}
	for (unsigned i = 0; i < t->loop_count; i++) {
		set(t, BPF_REG_1, TURNS_MAX / t->loop_count);
		store(t, BPF_DW, BPF_REG_10, turns_of(i), BPF_REG_1);
	}
	if (depends_on_tag && !is_xdp(t) && t->config->ethernet) {
		load(t, BPF_W, BPF_REG_1, CONTEXT, offsetof(struct __sk_buff, vlan_present));
		emit_jump(&t->out, INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_1, 0, 0, 0),
			  label_tagged(t));
	}
}

static void translate_body(struct translator *t, enum body body)
{
	t->body = body;
	for (size_t i = 0; i < t->count; i++)
		if (t->is_reachable[i])
			translate_insn(t, i);
}

static void translate_end(struct translator *t, size_t label, uint32_t slot)
{
	if (!emitter_is_wanted(&t->out, label))
		return;
	emit_label(&t->out, label);
	move(t, BPF_REG_1, CONTEXT);
	emit_map(&t->out, BPF_REG_2, t->config->programs_fd);
	set(t, BPF_REG_3, slot);
	call(t, BPF_FUNC_tail_call);
	set(t, BPF_REG_0, is_xdp(t) ? XDP_PASS : (uint32_t)-1 /* TCX_NEXT */);
	emit(&t->out, INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

int translate(struct translation *ret, const struct classic_insn *insns, size_t count,
	      const struct translator_config *config)
{
	struct translator t = {.in = insns, .count = count, .config = config};
	int r;

	if (!classic_check(insns, count))
		return -EINVAL;
	t.is_reachable = calloc(count, sizeof(*t.is_reachable));
	if (!t.is_reachable)
		return -ENOMEM;
	emitter_init(&t.out, 2 * count + OTHER_LABELS);
	find_reachable(&t);
	r = find_loops(&t);
	if (r < 0)
		goto done;
	translate_begin(&t);
	translate_body(&t, IN_FRAME);
	if (emitter_is_wanted(&t.out, label_tagged(&t))) {
		emit_label(&t.out, label_tagged(&t));
		fill_window(&t);
		translate_body(&t, IN_METADATA);
	}
	translate_end(&t, label_accept(&t), config->accept);
	translate_end(&t, label_reject(&t), config->reject);
	r = emitter_finish(&t.out, &ret->insns, &ret->count);
done:
	emitter_release(&t.out);
	free(t.is_reachable);
	return r;
}

void translation_release(struct translation *t)
{
	free(t->insns);
	*t = (struct translation){0};
}
