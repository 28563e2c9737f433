/* SPDX-License-Identifier: MIT */
/* judge.h: runs the translation of a classic program on given frames, in the kernel but attached to
 * nothing (BPF_PROG_TEST_RUN), beside libpcap's interpreter (see judge.c). */
#ifndef RETINA_FILTER_JUDGE_H
#define RETINA_FILTER_JUDGE_H

#include "base/log.h"
#include "classic.h"

struct judge;

struct judge_verdict {
	bool xdp, tc, interpreter;
	bool has_tc; /* the kernel's test run for tc takes less than that for XDP */
};

/** judge_new() - loads both programs; needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON
 * Return: 0, or -errno after a line in the log. */
int judge_new(struct judge **ret, const struct classic_insn *insns, size_t count, bool ethernet,
	      const struct log *log);

/**
 * judge_frame() - the verdict of each
 * @linear: bytes that the XDP program gets in its first buffer, the rest comes in fragments; 0: as
 *          many as there is room for
 * The frame's length on the wire is taken to be len.
 * Return: 0, -EMSGSIZE (not even XDP's test run takes such a frame), or -errno.
 */
int judge_frame(struct judge *j, const void *frame, uint32_t len, uint32_t linear,
		struct judge_verdict *ret);

/** judge_measure() - the mean time of one run over a frame, in ns, as the kernel took it */
int judge_measure(struct judge *j, const void *frame, uint32_t len, unsigned repeat,
		  uint32_t *ret_xdp_ns, uint32_t *ret_tc_ns);

struct judge *judge_free(struct judge *j);

#endif
