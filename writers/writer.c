// SPDX-License-Identifier: MIT
/*
 * writer.c: one thread asks the packers for their chunks in the turn of the epochs and appends them
 * to the file. It alone knows the size of the file, so it keeps the caps, to the packet and to the
 * byte: a chunk that does not fit whole is taken apart.
 *
 * Every packet that a packer hands over is captured (in the file), lost (the file failed) or beyond
 * (it came behind a cap, so the capture had ended). What was appended but is not yet known to be
 * written stays in the journal: when a write fails, the file is cut back to the last whole chunk
 * and the packets behind it become lost.
 */
#include "writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/limits.h"
#include "base/record.h"
#include "base/thread.h"
#include "compressor.h"
#include "file.h"
#include "journal.h"

/* While a chunk is taken apart: bytes of blocks to try first. */
enum { PIECE = 65536 };

/* Entries of the journal beyond one for each key: chunks under way to the disk. */
enum { JOURNAL_ENTRIES = 4096 };

struct writer {
	struct writer_config config;
	struct file *file;
	struct packer **packers;
	unsigned packer_count;
	pthread_t thread;
	bool has_thread;
	struct encoder *encoder; /* for the last cut; NULL without caps */
	uint8_t *room;
	struct journal *journal;
	uint64_t last_flush_ns;
	unsigned interfaces;
	uint64_t first_ns;

	/* Written by the thread, read by others: relaxed, each stands for itself. */
	_Atomic int state, error;
	_Atomic uint64_t raw_bytes, bytes, packets, last_ns, wait_ns;
	struct retina_tally *captured, *lost, *beyond; /* key_max each */
};

static void tally_add(struct retina_tally *to, struct retina_tally t)
{
	/* One writing thread, read elsewhere: relaxed, a plain add for the CPU. */
	__atomic_store_n(&to->packets, to->packets + t.packets, __ATOMIC_RELAXED);
	__atomic_store_n(&to->bytes, to->bytes + t.bytes, __ATOMIC_RELAXED);
}

static struct retina_tally tally_read(const struct retina_tally *t)
{
	return (struct retina_tally){__atomic_load_n(&t->packets, __ATOMIC_RELAXED),
				     __atomic_load_n(&t->bytes, __ATOMIC_RELAXED)};
}

