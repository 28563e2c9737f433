/* SPDX-License-Identifier: MIT */
/*
 * send.c: the loop of a run: build a burst, wait until it is due, hand it over, count it.
 *
 * The i-th frame has sequence number first_seq + i, and no number is given up: outlet_flush()
 * offers a refused frame again. So "packets" and "first_seq" describe a finished run completely.
 * Frames are built before the wait, so that the wait ends with the system call.
 *
 * A UDP socket has one port, and sendmmsg(2) one socket: with that method kind and flow change from
 * burst to burst.
 *
 * Runs in the main thread, which owns everything here.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "live.h"
#include "outlet.h"
#include "pace.h"
#include "payload.h"
#include "send.h"

#define BURST_MAX \
	64 /* packets: enough to hide the cost of the call, few enough to stay in the L2 cache */
#define UDP_HEADER 8

static const char *const method_names[SEND_METHODS] = {
	[SEND_PACKET] = "packet",
	[SEND_BYPASS] = "bypass",
	[SEND_LIVE] = "live",
	[SEND_UDP] = "udp",
};

struct sender {
	const struct send_config *config;
	struct outlet *outlet;
	int *fds; /* one; SEND_UDP: one for each flow and kind */
	unsigned fds_count;
	unsigned burst;
	unsigned segments; /* frames in a full message */
	uint64_t bursts;   /* made so far */
};

const char *send_method_name(enum send_method method)
{
	return method_names[method];
}

enum send_method send_method_find(const char *name)
{
	unsigned method;

	for (method = 0; method < SEND_METHODS; method++)
		if (strcmp(method_names[method], name) == 0)
			break;
	return method;
}

static int open_udp4(const struct send_config *config, uint16_t port)
{
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (config->bind_src4)
		memcpy(&from.sin_addr, config->packet.src4, sizeof(from.sin_addr));
	memcpy(&to.sin_addr, config->packet.dst4, sizeof(to.sin_addr));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, config->device.name,
		       (socklen_t)strlen(config->device.name)) < 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return fd;
}

static int open_udp6(const struct send_config *config, uint16_t port)
{
	struct sockaddr_in6 from = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		return -errno;
	if (config->bind_src6)
		memcpy(&from.sin6_addr, config->packet.src6, sizeof(from.sin6_addr));
	memcpy(&to.sin6_addr, config->packet.dst6, sizeof(to.sin6_addr));
	to.sin6_scope_id = (uint32_t)config->device.index;
	/* Version 6 only: the same port is taken in version 4 too. */
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, config->device.name,
		       (socklen_t)strlen(config->device.name)) < 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return fd;
}

