// SPDX-License-Identifier: MIT
/*
 * judge-corpus.c: the oracle. Each expression of a list, and classic programs made at random, judge
 * frames of real captures, cut and changed ones among them: in the kernel, by XDP (also with the
 * frame in several buffers) and by tc (also with its VLAN tag in the metadata), and by libpcap's
 * interpreter. Any difference is printed and ends the program with 1.
 *
 *   judge-corpus SEED FRAMES PROGRAMS EXPRESSIONS-FILE CAPTURE...
 *
 * FRAMES are tried for each expression, PROGRAMS is how many random ones are made. The last line is
 * a JSON object of what was done.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/errno.h"
#include "captures.h"
#include "expression.h"
#include "judge.h"
#include "program.h"

enum { LONG_PROGRAM = 4000, FRAME_MAX = 3000 };

static struct counts {
	unsigned long long captures, frames, expressions, uncompiled, programs, verdicts, matches,
		cut, fragments, tagged, skipped, only_xdp, longest, defined;
} counts;

static uint64_t random_state;

static uint32_t next(void)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(random_state >> 33);
}

static uint32_t below(uint32_t n)
{
	return n ? next() % n : 0;
}

static void print_line(void *data, enum retina_log_level level, const char *format, va_list args)
{
	(void)data;
	if (level > RETINA_LOG_WARNING)
		return;
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
}

static const struct log log_to_stderr = {print_line, NULL};

/* --- frames --- */

/* A copy that may be cut or changed. Returns its length. */
static uint32_t take_frame(uint8_t *to, const struct capture_frame *f)
{
	uint32_t len = f->len < FRAME_MAX ? f->len : FRAME_MAX;

	memcpy(to, f->data, len);
	switch (below(6)) {
	case 0: /* cut, most often within the headers */
		len = below(2) ? below(len + 1) : below(len < 80 ? len + 1 : 80);
		counts.cut++;
		break;
	case 1: /* some bytes of the headers */
		for (unsigned i = 1 + below(4); i && len; i--)
			to[below(len < 96 ? len : 96)] = (uint8_t)next();
		break;
	case 2: /* one bit */
		if (len)
			to[below(len)] ^= (uint8_t)(1u << below(8));
		break;
	}
	return len;
}

static int differ(const char *what, const char *where, const uint8_t *frame, uint32_t len,
		  bool verdict, bool interpreter)
{
	(void)printf("DIFFERENCE: %s: %s says %d, the interpreter %d, frame of %u bytes:\n", what,
		     where, verdict, interpreter, len);
	for (uint32_t i = 0; i < len; i++)
		(void)printf("%02x", frame[i]);
	(void)printf("\n");
	return -EBADMSG;
}

/* --- tc with a tag in the metadata --- */

/* Pushes the tag that skb->cb names, then calls the filter: as a frame arrives whose tag the driver
 * took out. */
struct tagger {
	int filter, verdicts, programs, front;
};

static int put(int array, uint32_t slot, int fd)
{
	return bpf_map_update_elem(array, &slot, &fd, BPF_ANY);
}

static int load_front(int programs)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
		{.code = BPF_LDX | BPF_MEM | BPF_W,
		 .dst_reg = 2,
		 .src_reg = 1,
		 .off = offsetof(struct __sk_buff, cb)},
		{.code = BPF_LDX | BPF_MEM | BPF_W,
		 .dst_reg = 3,
		 .src_reg = 1,
		 .off = offsetof(struct __sk_buff, cb) + 4},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_vlan_push},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6},
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = 2,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = programs},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 99},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return program_submit(TRANSLATOR_TC, insns, sizeof(insns) / sizeof(insns[0]), NULL, 0);
}

static int load_verdict(int verdict)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = verdict},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return program_submit(TRANSLATOR_TC, insns, 2, NULL, 0);
}

