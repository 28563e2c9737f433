// SPDX-License-Identifier: MIT
/*
 * capture.c: one capture from configuration to summary: the public API. The caller's thread is the
 * control thread; it owns everything and starts a cutter, packers and a writer.
 *
 *   kernel -> rings -> cutter -> packers -> writer -> file
 *
 * Invariant: whatever ends a capture, what was recorded passes through the same shutdown
 * (finish()): detach, drain, complete the file; then every packet seen is rejected, captured or
 * lost.
 */
#include "capture.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/errno.h"
#include "base/limits.h"
#include "config.h"
#include "cutter.h"
#include "file.h"
#include "linkwatch.h"
#include "packer.h"
#include "pcap.h"
#include "roster.h"
#include "tap.h"
#include "writer.h"

/* The kernel's clocks are compared, and the end conditions looked at, at least this often. */
#define TICK_NS NS_PER_S

const char *retina_version(void)
{
	return RETINA_VERSION;
}

const char *retina_capture_name(const struct retina_capture *c)
{
	return c->config.c.name;
}

const char *retina_stop_reason_name(enum retina_stop_reason reason)
{
	static const char *const names[] = {
		[RETINA_STOP_NONE] = "none",	 [RETINA_STOP_DURATION] = "duration",
		[RETINA_STOP_SIZE] = "size",	 [RETINA_STOP_PACKETS] = "packets",
		[RETINA_STOP_SIGNAL] = "signal", [RETINA_STOP_CONTROL] = "control",
		[RETINA_STOP_ERROR] = "error",
	};

	return names[reason];
}

/* The descriptions of interfaces that have none yet; each names the filter of this moment. */
static int describe(struct retina_capture *c, struct buffer *b)
{
	char selection[128];
	struct roster_selection s = {.description = selection};
	int r;

	if (c->roster.described == roster_count(&c->roster))
		return 0;
	s.filter = retina_capture_filter(c);
	if (!s.filter)
		return -ENOMEM;
	steering_describe(c, selection, sizeof(selection));
	r = roster_describe(&c->roster, &s, b);
	free(s.filter);
	return r;
}

static int blocks_before(void *data, struct buffer *b)
{
	return describe(data, b);
}

struct noted {
	const struct retina_capture *c;
	struct buffer *b;
};

/* A change of the filter goes into a statistics block of the first interface. */
static int write_note(void *data, const char *text)
{
	const struct noted *n = data;

	return account_note(n->c, text, n->b);
}

static int blocks_after(void *data, struct buffer *b)
{
	struct retina_capture *c = data;
	struct noted noted = {c, b};
	uint64_t now = clock_steady_ns();
	int r = c->roster.described ? steering_notes(c, write_note, &noted) : 0;

	if (r < 0)
		return r;
	if (now - c->last_statistics_ns < STATISTICS_INTERVAL_NS)
		return 0;
	c->last_statistics_ns = now;
	return account_statistics(c, c->roster.described, false, b);
}

static struct output output(void *data)
{
	struct retina_capture *c = data;

	return (struct output){.raw_bytes = writer_raw_bytes(c->writer),
			       .bytes = writer_bytes(c->writer),
			       .wait_ns = writer_wait_ns(c->writer)};
}

static int load(struct retina_capture *c)
{
	const struct retina_capture_config *k = &c->config.c;
	static const enum hook hooks[] = {
		[RETINA_HOOK_AUTO] = HOOK_AUTO,
		[RETINA_HOOK_XDP] = HOOK_XDP,
		[RETINA_HOOK_TCX] = HOOK_TCX,
		[RETINA_HOOK_CLSACT] = HOOK_CLSACT,
	};
	struct tap_config config = {
		.ring_size = k->ring_bytes,
		.segment_size = c->config.segment_bytes,
		.snaplen = k->snaplen,
		.interface_max = c->roster.max,
		.one_interface = c->roster.max == 1,
		.hook = hooks[k->hook],
		.sample = k->sample,
		.sample_by_flow = k->sample_by_flow,
	};
	int r;

	if (config.one_interface)
		config.one_is_ethernet =
			c->roster.members[0].interface.link_type == LINK_TYPE_ETHERNET;
	r = tap_new(&c->tap, &config, &c->log);
	if (r < 0)
		return r;
	c->roster.clock_source = tap_clock_is_tai(c->tap)
					 ? "CLOCK_TAI less its leap seconds, in the kernel"
					 : "CLOCK_MONOTONIC in the kernel, set to Unix time";
	for (unsigned i = 0; i < roster_count(&c->roster); i++)
		c->roster.members[i].hooks = tap_hooks(c->tap, &c->roster.members[i].interface);
	c->rings = calloc(tap_ring_count(c->tap), sizeof(struct ring *));
	if (!c->rings)
		return log_failure(&c->log, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < tap_ring_count(c->tap); i++)
		c->rings[i] = tap_ring(c->tap, i);
	return steering_install(c);
}

