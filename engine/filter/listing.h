/* SPDX-License-Identifier: MIT */
/* listing.h: eBPF in words (see listing.c). */
#ifndef RETINA_FILTER_LISTING_H
#define RETINA_FILTER_LISTING_H

#include <linux/bpf.h>
#include <stddef.h>
#include <stdio.h>

/** listing_print() - an instruction a line, in the kernel's notation; 0 or -errno */
int listing_print(const struct bpf_insn *insns, size_t count, FILE *to);

/** listing_longest_path() - instructions from the begin to an end at most; jumps backwards are not
 * followed */
size_t listing_longest_path(const struct bpf_insn *insns, size_t count);

#endif