static int open_udp(const struct send_config *config, enum packet_kind kind, unsigned flow)
{
	uint16_t port = (uint16_t)(PACKET_PORT_FIRST + flow);
	int gso = (int)config->gso;
	int fd;

	fd = kind == PACKET_UDP6 ? open_udp6(config, port) : open_udp4(config, port);
	if (fd >= 0 && gso && setsockopt(fd, SOL_UDP, UDP_SEGMENT, &gso, sizeof(gso)) < 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return fd;
}

static int sender_open_sockets(struct sender *sender)
{
	const struct send_config *config = sender->config;
	const struct plan *plan = &config->plan;
	unsigned count = config->method == SEND_UDP ? plan->flows * plan->kinds_count : 1;

	sender->fds = calloc(count, sizeof(*sender->fds));
	if (!sender->fds)
		return -ENOMEM;
	for (; sender->fds_count < count; sender->fds_count++) {
		unsigned i = sender->fds_count;
		int fd;

		if (config->method == SEND_UDP)
			fd = open_udp(config, plan->kinds[i % plan->kinds_count],
				      i / plan->kinds_count);
		else
			fd = device_open_packet(&config->device, config->method == SEND_BYPASS);
		if (fd < 0)
			return fd;
		sender->fds[i] = fd;
	}
	return 0;
}

static void sender_close(struct sender *sender)
{
	for (unsigned i = 0; i < sender->fds_count; i++)
		(void)close(sender->fds[i]);
	free(sender->fds);
	outlet_free(sender->outlet);
}

static int sender_open(struct sender *sender, const struct send_config *config)
{
	unsigned slots;
	int r;

	*sender = (struct sender){.config = config, .segments = 1};
	sender->burst = config->burst ? config->burst : pace_burst(config->rate, BURST_MAX);
	if (config->gso) {
		sender->segments = SEND_GSO_BYTES / config->gso;
		if (sender->segments > SEND_GSO_SEGMENTS)
			sender->segments = SEND_GSO_SEGMENTS;
		if (sender->burst < sender->segments)
			sender->burst = sender->segments;
	}
	slots = (sender->burst + sender->segments - 1) / sender->segments;
	r = outlet_new(&sender->outlet, slots,
		       config->gso ? SEND_GSO_BYTES : plan_maximum(&config->plan, &config->packet));
	if (r < 0)
		return r;
	return sender_open_sockets(sender);
}

static void build_frames(struct sender *sender, uint64_t first, unsigned n)
{
	const struct send_config *config = sender->config;

	for (unsigned i = 0; i < n; i++) {
		struct plan_pick pick = plan_pick(&config->plan, &config->packet, first + i);

		packet_build(outlet_slot(sender->outlet), &config->packet, pick.kind, pick.size,
			     pick.flow, config->first_seq + first + i);
		outlet_push(sender->outlet, &(struct outlet_item){.len = pick.size,
								  .kind = pick.kind,
								  .frame_size = pick.size,
								  .frames = 1});
	}
}

static void build_datagrams(struct sender *sender, enum packet_kind kind, uint64_t first,
			    unsigned n)
{
	const struct send_config *config = sender->config;
	size_t header_size = packet_layout(&config->packet, kind).payload;

	for (unsigned i = 0; i < n;) {
		uint8_t *slot = outlet_slot(sender->outlet);
		struct outlet_item item = {.kind = kind};

		for (; i < n && item.frames < sender->segments; i++, item.frames++) {
			uint64_t at = first + i;
			size_t size = config->gso
					      ? config->gso
					      : plan_pick(&config->plan, &config->packet, at).size -
							header_size;

			payload_write(slot + item.len, size, config->packet.stream,
				      config->first_seq + at);
			item.frame_size = size + header_size;
			item.len += size;
		}
		outlet_push(sender->outlet, &item);
	}
}

/* Fill the outlet with the next @n frames. Return: the socket they must leave by. */
static int sender_build(struct sender *sender, uint64_t first, unsigned n)
{
	const struct plan *plan = &sender->config->plan;
	struct plan_pick pick;
	unsigned kind;

	if (sender->config->method != SEND_UDP) {
		build_frames(sender, first, n);
		return sender->fds[0];
	}
	kind = (unsigned)(sender->bursts % plan->kinds_count);
	pick = plan_pick(plan, &sender->config->packet, sender->bursts++);
	build_datagrams(sender, pick.kind, first, n);
	return sender->fds[pick.flow * plan->kinds_count + kind];
}

static uint64_t run_limit(const struct send_config *config)
{
	uint64_t limit = config->count ? config->count : UINT64_MAX;

	if (config->rate && config->duration_ns) {
		double timed = (double)config->rate * (double)config->duration_ns / 1e9 + 0.5;

		if (timed < (double)limit)
			limit = (uint64_t)timed;
	}
	return limit;
}

int send_run(const struct send_config *config, struct report *report, const atomic_bool *stop)
{
	uint64_t limit = run_limit(config);
	uint64_t deadline_ns = PACE_NEVER;
	struct sender sender;
	int r;

	report->first_seq = config->first_seq;
	report->started_ns = report->ended_ns = pace_now_ns();
	if (config->method == SEND_LIVE)
		return live_run(config, report, stop);
	pace_prepare();
	r = sender_open(&sender, config);
	if (r < 0)
		goto out;

	report->started_ns = pace_now_ns();
	if (config->duration_ns)
		deadline_ns = report->started_ns + config->duration_ns;
	/* Relaxed: a flag from this thread's signal handler, nothing else is published. */
	while (report->packets < limit && !atomic_load_explicit(stop, memory_order_relaxed)) {
		uint64_t first = report->packets;
		uint64_t left = limit - first;
		unsigned n = left < sender.burst ? (unsigned)left : sender.burst;
		int fd = sender_build(&sender, first, n);

		if (config->rate)
			pace_wait(report->started_ns + pace_due_ns(config->rate, first));
		if (pace_now_ns() >= deadline_ns)
			break;
		r = outlet_flush(sender.outlet, fd, report, deadline_ns, stop);
		if (r < 0)
			break;
		if (report->packets != first + n)
			break; /* stopped, or out of time */
	}
	/* The last packet's share of time belongs to the run: N packets at a rate of N take a
	 * second. */
	if (r == 0 && config->rate && !atomic_load_explicit(stop, memory_order_relaxed))
		pace_wait(report->started_ns + pace_due_ns(config->rate, report->packets));
	report->ended_ns = pace_now_ns();
	report->made = report->packets;
out:
	sender_close(&sender);
	return r;
}