static int open_file(struct retina_capture *c)
{
	const struct retina_capture_config *k = &c->config.c;
	const struct file_config config = {
		.path = k->path, .overwrite = k->overwrite, .max_bytes = k->max_bytes};
	int r = file_open(&c->file, &config);

	if (r == -EEXIST)
		return log_failure(&c->log, r, "%s: the file exists: use --force to overwrite it",
				   k->path);
	if (r == -ELOOP)
		return log_failure(&c->log, r, "%s: refusing to write through a symbolic link",
				   k->path);
	if (r < 0)
		return log_failure(&c->log, r, "%s: cannot write: %s", k->path, strerror(-r));
	return 0;
}

static struct encoder_config encoder_of(const struct retina_capture_config *k)
{
	return (struct encoder_config){.pcap = k->format == RETINA_PCAP,
				       .zstd = k->compression == RETINA_ZSTD};
}

/* The file's first bytes, with all interfaces that are known by now. */
static int build_head(struct retina_capture *c, struct buffer *b)
{
	const struct retina_capture_config *k = &c->config.c;
	int r;

	if (k->format == RETINA_PCAP) {
		uint16_t link_type = roster_count(&c->roster)
					     ? c->roster.members[0].interface.link_type
					     : LINK_TYPE_ETHERNET;

		r = buffer_reserve(b, PCAP_FILE_HEADER_SIZE);
		if (r == 0) {
			pcap_file_header(b->data, link_type, k->snaplen);
			b->len = PCAP_FILE_HEADER_SIZE;
		}
		return r;
	}
	c->roster.described = 0;
	r = section_header(b, k->application, k->comment);
	return r < 0 ? r : describe(c, b);
}

static int write_head(struct retina_capture *c)
{
	struct buffer b = {0};
	int r = build_head(c, &b);

	if (r == 0)
		r = writer_head(c->writer, b.data, b.len, c->roster.described);
	buffer_release(&b);
	if (r < 0)
		log_error(&c->log, "%s: cannot write: %s", c->config.c.path, strerror(-r));
	return r;
}

/* A cap that leaves no room for packets is refused before anything is attached. */
static int check_cap(struct retina_capture *c)
{
	struct buffer b = {0};
	int r = build_head(c, &b);

	if (r < 0)
		log_error(&c->log, "out of memory");
	else if (!writer_has_room(c->writer, b.len, c->roster.described))
		r = log_failure(&c->log, -EFBIG,
				"a file of at most %llu bytes has no room for packets: raise "
				"--max-size",
				(unsigned long long)c->config.c.max_bytes);
	buffer_release(&b);
	return r;
}

static int make_writer(struct retina_capture *c)
{
	const struct retina_capture_config *k = &c->config.c;
	const struct writer_config config = {
		.encoder = encoder_of(k),
		.max_packets = k->max_packets,
		.max_bytes = k->max_bytes,
		.statistics_room = STATISTICS_ROOM,
		.key_max = c->key_max,
		.flush_interval_ns = k->flush_interval_ns,
		.wake_fd = c->wake,
	};
	int r = writer_new(&c->writer, &config, c->file);

	if (r < 0)
		return log_failure(&c->log, r, "cannot make the writer: %s", strerror(-r));
	return check_cap(c);
}