static void add(_Atomic uint64_t *to, uint64_t n)
{
	atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

int writer_new(struct writer **ret, const struct writer_config *config, struct file *file)
{
	struct writer *w = calloc(1, sizeof(*w));
	int r = -ENOMEM;

	if (!w)
		return r;
	w->config = *config;
	w->file = file;
	w->captured = calloc(config->key_max, sizeof(*w->captured));
	w->lost = calloc(config->key_max, sizeof(*w->lost));
	w->beyond = calloc(config->key_max, sizeof(*w->beyond));
	if (!w->captured || !w->lost || !w->beyond)
		goto fail;
	r = journal_new(&w->journal, JOURNAL_ENTRIES + config->key_max);
	if (r < 0)
		goto fail;
	if (config->max_bytes || config->max_packets) {
		size_t room = encoder_room(&config->encoder);

		r = encoder_new(&w->encoder, &config->encoder);
		if (r < 0)
			goto fail;
		w->room = malloc(room ? room : 1);
		r = w->room ? 0 : -ENOMEM;
		if (r < 0)
			goto fail;
	}
	*ret = w;
	return 0;
fail:
	writer_free(w);
	return r;
}

struct writer *writer_free(struct writer *w)
{
	if (!w)
		return NULL;
	encoder_free(w->encoder);
	journal_free(w->journal);
	free(w->room);
	free(w->captured);
	free(w->lost);
	free(w->beyond);
	free(w);
	return NULL;
}

static void set_state(struct writer *w, enum writer_state state)
{
	uint64_t one = 1;

	atomic_store_explicit(&w->state, (int)state, memory_order_release);
	/* The counter of an eventfd cannot be full after one write. */
	(void)!write(w->config.wake_fd, &one, sizeof(one));
}

/* Data without packets, such as the head and the tail: stored, so that its size is known. */
static int append_stored(struct writer *w, const uint8_t *data, size_t len)
{
	uint8_t *stored;
	int r;

	if (!w->config.encoder.zstd || !len)
		return file_append(w->file, data, len);
	stored = malloc(zstd_stored_size(len));
	if (!stored)
		return -ENOMEM;
	r = file_append(w->file, stored, zstd_store(stored, data, len));
	free(stored);
	return r;
}

static uint64_t writer_last_ns(const struct writer *w)
{
	return atomic_load_explicit(&w->last_ns, memory_order_relaxed);
}

/* What the end of the file takes: statistics of each interface, the end of the frame. */
static size_t tail_room(const struct writer *w, unsigned interfaces)
{
	size_t len = w->config.encoder.pcap ? 0 : interfaces * w->config.statistics_room;

	return w->config.encoder.zstd ? zstd_stored_size(len) + ZSTD_FRAME_END_SIZE : len;
}

static bool fits(const struct writer *w, size_t len, unsigned interfaces)
{
	return !w->config.max_bytes ||
	       file_size(w->file) + len + tail_room(w, w->interfaces + interfaces) <=
		       w->config.max_bytes;
}

bool writer_has_room(const struct writer *w, size_t head, unsigned interfaces)
{
	if (w->config.encoder.zstd)
		head = ZSTD_FRAME_HEADER_SIZE + zstd_stored_size(head);
	return fits(w, head, interfaces);
}

int writer_head(struct writer *w, const uint8_t *data, size_t len, unsigned interfaces)
{
	int r = 0;

	if (!writer_has_room(w, len, interfaces))
		return -EFBIG;
	/* What an overwritten file held goes now, when nothing else can go wrong any more. */
	if (!file_is_pipe(w->file))
		r = file_truncate(w->file, 0);
	if (r == 0 && w->config.encoder.zstd) {
		uint8_t header[ZSTD_FRAME_HEADER_SIZE];

		r = file_append(w->file, header, zstd_frame_header(header));
	}
	if (r == 0)
		r = append_stored(w, data, len);
	if (r == 0)
		r = file_flush(w->file);
	/* A full disk is told here, not by a file without a head. */
	if (r == 0 && !file_is_pipe(w->file))
		r = file_settle(w->file);
	w->interfaces = interfaces;
	/* The head is a boundary too: a file may be cut back to it. */
	journal_add(w->journal,
		    &(struct journal_entry){.end = file_size(w->file), .interfaces = interfaces});
	add(&w->raw_bytes, len);
	add(&w->bytes, file_size(w->file));
	return r;
}

/* Takes back what did not reach the file: it ends behind its last whole chunk. */
static void roll_back(struct writer *w)
{
	const struct journal_entry *last = journal_settled(w->journal);
	struct journal_entry e;

	(void)file_settle(w->file);
	journal_settle(w->journal, file_written(w->file));
	while (journal_pop(w->journal, &e)) {
		tally_add(&w->captured[e.key],
			  (struct retina_tally){-e.tally.packets, -e.tally.bytes});
		tally_add(&w->lost[e.key], e.tally);
		add(&w->packets, -e.tally.packets);
	}
	if (!file_is_pipe(w->file))
		(void)file_truncate(w->file, last->end);
	w->interfaces = last->interfaces;
	atomic_store_explicit(&w->last_ns, last->last_ns, memory_order_relaxed);
	/* A pipe cannot be cut back: what its reader got counts. */
	atomic_store_explicit(&w->bytes,
			      file_is_pipe(w->file) ? file_written(w->file) : file_size(w->file),
			      memory_order_relaxed);
}

static void fail(struct writer *w, int error)
{
	atomic_store_explicit(&w->error, error, memory_order_relaxed);
	roll_back(w);
	set_state(w, WRITER_FAILED);
}

static unsigned count_interfaces(const uint8_t *raw, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i += record_len(raw + i))
		n += record_type(raw + i) == RECORD_INTERFACE_DESCRIPTION;
	return n;
}

/* A piece of the stream, on its way to the file. */
struct piece {
	const uint8_t *raw, *out;
	size_t raw_len, out_len;
	unsigned interfaces; /* described in it */
	const struct tally_set *tallies;
	uint64_t first_ns, last_ns;
};