/* Made once: the filter's slot is filled anew for each program. */
static int tagger_init(struct tagger *t)
{
	int accept = load_verdict(1), reject = load_verdict(0);

	t->verdicts = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "verdicts", 4, 4, 2, NULL);
	t->programs = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "programs", 4, 4, 1, NULL);
	t->front = load_front(t->programs);
	if (accept < 0 || reject < 0 || t->front < 0)
		return -EPERM;
	return put(t->verdicts, 0, accept) < 0 || put(t->verdicts, 1, reject) < 0 ? -EPERM : 0;
}

static int tagger_load(struct tagger *t, const struct classic *c)
{
	const struct translator_config config = {.hook = TRANSLATOR_TC,
						 .ethernet = true,
						 .programs_fd = t->verdicts,
						 .accept = 0,
						 .reject = 1};

	t->filter = program_load(c->insns, c->count, &config, &log_to_stderr);
	return t->filter < 0 ? t->filter : put(t->programs, 0, t->filter);
}

static int tagger_judge(const struct tagger *t, const struct classic *c, const char *what,
			const uint8_t *frame, uint32_t len)
{
	static const uint16_t protocols[] = {ETH_P_8021Q, ETH_P_8021AD};
	uint16_t protocol = __builtin_bswap16(protocols[below(2)]);
	uint16_t tci = (uint16_t)(below(2) ? below(8) : next()), wire = __builtin_bswap16(tci);
	struct __sk_buff context = {.cb = {protocol, tci}};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = len, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = 1);
	uint8_t tagged[FRAME_MAX + 4];
	bool interpreter;

	if (len < ETH_HLEN || bpf_prog_test_run_opts(t->front, &o) < 0) {
		counts.skipped++;
		return 0;
	}
	memcpy(tagged, frame, 12);
	memcpy(tagged + 12, &protocol, 2);
	memcpy(tagged + 14, &wire, 2);
	memcpy(tagged + 16, frame + 12, len - 12);
	interpreter = classic_matches(c->insns, tagged, len + 4, len + 4);
	counts.tagged++;
	counts.verdicts++;
	if (o.retval != interpreter)
		return differ(what, "tc with a tag in the metadata", tagged, len + 4, o.retval == 1,
			      interpreter);
	return 0;
}

/* --- scratch words that were never stored --- */

/* Whether a path loads a word that it has not stored. libpcap makes such programs (`geneve and a or
 * b` looks for b behind a header that may not be there); what bpf_filter() then reads is undefined.
 */
static bool loads_unstored(const struct classic *c)
{
	uint32_t *stored = malloc((c->count + 1) * sizeof(*stored));
	bool found = false;

	memset(stored, 0xff, (c->count + 1) * sizeof(*stored));
	stored[0] = 0;
	for (size_t at = 0; at < c->count && stored; at++) {
		const struct classic_insn *i = &c->insns[at];
		uint32_t after = stored[at];

		if (i->code == BPF_ST || i->code == BPF_STX)
			after |= 1u << i->k;
		if (i->code == (BPF_LD | BPF_MEM) || i->code == (BPF_LDX | BPF_MEM))
			found = found || !(after & 1u << i->k);
		if (i->code == (BPF_JMP | BPF_JA)) {
			if (i->k < c->count - at)
				stored[at + 1 + i->k] &= after;
		} else if (BPF_CLASS(i->code) == BPF_JMP) {
			stored[at + 1 + i->jt] &= after;
			stored[at + 1 + i->jf] &= after;
		} else if (BPF_CLASS(i->code) != BPF_RET) {
			stored[at + 1] &= after;
		}
	}
	free(stored);
	return found;
}

/* Puts stores of all words in front: jumps are relative, so nothing else changes. */
static void define_words(struct classic *c)
{
	struct classic_insn *insns = malloc((c->count + BPF_MEMWORDS) * sizeof(*insns));

	if (!insns || c->count + BPF_MEMWORDS > CLASSIC_MAX)
		abort();
	for (uint32_t i = 0; i < BPF_MEMWORDS; i++)
		insns[i] = (struct classic_insn){.code = BPF_ST, .k = i};
	memcpy(insns + BPF_MEMWORDS, c->insns, c->count * sizeof(*insns));
	free(c->insns);
	*c = (struct classic){insns, c->count + BPF_MEMWORDS};
	counts.defined++;
}

