// SPDX-License-Identifier: MIT
/*
 * account.c: what is known of a capture's packets: ledgers while it runs and at its end, statistics
 * for the file, status and summary. Part of a capture; it only reads, from any thread, but for
 * account_close().
 *
 * The kernel counts what it saw and where it lost; the writer counts, on its own, what is in the
 * file. Both must agree: that is what "balanced" means.
 */
#include "capture.h"

#include "base/clock.h"

static struct retina_tally tally_of(struct tap_tally t)
{
	return (struct retina_tally){t.packets, t.bytes};
}

static void tally_subtract(struct retina_tally *from, struct retina_tally t)
{
	from->packets -= t.packets;
	from->bytes -= t.bytes;
}

static void tally_add(struct retina_tally *to, struct retina_tally t)
{
	to->packets += t.packets;
	to->bytes += t.bytes;
}

/* The kernel's side. */
static struct retina_ledger ledger_kernel(const struct retina_capture *c, unsigned id,
					  unsigned direction)
{
	struct tap_counters k;
	struct retina_ledger l = {0};

	tap_read(c->tap, id, direction, &k);
	l.seen = tally_of(k.slot[TAP_SEEN]);
	tally_add(&l.seen, tally_of(k.slot[TAP_LOST_REENTRANT]));
	l.rejected = tally_of(k.slot[TAP_REJECTED]);
	l.captured = tally_of(k.slot[TAP_CAPTURED]);
	l.lost[RETINA_LOST_RING_FULL] = tally_of(k.slot[TAP_LOST_RING_FULL]);
	l.lost[RETINA_LOST_REENTRANT] = tally_of(k.slot[TAP_LOST_REENTRANT]);
	l.lost[RETINA_LOST_NO_RING] = tally_of(k.slot[TAP_LOST_NO_RING]);
	l.lost[RETINA_LOST_COPY] = tally_of(k.slot[TAP_LOST_COPY]);
	return l;
}

/* While it runs: what is in the rings counts as captured. */
static struct retina_ledger ledger_running(const struct retina_capture *c, unsigned id,
					   unsigned direction)
{
	unsigned key = id * TAP_DIRECTIONS + direction;
	/* The writer first: what it has, the kernel has counted before. */
	struct retina_tally beyond = writer_beyond(c->writer, key);
	struct retina_tally lost = writer_lost(c->writer, key);
	struct retina_ledger l = ledger_kernel(c, id, direction);

	l.lost[RETINA_LOST_DISK] = lost;
	tally_subtract(&l.captured, l.lost[RETINA_LOST_DISK]);
	tally_subtract(&l.captured, beyond);
	tally_subtract(&l.seen, beyond);
	return l;
}

/* At the end: captured is what the writer says is in the file, independent of the kernel's count.
 */
static struct retina_ledger ledger_final(const struct retina_capture *c, unsigned id,
					 unsigned direction)
{
	struct retina_ledger l = ledger_kernel(c, id, direction);
	unsigned key = id * TAP_DIRECTIONS + direction;

	l.captured = writer_captured(c->writer, key);
	l.lost[RETINA_LOST_DISK] = writer_lost(c->writer, key);
	tally_subtract(&l.seen, writer_beyond(c->writer, key));
	tally_subtract(&l.seen, cutter_beyond(c->cutter, key));
	return l;
}

static int statistics(const struct retina_capture *c, unsigned id, bool is_final, const char *note,
		      struct buffer *b)
{
	const struct member_ledgers l = {
		.in = is_final ? ledger_final(c, id, TAP_IN) : ledger_running(c, id, TAP_IN),
		.out = is_final ? ledger_final(c, id, TAP_OUT) : ledger_running(c, id, TAP_OUT),
	};

	return roster_statistics(&c->roster, id, &l, clock_unix_ns(), note, b);
}

int account_statistics(const struct retina_capture *c, unsigned count, bool is_final,
		       struct buffer *b)
{
	int r = 0;

	for (unsigned id = 0; r == 0 && id < count; id++)
		r = statistics(c, id, is_final, NULL, b);
	return r;
}

int account_note(const struct retina_capture *c, const char *note, struct buffer *b)
{
	return statistics(c, 0, false, note, b);
}

void account_close(struct retina_capture *c)
{
	static const char *const directions[] = {[TAP_IN] = "in", [TAP_OUT] = "out"};
	enum retina_direction wanted = c->config.c.direction;

	c->balanced = true;
	for (unsigned id = 0; id < roster_count(&c->roster); id++) {
		const struct member *m = &c->roster.members[id];

		for (unsigned d = TAP_IN; m->start_ns && d <= TAP_OUT; d++) {
			struct retina_interface_summary *s = &c->summaries[c->summary_count];

			if (wanted == (d == TAP_IN ? RETINA_OUT : RETINA_IN))
				continue;
			*s = (struct retina_interface_summary){
				.name = m->interface.name,
				.direction = directions[d],
				.hook = hook_name(d == TAP_IN ? m->hooks.ingress : m->hooks.egress),
				.ledger = ledger_final(c, id, d),
			};
			c->balanced = c->balanced && retina_ledger_balanced(&s->ledger);
			retina_ledger_add(&c->totals, &s->ledger);
			c->summary_count++;
		}
	}
	c->file_summary = (struct retina_file_summary){.path = c->config.c.path,
						       .bytes = writer_bytes(c->writer),
						       .packets = writer_packets(c->writer)};
	writer_times(c->writer, &c->file_summary.first_ns, &c->file_summary.last_ns);
}

void retina_capture_status(const struct retina_capture *c, struct retina_status *ret)
{
	uint64_t now = clock_steady_ns(), start = c->start_ns, deadline = c->deadline_ns;

	*ret = (struct retina_status){
		.elapsed_ns = start ? now - start : 0,
		.remaining_ns = deadline == UINT64_MAX ? UINT64_MAX
				: deadline > now       ? deadline - now
						       : 0,
		.file_packets = writer_packets(c->writer),
		.file_bytes = writer_bytes(c->writer),
		.raw_bytes = writer_raw_bytes(c->writer),
		.max_bytes = c->config.c.max_bytes,
		.max_packets = c->config.c.max_packets,
		.ring_fill_percent = cutter_fill_percent(c->rings, tap_ring_count(c->tap)),
		.interfaces = membership_count(c),
	};
	for (unsigned id = 0; id < roster_count(&c->roster); id++)
		for (unsigned d = TAP_IN; d <= TAP_OUT; d++) {
			struct retina_ledger l = ledger_running(c, id, d);

			retina_ledger_add(&ret->totals, &l);
		}
}

static uint64_t elapsed(struct timeval from, struct timeval to)
{
	return (uint64_t)(to.tv_sec - from.tv_sec) * NS_PER_S +
	       (uint64_t)((to.tv_usec - from.tv_usec) * 1000);
}

void retina_capture_summary(const struct retina_capture *c, struct retina_summary *ret)
{
	*ret = (struct retina_summary){
		.name = c->config.c.name,
		.stop_reason = (enum retina_stop_reason)atomic_load(&c->stop_reason),
		.duration_ns = c->end_ns ? c->end_ns - c->start_ns : 0,
		.interfaces = c->summaries,
		.interface_count = c->summary_count,
		.totals = c->totals,
		.files = &c->file_summary,
		.file_count = c->file_summary.path ? 1 : 0, /* 0: it could not begin */
		.cpu_user_ns = elapsed(c->usage_before.ru_utime, c->usage_after.ru_utime),
		.cpu_system_ns = elapsed(c->usage_before.ru_stime, c->usage_after.ru_stime),
		.balanced = c->balanced,
	};
}