/* Appends one piece; its packets are then captured. */
static int append(struct writer *w, const struct piece *p)
{
	const struct tally_set *tallies = p->tallies;
	struct journal_entry e;
	int r = 0;

	if (journal_room(w->journal) <= tallies->count) {
		r = file_flush(w->file);
		if (r == 0)
			r = file_settle(w->file);
		journal_settle(w->journal, file_written(w->file));
	}
	if (r == 0) {
		uint64_t before = clock_steady_ns();

		r = file_append(w->file, p->out, p->out_len);
		add(&w->wait_ns, clock_steady_ns() - before);
	}
	if (r < 0)
		return r;
	w->interfaces += p->interfaces;
	add(&w->raw_bytes, p->raw_len);
	e = (struct journal_entry){.end = file_size(w->file),
				   .last_ns = p->last_ns ? p->last_ns : writer_last_ns(w),
				   .interfaces = w->interfaces};
	if (!tallies->count) /* statistics only: the boundary counts */
		journal_add(w->journal, &e);
	for (unsigned i = 0; i < tallies->count; i++) {
		e.key = tallies->keys[i];
		e.tally = tallies->by_key[e.key];
		tally_add(&w->captured[e.key], e.tally);
		add(&w->packets, e.tally.packets);
		journal_add(w->journal, &e);
	}
	journal_settle(w->journal, file_written(w->file));
	if (!w->first_ns)
		w->first_ns = p->first_ns;
	if (p->last_ns)
		atomic_store_explicit(&w->last_ns, p->last_ns, memory_order_relaxed);
	atomic_store_explicit(&w->bytes, file_size(w->file), memory_order_relaxed);
	return 0;
}

static uint64_t packets_left(const struct writer *w)
{
	return w->config.max_packets ? w->config.max_packets - writer_packets(w) : UINT64_MAX;
}

/* The end of a piece: blocks from `at` up to about `want` bytes, at least one, `packets` at most.
 */
static size_t piece_end(const struct chunk *c, size_t at, size_t want, uint64_t packets)
{
	size_t end = at;

	while (end < c->raw_len && (end == at || end - at < want)) {
		if (record_is_packet(c->raw + end) && packets-- == 0)
			break;
		end += record_len(c->raw + end);
	}
	return end;
}

/* The piece from `at` to `end`, not yet encoded; the chunk's tallies become the piece's. */
static struct piece piece_of(struct chunk *c, size_t at, size_t end)
{
	struct piece p = {.raw = c->raw + at, .raw_len = end - at, .tallies = &c->tallies};

	tally_set_clear(&c->tallies);
	p.interfaces = count_interfaces(p.raw, p.raw_len);
	for (size_t i = 0; i < p.raw_len; i += record_len(p.raw + i)) {
		if (!record_is_packet(p.raw + i))
			continue;
		tally_set_count(&c->tallies, p.raw + i);
		p.last_ns = record_ns(p.raw + i);
		if (!p.first_ns)
			p.first_ns = p.last_ns;
	}
	return p;
}

static void tally_into(struct retina_tally *to, const struct tally_set *tallies)
{
	for (unsigned i = 0; i < tallies->count; i++)
		tally_add(&to[tallies->keys[i]], tallies->by_key[tallies->keys[i]]);
}

/* The chunk does not fit whole: as much of it as does, then the capture is full. */
static int append_part(struct writer *w, struct chunk *c)
{
	size_t at = 0, want = PIECE;
	int r = 0;

	while (at < c->raw_len) {
		size_t end = piece_end(c, at, want, packets_left(w));
		struct piece p = piece_of(c, at, end);

		if (end == at)
			break; /* no packet is left */
		r = encoder_encode(w->encoder, c->level, p.raw, p.raw_len, w->room, &p.out,
				   &p.out_len);
		if (r < 0)
			break;
		if (!fits(w, p.out_len, p.interfaces)) {
			if (piece_end(c, at, 1, 1) == end)
				break; /* not even one block */
			want /= 2;     /* of p.raw_len it would not fall below one large block */
			continue;
		}
		r = append(w, &p);
		if (r < 0)
			break;
		at = end;
	}
	(void)piece_of(c, at, c->raw_len);
	tally_into(r < 0 ? w->lost : w->beyond, &c->tallies);
	if (r == 0)
		set_state(w, packets_left(w) ? WRITER_FULL_BYTES : WRITER_FULL_PACKETS);
	return r;
}

static void take(struct writer *w, struct chunk *c)
{
	enum writer_state state = writer_state(w);
	int r;

	if (state == WRITER_FAILED || c->is_broken) {
		tally_into(w->lost, &c->tallies);
		if (state != WRITER_FAILED)
			fail(w, -EIO);
		return;
	}
	if (state != WRITER_RUNS) {
		tally_into(w->beyond, &c->tallies);
		return;
	}
	if (!c->out_len)
		return;
	if (c->packets > packets_left(w) || !fits(w, c->out_len, c->interfaces)) {
		r = append_part(w, c);
	} else {
		struct piece p = {.raw = c->raw,
				  .raw_len = c->raw_len,
				  .out = c->out,
				  .out_len = c->out_len,
				  .interfaces = c->interfaces,
				  .tallies = &c->tallies,
				  .first_ns = c->first_ns,
				  .last_ns = c->last_ns};

		r = append(w, &p);
		if (r < 0)
			tally_into(w->lost, &c->tallies);
		else if (!packets_left(w))
			set_state(w, WRITER_FULL_PACKETS);
	}
	if (r < 0)
		fail(w, r);
}

