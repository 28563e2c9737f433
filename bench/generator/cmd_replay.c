/* SPDX-License-Identifier: MIT */
/*
 * cmd_replay.c: "retina-traffic replay": sends the frames of a capture file with the file's timing.
 *
 * Frames that are due at the same moment leave in one batch. Deadlines are absolute: a late frame
 * is followed by the next in time. A stamp that goes backwards is due at once, and so is the first
 * frame of another round. Frames longer than the interface takes, and shorter than an Ethernet
 * header, are counted and left out.
 *
 * Main thread only.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <net/ethernet.h>
#include <pcap/dlt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "device.h"
#include "input.h"
#include "outlet.h"
#include "pace.h"
#include "report.h"

#define BATCH_SLOTS 64

static const char help[] =
	"usage: retina-traffic replay -i IF FILE [options]\n"
	"  FILE is pcap or pcapng with Ethernet frames; NAME.zst is piped through zstdcat\n"
	"  -i, --interface IF   interface to send on\n"
	"  --speed X            X times as fast as recorded (default 1)\n"
	"  --flat-out           as fast as possible\n"
	"  --loop N             N rounds (default 1)\n"
	"  --limit-seconds S    stop after S seconds\n";

enum {
	OPT_HELP = 256,
	OPT_SPEED,
	OPT_FLAT_OUT,
	OPT_LOOP,
	OPT_LIMIT_SECONDS,
};

static const struct option options[] = {
	{"help", no_argument, NULL, OPT_HELP},
	{"interface", required_argument, NULL, 'i'},
	{"speed", required_argument, NULL, OPT_SPEED},
	{"flat-out", no_argument, NULL, OPT_FLAT_OUT},
	{"loop", required_argument, NULL, OPT_LOOP},
	{"limit-seconds", required_argument, NULL, OPT_LIMIT_SECONDS},
	{0},
};

struct replay {
	struct device device;
	const char *path;
	double speed; /* 0: flat out */
	uint64_t rounds;
	uint64_t limit_ns; /* 0: none */

	const atomic_bool *stop;
	struct report *report;
	struct outlet *outlet;
	int fd;
	uint64_t deadline_ns;
	uint64_t round_due_ns; /* when the current round's first frame is due */
	uint64_t due_ns;       /* of the latest frame */
	uint64_t too_long;
	uint64_t too_short;
	uint64_t cut; /* sent, but the file has only their beginning */
};

static bool stopped(const struct replay *replay)
{
	/* Relaxed: a flag from this thread's signal handler, nothing else is published. */
	return atomic_load_explicit(replay->stop, memory_order_relaxed) ||
	       pace_now_ns() >= replay->deadline_ns;
}

static int flush(struct replay *replay)
{
	return outlet_flush(replay->outlet, replay->fd, replay->report, replay->deadline_ns,
			    replay->stop);
}

static bool fits(struct replay *replay, const struct input_record *record)
{
	bool tagged;

	if (record->caplen < ETHER_HDR_LEN) {
		replay->too_short++;
		return false;
	}
	tagged = record->data[12] == 0x81 && record->data[13] == 0x00;
	if (record->caplen > device_frame_max(&replay->device, tagged)) {
		replay->too_long++;
		return false;
	}
	replay->cut += record->caplen < record->len;
	return true;
}

/* Wait until the frame of @offset_ns after its round's first is due; what is pending leaves before.
 */
static int wait_until_due(struct replay *replay, uint64_t offset_ns)
{
	uint64_t due_ns;

	if (replay->speed == 0)
		return 0;
	due_ns = replay->round_due_ns + (uint64_t)((double)offset_ns / replay->speed);
	if (due_ns > replay->due_ns)
		replay->due_ns = due_ns;
	if (pace_now_ns() >= due_ns)
		return 0;
	if (outlet_pending(replay->outlet)) {
		int r = flush(replay);

		if (r < 0)
			return r;
	}
	pace_wait(due_ns < replay->deadline_ns ? due_ns : replay->deadline_ns);
	return 0;
}

static int replay_records(struct replay *replay, struct input *input)
{
	struct input_record record;
	uint64_t first_ns = 0;
	bool first = true;
	int r = 0;

	while (!stopped(replay) && (r = input_next(input, &record)) > 0) {
		if (!fits(replay, &record))
			continue;
		if (first) {
			first_ns = record.time_ns;
			first = false;
		}
		r = wait_until_due(replay,
				   record.time_ns > first_ns ? record.time_ns - first_ns : 0);
		if (r < 0)
			return r;
		if (stopped(replay))
			break;
		memcpy(outlet_slot(replay->outlet), record.data, record.caplen);
		outlet_push(replay->outlet, &(struct outlet_item){.len = record.caplen,
								  .kind = PACKET_KINDS,
								  .frame_size = record.caplen,
								  .frames = 1});
		if (outlet_full(replay->outlet)) {
			r = flush(replay);
			if (r < 0)
				return r;
		}
		r = 0;
	}
	if (r < 0)
		return r;
	return flush(replay);
}

