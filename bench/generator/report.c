/* SPDX-License-Identifier: MIT */
/*
 * report.c: the account of a run.
 *
 * A test compares captures with this account, so a frame enters it only when the kernel said that
 * it took it. Owned by the sending thread.
 */
#include <errno.h>
#include <stdio.h>

#include "report.h"

#define SIZES_LISTED \
	32 /* more different sizes than this are shown as ranges between powers of two */

void report_add(struct report *report, enum packet_kind kind, size_t size, uint64_t n)
{
	report->packets += n;
	report->bytes += n * size;
	report->by_size[size] += n;
	if (kind < PACKET_KINDS)
		report->by_kind[kind] += n;
}

static json_t *kinds_to_json(const struct report *report)
{
	json_t *object = json_object();

	for (unsigned kind = 0; kind < PACKET_KINDS; kind++)
		if (report->by_kind[kind])
			(void)json_object_set_new(object, packet_kind_name(kind),
						  json_integer((json_int_t)report->by_kind[kind]));
	return object;
}

static json_t *sizes_to_json(const struct report *report)
{
	json_t *object = json_object();
	unsigned different = 0;
	char name[64];

	for (size_t size = 0; size <= PACKET_SIZE_MAX; size++)
		different += report->by_size[size] != 0;
	if (different <= SIZES_LISTED) {
		for (size_t size = 0; size <= PACKET_SIZE_MAX; size++) {
			if (!report->by_size[size])
				continue;
			(void)snprintf(name, sizeof(name), "%zu", size);
			(void)json_object_set_new(object, name,
						  json_integer((json_int_t)report->by_size[size]));
		}
		return object;
	}
	for (size_t low = 0, high = 63; low <= PACKET_SIZE_MAX;
	     low = high + 1, high = low * 2 - 1) {
		uint64_t n = 0;

		for (size_t size = low; size <= high; size++)
			n += report->by_size[size];
		(void)snprintf(name, sizeof(name), "%zu-%zu", low, high);
		if (n)
			(void)json_object_set_new(object, name, json_integer((json_int_t)n));
	}
	return object;
}

int report_print(const struct report *report, json_t *extra)
{
	double seconds = (double)(report->ended_ns - report->started_ns) / 1e9;
	json_t *object;
	int r;

	object = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:I, s:o, s:o}", "schema",
			   "retina-xdp/traffic/v1", "interface", report->interface, "method",
			   report->method, "packets", (json_int_t)report->packets, "bytes",
			   (json_int_t)report->bytes, "stream", (json_int_t)report->stream,
			   "seconds", seconds, "pps",
			   seconds > 0 ? (double)report->packets / seconds : 0.0, "errors",
			   (json_int_t)report->errors, "by_kind", kinds_to_json(report), "by_size",
			   sizes_to_json(report));
	/* A run that made nothing, and a replay, have no first and last. */
	if (object) {
		json_t *first = json_null();
		json_t *last = json_null();

		if (report->made) {
			first = json_integer((json_int_t)report->first_seq);
			last = json_integer((json_int_t)(report->first_seq + report->made - 1));
		}
		(void)json_object_set_new(object, "first_seq", first);
		(void)json_object_set_new(object, "last_seq", last);
	}
	if (object && extra)
		(void)json_object_update(object, extra);
	json_decref(extra);
	if (!object)
		return -ENOMEM;
	r = json_dumpf(object, stdout, JSON_REAL_PRECISION(12));
	json_decref(object);
	if (r < 0 || putchar('\n') == EOF || fflush(stdout) != 0)
		return -EIO;
	return 0;
}