static void flush_when_due(struct writer *w)
{
	uint64_t now = clock_steady_ns();
	int r;

	/* An epoch that comes a little early counts: the next may be a whole interval away. */
	if (now - w->last_flush_ns < w->config.flush_interval_ns / 2)
		return;
	w->last_flush_ns = now;
	if (writer_state(w) == WRITER_FAILED)
		return;
	r = file_flush(w->file);
	if (r < 0)
		fail(w, r);
}

static void *writer_run(void *data)
{
	struct writer *w = data;

	thread_settle(-1, "retina-writer");
	for (uint64_t epoch = 0;; epoch++) {
		struct packer *p = w->packers[epoch % w->packer_count];
		bool ends;

		do {
			struct chunk *c = packer_receive(p);

			if (c->is_end)
				return NULL;
			take(w, c);
			ends = c->ends_epoch;
			packer_return(p, c);
		} while (!ends);
		flush_when_due(w);
	}
}

int writer_start(struct writer *w, struct packer **packers, unsigned count)
{
	int r;

	w->packers = packers;
	w->packer_count = count;
	r = thread_start(&w->thread, writer_run, w);
	w->has_thread = r == 0;
	return r;
}

void writer_join(struct writer *w)
{
	int r;

	if (w->has_thread)
		(void)pthread_join(w->thread, NULL);
	w->has_thread = false;
	/* All packets first: if one of their writes fails, there is still a way back, and the
	 * caller learns which interfaces are left in the file. */
	r = file_flush(w->file);
	if (r == 0)
		r = file_settle(w->file);
	if (r < 0 && writer_state(w) != WRITER_FAILED)
		fail(w, r);
	journal_settle(w->journal, file_written(w->file));
}

unsigned writer_interfaces(const struct writer *w)
{
	return w->interfaces;
}

int writer_finish(struct writer *w, const uint8_t *blocks, size_t len)
{
	uint8_t end[3];
	int r;

	if (file_is_pipe(w->file) && writer_state(w) == WRITER_FAILED)
		return writer_error(w); /* nobody reads any more */
	if (!w->config.encoder.pcap)
		r = append_stored(w, blocks, len);
	else
		r = 0;
	if (r == 0 && w->config.encoder.zstd)
		r = file_append(w->file, end, zstd_frame_end(end));
	if (r == 0)
		r = file_flush(w->file);
	if (r == 0)
		r = file_settle(w->file);
	if (r < 0)
		roll_back(w);
	else
		atomic_store_explicit(&w->bytes, file_size(w->file), memory_order_relaxed);
	return r;
}

enum writer_state writer_state(const struct writer *w)
{
	/* Pairs with set_state(): the error is there. */
	return (enum writer_state)atomic_load_explicit(&w->state, memory_order_acquire);
}

int writer_error(const struct writer *w)
{
	return atomic_load_explicit(&w->error, memory_order_relaxed);
}

uint64_t writer_raw_bytes(const struct writer *w)
{
	return atomic_load_explicit(&w->raw_bytes, memory_order_relaxed);
}

uint64_t writer_bytes(const struct writer *w)
{
	return atomic_load_explicit(&w->bytes, memory_order_relaxed);
}

uint64_t writer_wait_ns(const struct writer *w)
{
	return atomic_load_explicit(&w->wait_ns, memory_order_relaxed);
}

uint64_t writer_packets(const struct writer *w)
{
	return atomic_load_explicit(&w->packets, memory_order_relaxed);
}

struct retina_tally writer_captured(const struct writer *w, unsigned key)
{
	return tally_read(&w->captured[key]);
}

struct retina_tally writer_lost(const struct writer *w, unsigned key)
{
	return tally_read(&w->lost[key]);
}

struct retina_tally writer_beyond(const struct writer *w, unsigned key)
{
	return tally_read(&w->beyond[key]);
}

void writer_times(const struct writer *w, uint64_t *first_ns, uint64_t *last_ns)
{
	*first_ns = writer_packets(w) ? w->first_ns : 0;
	*last_ns = writer_last_ns(w);
}
