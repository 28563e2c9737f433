/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* target_abi.h: what xdp/select.h and user space share about target sets and sampling. */
#ifndef RETINA_TARGET_ABI_H
#define RETINA_TARGET_ABI_H

#include <linux/types.h>

/* The sets, as bits of a host's value, and as a number in a prefix' key. */
#define TARGET_INCLUDE 1u
#define TARGET_EXCLUDE 2u

/*
 * Kinds of targets: the bits of target_kinds. A kind of which there is none is not looked for. Bits
 * 0 to 6 are about both sets, for a host's value tells which one it is in.
 */
enum target_kind {
	TARGET_HOST_4 = 1 << 0,
	TARGET_HOST_6 = 1 << 1,
	TARGET_HOST_PORT_4 = 1 << 2,
	TARGET_HOST_PORT_6 = 1 << 3,
	TARGET_PORT = 1 << 4,
	/* Prefixes, by set. */
	TARGET_PREFIX_INCLUDE = 1 << 5,
	TARGET_PREFIX_EXCLUDE = 1 << 6,
	TARGET_PREFIX_PORT_INCLUDE = 1 << 7,
	TARGET_PREFIX_PORT_EXCLUDE = 1 << 8,
	TARGET_HAS_INCLUDE = 1 << 9 /* the include set is not empty */
};

/* Key of the map target_hosts: a full address, with or without a port, or a port alone. The value
 * is the sets that it is in, one byte. */
struct target_host {
	__be32 address[4]; /* IPv4 in the first; 0 when family is 0 */
	__be16 port;	   /* 0: any */
	__u8 family;	   /* 4, 6; 0: any address */
	__u8 zero;
};

/* Key of the map target_prefixes. The bits before the address always count, so that an excluded
 * prefix is not hidden by a longer included one. The value is one byte that says nothing. */
struct target_prefix {
	__u32 len; /* of what follows, bits */
	__u8 set;  /* TARGET_INCLUDE or TARGET_EXCLUDE */
	__u8 family;
	__be16 port; /* 0: any */
	__be32 address[4];
};

#define TARGET_PREFIX_BITS 32u /* before the address */

#endif
