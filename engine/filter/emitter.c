// SPDX-License-Identifier: MIT
/*
 * emitter.c: instructions, labels and the reach of jumps. Owned by one translation.
 *
 * A jump's offset has 16 bits, and the translation of a long filter is longer. So every
 * ISLAND_EVERY instructions stands an island: a row of unconditional jumps, one for each label that
 * is still waited for, to which all older jumps to that label lead. Invariant: no jump that waits
 * is further back than ISLAND_EVERY + an island.
 */
#include "emitter.h"

#include <errno.h>
#include <stdlib.h>

/* Leaves room for an island of CLASSIC_MAX jumps, and for one instruction's translation. */
#define ISLAND_EVERY 24000u

void emitter_init(struct emitter *e, size_t label_count)
{
	*e = (struct emitter){.label_count = label_count};
	e->labels = malloc(label_count * sizeof(*e->labels));
	if (!e->labels) {
		e->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < label_count; i++)
		e->labels[i] = (struct emitter_label){.place = -1, .jumps = -1};
}

void emitter_release(struct emitter *e)
{
	free(e->insns);
	free(e->labels);
	*e = (struct emitter){0};
}

void emit(struct emitter *e, struct bpf_insn insn)
{
	if (e->error)
		return;
	if (e->count == e->room) {
		size_t room = e->room ? e->room * 2 : 256;
		struct bpf_insn *more = realloc(e->insns, room * sizeof(*more));

		if (!more) {
			e->error = -ENOMEM;
			return;
		}
		e->insns = more;
		e->room = room;
	}
	e->insns[e->count++] = insn;
}

void emit_map(struct emitter *e, uint8_t reg, int fd)
{
	emit(e, (struct bpf_insn){.code = BPF_LD | BPF_DW | BPF_IMM,
				  .dst_reg = reg,
				  .src_reg = BPF_PSEUDO_MAP_FD,
				  .imm = fd});
	emit(e, (struct bpf_insn){0});
}

static void set_offset(struct emitter *e, size_t from, size_t to)
{
	int64_t offset = (int64_t)to - (int64_t)from - 1;

	if (offset < INT16_MIN || offset > INT16_MAX)
		e->error = -E2BIG;
	e->insns[from].off = (int16_t)offset;
}

void emit_jump(struct emitter *e, struct bpf_insn insn, size_t label)
{
	struct emitter_label *l = &e->labels[label];
	size_t at = e->count;

	emit(e, insn);
	if (e->error)
		return;
	if (l->place >= 0) {
		set_offset(e, at, (size_t)l->place);
		return;
	}
	/* The link is a distance, so that it fits the field that will be the offset. */
	e->insns[at].off = (int16_t)(l->jumps < 0 ? 0 : (int32_t)at - l->jumps);
	l->jumps = (int32_t)at;
}

/* Lets all that wait for the label jump to `to`. */
static void settle(struct emitter *e, struct emitter_label *l, size_t to)
{
	int32_t at = l->jumps, back;

	while (at >= 0) {
		back = e->insns[at].off;
		set_offset(e, (size_t)at, to);
		at = back ? at - back : -1;
	}
	l->jumps = -1;
}

void emit_label(struct emitter *e, size_t label)
{
	if (e->error)
		return;
	settle(e, &e->labels[label], e->count);
	e->labels[label].place = (int32_t)e->count;
}

void emit_island(struct emitter *e)
{
	static const struct bpf_insn jump = {.code = BPF_JMP | BPF_JA};
	size_t over = e->count;

	if (e->error || e->count - e->island < ISLAND_EVERY)
		return;
	emit(e, jump);
	for (size_t i = 0; i < e->label_count; i++) {
		struct emitter_label *l = &e->labels[i];

		if (l->jumps < 0)
			continue;
		settle(e, l, e->count);
		emit_jump(e, jump, i);
	}
	if (!e->error)
		set_offset(e, over, e->count);
	e->island = e->count;
}

bool emitter_is_wanted(const struct emitter *e, size_t label)
{
	return !e->error && e->labels[label].jumps >= 0;
}

size_t emitter_place(const struct emitter *e)
{
	return e->count;
}

void emitter_aim(struct emitter *e, size_t from)
{
	if (!e->error)
		set_offset(e, from, e->count);
}

int emitter_finish(struct emitter *e, struct bpf_insn **ret, size_t *ret_count)
{
	if (e->error)
		return e->error;
	*ret = e->insns;
	*ret_count = e->count;
	e->insns = NULL;
	e->count = e->room = 0;
	return 0;
}
