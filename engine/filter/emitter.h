/* SPDX-License-Identifier: MIT */
/* emitter.h: a growing eBPF program with labels that jumps may name before they are placed (see
 * emitter.c). */
#ifndef RETINA_FILTER_EMITTER_H
#define RETINA_FILTER_EMITTER_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct emitter_label {
	int32_t place; /* index of an instruction, -1: not yet placed */
	int32_t jumps; /* the last jump that waits for it, -1: none; its offset links back to the
			  one before */
};

struct emitter {
	struct bpf_insn *insns;
	size_t count, room;
	struct emitter_label *labels;
	size_t label_count;
	size_t island; /* behind the last one */
	int error;     /* the first; later calls do nothing */
};

/** emitter_init() - with so many labels, numbered from 0 */
void emitter_init(struct emitter *e, size_t label_count);

/** emitter_release() - frees all but what emitter_finish() gave away */
void emitter_release(struct emitter *e);

void emit(struct emitter *e, struct bpf_insn insn);

/** emit_map() - loads a map's address: two instructions */
void emit_map(struct emitter *e, uint8_t reg, int fd);

/** emit_jump() - the offset is filled in when the label has its place; backwards at once */
void emit_jump(struct emitter *e, struct bpf_insn insn, size_t label);

/** emit_label() - the next instruction is where the label points; may have no jumps */
void emit_label(struct emitter *e, size_t label);

/** emit_island() - to be called wherever one may stand: keeps every jump within its reach */
void emit_island(struct emitter *e);

/** emitter_is_wanted() - whether a jump waits for the label */
bool emitter_is_wanted(const struct emitter *e, size_t label);

/** emitter_place() - the index of the next instruction, for short jumps set by emitter_aim() */
size_t emitter_place(const struct emitter *e);

/** emitter_aim() - lets a jump that was emitted at `from` lead to the next instruction */
void emitter_aim(struct emitter *e, size_t from);

/** emitter_finish() - gives the program away; 0, -ENOMEM, -E2BIG */
int emitter_finish(struct emitter *e, struct bpf_insn **ret, size_t *ret_count);

#endif