/* --- one program --- */

static int judge_one(struct judge *j, const char *what, const uint8_t *frame, uint32_t len)
{
	uint32_t linear = below(2) ? 14 + below(64) : 0;
	struct judge_verdict v;
	int r = judge_frame(j, frame, len, linear, &v);

	if (r == -EMSGSIZE) {
		counts.skipped++;
		return 0;
	}
	if (r < 0) {
		(void)fprintf(stderr, "%s: cannot judge: %s\n", what, strerror(-r));
		return r;
	}
	counts.verdicts += 1 + v.has_tc;
	counts.only_xdp += !v.has_tc;
	counts.matches += v.interpreter;
	counts.fragments += linear && linear < len;
	if (v.xdp != v.interpreter)
		return differ(what, linear ? "XDP with frags" : "XDP", frame, len, v.xdp,
			      v.interpreter);
	if (v.has_tc && v.tc != v.interpreter)
		return differ(what, "tc", frame, len, v.tc, v.interpreter);
	return 0;
}

static int judge_all(const struct captures *all, struct tagger *tagger, const struct classic *c,
		     bool ethernet, unsigned frames, const char *what)
{
	const struct capture_list *list = &all->by_framing[ethernet ? 0 : 1];
	struct judge *j;
	int r = judge_new(&j, c->insns, c->count, ethernet, &log_to_stderr);

	if (r < 0)
		(void)fprintf(stderr, "%s: does not load\n", what);
	if (r == 0 && ethernet)
		r = tagger_load(tagger, c);
	for (unsigned i = 0; i < frames && r == 0 && list->count; i++) {
		uint8_t frame[FRAME_MAX];
		uint32_t len = take_frame(frame, &list->frames[below((uint32_t)list->count)]);

		r = judge_one(j, what, frame, len);
		if (r == 0 && ethernet)
			r = tagger_judge(tagger, c, what, frame, len);
	}
	if (ethernet && tagger->filter >= 0)
		close(tagger->filter);
	tagger->filter = -1;
	if (c->count > counts.longest)
		counts.longest = c->count;
	judge_free(j);
	return r;
}

static int judge_expression(const struct captures *all, struct tagger *tagger, const char *text,
			    unsigned frames)
{
	bool compiles = false;
	int r = 0;

	for (unsigned ethernet = 0; ethernet <= 1 && r == 0; ethernet++) {
		char error[4096];
		struct classic c;

		if (expression_compile(&c, text, ethernet ? 1 : 101, error, sizeof(error)) < 0)
			continue;
		compiles = true;
		if (loads_unstored(&c))
			define_words(&c);
		r = judge_all(all, tagger, &c, ethernet, frames, text);
		classic_release(&c);
	}
	if (compiles)
		counts.expressions++;
	else
		counts.uncompiled++;
	return r;
}

static int judge_expressions(const struct captures *all, struct tagger *tagger, const char *path,
			     unsigned frames)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	int r = 0;

	if (!f)
		return -errno;
	while (r == 0 && getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = 0;
		r = judge_expression(all, tagger, line, frames);
	}
	free(line);
	(void)fclose(f);
	return r;
}

/* --- random programs --- */

static uint32_t random_offset(void)
{
	static const uint32_t far[] = {0x7fffffff, 0x80000000, 0xfffffff0, 0xffff, 0x10000, 70000};

	switch (below(8)) {
	case 0:
		return far[below(6)];
	case 1:
		return below(2000);
	case 2:
		return 8 + below(12); /* about a VLAN tag */
	}
	return below(80);
}

static uint32_t random_constant(void)
{
	static const uint32_t known[] = {0, 1, 6, 17, 0x800, 0x86dd, 0x8100, 0x806, 0xffffffff, 80};

	return below(3) ? known[below(10)] : below(2) ? below(256) : next() * 2 + below(2);
}

