// SPDX-License-Identifier: MIT
/*
 * classic.c: classic BPF programs, checked and run by libpcap. Pure functions; the only file that
 * sees libpcap's struct bpf_insn, which has the name of the kernel's eBPF one.
 */
#include "classic.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>

_Static_assert(sizeof(struct classic_insn) == sizeof(struct bpf_insn) &&
		       offsetof(struct classic_insn, jt) == offsetof(struct bpf_insn, jt) &&
		       offsetof(struct classic_insn, k) == offsetof(struct bpf_insn, k),
	       "libpcap and we mean the same instruction");

bool classic_check(const struct classic_insn *insns, size_t count)
{
	return count >= 1 && count <= CLASSIC_MAX &&
	       bpf_validate((const struct bpf_insn *)insns, (int)count);
}

bool classic_matches(const struct classic_insn *insns, const void *frame, uint32_t len,
		     uint32_t caplen)
{
	return bpf_filter((const struct bpf_insn *)insns, frame, len, caplen) != 0;
}

int classic_print(const struct classic *c, FILE *to)
{
	for (size_t i = 0; i < c->count; i++)
		(void)fprintf(to, "%s\n", bpf_image((const struct bpf_insn *)&c->insns[i], (int)i));
	return ferror(to) ? -EIO : 0;
}

void classic_release(struct classic *c)
{
	free(c->insns);
	*c = (struct classic){0};
}
