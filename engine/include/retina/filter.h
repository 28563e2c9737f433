/* SPDX-License-Identifier: MIT */
/*
 * retina/filter.h: a pcap-filter expression, looked at and tried out without a capture: what
 * libpcap compiles it to, what is made of it for XDP and tc, and which frames match where.
 *
 * A filter belongs to one thread at a time.
 */
#ifndef RETINA_FILTER_H
#define RETINA_FILTER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "retina/log.h"

#ifdef __cplusplus
extern "C" {
#endif

struct retina_filter;

enum retina_link_type { RETINA_ETHERNET = 1, RETINA_RAW_IP = 101 }; /* LINKTYPE_ values */

/* Forms of a filter. */
enum retina_filter_form { RETINA_FILTER_CLASSIC, RETINA_FILTER_XDP, RETINA_FILTER_TC };

/**
 * retina_filter_new() - compiles and translates; needs no privilege
 * @expression: copied; empty matches everything
 * Return: 0; -EINVAL (not an expression) or -ENOMEM, after lines in the log: libpcap's message, the
 * expression, a caret under the place.
 */
int retina_filter_new(struct retina_filter **ret, const char *expression,
		      enum retina_link_type link_type, retina_log_fn log, void *log_data);

struct retina_filter_size {
	unsigned instructions;
	unsigned longest_path; /* instructions that a frame can run through at most, loops once */
};

struct retina_filter_size retina_filter_size(const struct retina_filter *f,
					     enum retina_filter_form form);

/** retina_filter_print() - a listing, an instruction a line; 0 or -errno */
int retina_filter_print(const struct retina_filter *f, enum retina_filter_form form, FILE *to);

struct retina_verdict {
	bool xdp, tc; /* of the programs, run by the kernel on this frame, attached to nothing */
	bool interpreter; /* of libpcap's bpf_filter() */
};

/**
 * retina_filter_judge() - tries a frame of len bytes; loads the programs at the first call
 * Return: 0; -EMSGSIZE: the kernel's test runs refuse frames under 14 bytes, frames that end within
 * their first IP header, and long ones (above some 3.5 KiB); or another -errno after a line in the
 * log, such as -EPERM.
 */
int retina_filter_judge(struct retina_filter *f, const void *frame, uint32_t len,
			struct retina_verdict *ret);

/** retina_filter_measure() - mean time of one run over a frame, ns; otherwise as above */
int retina_filter_measure(struct retina_filter *f, const void *frame, uint32_t len,
			  uint32_t *ret_xdp_ns, uint32_t *ret_tc_ns);

/** retina_filter_uses_length() - whether frames cut by a snap length can be judged wrongly */
bool retina_filter_uses_length(const struct retina_filter *f);

struct retina_filter *retina_filter_free(struct retina_filter *f);

#ifdef __cplusplus
}
#endif

#endif
