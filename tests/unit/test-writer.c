// SPDX-License-Identifier: MIT
/*
 * test-writer.c: from rings through packers and writer to a file and back. Every record is in the
 * file as it was in its ring, in order; caps are exact; a disk that fails loses nothing uncounted.
 */
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/limits.h"
#include "base/record.h"
#include "buffer.h"
#include "compressor.h"
#include "file.h"
#include "pcap.h"
#include "pcapng.h"
#include "producer.h"

enum {
	RINGS = 3,
	PACKERS_OF_TEST = 4,
	EPOCHS_MAX = 512,
	STATISTICS_ROOM = 64,
	PACKETS_MAX = 20000
};

/* One run: what to feed, and how to write it. */
struct run {
	struct encoder_config encoder;
	int level;
	unsigned packers, epochs, packets_per_epoch;
	uint32_t origlen_min, origlen_max;
	unsigned interfaces;
	bool has_blocks; /* descriptions before, and statistics behind, the records of epochs */
	bool alternates; /* a smallest packet before each largest one */
	uint64_t max_packets, max_bytes;
	uint64_t flush_interval_ns;
	bool no_uring;
};

struct fixture {
	char dir[32], path[64];
	struct producer producers[RINGS];
	uint32_t snaplen, seed;
	struct packet *sent; /* in the order of the file */
	unsigned sent_count;
	struct slice slices[EPOCHS_MAX][RINGS];
	struct epoch epochs[EPOCHS_MAX];
	struct buffer before, after;
	int wake;

	/* What the writer said. */
	enum writer_state state;
	int error, head_result, finish_result, close_result;
	uint64_t packets, bytes, bytes_before_tail;
	unsigned interfaces_written;
	uint64_t first_ns, last_ns;
	struct retina_tally captured[64], lost[64], beyond[64];

	uint8_t *content; /* of the file, decompressed */
	size_t content_len, file_len;
	bool is_complete; /* the frame has its end */
};

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	strcpy(x->dir, "/tmp/test-writer.XXXXXX");
	if (!mkdtemp(x->dir))
		return -1;
	(void)snprintf(x->path, sizeof(x->path), "%s/out", x->dir);
	x->snaplen = 9000;
	for (unsigned i = 0; i < RINGS; i++)
		if (producer_init(&x->producers[i], 8 * MIB, 1 * MIB, x->snaplen) < 0)
			return -1;
	x->sent = calloc(PACKETS_MAX, sizeof(*x->sent));
	x->seed = 99;
	x->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	*state = x;
	(void)alarm(60); /* a hang is a failure */
	return x->sent && x->wake >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;

	struct rlimit limit;

	(void)alarm(0);
	/* A test that failed may have left its limit. */
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_FSIZE, &limit);
	}
	(void)unlink(x->path);
	for (unsigned i = 0; i < RINGS; i++)
		producer_release(&x->producers[i]);
	buffer_release(&x->before);
	buffer_release(&x->after);
	close(x->wake);
	free(x->sent);
	free(x->content);
	(void)rmdir(x->dir);
	free(x);
	return 0;
}

/* --- feeding --- */

struct tagged {
	struct packet packet;
	unsigned ring, index;
};

static int in_file_order(const void *a, const void *b)
{
	const struct tagged *m = a, *n = b;

	if (m->packet.ns != n->packet.ns)
		return m->packet.ns < n->packet.ns ? -1 : 1;
	if (m->ring != n->ring)
		return m->ring < n->ring ? -1 : 1;
	return m->index < n->index ? -1 : 1;
}

