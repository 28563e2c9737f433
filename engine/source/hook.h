/* SPDX-License-Identifier: MIT */
/* hook.h: which hook takes the incoming frames of an interface, and why (see hook.c). */
#ifndef RETINA_SOURCE_HOOK_H
#define RETINA_SOURCE_HOOK_H

#include "interface.h"

enum hook { HOOK_AUTO, HOOK_XDP, HOOK_TCX, HOOK_CLSACT };

struct hook_choice {
	enum hook ingress;  /* never HOOK_AUTO */
	enum hook egress;   /* HOOK_TCX or HOOK_CLSACT */
	const char *reason; /* why this one, a static string */
};

/**
 * hook_choose() - decides from facts alone, so that tests can ask about any NIC
 * @wanted:  what the user asked for; anything but HOOK_AUTO is taken as it is
 * @has_tcx: the kernel has tcx links (6.6 and later)
 * @has_xdp: the kernel has what the XDP program needs (5.18 and later)
 */
struct hook_choice hook_choose(enum hook wanted, const struct interface *i,
			       const struct interface_offloads *o, bool has_tcx, bool has_xdp);

/** hook_name() - "xdp", "tcx" or "clsact" */
const char *hook_name(enum hook hook);

#endif
