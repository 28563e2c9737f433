// SPDX-License-Identifier: MIT
/* report.c: the summary of a capture as text and as JSON (schema retina-xdp/summary/v1). */
#include "report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "quantity.h"

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void ledger_line(const char *name, const char *direction, const char *hook,
			const struct retina_ledger *l)
{
	(void)fprintf(stderr,
		      "%-15s %-3s %-6s %14" PRIu64 " %14" PRIu64 " %14" PRIu64 " %14" PRIu64 "\n",
		      name, direction, hook, l->seen.packets, l->rejected.packets,
		      l->captured.packets, retina_ledger_lost(l).packets);
}

void report_text(const struct retina_summary *s)
{
	struct retina_tally lost = retina_ledger_lost(&s->totals);
	char size[32], wire[32];

	(void)fprintf(stderr, "%.3f s recorded, ended by %s; CPU %.3f s user, %.3f s system\n",
		      (double)s->duration_ns / 1e9, retina_stop_reason_name(s->stop_reason),
		      (double)s->cpu_user_ns / 1e9, (double)s->cpu_system_ns / 1e9);
	(void)fprintf(stderr, "%-15s %-3s %-6s %14s %14s %14s %14s\n", "interface", "dir", "hook",
		      "seen", "rejected", "captured", "lost");
	for (unsigned i = 0; i < s->interface_count; i++) {
		const struct retina_interface_summary *r = &s->interfaces[i];

		ledger_line(r->name, r->direction, r->hook, &r->ledger);
	}
	if (s->interface_count > 1)
		ledger_line("total", "", "", &s->totals);
	for (unsigned i = 0; i < s->file_count; i++)
		(void)fprintf(stderr, "%s: %" PRIu64 " packets, %s (%s on the wire)\n",
			      s->files[i].path, s->files[i].packets,
			      quantity_size(size, sizeof(size), s->files[i].bytes),
			      quantity_size(wire, sizeof(wire), s->totals.captured.bytes));
	if (!s->balanced)
		(void)fprintf(stderr, "the ledger does not balance: please report this\n");
	if (!lost.packets) {
		(void)fprintf(stderr, "no packet was lost\n");
		return;
	}
	(void)fprintf(stderr, "LOST %" PRIu64 " packets (%.3f %%):", lost.packets,
		      percent(lost.packets, s->totals.seen.packets));
	for (enum retina_loss i = 0; i < RETINA_LOSSES; i++)
		if (s->totals.lost[i].packets)
			(void)fprintf(stderr, " %s %" PRIu64, retina_loss_name(i),
				      s->totals.lost[i].packets);
	(void)fputc('\n', stderr);
}

/* A path may hold any bytes, JSON only UTF-8. */
static json_t *text(const char *s)
{
	json_t *t = json_string(s);
	char *copy;

	if (t)
		return t;
	copy = strdup(s);
	for (char *c = copy; c && *c; c++)
		if (*c & 0x80)
			*c = '?';
	t = copy ? json_string(copy) : NULL;
	free(copy);
	return t;
}

static json_t *tally(struct retina_tally t)
{
	return json_pack("{s:I, s:I}", "packets", (json_int_t)t.packets, "bytes",
			 (json_int_t)t.bytes);
}

static json_t *losses(const struct retina_ledger *l)
{
	json_t *lost = tally(retina_ledger_lost(l)), *by = json_object();

	for (enum retina_loss i = 0; i < RETINA_LOSSES; i++)
		(void)json_object_set_new(by, retina_loss_name(i),
					  json_integer((json_int_t)l->lost[i].packets));
	(void)json_object_set_new(lost, "by", by);
	return lost;
}

static json_t *ledger(const struct retina_ledger *l)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "seen", tally(l->seen), "rejected",
			 tally(l->rejected), "captured", tally(l->captured), "lost", losses(l));
}

static json_t *interfaces(const struct retina_summary *s)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < s->interface_count; i++) {
		const struct retina_interface_summary *r = &s->interfaces[i];
		json_t *o = json_pack("{s:s, s:s, s:s}", "name", r->name, "direction", r->direction,
				      "hook", r->hook);
		json_t *l = ledger(&r->ledger);

		(void)json_object_update(o, l);
		json_decref(l);
		(void)json_array_append_new(list, o);
	}
	return list;
}

static json_t *files(const struct retina_summary *s)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < s->file_count; i++) {
		const struct retina_file_summary *f = &s->files[i];

		(void)json_array_append_new(
			list, json_pack("{s:o, s:I, s:I, s:I, s:I}", "path", text(f->path), "bytes",
					(json_int_t)f->bytes, "packets", (json_int_t)f->packets,
					"first_ns", (json_int_t)f->first_ns, "last_ns",
					(json_int_t)f->last_ns));
	}
	return list;
}

bool report_json(const struct retina_summary *s)
{
	json_t *root = json_pack("{s:s, s:o, s:s, s:f, s:o, s:o, s:o, s:{s:f, s:f}, s:b}", "schema",
				 "retina-xdp/summary/v1", "name", text(s->name), "stop_reason",
				 retina_stop_reason_name(s->stop_reason), "duration_s",
				 (double)s->duration_ns / 1e9, "interfaces", interfaces(s),
				 "totals", ledger(&s->totals), "files", files(s), "cpu", "user_s",
				 (double)s->cpu_user_ns / 1e9, "system_s",
				 (double)s->cpu_system_ns / 1e9, "balanced", (int)s->balanced);
	bool ok = root && json_dumpf(root, stdout, JSON_COMPACT) == 0 && putchar('\n') == '\n' &&
		  fflush(stdout) == 0;

	json_decref(root);
	return ok;
}