/* Every word of scratch memory is stored before; shifts are below 32: the rest is undefined. */
static struct classic_insn random_insn(uint32_t left)
{
	static const uint16_t loads[] = {
		BPF_LD | BPF_W | BPF_ABS,  BPF_LD | BPF_H | BPF_ABS, BPF_LD | BPF_B | BPF_ABS,
		BPF_LD | BPF_W | BPF_IND,  BPF_LD | BPF_H | BPF_IND, BPF_LD | BPF_B | BPF_IND,
		BPF_LDX | BPF_B | BPF_MSH, BPF_LD | BPF_W | BPF_LEN, BPF_LDX | BPF_W | BPF_LEN,
	};
	static const uint16_t operations[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR, BPF_AND,
					      BPF_LSH, BPF_RSH, BPF_NEG, BPF_MOD, BPF_XOR};
	static const uint16_t jumps[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
	struct classic_insn i = {.k = random_constant()};
	uint32_t reach = left > 1 ? left - 1 : 0;

	switch (below(10)) {
	case 0:
	case 1:
	case 2: /* near ones most: a program that ends at its first load says little */
		i.code = loads[below(9)];
		i.k = random_offset();
		if (BPF_MODE(i.code) == BPF_IND && below(4))
			i.k = below(40);
		break;
	case 3:
		i.code = below(2) ? BPF_LD | BPF_IMM : BPF_LDX | BPF_W | BPF_IMM;
		i.k = below(3) ? below(64) : i.k;
		break;
	case 4:
		i.code = below(2) ? BPF_MISC | BPF_TAX : BPF_MISC | BPF_TXA;
		break;
	case 5:
		i.code = below(2) ? BPF_ST : BPF_STX;
		i.k = below(BPF_MEMWORDS);
		break;
	case 6:
		i.code = below(2) ? BPF_LD | BPF_MEM : BPF_LDX | BPF_W | BPF_MEM;
		i.k = below(BPF_MEMWORDS);
		break;
	case 7:
	case 8:
		i.code = BPF_ALU | operations[below(11)];
		if (i.code != (BPF_ALU | BPF_NEG) && below(2))
			i.code |= BPF_X;
		else if (BPF_OP(i.code) == BPF_LSH || BPF_OP(i.code) == BPF_RSH)
			i.k = below(32);
		else if ((BPF_OP(i.code) == BPF_DIV || BPF_OP(i.code) == BPF_MOD) && !i.k)
			i.k = 7;
		break;
	case 9:
		if (!below(8)) {
			i.code = BPF_JMP | BPF_JA;
			i.k = below(reach + 1) % 600;
			break;
		}
		i.code = (uint16_t)(BPF_JMP | jumps[below(4)] | (below(3) ? BPF_K : BPF_X));
		i.jt = (uint8_t)below(reach < 12 ? reach + 1 : 12);
		i.jf = (uint8_t)below(reach < 255 ? reach + 1 : below(4) ? 12 : 256);
		break;
	}
	return i;
}

static int random_program(struct classic *ret, uint32_t count)
{
	struct classic_insn *insns = malloc(count * sizeof(*insns));
	uint32_t at = 0;

	if (!insns)
		return -ENOMEM;
	for (; at < BPF_MEMWORDS; at++)
		insns[at] = (struct classic_insn){.code = BPF_ST, .k = at};
	for (; at < count - 2; at++)
		insns[at] = random_insn(count - 1 - at);
	insns[count - 2] =
		(struct classic_insn){.code = BPF_RET | (below(2) ? BPF_K : BPF_A), .k = 1};
	insns[count - 1] = (struct classic_insn){.code = BPF_RET | BPF_K, .k = below(2)};
	*ret = (struct classic){insns, count};
	return 0;
}

/* What libpcap makes of a list of hosts: one jump per address, all to the same end. */
static int long_program(struct classic *ret)
{
	struct classic_insn *insns = calloc(LONG_PROGRAM, sizeof(*insns));

	if (!insns)
		return -ENOMEM;
	for (uint32_t at = 0; at < LONG_PROGRAM - 4; at += 4) {
		insns[at] = (struct classic_insn){.code = BPF_LD | BPF_W | BPF_ABS, .k = 26};
		insns[at + 1] = (struct classic_insn){
			.code = BPF_JMP | BPF_JEQ | BPF_K, .k = random_constant(), .jf = 1};
		insns[at + 2] = (struct classic_insn){.code = BPF_JMP | BPF_JA,
						      .k = LONG_PROGRAM - 1 - at - 3};
		insns[at + 3] =
			(struct classic_insn){.code = BPF_LD | BPF_B | BPF_IND, .k = below(14)};
	}
	insns[LONG_PROGRAM - 4] = (struct classic_insn){.code = BPF_LD | BPF_B | BPF_ABS, .k = 23};
	insns[LONG_PROGRAM - 3] =
		(struct classic_insn){.code = BPF_JMP | BPF_JEQ | BPF_K, .k = 17, .jf = 1};
	insns[LONG_PROGRAM - 2] = (struct classic_insn){.code = BPF_RET | BPF_K, .k = 0};
	insns[LONG_PROGRAM - 1] = (struct classic_insn){.code = BPF_RET | BPF_K, .k = 1};
	*ret = (struct classic){insns, LONG_PROGRAM};
	return 0;
}

static int judge_program(const struct captures *all, struct tagger *tagger, struct classic *c,
			 unsigned frames, const char *name)
{
	int r = classic_check(c->insns, c->count) ? 0 : -EINVAL;

	if (r < 0)
		(void)fprintf(stderr, "%s: bpf_validate() refuses it\n", name);
	for (unsigned ethernet = 0; ethernet <= 1 && r == 0; ethernet++)
		r = judge_all(all, tagger, c, ethernet, frames, name);
	if (r < 0)
		(void)classic_print(c, stdout);
	classic_release(c);
	counts.programs++;
	return r;
}

static int judge_programs(const struct captures *all, struct tagger *tagger, unsigned programs,
			  unsigned frames)
{
	struct classic c;
	int r = long_program(&c);

	if (r == 0)
		r = judge_program(all, tagger, &c, frames, "a long program");
	for (unsigned i = 0; i < programs && r == 0; i++) {
		char name[64];
		/* Now and then one as long as they get. */
		uint32_t count = i % 100 == 99 ? CLASSIC_MAX : 20 + below(i % 10 ? 60 : 600);

		(void)snprintf(name, sizeof(name), "random program %u", i);
		r = random_program(&c, count);
		if (r == 0)
			r = judge_program(all, tagger, &c, frames, name);
	}
	return r;
}

int main(int argc, char **argv)
{
	struct tagger tagger = {.filter = -1};
	struct captures all = {0};
	unsigned frames, programs;
	int r;

	if (argc < 6)
		return 2;
	random_state = strtoull(argv[1], NULL, 10);
	frames = (unsigned)strtoul(argv[2], NULL, 10);
	programs = (unsigned)strtoul(argv[3], NULL, 10);
	for (int i = 5; i < argc; i++)
		counts.captures += captures_read(&all, argv[i]);
	counts.frames = all.by_framing[0].count + all.by_framing[1].count;
	r = tagger_init(&tagger);
	if (r == 0)
		r = judge_expressions(&all, &tagger, argv[4], frames);
	if (r == 0)
		r = judge_programs(&all, &tagger, programs, frames);
	(void)printf("{\"captures\":%llu,\"frames\":%llu,\"expressions\":%llu,\"uncompiled\":%llu,"
		     "\"programs\":%llu,\"longest\":%llu,\"verdicts\":%llu,\"matches\":%llu,"
		     "\"cut\":%llu,\"fragments\":%llu,\"tagged\":%llu,\"only_xdp\":%llu,"
		     "\"skipped\":%llu}\n",
		     counts.captures, counts.frames, counts.expressions, counts.uncompiled,
		     counts.programs, counts.longest, counts.verdicts, counts.matches, counts.cut,
		     counts.fragments, counts.tagged, counts.only_xdp, counts.skipped);
	captures_release(&all);
	return r < 0;
}
