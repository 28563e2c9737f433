// SPDX-License-Identifier: MIT
/*
 * fuzz-translator.c: a coverage-guided fuzzer's target. Bytes become a classic program that
 * libpcap's bpf_validate() accepts, and a frame; the kernel must accept the translation, and its
 * verdict, in XDP and in tc, must be the interpreter's. Needs root. replay.c runs it over a corpus
 * as a test.
 *
 * An input: flags, number of instructions, four bytes for each, the frame.
 */
#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "judge.h"

enum { INSNS_MAX = 120, FRAME_MIN = 14, FRAME_MAX = 2000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_line(void *data, enum retina_log_level level, const char *format, va_list args)
{
	(void)data;
	(void)level;
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
}

static const struct log log_to_stderr = {print_line, NULL};

/* All that bpf_validate() knows, and the interpreter defines. */
static const uint16_t codes[] = {
	BPF_LD | BPF_W | BPF_ABS,
	BPF_LD | BPF_H | BPF_ABS,
	BPF_LD | BPF_B | BPF_ABS,
	BPF_LD | BPF_W | BPF_IND,
	BPF_LD | BPF_H | BPF_IND,
	BPF_LD | BPF_B | BPF_IND,
	BPF_LD | BPF_W | BPF_LEN,
	BPF_LD | BPF_IMM,
	BPF_LD | BPF_MEM,
	BPF_LDX | BPF_W | BPF_IMM,
	BPF_LDX | BPF_W | BPF_MEM,
	BPF_LDX | BPF_W | BPF_LEN,
	BPF_LDX | BPF_B | BPF_MSH,
	BPF_ST,
	BPF_STX,
	BPF_ALU | BPF_ADD | BPF_K,
	BPF_ALU | BPF_SUB | BPF_K,
	BPF_ALU | BPF_MUL | BPF_K,
	BPF_ALU | BPF_DIV | BPF_K,
	BPF_ALU | BPF_MOD | BPF_K,
	BPF_ALU | BPF_AND | BPF_K,
	BPF_ALU | BPF_OR | BPF_K,
	BPF_ALU | BPF_XOR | BPF_K,
	BPF_ALU | BPF_LSH | BPF_K,
	BPF_ALU | BPF_RSH | BPF_K,
	BPF_ALU | BPF_NEG,
	BPF_ALU | BPF_ADD | BPF_X,
	BPF_ALU | BPF_SUB | BPF_X,
	BPF_ALU | BPF_MUL | BPF_X,
	BPF_ALU | BPF_DIV | BPF_X,
	BPF_ALU | BPF_MOD | BPF_X,
	BPF_ALU | BPF_AND | BPF_X,
	BPF_ALU | BPF_OR | BPF_X,
	BPF_ALU | BPF_XOR | BPF_X,
	BPF_ALU | BPF_LSH | BPF_X,
	BPF_ALU | BPF_RSH | BPF_X,
	BPF_JMP | BPF_JA,
	BPF_JMP | BPF_JEQ | BPF_K,
	BPF_JMP | BPF_JGT | BPF_K,
	BPF_JMP | BPF_JGE | BPF_K,
	BPF_JMP | BPF_JSET | BPF_K,
	BPF_JMP | BPF_JEQ | BPF_X,
	BPF_JMP | BPF_JGT | BPF_X,
	BPF_JMP | BPF_JGE | BPF_X,
	BPF_JMP | BPF_JSET | BPF_X,
	BPF_MISC | BPF_TAX,
	BPF_MISC | BPF_TXA,
	BPF_RET | BPF_K,
	BPF_RET | BPF_A,
};

/* A small number most often, else one of the edges. */
static uint32_t constant(uint8_t low, uint8_t high)
{
	static const uint32_t edges[] = {0x7fffffff, 0x80000000, 0xffffffff, 0xffff,
					 0x10000,    0xfffffff0, 0x7ffffffc, 0xfffe};

	return high >= 0xf8 ? edges[high - 0xf8] : (uint32_t)(high & 7) << 8 | low;
}

static struct classic_insn decode(const uint8_t *b, uint32_t left)
{
	struct classic_insn i = {.code = codes[b[0] % (sizeof(codes) / sizeof(codes[0]))],
				 .k = constant(b[1], b[2])};
	int op = BPF_OP(i.code);

	switch (BPF_CLASS(i.code)) {
	case BPF_LD:
	case BPF_LDX:
		if (BPF_MODE(i.code) == BPF_MEM)
			i.k %= BPF_MEMWORDS;
		break;
	case BPF_ST:
	case BPF_STX:
		i.k %= BPF_MEMWORDS;
		break;
	case BPF_ALU:
		if (op == BPF_LSH || op == BPF_RSH)
			i.k %= 32;
		else if ((op == BPF_DIV || op == BPF_MOD) && !i.k)
			i.k = 1;
		break;
	case BPF_JMP:
		if (op == BPF_JA)
			i.k %= left;
		i.jt = (uint8_t)(b[3] % left);
		i.jf = (uint8_t)((b[3] >> 4) % left);
		break;
	}
	return i;
}

/* Every scratch word is stored before: what was never stored, the interpreter leaves undefined. */
static size_t make_program(struct classic_insn *to, const uint8_t *bytes, size_t count)
{
	size_t n = 0;

	for (; n < BPF_MEMWORDS; n++)
		to[n] = (struct classic_insn){.code = BPF_ST, .k = (uint32_t)n};
	for (size_t i = 0; i < count; i++)
		to[n++] = decode(bytes + 4 * i, (uint32_t)(count - i));
	to[n++] = (struct classic_insn){.code = BPF_RET | BPF_K, .k = 1};
	return n;
}

static void fail(const char *what)
{
	(void)fprintf(stderr, "%s\n", what);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct classic_insn insns[BPF_MEMWORDS + INSNS_MAX + 1];
	uint8_t frame[FRAME_MAX] = {0};
	struct judge_verdict v;
	size_t count, program, len;
	struct judge *j;
	int r;

	if (size < 2)
		return 0;
	count = data[1] % INSNS_MAX;
	if (size < 2 + 4 * count)
		count = (size - 2) / 4;
	program = make_program(insns, data + 2, count);
	if (!classic_check(insns, program))
		fail("bpf_validate() refuses what was meant to be valid");
	len = size - 2 - 4 * count;
	len = len > FRAME_MAX ? FRAME_MAX : len;
	memcpy(frame, data + 2 + 4 * count, len);
	len = len < FRAME_MIN ? FRAME_MIN : len; /* the kernel runs no shorter ones */
	if (judge_new(&j, insns, program, data[0] & 1, &log_to_stderr) < 0)
		fail("the translation does not load");
	r = judge_frame(j, frame, (uint32_t)len, data[0] & 2 ? 14 + (data[0] >> 2) : 0, &v);
	judge_free(j);
	if (r < 0)
		fail("the frame cannot be judged");
	if (v.xdp != v.interpreter || (v.has_tc && v.tc != v.interpreter))
		fail("the verdicts differ");
	return 0;
}
