/* SPDX-License-Identifier: MIT */
/* classic.h: a classic BPF program: what libpcap compiles to and the translator reads. The layout
 * is that of libpcap's struct bpf_insn and the kernel's struct sock_filter, whose headers exclude
 * each other. */
#ifndef RETINA_FILTER_CLASSIC_H
#define RETINA_FILTER_CLASSIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct classic_insn {
	uint16_t code; /* as in linux/bpf_common.h */
	uint8_t jt, jf;
	uint32_t k;
};

struct classic {
	struct classic_insn *insns; /* owned, by malloc() */
	size_t count;
};

/* Instructions of the longest program that is accepted: what kernels take, BPF_MAXINSNS. */
#define CLASSIC_MAX 4096u

/**
 * classic_check() - whether libpcap's bpf_validate() accepts it and it is not too long; backward
 * jumps (protochain) are fine
 */
bool classic_check(const struct classic_insn *insns, size_t count);

/** classic_matches() - libpcap's interpreter on a frame of which caplen bytes are there */
bool classic_matches(const struct classic_insn *insns, const void *frame, uint32_t len,
		     uint32_t caplen);

/** classic_print() - libpcap's listing, an instruction a line; 0 or -EIO */
int classic_print(const struct classic *c, FILE *to);

/** classic_release() - frees the instructions */
void classic_release(struct classic *c);

#endif