/* One epoch's records into the rings, and into the oracle. */
static void fill_epoch(struct fixture *x, const struct run *run, unsigned n)
{
	struct tagged *t = calloc(run->packets_per_epoch + 1, sizeof(*t));
	uint64_t ns = 1000000 * (n + 1ull);

	for (unsigned r = 0; r < RINGS; r++)
		x->slices[n][r] =
			(struct slice){&x->producers[r].ring, ring_head(&x->producers[r].ring), 0};
	for (unsigned i = 0; i < run->packets_per_epoch; i++) {
		uint32_t span = run->origlen_max - run->origlen_min + 1;

		t[i].ring = next_random(&x->seed) % RINGS;
		t[i].index = i;
		t[i].packet =
			(struct packet){.ns = ns,
					.interface = next_random(&x->seed) % run->interfaces,
					.flags = 1 + next_random(&x->seed) % 2,
					.queue = next_random(&x->seed) % 3,
					.origlen = run->origlen_min + next_random(&x->seed) % span,
					.seed = next_random(&x->seed)};
		if (run->alternates)
			t[i].packet.origlen = i % 2 ? run->origlen_max : run->origlen_min;
		if (run->alternates)
			t[i].packet.seed |= 1; /* noise: does not shrink */
		assert_true(producer_write(&x->producers[t[i].ring], &t[i].packet));
		ns += next_random(&x->seed) % 3;
	}
	for (unsigned r = 0; r < RINGS; r++)
		x->slices[n][r].to = ring_head(&x->producers[r].ring);
	qsort(t, run->packets_per_epoch, sizeof(*t), in_file_order);
	for (unsigned i = 0; i < run->packets_per_epoch; i++)
		x->sent[x->sent_count++] = t[i].packet;
	free(t);
	x->epochs[n] =
		(struct epoch){.slices = x->slices[n], .slice_count = RINGS, .level = run->level};
	if (run->has_blocks) {
		x->epochs[n].before = x->before.data;
		x->epochs[n].before_len = x->before.len;
		x->epochs[n].after = x->after.data;
		x->epochs[n].after_len = x->after.len;
	}
}

static void make_blocks(struct fixture *x)
{
	const struct pcapng_interface i = {.name = "late", .link_type = 1};
	const struct pcapng_statistics s = {.now_ns = 1,
					    .received = UINT64_MAX,
					    .dropped = UINT64_MAX,
					    .accepted = UINT64_MAX,
					    .os_dropped = UINT64_MAX,
					    .delivered = 5};

	buffer_reset(&x->before);
	buffer_reset(&x->after);
	assert_int_equal(pcapng_interface_description(&x->before, &i), 0);
	assert_int_equal(pcapng_interface_statistics(&x->after, &s), 0);
	assert_true(x->after.len <= STATISTICS_ROOM);
}

static int write_head(struct writer *w, const struct run *run)
{
	struct buffer b = {0};
	int r;

	if (run->encoder.pcap) {
		uint8_t header[PCAP_FILE_HEADER_SIZE];

		pcap_file_header(header, 1, 262144);
		return writer_head(w, header, sizeof(header), 0);
	}
	assert_int_equal(pcapng_section_header(&b, &(struct pcapng_section){.os = "test"}), 0);
	for (unsigned i = 0; i < run->interfaces; i++) {
		const struct pcapng_interface d = {.link_type = 1};

		assert_int_equal(pcapng_interface_description(&b, &d), 0);
	}
	r = writer_head(w, b.data, b.len, run->interfaces);
	buffer_release(&b);
	return r;
}

static void feed(struct fixture *x, const struct run *run, struct packer **packers)
{
	const struct timespec pause = {.tv_nsec = 50000};

	for (unsigned n = 0; n < run->epochs; n++) {
		struct packer *p = packers[n % run->packers];

		/* As the cutter does: never more than PACKER_EPOCHS under way. */
		while (n / run->packers >= packer_done(p) + PACKER_EPOCHS)
			(void)nanosleep(&pause, NULL);
		packer_send(p, &x->epochs[n]);
	}
	for (unsigned i = 0; i < run->packers; i++)
		packer_send(packers[(run->epochs + i) % run->packers], NULL);
}

