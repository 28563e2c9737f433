/* SPDX-License-Identifier: MIT */
/* translator.h: classic BPF to eBPF for XDP and tc, with the same verdict (see translator.c). */
#ifndef RETINA_FILTER_TRANSLATOR_H
#define RETINA_FILTER_TRANSLATOR_H

#include <linux/bpf.h>
#include <stdbool.h>
#include "classic.h"

enum translator_hook { TRANSLATOR_XDP, TRANSLATOR_TC };

struct translator_config {
	enum translator_hook hook;
	bool ethernet;	 /* tc: a VLAN tag in the metadata belongs behind byte 12 */
	bool plain;	 /* loads at computed offsets by helper only: easier for the verifier */
	int programs_fd; /* program array with the two that come next */
	uint32_t accept, reject; /* their slots */
};

struct translation {
	struct bpf_insn *insns; /* owned, by malloc() */
	size_t count;
};

/**
 * translate() - makes the program; a matching frame is passed on to the slot `accept`, any other to
 * `reject`; where a slot is empty it returns XDP_PASS or TCX_NEXT
 * @insns: any program that classic_check() accepts
 * Pure. Return: 0, -EINVAL (classic_check()), -E2BIG (a loop too long to jump back), -ENOMEM.
 */
int translate(struct translation *ret, const struct classic_insn *insns, size_t count,
	      const struct translator_config *config);

/** translation_release() - frees the instructions */
void translation_release(struct translation *t);

#endif