static int replay_round(struct replay *replay)
{
	struct input *input;
	int status = COMMAND_DONE;
	int r;

	r = input_open(&input, replay->path);
	if (r < 0)
		return command_fail(COMMAND_FAILED, "%s: %s", replay->path,
				    r == -EINVAL ? "not a capture file" : strerror(-r));
	if (input_link_type(input) != DLT_EN10MB) {
		status = command_fail(COMMAND_FAILED, "%s: link type %d is not Ethernet",
				      replay->path, input_link_type(input));
		goto out;
	}
	r = replay_records(replay, input);
	if (r < 0)
		status = command_fail(COMMAND_FAILED, "%s to %s: %s", replay->path,
				      replay->device.name,
				      *input_error(input) ? input_error(input) : strerror(-r));
out:
	input_close(input);
	return status;
}

static int replay_rounds(struct replay *replay)
{
	int status = COMMAND_DONE;
	int r;

	replay->fd = device_open_packet(&replay->device, false);
	if (replay->fd < 0)
		return command_fail(COMMAND_FAILED, "%s: %s", replay->device.name,
				    strerror(-replay->fd));
	r = outlet_new(&replay->outlet, BATCH_SLOTS, device_frame_max(&replay->device, true));
	if (r < 0)
		return command_fail(COMMAND_FAILED, "%s", strerror(-r));
	pace_prepare();
	replay->report->started_ns = pace_now_ns();
	replay->due_ns = replay->report->started_ns;
	replay->deadline_ns =
		replay->limit_ns ? replay->report->started_ns + replay->limit_ns : PACE_NEVER;
	for (uint64_t round = 0; round < replay->rounds && status == COMMAND_DONE; round++) {
		if (stopped(replay))
			break;
		replay->round_due_ns = replay->due_ns;
		status = replay_round(replay);
	}
	replay->report->ended_ns = pace_now_ns();
	return status;
}

static int run(struct replay *replay)
{
	json_t *extra;
	int status;
	int r;

	replay->report = calloc(1, sizeof(*replay->report));
	if (!replay->report)
		return command_fail(COMMAND_FAILED, "out of memory");
	replay->report->interface = replay->device.name;
	replay->report->method = "replay";
	replay->fd = -1;
	replay->stop = command_stop();
	status = replay_rounds(replay);
	extra = json_pack("{s:s, s:I, s:I, s:I}", "file", replay->path, "skipped_too_long",
			  (json_int_t)replay->too_long, "skipped_too_short",
			  (json_int_t)replay->too_short, "cut_in_file", (json_int_t)replay->cut);
	r = report_print(replay->report, extra);
	if (r < 0)
		status = command_fail(COMMAND_FAILED, "standard output: %s", strerror(-r));
	if (replay->fd >= 0)
		(void)close(replay->fd);
	outlet_free(replay->outlet);
	free(replay->report);
	return status;
}

static bool parse_speed(const char *text, double *ret)
{
	char *end;

	*ret = strtod(text, &end);
	return end != text && !*end && *ret > 0 && *ret <= 1e6;
}

int cmd_replay(int argc, char **argv)
{
	struct replay replay = {.speed = 1, .rounds = 1};
	const char *interface = NULL;
	bool ok = true;
	int option;
	int r;

	while ((option = getopt_long(argc, argv, "i:h", options, NULL)) != -1) {
		switch (option) {
		case 'i':
			interface = optarg;
			break;
		case OPT_SPEED:
			ok = parse_speed(optarg, &replay.speed);
			break;
		case OPT_FLAT_OUT:
			replay.speed = 0;
			break;
		case OPT_LOOP:
			ok = command_number(optarg, UINT32_MAX, &replay.rounds) &&
			     replay.rounds > 0;
			break;
		case OPT_LIMIT_SECONDS:
			ok = command_seconds(optarg, &replay.limit_ns);
			break;
		case OPT_HELP:
		case 'h':
			(void)fputs(help, stdout);
			return COMMAND_DONE;
		default:
			return COMMAND_USAGE; /* getopt_long() named it */
		}
		if (!ok)
			return command_fail(COMMAND_USAGE, "bad value '%s'", optarg);
	}
	if (optind + 1 != argc)
		return command_fail(COMMAND_USAGE, "give one capture file");
	if (!interface)
		return command_fail(COMMAND_USAGE, "no interface: give -i IF");
	replay.path = argv[optind];
	r = device_find(&replay.device, interface);
	if (r < 0)
		return command_fail(COMMAND_FAILED, "%s: %s", interface, strerror(-r));
	return run(&replay);
}
