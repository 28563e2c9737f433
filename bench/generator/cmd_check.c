/* SPDX-License-Identifier: MIT */
/*
 * cmd_check.c: "retina-traffic check": what of the generated traffic is in a capture?
 *
 * Each record is located, judged and entered into its stream's tracker. A corrupt frame's stamp
 * can't be trusted, so its number is not entered: it is counted as corrupt and its number as
 * missing. A truncated frame's content is unknown, its number counts. Frames that are not ours only
 * count in "packets".
 *
 * Without --stream every stream found is tracked; a range then applies to each. Main thread only.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "input.h"
#include "locate.h"
#include "payload.h"
#include "tracker.h"

#define STREAMS_MAX                                                                         \
	256 /* other traffic can look like a stream by chance; more streams than this are a \
	       mistake */

static const char help[] =
	"usage: retina-traffic check [options] FILE|-\n"
	"  FILE is pcap or pcapng; NAME.zst is piped through zstdcat; - is standard input\n"
	"  --stream ID          only this stream (default: every stream found, each judged by "
	"itself)\n"
	"  --from N --to N      sequence numbers that must be there, both inclusive\n"
	"  --sent JSONFILE      take stream and numbers from the output of retina-traffic send\n"
	"  --gso N              super-packets carry a stamp every N payload bytes\n"
	"Without --from/--to and --sent the numbers between the smallest and largest seen are "
	"expected.\n"
	"Exit status: 0 all there, 3 some missing, duplicated or corrupt, 1 usage, 2 failed.\n";

enum {
	OPT_HELP = 256,
	OPT_STREAM,
	OPT_FROM,
	OPT_TO,
	OPT_SENT,
	OPT_GSO,
};

static const struct option options[] = {
	{"help", no_argument, NULL, OPT_HELP},
	{"stream", required_argument, NULL, OPT_STREAM},
	{"from", required_argument, NULL, OPT_FROM},
	{"to", required_argument, NULL, OPT_TO},
	{"sent", required_argument, NULL, OPT_SENT},
	{"gso", required_argument, NULL, OPT_GSO},
	{0},
};

struct check {
	bool one_stream;
	uint32_t stream;
	bool from_given;
	bool to_given;
	bool none_sent; /* the range is empty: whatever is there is too much */
	uint64_t from;
	uint64_t to;
	size_t gso; /* 0: one stamp a frame */
	struct tracker *trackers[STREAMS_MAX];
	unsigned trackers_count;
	unsigned tracker_last; /* the one used last: mostly the next one too */
	uint64_t packets;
	uint64_t ours;
	uint64_t corrupt;
	uint64_t truncated;
	uint64_t time_disorder;
	uint64_t time_last_ns;
};

static int find_tracker(struct check *check, uint32_t stream, struct tracker **ret)
{
	bool ranged = check->from_given || check->to_given || check->none_sent;
	struct tracker *tracker;
	int r;

	for (unsigned i = 0; i < check->trackers_count; i++) {
		unsigned at = (check->tracker_last + i) % check->trackers_count;

		if (tracker_stream(check->trackers[at]) == stream) {
			check->tracker_last = at;
			*ret = check->trackers[at];
			return 0;
		}
	}
	if (check->trackers_count == STREAMS_MAX)
		return -ERANGE;
	/* first > last is the empty range */
	r = tracker_new(&tracker, stream, ranged, check->none_sent ? 1 : check->from,
			check->none_sent ? 0 : check->to);
	if (r < 0)
		return r;
	check->tracker_last = check->trackers_count;
	check->trackers[check->trackers_count++] = tracker;
	*ret = tracker;
	return 0;
}