static void finish(struct fixture *x, const struct run *run, struct writer *w, struct file *f)
{
	x->state = writer_state(w);
	x->bytes_before_tail = writer_bytes(w);
	x->interfaces_written = writer_interfaces(w);
	buffer_reset(&x->after);
	for (unsigned i = 0; i < x->interfaces_written; i++) {
		const struct pcapng_statistics s = {.interface_id = i,
						    .now_ns = 1,
						    .received = UINT64_MAX,
						    .dropped = UINT64_MAX,
						    .accepted = UINT64_MAX,
						    .os_dropped = UINT64_MAX,
						    .delivered = UINT64_MAX};

		assert_int_equal(pcapng_interface_statistics(&x->after, &s), 0);
	}
	x->finish_result = writer_finish(w, x->after.data, x->after.len);
	x->error = writer_error(w);
	x->interfaces_written = writer_interfaces(w);
	x->packets = writer_packets(w);
	x->bytes = writer_bytes(w);
	writer_times(w, &x->first_ns, &x->last_ns);
	for (unsigned key = 0; key < 2 * run->interfaces; key++) {
		x->captured[key] = writer_captured(w, key);
		x->lost[key] = writer_lost(w, key);
		x->beyond[key] = writer_beyond(w, key);
	}
	x->close_result = file_close(f);
}

/* The whole way to the file. false: the head did not fit. */
static bool record(struct fixture *x, const struct run *run)
{
	struct packer *packers[PACKERS_OF_TEST];
	struct writer *w;
	struct file *f;
	const struct writer_config config = {
		.encoder = run->encoder,
		.max_packets = run->max_packets,
		.max_bytes = run->max_bytes,
		.statistics_room = STATISTICS_ROOM,
		.key_max = 2 * run->interfaces,
		.flush_interval_ns = run->flush_interval_ns ? run->flush_interval_ns : NS_PER_S,
		.wake_fd = x->wake};
	const struct file_config to = {.path = x->path,
				       .overwrite = true,
				       .max_bytes = run->max_bytes,
				       .no_uring = run->no_uring};

	x->sent_count = 0;
	make_blocks(x);
	for (unsigned r = 0; r < RINGS; r++)
		ring_release(&x->producers[r].ring, ring_head(&x->producers[r].ring));
	for (unsigned n = 0; n < run->epochs; n++)
		fill_epoch(x, run, n);
	assert_int_equal(file_open(&f, &to), 0);
	assert_int_equal(writer_new(&w, &config, f), 0);
	x->head_result = write_head(w, run);
	if (x->head_result < 0) {
		writer_free(w);
		(void)file_close(f);
		return false;
	}
	for (unsigned i = 0; i < run->packers; i++) {
		const struct packer_config p = {.index = i,
						.cpu = -1,
						.slices_max = RINGS,
						.key_max = 2 * run->interfaces,
						.encoder = run->encoder};

		assert_int_equal(packer_new(&packers[i], &p), 0);
	}
	assert_int_equal(writer_start(w, packers, run->packers), 0);
	feed(x, run, packers);
	writer_join(w);
	for (unsigned i = 0; i < run->packers; i++)
		packer_free(packers[i]);
	finish(x, run, w, f);
	writer_free(w);
	return true;
}

/* --- reading back --- */

