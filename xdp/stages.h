/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* stages.h: what the programs of tap.bpf.c and select.bpf.c share: user space gives both objects
 * the same maps. */
#ifndef RETINA_STAGES_H
#define RETINA_STAGES_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "capture_abi.h"

#define PASS_TC (-1) /* TC_ACT_UNSPEC and TCX_NEXT: the next program decides */

#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))

/* Keyed by ifindex. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tap_interface);
} interfaces SEC(".maps");

/* By enum tap_program; XDP has ingress and Ethernet only. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, TAP_PROGRAMS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} xdp_programs SEC(".maps"), tc_programs SEC(".maps");

static __always_inline long read_bytes(void *ctx, bool is_xdp, __u32 from, void *to, __u32 len)
{
	return is_xdp ? bpf_xdp_load_bytes(ctx, from, to, len)
		      : bpf_skb_load_bytes(ctx, from, to, len);
}

#endif
