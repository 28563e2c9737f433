// SPDX-License-Identifier: MIT
/*
 * listing.c: eBPF instructions in the notation of the kernel's verifier (kernel/bpf/disasm.c tells
 * it), for the instructions that the translator emits. Pure functions.
 */
#include "listing.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *size_name(int code)
{
	switch (BPF_SIZE(code)) {
	case BPF_W:
		return "u32";
	case BPF_H:
		return "u16";
	case BPF_B:
		return "u8";
	}
	return "u64";
}

static const char *arithmetic_sign(int code)
{
	static const char *const signs[16] = {
		[BPF_ADD >> 4] = "+=",	[BPF_SUB >> 4] = "-=",	[BPF_MUL >> 4] = "*=",
		[BPF_DIV >> 4] = "/=",	[BPF_OR >> 4] = "|=",	[BPF_AND >> 4] = "&=",
		[BPF_LSH >> 4] = "<<=", [BPF_RSH >> 4] = ">>=", [BPF_MOD >> 4] = "%=",
		[BPF_XOR >> 4] = "^=",	[BPF_MOV >> 4] = "=",
	};

	return signs[BPF_OP(code) >> 4];
}

static const char *jump_sign(int code)
{
	static const char *const signs[16] = {
		[BPF_JEQ >> 4] = "==", [BPF_JNE >> 4] = "!=", [BPF_JGT >> 4] = ">",
		[BPF_JGE >> 4] = ">=", [BPF_JLT >> 4] = "<",  [BPF_JLE >> 4] = "<=",
		[BPF_JSET >> 4] = "&",
	};

	return signs[BPF_OP(code) >> 4];
}

static const char *helper_name(int helper)
{
	switch (helper) {
	case BPF_FUNC_tail_call:
		return "bpf_tail_call";
	case BPF_FUNC_skb_load_bytes:
		return "bpf_skb_load_bytes";
	case BPF_FUNC_xdp_load_bytes:
		return "bpf_xdp_load_bytes";
	case BPF_FUNC_xdp_get_buff_len:
		return "bpf_xdp_get_buff_len";
	}
	return "unknown helper";
}

static int print_arithmetic(const struct bpf_insn *i, FILE *to)
{
	char reg = BPF_CLASS(i->code) == BPF_ALU64 ? 'r' : 'w';

	if (BPF_OP(i->code) == BPF_END)
		return fprintf(to, "r%u = be%d r%u", i->dst_reg, i->imm, i->dst_reg);
	if (BPF_OP(i->code) == BPF_NEG)
		return fprintf(to, "%c%u = -%c%u", reg, i->dst_reg, reg, i->dst_reg);
	if (!arithmetic_sign(i->code))
		return fprintf(to, "unknown");
	if (BPF_SRC(i->code) == BPF_X)
		return fprintf(to, "%c%u %s %c%u", reg, i->dst_reg, arithmetic_sign(i->code), reg,
			       i->src_reg);
	return fprintf(to, "%c%u %s %d", reg, i->dst_reg, arithmetic_sign(i->code), i->imm);
}

static int print_jump(const struct bpf_insn *i, size_t at, FILE *to)
{
	char reg = BPF_CLASS(i->code) == BPF_JMP ? 'r' : 'w';
	long target = (long)at + 1 + i->off;

	switch (BPF_OP(i->code)) {
	case BPF_EXIT:
		return fprintf(to, "exit");
	case BPF_CALL:
		return fprintf(to, "call %s#%d", helper_name(i->imm), i->imm);
	case BPF_JA:
		return fprintf(to, "goto %ld", target);
	}
	if (!jump_sign(i->code))
		return fprintf(to, "unknown");
	if (BPF_SRC(i->code) == BPF_X)
		return fprintf(to, "if %c%u %s %c%u goto %ld", reg, i->dst_reg, jump_sign(i->code),
			       reg, i->src_reg, target);
	return fprintf(to, "if %c%u %s 0x%x goto %ld", reg, i->dst_reg, jump_sign(i->code),
		       (unsigned)i->imm, target);
}

static int print_insn(const struct bpf_insn *i, size_t at, FILE *to)
{
	switch (BPF_CLASS(i->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		return print_arithmetic(i, to);
	case BPF_JMP:
	case BPF_JMP32:
		return print_jump(i, at, to);
	case BPF_LDX:
		return fprintf(to, "r%u = *(%s *)(r%u %+d)", i->dst_reg, size_name(i->code),
			       i->src_reg, i->off);
	case BPF_STX:
		return fprintf(to, "*(%s *)(r%u %+d) = r%u", size_name(i->code), i->dst_reg, i->off,
			       i->src_reg);
	case BPF_ST:
		return fprintf(to, "*(%s *)(r%u %+d) = %d", size_name(i->code), i->dst_reg, i->off,
			       i->imm);
	case BPF_LD:
		return fprintf(to, "r%u = map of the programs", i->dst_reg);
	}
	return fprintf(to, "unknown");
}

static bool is_wide(const struct bpf_insn *i)
{
	return i->code == (BPF_LD | BPF_DW | BPF_IMM);
}

int listing_print(const struct bpf_insn *insns, size_t count, FILE *to)
{
	for (size_t at = 0; at < count; at += is_wide(&insns[at]) ? 2 : 1) {
		(void)fprintf(to, "(%03zu) ", at);
		(void)print_insn(&insns[at], at, to);
		(void)fputc('\n', to);
	}
	return ferror(to) ? -EIO : 0;
}

size_t listing_longest_path(const struct bpf_insn *insns, size_t count)
{
	size_t *longest = calloc(count + 1, sizeof(*longest)), result;

	if (!longest)
		return 0;
	/* From the end: all that a jump leads to is known, but for jumps backwards. */
	for (size_t at = count; at-- > 0;) {
		const struct bpf_insn *i = &insns[at];
		int class = BPF_CLASS(i->code), op = BPF_OP(i->code);
		bool jumps = (class == BPF_JMP || class == BPF_JMP32) && op != BPF_CALL &&
			     op != BPF_EXIT;
		size_t next = longest[at + 1];

		if (class == BPF_JMP && op == BPF_EXIT)
			next = 0;
		if (jumps && op == BPF_JA)
			next = 0;
		if (jumps && i->off >= 0 && longest[at + 1 + (size_t)i->off] > next)
			next = longest[at + 1 + (size_t)i->off];
		longest[at] = next + 1;
	}
	result = longest[0];
	free(longest);
	return result;
}
