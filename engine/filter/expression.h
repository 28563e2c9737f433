/* SPDX-License-Identifier: MIT */
/* expression.h: pcap-filter text to classic BPF, by libpcap (see expression.c). */
#ifndef RETINA_FILTER_EXPRESSION_H
#define RETINA_FILTER_EXPRESSION_H

#include <stdint.h>
#include "classic.h"

/**
 * expression_compile() - compiles for frames of a link type as they are on the wire
 * @link_type:  LINKTYPE_ value, 1: Ethernet, 101: raw IP
 * @error:      receives libpcap's message, and beneath it the expression with a caret under the
 *              place; lines are separated by \n, the last has none
 * Host and service names are looked up, which can take a while. Any thread.
 * Return: 0, -EINVAL (not an expression: @error says why), -ENOMEM.
 */
int expression_compile(struct classic *ret, const char *text, uint16_t link_type, char *error,
		       size_t error_size);

#endif
