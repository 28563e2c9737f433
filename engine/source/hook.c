// SPDX-License-Identifier: MIT
/*
 * hook.c: the choice of the hook. XDP is the cheaper place, but a program there can change how the
 * interface behaves: it must only be chosen where it has no side effect. Pure functions.
 */
#include "hook.h"

#include <string.h>

/* Frames up to this fit one 4 KiB page with XDP's headroom (256) and the skb_shared_info behind
 * (320), on x86-64 and arm64. */
enum { XDP_LINEAR_MTU = 3498 };

const char *hook_name(enum hook hook)
{
	switch (hook) {
	case HOOK_XDP:
		return "xdp";
	case HOOK_TCX:
		return "tcx";
	case HOOK_CLSACT:
		return "clsact";
	case HOOK_AUTO:
		break;
	}
	return "auto";
}

/* Why native XDP would harm, or NULL when it would not. */
static const char *xdp_objection(const struct interface *i, const struct interface_offloads *o,
				 bool has_xdp)
{
	if (!has_xdp)
		return "the kernel has no XDP for frames in several buffers";
	if (i->link_type != LINK_TYPE_ETHERNET)
		return "frames have no Ethernet header";
	if (strcmp(i->driver, "veth") == 0)
		return "XDP on a veth takes the GSO shape from its frames and slows TCP";
	if (!i->is_physical)
		return "XDP on a virtual device would see frames that it has to copy first";
	if (!o->knows_xdp)
		return "the kernel does not tell whether the driver has native XDP";
	if (!o->native_xdp)
		return "the driver has no native XDP";
	if (o->xdp_program)
		return "another XDP program is attached";
	if (o->hides_features)
		return "the kernel does not tell which receive offloads are on";
	if (o->has_lro)
		return "XDP would switch off large receive offload";
	if (o->has_gro_hw)
		return "XDP would switch off hardware GRO";
	if (o->has_vlan_parse)
		return "XDP would not see the VLAN tags that the interface takes out of its frames";
	if (i->mtu > XDP_LINEAR_MTU && !o->xdp_frags)
		return "the MTU is too large for the driver's XDP";
	return NULL;
}

struct hook_choice hook_choose(enum hook wanted, const struct interface *i,
			       const struct interface_offloads *o, bool has_tcx, bool has_xdp)
{
	enum hook tc = has_tcx ? HOOK_TCX : HOOK_CLSACT;
	struct hook_choice c = {.ingress = tc, .egress = tc, .reason = "asked for"};

	if (wanted == HOOK_TCX || wanted == HOOK_CLSACT) {
		c.ingress = c.egress = wanted;
	} else if (wanted == HOOK_XDP) {
		c.ingress = HOOK_XDP;
	} else {
		c.reason = xdp_objection(i, o, has_xdp);
		if (!c.reason) {
			c.ingress = HOOK_XDP;
			c.reason = "native XDP without a side effect";
		}
	}
	return c;
}