static void read_file(struct fixture *x, bool is_zstd)
{
	int fd = open(x->path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ZSTD_DCtx *d;
	size_t r = 1, size;
	uint8_t *raw;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	x->file_len = (size_t)st.st_size;
	raw = malloc(x->file_len + 1);
	assert_int_equal(read(fd, raw, x->file_len + 1), x->file_len);
	close(fd);
	free(x->content);
	x->is_complete = true;
	if (!is_zstd) {
		x->content = raw;
		x->content_len = x->file_len;
		return;
	}
	size = 24 * MIB;
	x->content = malloc(size);
	d = ZSTD_createDCtx();
	ZSTD_inBuffer in = {raw, x->file_len, 0};
	ZSTD_outBuffer out = {x->content, size, 0};
	while (in.pos < in.size && r) {
		r = ZSTD_decompressStream(d, &out, &in);
		if (ZSTD_isError(r))
			fail_msg("%s at %zu of %zu", ZSTD_getErrorName(r), in.pos, in.size);
	}
	x->is_complete = r == 0;
	assert_int_equal(in.pos, in.size); /* nothing behind the frame */
	x->content_len = out.pos;
	ZSTD_freeDCtx(d);
	free(raw);
}

/* Walks a pcapng stream; every packet must be the next one that was sent. Returns their number. */
static unsigned walk_pcapng(const struct fixture *x)
{
	unsigned packets = 0, interfaces = 0;
	size_t i;

	for (i = 0; i < x->content_len;) {
		const uint8_t *b = x->content + i;
		uint32_t len;

		assert_true(x->content_len - i >= 12);
		len = record_len(b);
		assert_true(len >= 12 && len % 4 == 0 && len <= x->content_len - i);
		assert_int_equal(record_word(b, len / 4 - 1), len);
		if (i == 0)
			assert_int_equal(record_type(b), 0x0a0d0d0a);
		interfaces += record_type(b) == RECORD_INTERFACE_DESCRIPTION;
		if (record_type(b) == 5) /* statistics, too, are of a known interface */
			assert_true(record_word(b, 2) < interfaces);
		if (record_is_packet(b)) {
			const char *difference;

			assert_true(packets < x->sent_count);
			difference = packet_difference(&x->sent[packets], x->snaplen, b);
			if (difference)
				fail_msg("packet %u: %s", packets, difference);
			assert_true(record_interface(b) < interfaces);
			packets++;
		}
		i += len;
	}
	assert_int_equal(i, x->content_len);
	if (x->content_len)
		assert_int_equal(interfaces, x->interfaces_written);
	return packets;
}

static unsigned walk_pcap(const struct fixture *x)
{
	uint8_t expected[9000];
	unsigned packets = 0;
	size_t i = PCAP_FILE_HEADER_SIZE;

	assert_true(x->content_len >= i);
	assert_int_equal(record_word(x->content, 0), 0xa1b23c4d);
	for (; i < x->content_len; packets++) {
		const struct packet *k = &x->sent[packets];
		const uint8_t *r = x->content + i;
		uint32_t caplen = packet_caplen(k, x->snaplen);

		assert_true(packets < x->sent_count);
		assert_true(x->content_len - i >= 16 + caplen);
		assert_int_equal(record_word(r, 0) * NS_PER_S + record_word(r, 1), k->ns);
		assert_int_equal(record_word(r, 2), caplen);
		assert_int_equal(record_word(r, 3), k->origlen);
		packet_bytes(k, expected, caplen);
		assert_memory_equal(expected, r + 16, caplen);
		i += 16 + caplen;
	}
	assert_int_equal(i, x->content_len);
	return packets;
}

/* The file holds the first packets that were sent; all others are counted where `rest` says. */
static unsigned assert_holds_a_prefix(struct fixture *x, const struct run *run,
				      const struct retina_tally *rest)
{
	struct retina_tally in_file[64] = {0}, behind[64] = {0};
	unsigned n;

	read_file(x, run->encoder.zstd);
	n = run->encoder.pcap ? walk_pcap(x) : walk_pcapng(x);
	for (unsigned i = 0; i < x->sent_count; i++) {
		const struct packet *k = &x->sent[i];
		unsigned key = k->interface * 2 + ((k->flags & 3) == RECORD_OUTBOUND);
		struct retina_tally *t = i < n ? &in_file[key] : &behind[key];

		t->packets++;
		t->bytes += k->origlen;
	}
	for (unsigned key = 0; key < 2 * run->interfaces; key++) {
		assert_int_equal(x->captured[key].packets, in_file[key].packets);
		assert_int_equal(x->captured[key].bytes, in_file[key].bytes);
		assert_int_equal(rest[key].packets, behind[key].packets);
		assert_int_equal(rest[key].bytes, behind[key].bytes);
		if (rest != x->lost)
			assert_int_equal(x->lost[key].packets, 0);
		if (rest != x->beyond)
			assert_int_equal(x->beyond[key].packets, 0);
	}
	assert_int_equal(x->packets, n);
	assert_int_equal(x->bytes, x->file_len);
	assert_int_equal(x->first_ns, n ? x->sent[0].ns : 0);
	assert_int_equal(x->last_ns, n ? x->sent[n - 1].ns : 0);
	return n;
}

static void assert_holds_all(struct fixture *x, const struct run *run)
{
	assert_int_equal(x->state, WRITER_RUNS);
	assert_int_equal(x->finish_result, 0);
	assert_int_equal(x->close_result, 0);
	assert_int_equal(assert_holds_a_prefix(x, run, x->beyond), x->sent_count);
	assert_true(x->is_complete);
}

static void assert_zstd_agrees(const struct fixture *x)
{
	char command[128];

	if (system("command -v zstd >/dev/null") != 0)
		return;
	(void)snprintf(command, sizeof(command), "zstd -qt < %s", x->path);
	assert_int_equal(system(command), 0);
}

/* --- tests --- */

static const struct encoder_config encodings[] = {
	{.zstd = true}, {0}, {.pcap = true, .zstd = true}, {.pcap = true}};

static void every_format_holds_every_record(void **state)
{
	for (unsigned e = 0; e < 4; e++)
		for (unsigned packers = 1; packers <= PACKERS_OF_TEST; packers++) {
			const struct run run = {.encoder = encodings[e],
						.level = packers % 2 ? 1 : -5,
						.packers = packers,
						.epochs = 5,
						.packets_per_epoch = 120,
						.origlen_min = 1,
						.origlen_max = 9500 / packers,
						.interfaces = 4,
						.has_blocks = true};

			assert_true(record(*state, &run));
			assert_holds_all(*state, &run);
		}
}

static void every_level_holds_every_record(void **state)
{
	static const int levels[] = {-50, -5, -1, 1, 3, 7, 19, COMPRESSOR_STORED};

	for (unsigned i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		const struct run run = {.encoder = {.zstd = true},
					.level = levels[i],
					.packers = 2,
					.epochs = 3,
					.packets_per_epoch = 40,
					.origlen_min = 1,
					.origlen_max = 1500,
					.interfaces = 2};

		assert_true(record(*state, &run));
		assert_holds_all(*state, &run);
		assert_zstd_agrees(*state);
	}
}

static void an_epoch_of_several_chunks_is_in_order(void **state)
{
	const struct run run = {.encoder = {.zstd = true},
				.level = -5,
				.packers = 2,
				.epochs = 4,
				.packets_per_epoch = 600,
				.origlen_min = 5000,
				.origlen_max = 9000,
				.interfaces = 1};

	assert_true(record(*state, &run));
	assert_holds_all(*state, &run);
}

static void nothing_recorded_is_a_valid_file(void **state)
{
	for (unsigned e = 0; e < 4; e++) {
		struct run run = {
			.encoder = encodings[e], .level = 1, .packers = 2, .interfaces = 1};

		assert_true(record(*state, &run));
		assert_holds_all(*state, &run);
		run.epochs = 3; /* without packets */
		assert_true(record(*state, &run));
		assert_holds_all(*state, &run);
	}
}

static void a_packet_cap_is_exact(void **state)
{
	struct fixture *x = *state;

	for (unsigned i = 0; i < 44; i++) {
		struct run run = {.encoder = encodings[i % 4],
				  .level = 1,
				  .packers = 1 + i % 3,
				  .epochs = 4,
				  .packets_per_epoch = 50,
				  .origlen_min = 1,
				  .origlen_max = 700,
				  .interfaces = 2,
				  .has_blocks = i % 3 == 0};

		run.max_packets = i < 10 ? i + 1 : 1 + next_random(&x->seed) % 230;
		if (i >= 10 && i < 20)
			run.max_packets = 50 * (i % 4 + 1); /* a whole epoch */
		assert_true(record(x, &run));
		assert_int_equal(assert_holds_a_prefix(x, &run, x->beyond),
				 run.max_packets < 200 ? run.max_packets : 200);
		assert_int_equal(x->state,
				 run.max_packets <= 200 ? WRITER_FULL_PACKETS : WRITER_RUNS);
		assert_int_equal(x->finish_result, 0);
		assert_true(x->is_complete);
	}
}

static void the_journal_wraps_when_nothing_is_flushed(void **state)
{
	struct fixture *x = *state;
	const struct run run = {.packers = 2,
				.epochs = 400,
				.packets_per_epoch = 40,
				.origlen_min = 1,
				.origlen_max = 4,
				.interfaces = 32,
				.flush_interval_ns = 3600 * NS_PER_S};

	assert_true(record(x, &run));
	assert_holds_all(x, &run);
}

/* --- caps in bytes --- */

/* Bytes that the next packet alone would take in the file. */
static size_t encoded_len(struct fixture *x, const struct run *run, const struct packet *k)
{
	struct producer p;
	struct encoder *e;
	uint8_t *room = malloc(encoder_room(&run->encoder) + 1);
	const uint8_t *out;
	size_t len;

	assert_int_equal(producer_init(&p, 65536, 32768, x->snaplen), 0);
	assert_int_equal(encoder_new(&e, &run->encoder), 0);
	assert_true(producer_write(&p, k));
	assert_int_equal(
		encoder_encode(e, run->level, p.memory, record_len(p.memory), room, &out, &len), 0);
	encoder_free(e);
	producer_release(&p);
	free(room);
	return len;
}

static size_t tail_room(const struct fixture *x, const struct run *run)
{
	size_t len = run->encoder.pcap ? 0 : x->interfaces_written * STATISTICS_ROOM;

	return run->encoder.zstd ? zstd_stored_size(len) + ZSTD_FRAME_END_SIZE : len;
}

static void assert_keeps_byte_cap(struct fixture *x, const struct run *run)
{
	unsigned n;

	if (!record(x, run)) {
		assert_int_equal(x->head_result, -EFBIG);
		return;
	}
	n = assert_holds_a_prefix(x, run, x->beyond);
	assert_true(x->file_len <= run->max_bytes);
	assert_int_equal(x->finish_result, 0);
	assert_int_equal(x->close_result, 0);
	assert_true(x->is_complete);
	if (n == x->sent_count)
		return;
	assert_int_equal(x->state, WRITER_FULL_BYTES);
	/* Not smaller than it must be. */
	assert_true(x->bytes_before_tail + encoded_len(x, run, &x->sent[n]) + tail_room(x, run) >
		    run->max_bytes);
}

static void a_byte_cap_is_kept_and_used_up(void **state)
{
	struct fixture *x = *state;

	for (unsigned i = 0; i < 100; i++) {
		struct run run = {.encoder = encodings[i % 4],
				  .level = i % 3 ? 1 : COMPRESSOR_STORED,
				  .packers = 1 + i % 2,
				  .epochs = 3,
				  .packets_per_epoch = 40,
				  .origlen_min = 1,
				  .origlen_max = i % 2 ? 200 : 3000,
				  .interfaces = 2};

		run.max_bytes = 200 + next_random(&x->seed) % (run.origlen_max * 50);
		assert_keeps_byte_cap(x, &run);
		if (i < 8 && run.encoder.zstd && x->head_result == 0)
			assert_zstd_agrees(x);
	}
}

static void a_byte_cap_among_small_and_large_packets_is_kept(void **state)
{
	struct fixture *x = *state;

	for (unsigned i = 0; i < 40; i++) {
		struct run run = {.encoder = encodings[i % 4],
				  .level = 1,
				  .packers = 1,
				  .epochs = 2,
				  .packets_per_epoch = 30,
				  .origlen_min = 20,
				  .origlen_max = 9000,
				  .alternates = true,
				  .interfaces = 1};

		run.max_bytes = 2000 + next_random(&x->seed) % 200000;
		assert_keeps_byte_cap(x, &run);
	}
}

static void both_caps_are_kept_together(void **state)
{
	struct fixture *x = *state;

	for (unsigned i = 0; i < 20; i++) {
		struct run run = {.encoder = encodings[i % 4],
				  .level = 1,
				  .packers = 2,
				  .epochs = 3,
				  .packets_per_epoch = 40,
				  .origlen_min = 100,
				  .origlen_max = 300,
				  .interfaces = 1,
				  .max_packets = 1 + next_random(&x->seed) % 120};
		unsigned n;

		run.max_bytes = 1000 + next_random(&x->seed) % 20000;
		assert_true(record(x, &run));
		n = assert_holds_a_prefix(x, &run, x->beyond);
		assert_true(n <= run.max_packets && x->file_len <= run.max_bytes);
		assert_true(x->state == WRITER_FULL_BYTES || n == run.max_packets);
	}
}

/* --- disks that fail --- */

static void assert_fails_honestly(struct fixture *x, const struct run *run, uint64_t limit)
{
	if (!record(x, run))
		return; /* it was told before anything was recorded */
	assert_true(x->state == WRITER_FAILED || x->error < 0 || x->finish_result < 0 ||
		    x->close_result < 0 || x->packets == x->sent_count);
	read_file(x, false);
	assert_true(x->file_len <= limit);
	if (!x->file_len) { /* not even the head */
		assert_int_equal(x->packets, 0);
		return;
	}
	(void)assert_holds_a_prefix(x, run, x->lost);
}

static void a_disk_that_fails_loses_nothing_uncounted(void **state)
{
	struct fixture *x = *state;
	struct rlimit before, limit;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	for (unsigned i = 0; i < 32; i++) {
		const struct run run = {.encoder = encodings[i / 2 % 4],
					.level = COMPRESSOR_STORED,
					.packers = 2,
					.epochs = 6,
					.packets_per_epoch = 60,
					.origlen_min = 1000,
					.origlen_max = 9000,
					.interfaces = 2,
					.has_blocks = i % 3 == 0,
					.flush_interval_ns = i % 5 ? NS_PER_S : 1,
					.no_uring = i % 2};

		limit = before;
		limit.rlim_cur = i == 0 ? 0 : 500 + next_random(&x->seed) % 3000000;
		if (i >= 24) /* around the head, or within it */
			limit.rlim_cur = i % 4 ? 1 + next_random(&x->seed) % 500 : 20;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		assert_fails_honestly(x, &run, limit.rlim_cur);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	}
}

static void a_full_disk_loses_nothing_uncounted(void **state)
{
	struct fixture *x = *state;
	char path[64];

	if (geteuid() != 0 || mount("none", x->dir, "tmpfs", 0, "size=1m,mode=0700") < 0)
		skip();
	strcpy(path, x->path);
	for (unsigned i = 0; i < 8; i++) {
		const struct run run = {.encoder = encodings[i / 2],
					.level = COMPRESSOR_STORED,
					.packers = 2,
					.epochs = 6,
					.packets_per_epoch = 60,
					.origlen_min = 1000,
					.origlen_max = 9000,
					.interfaces = 2,
					.no_uring = i % 2};

		if (i == 6) { /* full before the beginning */
			int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC), to;
			static const char zero[65536];

			(void)snprintf(path, sizeof(path), "%s/filler", x->dir);
			to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
			while (write(to, zero, sizeof(zero)) > 0)
				;
			close(to);
			close(fd);
		}
		assert_fails_honestly(x, &run, 1 * MIB);
		(void)unlink(x->path);
	}
	(void)umount2(x->dir, MNT_DETACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_format_holds_every_record, set_up, tear_down),
		cmocka_unit_test_setup_teardown(every_level_holds_every_record, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_epoch_of_several_chunks_is_in_order, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(nothing_recorded_is_a_valid_file, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_packet_cap_is_exact, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_journal_wraps_when_nothing_is_flushed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_disk_that_fails_loses_nothing_uncounted, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_full_disk_loses_nothing_uncounted, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(both_caps_are_kept_together, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_byte_cap_is_kept_and_used_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_byte_cap_among_small_and_large_packets_is_kept,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