/* What the others need to begin with. */
static int make_roster(struct retina_capture *c)
{
	int r = roster_init(&c->roster,
			    c->config.is_any ? INTERFACES_MAX : c->config.c.interface_count,
			    c->config.c.snaplen, "");

	if (r < 0)
		return log_failure(&c->log, r, "out of memory");
	c->key_max = c->roster.max * TAP_DIRECTIONS;
	c->wake = neg_errno(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (c->wake < 0)
		return log_failure(&c->log, c->wake, "cannot make an eventfd: %s",
				   strerror(-c->wake));
	return 0;
}

int retina_capture_new(struct retina_capture **ret, const struct retina_capture_config *config)
{
	struct retina_capture *c = calloc(1, sizeof(*c));
	const struct log log = {config->log, config->log_data};
	int r;

	if (!c)
		return log_failure(&log, -ENOMEM, "out of memory");
	c->wake = -1;
	c->deadline_ns = UINT64_MAX;
	c->log = log;
	steering_init(&c->steering);
	(void)getrusage(RUSAGE_SELF, &c->usage_before);
	r = config_init(&c->config, config, &c->log);
	if (r < 0)
		goto fail;
	r = make_roster(c);
	if (r < 0)
		goto fail;
	r = membership_enlist(c);
	if (r < 0)
		goto fail;
	r = steering_prepare(c);
	if (r < 0)
		goto fail;
	r = load(c);
	if (r < 0)
		goto fail;
	r = open_file(c);
	if (r < 0)
		goto fail;
	r = make_writer(c);
	if (r < 0)
		goto fail;
	*ret = c;
	return 0;
fail:
	retina_capture_free(c);
	return r;
}

static int start_packing(struct retina_capture *c)
{
	const struct retina_capture_config *k = &c->config.c;
	unsigned rings = tap_ring_count(c->tap);
	int r;

	c->packers = calloc(k->workers, sizeof(struct packer *));
	if (!c->packers)
		return -ENOMEM;
	while (c->packer_count < k->workers) {
		const struct packer_config config = {
			.index = c->packer_count,
			.cpu = (int)c->config.cpus[c->packer_count % k->cpu_count],
			.slices_max = rings,
			.key_max = c->key_max,
			.encoder = encoder_of(k),
		};

		r = packer_new(&c->packers[c->packer_count], &config);
		if (r < 0)
			return r;
		c->packer_count++;
	}
	return writer_start(c->writer, c->packers, c->packer_count);
}

static int start_cutting(struct retina_capture *c)
{
	const struct cutter_config config = {
		.rings = c->rings,
		.ring_count = tap_ring_count(c->tap),
		.packers = c->packers,
		.packer_count = c->packer_count,
		.key_max = c->key_max,
		.level = c->config.c.level,
		.flush_interval_ns = c->config.c.flush_interval_ns,
		.deadline_ns = c->deadline_ns,
		.blocks_before = blocks_before,
		.blocks_after = blocks_after,
		.output = output,
		.data = c,
	};

	c->last_statistics_ns = clock_steady_ns();
	return cutter_new(&c->cutter, &config);
}

/* Packers and writer end when the packers are told that there is no more. */
static void stop_packing(struct retina_capture *c, bool told)
{
	for (unsigned i = 0; !told && i < c->packer_count; i++)
		packer_send(c->packers[i], NULL);
	writer_join(c->writer);
	for (unsigned i = 0; i < c->packer_count; i++)
		c->packers[i] = packer_free(c->packers[i]);
	c->packer_count = 0;
}

static enum retina_stop_reason reason(const struct retina_capture *c)
{
	return (enum retina_stop_reason)atomic_load(&c->stop_reason);
}

/* The first reason stays. */
static void end(struct retina_capture *c, enum retina_stop_reason why)
{
	int none = RETINA_STOP_NONE;

	(void)atomic_compare_exchange_strong(&c->stop_reason, &none, (int)why);
}

static void look_for_the_end(struct retina_capture *c)
{
	switch (writer_state(c->writer)) {
	case WRITER_FULL_PACKETS:
		end(c, RETINA_STOP_PACKETS);
		break;
	case WRITER_FULL_BYTES:
		end(c, RETINA_STOP_SIZE);
		break;
	case WRITER_FAILED:
		end(c, RETINA_STOP_ERROR);
		break;
	case WRITER_RUNS:
		break;
	}
	if (clock_steady_ns() >= c->deadline_ns)
		end(c, RETINA_STOP_DURATION);
	if (!c->config.is_any && !membership_count(c)) {
		if (reason(c) == RETINA_STOP_NONE)
			log_error(&c->log, "no interface is left to record");
		end(c, RETINA_STOP_ERROR);
	}
}

static void sleep_until(struct retina_capture *c, uint64_t wake_ns)
{
	uint64_t now = clock_steady_ns(), counter;
	uint64_t ns = wake_ns > now ? wake_ns - now : 0;
	struct pollfd fds[] = {
		{.fd = c->wake, .events = POLLIN},
		{.fd = linkwatch_fd(c->linkwatch), .events = POLLIN},
	};
	struct timespec t = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

	if (ppoll(fds, 2, &t, NULL) <= 0)
		return;
	if (fds[0].revents)
		(void)!read(c->wake, &counter, sizeof(counter));
	if (fds[1].revents)
		(void)linkwatch_process(c->linkwatch);
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Smaller differences are the error of the measurement, and would put stamps out of order. */
static void follow_clock(struct retina_capture *c)
{
	uint64_t offset = clock_offset_ns(tap_clock_is_tai(c->tap));
	int64_t change = (int64_t)(offset - c->clock_offset_ns);

	if (change > -(int64_t)NS_PER_MS && change < (int64_t)NS_PER_MS)
		return;
	c->clock_offset_ns = offset;
	tap_set_clock_offset(c->tap, offset);
}

static void control(struct retina_capture *c)
{
	const struct retina_capture_config *k = &c->config.c;
	uint64_t next_tick = c->start_ns + TICK_NS;
	uint64_t next_progress = k->progress ? c->start_ns : UINT64_MAX;

	follow_clock(c);

	for (;;) {
		uint64_t now = clock_steady_ns();

		steering_serve(c);
		look_for_the_end(c);
		if (reason(c) != RETINA_STOP_NONE)
			return;
		if (now >= next_tick) {
			follow_clock(c);
			next_tick = now + TICK_NS;
		}
		if (now >= next_progress) {
			struct retina_status status;

			retina_capture_status(c, &status);
			k->progress(k->progress_data, &status);
			next_progress = now + k->progress_interval_ns;
		}
		sleep_until(c, min_of(c->deadline_ns, min_of(next_tick, next_progress)));
	}
}

static int write_tail(struct retina_capture *c)
{
	struct buffer b = {0};
	int r = 0;

	if (c->config.c.format == RETINA_PCAPNG)
		r = account_statistics(c, writer_interfaces(c->writer), true, &b);
	if (r == 0)
		r = writer_finish(c->writer, b.data, b.len);
	buffer_release(&b);
	return r;
}

/* The one shutdown: detach, drain the rings, complete the file, count. */
static int finish(struct retina_capture *c)
{
	const char *path = c->config.c.path;
	uint64_t end_unix_ns = UINT64_MAX;
	int r, closed;

	tap_detach_all(c->tap);
	c->end_ns = clock_steady_ns();
	if (c->end_ns > c->deadline_ns) {
		end_unix_ns = clock_unix_ns() - (c->end_ns - c->deadline_ns);
		c->end_ns = c->deadline_ns;
	}
	cutter_finish(c->cutter, end_unix_ns);
	stop_packing(c, true);
	r = write_tail(c);
	if (writer_state(c->writer) == WRITER_FAILED)
		r = log_failure(&c->log, writer_error(c->writer),
				"%s: writing failed: %s: the file ends before the loss", path,
				strerror(-writer_error(c->writer)));
	else if (r < 0)
		log_error(&c->log, "%s: the file could not be completed: %s", path, strerror(-r));
	closed = file_close(c->file);
	c->file = NULL;
	if (r == 0 && closed < 0)
		r = log_failure(&c->log, closed, "%s: closing failed: %s", path, strerror(-closed));
	(void)getrusage(RUSAGE_SELF, &c->usage_after);
	account_close(c);
	if (r == 0 && reason(c) == RETINA_STOP_ERROR)
		r = -ENODEV;
	return r;
}

int capture_begin(struct retina_capture *c)
{
	uint64_t duration = c->config.c.duration_ns;
	int r = write_head(c);

	if (r < 0)
		return r;
	if (duration && duration < UINT64_MAX - c->start_ns)
		c->deadline_ns = c->start_ns + duration;
	r = start_cutting(c);
	if (r < 0)
		log_error(&c->log, "cannot start the cutter: %s", strerror(-r));
	return r;
}

int retina_capture_run(struct retina_capture *c)
{
	int r;

	c->summaries = calloc((size_t)c->key_max, sizeof(*c->summaries));
	r = c->summaries ? start_packing(c) : -ENOMEM;
	if (r < 0) {
		log_error(&c->log, "cannot start the packers: %s", strerror(-r));
		goto fail;
	}
	r = membership_attach(c);
	if (r < 0)
		goto fail;
	control(c);
	steering_close(c);
	return finish(c);
fail:
	steering_close(c);
	end(c, RETINA_STOP_ERROR);
	tap_detach_all(c->tap);
	if (c->cutter)
		cutter_finish(c->cutter, 0);
	stop_packing(c, c->cutter != NULL);
	return r;
}

void retina_capture_stop(struct retina_capture *c, enum retina_stop_reason why)
{
	uint64_t one = 1;
	int saved = errno;

	end(c, why);
	(void)!write(c->wake, &one, sizeof(one));
	errno = saved;
}

struct retina_capture *retina_capture_free(struct retina_capture *c)
{
	if (!c)
		return NULL;
	if (c->tap)
		tap_detach_all(c->tap);
	linkwatch_free(c->linkwatch);
	cutter_free(c->cutter);
	writer_free(c->writer);
	(void)file_abort(c->file); /* a file that was never completed holds no packets */
	free(c->packers);
	free(c->rings);
	tap_free(c->tap);
	roster_release(&c->roster);
	steering_release(&c->steering);
	if (c->wake >= 0)
		close(c->wake);
	free(c->summaries);
	config_release(&c->config);
	free(c);
	return NULL;
}
