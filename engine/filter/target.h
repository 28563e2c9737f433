/* SPDX-License-Identifier: MIT */
/* target.h: one target, IP[/LEN][:PORT], [IPv6][/LEN]:PORT or *:PORT (see target.c). */
#ifndef RETINA_FILTER_TARGET_H
#define RETINA_FILTER_TARGET_H

#include <stdbool.h>
#include <stdint.h>

/* The longest text of one: "[", 45 of an address, "/128]:65535", 0. */
#define TARGET_TEXT_MAX 64u

struct target {
	uint8_t family;	    /* 4, 6; 0: any address, the port alone counts */
	uint8_t prefix_len; /* bits; 0 with family 0 */
	bool has_port;
	uint16_t port;	     /* host order */
	uint8_t address[16]; /* network order, IPv4 in the first four; bits behind the prefix are 0
			      */
};

/** target_parse() - NULL, or why the text is no target: a static string */
const char *target_parse(struct target *ret, const char *text);

/** target_format() - the canonical text */
void target_format(const struct target *t, char text[static TARGET_TEXT_MAX]);

#endif