static int check_stamp(struct check *check, const uint8_t *data, size_t caplen, size_t len)
{
	struct payload_stamp stamp;
	enum payload_verdict verdict = payload_read(data, caplen, len, &stamp);
	struct tracker *tracker;
	int r;

	if (verdict == PAYLOAD_FOREIGN || (check->one_stream && stamp.stream != check->stream))
		return 0;
	check->ours++;
	if (verdict == PAYLOAD_CORRUPT) {
		check->corrupt++;
		return 0;
	}
	check->truncated += verdict == PAYLOAD_TRUNCATED;
	r = find_tracker(check, stamp.stream, &tracker);
	if (r == 0)
		r = tracker_see(tracker, stamp.seq);
	if (r ==
	    -ERANGE) { /* no run makes such a number: the stamp was damaged beyond its end's cut */
		check->corrupt++;
		return 0;
	}
	return r;
}

static int check_record(struct check *check, int link_type, const struct input_record *record)
{
	struct locate_payload payload;
	size_t step;

	check->packets++;
	check->time_disorder += record->time_ns < check->time_last_ns;
	check->time_last_ns = record->time_ns;
	if (!locate_payload(link_type, record->data, record->caplen, record->len, &payload))
		return 0;
	step = check->gso ? check->gso : payload.len;
	for (size_t at = 0; at < payload.len && at < payload.caplen; at += step) {
		size_t len = payload.len - at < step ? payload.len - at : step;
		size_t caplen = payload.caplen - at < len ? payload.caplen - at : len;
		int r = check_stamp(check, payload.data + at, caplen, len);

		if (r < 0)
			return r;
	}
	return 0;
}

static void add(json_t *object, const char *name, uint64_t value)
{
	(void)json_object_set_new(object, name, json_integer((json_int_t)value));
}

/* Print the account. Return: whether everything expected is there, once and whole. */
static bool print_result(const struct check *check, const char *error)
{
	json_t *object = json_object();
	json_t *missing = json_array();
	json_t *streams = json_array();
	struct tracker_result total = {0};

	for (unsigned i = 0; i < check->trackers_count; i++) {
		struct tracker_result one;
		json_t *stream = json_object();

		tracker_result(check->trackers[i], &one);
		total.missing += one.missing;
		total.duplicates += one.duplicates;
		total.reordered += one.reordered;
		total.outside += one.outside;
		for (unsigned j = 0; j < one.first_missing_count; j++)
			if (json_array_size(missing) < TRACKER_MISSING_SHOWN)
				(void)json_array_append_new(
					missing, json_integer((json_int_t)one.first_missing[j]));
		add(stream, "stream", tracker_stream(check->trackers[i]));
		add(stream, "seen", one.seen);
		if (one.first <= one.last) {
			add(stream, "first_seq", one.first);
			add(stream, "last_seq", one.last);
		}
		add(stream, "missing", one.missing);
		add(stream, "duplicates", one.duplicates);
		add(stream, "reordered", one.reordered);
		(void)json_array_append_new(streams, stream);
	}
	(void)json_object_set_new(object, "schema", json_string("retina-xdp/check/v1"));
	add(object, "packets", check->packets);
	add(object, "ours", check->ours);
	add(object, "missing", total.missing);
	add(object, "duplicates", total.duplicates);
	add(object, "corrupt", check->corrupt);
	add(object, "reordered", total.reordered);
	add(object, "truncated", check->truncated);
	add(object, "outside", total.outside);
	add(object, "time_disorder", check->time_disorder);
	(void)json_object_set_new(object, "first_missing", missing);
	(void)json_object_set_new(object, "streams", streams);
	if (error)
		(void)json_object_set_new(object, "error", json_string(error));
	(void)json_dumpf(object, stdout, 0);
	(void)putchar('\n');
	json_decref(object);
	return !total.missing && !total.duplicates && !check->corrupt;
}

