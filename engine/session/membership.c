// SPDX-License-Identifier: MIT
/*
 * membership.c: which interfaces a capture records: the named ones, or with "any" all that there
 * are and will be. Part of a capture, on its control thread; it decides, the roster remembers, the
 * tap attaches.
 *
 * Invariant: a member is published before it is attached, so its description precedes its packets.
 */
#include "capture.h"

#include <string.h>
#include "base/clock.h"
#include "base/errno.h"
#include "base/limits.h"

/* Reads the named interfaces into the roster; with "any" the first listing does it. */
int membership_enlist(struct retina_capture *c)
{
	const struct retina_capture_config *k = &c->config.c;

	for (unsigned i = 0; !c->config.is_any && i < k->interface_count; i++) {
		static const struct hook_choice none;
		struct interface interface;
		int r = interface_by_name(&interface, k->interfaces[i]);

		if (r < 0)
			return log_failure(&c->log, r, "%s: no such interface", k->interfaces[i]);
		if (interface.link_type == LINK_TYPE_NONE)
			return log_failure(&c->log, -EINVAL,
					   "%s: frames of hardware type %u cannot be recorded",
					   interface.name, interface.hardware_type);
		if (k->format == RETINA_PCAP && i > 0 &&
		    interface.link_type != c->roster.members[0].interface.link_type)
			return log_failure(
				&c->log, -EINVAL,
				"%s: its link type differs from %s's, and a pcap file has "
				"one: use --format pcapng",
				interface.name, c->roster.members[0].interface.name);
		if (roster_find(&c->roster, interface.ifindex))
			return log_failure(&c->log, -EINVAL,
					   "%s: the interface is named twice, once by another name",
					   k->interfaces[i]);
		(void)roster_add(&c->roster, &interface, &none);
		roster_publish(&c->roster);
	}
	return 0;
}

static int attach(struct retina_capture *c, struct member *m)
{
	enum retina_direction d = c->config.c.direction;
	uint32_t id = (uint32_t)(m - c->roster.members);
	int r;

	r = tap_attach(c->tap, &m->interface, id, d != RETINA_OUT, d != RETINA_IN, &m->hooks);
	if (r < 0)
		return r;
	m->start_ns = clock_unix_ns();
	if (!c->start_ns)
		c->start_ns = clock_steady_ns();
	log_line(&c->log, c->config.is_any ? RETINA_LOG_DEBUG : RETINA_LOG_INFO,
		 "%s: recording, ingress at %s, egress at %s: %s", m->interface.name,
		 hook_name(m->hooks.ingress), hook_name(m->hooks.egress), m->hooks.reason);
	return 0;
}

/* With "any": an interface that was there or has come. It may be gone again at any moment. */
static void appeared(void *data, uint32_t ifindex)
{
	struct retina_capture *c = data;
	struct member *m = roster_find(&c->roster, ifindex);
	struct hook_choice hooks;
	struct interface i;

	if (m)
		m->is_listed = true;
	if (m || !c->config.is_any || interface_by_index(&i, ifindex) < 0)
		return;
	if (i.link_type == LINK_TYPE_NONE ||
	    (c->config.c.format == RETINA_PCAP && i.link_type != LINK_TYPE_ETHERNET)) {
		/* Not louder: it is told of again with every change of the interface. */
		log_debug(&c->log, "%s: not recorded: its link type does not fit", i.name);
		return;
	}
	hooks = tap_hooks(c->tap, &i);
	m = roster_add(&c->roster, &i, &hooks);
	if (!m) {
		log_warning(&c->log, "%s: not recorded: the limit of %u interfaces is reached",
			    i.name, c->roster.max);
		return;
	}
	m->is_listed = true;
	roster_publish(&c->roster);
	/* It says itself why not. With the first one the capture begins: to attach to hundreds
	 * takes longer than a ring lasts. */
	if (attach(c, m) == 0 && !c->cutter && c->begin_error == 0)
		c->begin_error = capture_begin(c);
}

static void leave(struct retina_capture *c, struct member *m)
{
	tap_detach(c->tap, (uint32_t)(m - c->roster.members));
	m->end_ns = clock_unix_ns();
	log_warning(&c->log, "%s: the interface is gone", m->interface.name);
}

static void vanished(void *data, uint32_t ifindex)
{
	struct retina_capture *c = data;
	struct member *m = roster_find(&c->roster, ifindex);

	if (m)
		leave(c, m);
}

/* Behind a whole listing: who was not on it is gone. */
static void listed(void *data)
{
	struct retina_capture *c = data;

	for (unsigned i = 0; i < roster_count(&c->roster); i++) {
		struct member *m = &c->roster.members[i];

		if (!m->end_ns && !m->is_listed)
			leave(c, m);
		m->is_listed = false;
	}
}

unsigned membership_count(const struct retina_capture *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < roster_count(&c->roster); i++)
		n += c->roster.members[i].start_ns && !c->roster.members[i].end_ns;
	return n;
}

/* The listing is asked for after the subscription, so nobody is missed; with named interfaces it
 * finds those that vanished before it. */
int membership_attach(struct retina_capture *c)
{
	const struct linkwatch_events events = {appeared, vanished, listed, c};
	int r = linkwatch_new(&c->linkwatch, &events);

	if (r < 0)
		return log_failure(&c->log, r, "cannot follow the interfaces: %s", strerror(-r));
	for (unsigned i = 0; i < roster_count(&c->roster); i++) {
		r = attach(c, &c->roster.members[i]);
		if (r < 0)
			return r;
	}
	if (!c->config.is_any)
		r = capture_begin(c);
	if (r < 0)
		return r;
	r = linkwatch_list(c->linkwatch);
	/* The kernel answers a listing within the call. */
	if (r == 0)
		r = linkwatch_process(c->linkwatch);
	if (r < 0)
		return log_failure(&c->log, r, "cannot list the interfaces: %s", strerror(-r));
	if (c->begin_error < 0)
		return c->begin_error;
	if (!membership_count(c))
		return log_failure(&c->log, -ENODEV, "there is no interface to record");
	if (c->config.is_any)
		log_info(&c->log, "any: recording %u interfaces", membership_count(c));
	return 0;
}
