// SPDX-License-Identifier: MIT
/*
 * roster.c: who is recorded, and what the file says of them: the section header, an interface
 * description for each, statistics from time to time and at the end.
 *
 * Members are only ever added, by the control thread; others read those below `count`. A member is
 * published before its hooks are attached, so its description gets into the stream before its
 * first record.
 */
#include "roster.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "pcapng.h"

int roster_init(struct roster *r, unsigned max, uint32_t snaplen, const char *clock_source)
{
	*r = (struct roster){.max = max, .snaplen = snaplen, .clock_source = clock_source};
	r->members = calloc(max, sizeof(*r->members));
	return r->members ? 0 : -ENOMEM;
}

void roster_release(struct roster *r)
{
	free(r->members);
	r->members = NULL;
}

unsigned roster_count(const struct roster *r)
{
	/* Pairs with the release in roster_publish(): the members are complete. */
	return atomic_load_explicit(&r->count, memory_order_acquire);
}

struct member *roster_add(struct roster *r, const struct interface *i,
			  const struct hook_choice *hooks)
{
	struct member *m;

	if (roster_count(r) == r->max)
		return NULL;
	m = &r->members[roster_count(r)];
	*m = (struct member){.interface = *i, .hooks = *hooks};
	return m;
}

void roster_publish(struct roster *r)
{
	/* Pairs with the acquire in roster_count(). */
	atomic_store_explicit(&r->count, roster_count(r) + 1, memory_order_release);
}

struct member *roster_find(struct roster *r, uint32_t ifindex)
{
	for (unsigned i = 0; i < roster_count(r); i++) {
		struct member *m = &r->members[i];

		if (m->interface.ifindex == ifindex && !m->end_ns)
			return m;
	}
	return NULL;
}

static int describe(const struct roster *r, const struct member *m,
		    const struct roster_selection *s, struct buffer *b)
{
	char comment[640];
	const struct pcapng_interface i = {
		.name = m->interface.name,
		.hardware = m->interface.driver[0] ? m->interface.driver : NULL,
		.comment = comment,
		.filter = *s->filter ? s->filter : NULL,
		.link_type = m->interface.link_type,
		.snaplen = r->snaplen,
		.speed_bps = m->interface.speed_bps,
		.mac = m->interface.has_mac ? m->interface.mac : NULL,
	};

	(void)snprintf(comment, sizeof(comment), "clock: %s; hooks: in %s, out %s (%s)%s",
		       r->clock_source, hook_name(m->hooks.ingress), hook_name(m->hooks.egress),
		       m->hooks.reason, s->description);
	return pcapng_interface_description(b, &i);
}

int roster_describe(struct roster *r, const struct roster_selection *s, struct buffer *b)
{
	unsigned count = roster_count(r);
	size_t len = b->len;

	for (unsigned i = r->described; i < count; i++) {
		int e = describe(r, &r->members[i], s, b);

		if (e < 0) {
			b->len = len; /* all or nothing */
			return e;
		}
	}
	r->described = count;
	return 0;
}

/* One direction's ledger in words, for whoever reads the file. */
static int ledger_text(char *text, size_t size, const char *direction,
		       const struct retina_ledger *l)
{
	struct retina_tally lost = retina_ledger_lost(l);
	int n = snprintf(text, size,
			 "%s: seen %llu (%llu bytes), rejected %llu, captured %llu, lost %llu",
			 direction, (unsigned long long)l->seen.packets,
			 (unsigned long long)l->seen.bytes, (unsigned long long)l->rejected.packets,
			 (unsigned long long)l->captured.packets, (unsigned long long)lost.packets);

	for (enum retina_loss i = 0; i < RETINA_LOSSES; i++)
		if (l->lost[i].packets && n > 0 && (size_t)n < size)
			n += snprintf(text + n, size - (size_t)n, " %s %llu", retina_loss_name(i),
				      (unsigned long long)l->lost[i].packets);
	return n;
}

int roster_statistics(const struct roster *r, unsigned id, const struct member_ledgers *l,
		      uint64_t now_ns, const char *note, struct buffer *b)
{
	const struct member *m = &r->members[id];
	struct retina_ledger sum = l->in;
	char *comment, in[256], out[256];
	int e;
	struct pcapng_statistics s = {
		.interface_id = id,
		.now_ns = now_ns,
		.start_ns = m->start_ns,
		.end_ns = m->end_ns ? m->end_ns : now_ns,
		.dropped = UINT64_MAX, /* the NIC's own drops: not ours to know */
	};

	retina_ledger_add(&sum, &l->out);
	s.received = sum.seen.packets;
	s.accepted = sum.seen.packets - sum.rejected.packets;
	s.os_dropped = retina_ledger_lost(&sum).packets;
	s.delivered = sum.captured.packets;
	(void)ledger_text(in, sizeof(in), "in", &l->in);
	(void)ledger_text(out, sizeof(out), "out", &l->out);
	if (asprintf(&comment, "%s%s%s; %s", note ? note : "", note ? "; " : "", in, out) < 0)
		return -ENOMEM;
	s.comment = comment;
	e = pcapng_interface_statistics(b, &s);
	free(comment);
	return e;
}

int section_header(struct buffer *b, const char *application, const char *comment)
{
	struct utsname u;
	char hardware[128], os[256];
	const struct pcapng_section s = {
		.hardware = hardware, .os = os, .application = application, .comment = comment};

	(void)uname(&u); /* fails for a bad pointer only */
	(void)snprintf(hardware, sizeof(hardware), "%s, %ld CPUs", u.machine,
		       sysconf(_SC_NPROCESSORS_ONLN));
	(void)snprintf(os, sizeof(os), "%s %s", u.sysname, u.release);
	return pcapng_section_header(b, &s);
}