static int read_sent(struct check *check, const char *path)
{
	json_error_t error;
	json_t *sent = json_load_file(path, 0, &error);
	json_int_t stream;
	json_int_t packets;
	json_t *first;
	json_t *last;
	int status = COMMAND_DONE;

	if (!sent)
		return command_fail(COMMAND_FAILED, "%s: line %d: %s", path, error.line,
				    error.text);
	if (json_unpack(sent, "{s:I, s:I, s:o, s:o}", "stream", &stream, "packets", &packets,
			"first_seq", &first, "last_seq", &last) < 0) {
		status = command_fail(COMMAND_FAILED, "%s: not the output of retina-traffic send",
				      path);
		goto out;
	}
	check->one_stream = true;
	check->stream = (uint32_t)stream;
	if (json_is_integer(first) && json_is_integer(last)) {
		check->from_given = check->to_given = true;
		check->from = (uint64_t)json_integer_value(first);
		check->to = (uint64_t)json_integer_value(last);
	} else if (packets == 0) {
		check->none_sent = true;
	} else {
		status = command_fail(COMMAND_FAILED, "%s: a replay has no sequence numbers", path);
	}
out:
	json_decref(sent);
	return status;
}

static int check_file(struct check *check, const char *path)
{
	struct input_record record;
	struct tracker *tracker;
	struct input *input;
	int status;
	int r;

	/* A stream that is expected is judged even when nothing of it is there. */
	if (check->one_stream || check->from_given || check->to_given) {
		r = find_tracker(check, check->one_stream ? check->stream : 1, &tracker);
		if (r < 0)
			return command_fail(COMMAND_FAILED, "%s", strerror(-r));
	}
	r = input_open(&input, path);
	if (r < 0)
		return command_fail(COMMAND_FAILED, "%s: %s", path,
				    r == -EINVAL ? "not a capture file" : strerror(-r));
	if (!locate_supports(input_link_type(input))) {
		status = command_fail(COMMAND_FAILED, "%s: link type %d is not supported", path,
				      input_link_type(input));
		goto out;
	}
	while ((r = input_next(input, &record)) > 0) {
		int checked = check_record(check, input_link_type(input), &record);

		if (checked < 0) {
			status = command_fail(COMMAND_FAILED, "%s: %s", path, strerror(-checked));
			goto out;
		}
	}
	status = print_result(check, r < 0 ? input_error(input) : NULL) ? COMMAND_DONE
									: COMMAND_DIFFERS;
	if (r < 0)
		status = command_fail(COMMAND_FAILED, "%s: %s", path, input_error(input));
out:
	input_close(input);
	return status;
}

/* Return: whether @text is a right value of the option; --sent complains itself. */
static bool parse_option(struct check *check, int option, const char *text, int *status)
{
	uint64_t n = 0;
	bool ok;

	switch (option) {
	case OPT_STREAM:
		ok = command_number(text, UINT32_MAX, &n);
		check->one_stream = true;
		check->stream = (uint32_t)n;
		return ok;
	case OPT_FROM:
		check->from_given = true;
		return command_number(text, PAYLOAD_SEQ_MAX, &check->from);
	case OPT_TO:
		check->to_given = true;
		return command_number(text, PAYLOAD_SEQ_MAX, &check->to);
	case OPT_SENT:
		*status = read_sent(check, text);
		return true;
	case OPT_GSO:
		ok = command_number(text, 65535, &n) && n >= PAYLOAD_STAMP_SIZE;
		check->gso = (size_t)n;
		return ok;
	default:
		return false;
	}
}

int cmd_check(int argc, char **argv)
{
	struct check check = {0};
	int status = COMMAND_DONE;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == '?')
			return COMMAND_USAGE; /* getopt_long() named it */
		if (option == OPT_HELP || option == 'h') {
			(void)fputs(help, stdout);
			return COMMAND_DONE;
		}
		if (!parse_option(&check, option, optarg, &status))
			return command_fail(COMMAND_USAGE, "--%s: bad value '%s'",
					    options[option - OPT_HELP].name, optarg);
		if (status != COMMAND_DONE)
			return status;
	}
	if (optind + 1 != argc)
		return command_fail(COMMAND_USAGE, "give one capture file, or -");
	if (check.from_given != check.to_given || (check.from_given && check.from > check.to))
		return command_fail(COMMAND_USAGE, "--from and --to go together, in order");
	status = check_file(&check, argv[optind]);
	for (unsigned i = 0; i < check.trackers_count; i++)
		tracker_free(check.trackers[i]);
	return status;
}
