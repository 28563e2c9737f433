// SPDX-License-Identifier: MIT
/*
 * cutter.c: one thread looks at the rings, cuts all of them at one moment, hands the slices to the
 * packers in turn and gives the space back when they have been read. It never sleeps longer than a
 * ring lasts at 10 Gbit/s: the kernel does not wake anybody up.
 *
 * Invariants: epochs do not overlap in time, so a file that holds them in order is in order. A
 * ring's space is released only behind the oldest epoch that is still being read.
 */
#include "cutter.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/epoch.h"
#include "base/limits.h"
#include "base/record.h"
#include "base/thread.h"
#include "compressor.h"
#include "tally_set.h"

/* A record's stamp is taken before the record is seen; by this much its CPU's store buffer has been
 * emptied, so that a ring which does not look busy at a moment has no older record under way. */
#define MARGIN_NS NS_PER_MS

/* What a CPU's traffic may be at most, for the time that a ring lasts: 10 Gbit/s. */
#define BYTES_PER_MS 1250000u

/* Stamps that go back by more mean that the clock was set. */
#define CLOCK_STEP_NS NS_PER_S

#define SLEEP_MIN_NS NS_PER_MS
#define SLEEP_MAX_NS (10 * NS_PER_MS)

/* From small to fast; the first entry is what a calm capture gets. Level 3 would take half as much
 * CPU again for files that are a few per cent smaller, and the CPU is the node's. */
static const int ladder[] = {1, -1, -5, COMPRESSOR_STORED};
enum { LADDER_LAST = sizeof(ladder) / sizeof(ladder[0]) - 1 };

/* Calm cuts before a step back to better compression. */
enum { CALM_CUTS = 20 };

struct outstanding {
	struct epoch epoch;
	struct buffer before, after;
};

struct cutter {
	struct cutter_config config;
	pthread_t thread;
	int wake; /* eventfd */
	_Atomic bool finish;
	uint64_t end_ns; /* set before finish */

	/* The thread's own. */
	struct outstanding *epochs; /* a ring of epoch_max; number n is at n % epoch_max */
	unsigned epoch_max;
	uint64_t sent, released; /* epochs */
	uint64_t *cut_at;	 /* of each ring: the end of what was handed out */
	uint64_t *heads;
	uint64_t portion;	 /* of a ring, bytes: worth an epoch before its time */
	uint64_t last_cut_ns;	 /* steady clock */
	uint64_t last_moment_ns; /* of the last epoch: Unix time */
	bool owes_flush;	 /* the last epoch held something: one more, to have it flushed */
	unsigned step, calm;	 /* on the ladder */
	uint64_t last_level_ns;
	struct output last_output;
	struct tally_set beyond;
};

static uint64_t pending(const struct cutter *c, unsigned ring)
{
	return ring_head(c->config.rings[ring]) - c->cut_at[ring];
}

static uint64_t fullest(const struct cutter *c)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < c->config.ring_count; i++)
		if (pending(c, i) > most)
			most = pending(c, i);
	return most;
}

unsigned cutter_fill_percent(struct ring *const *rings, unsigned count)
{
	unsigned most = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct ring *r = rings[i];
		/* Relaxed: the tail first, so that the difference is not negative. */
		uint64_t tail = __atomic_load_n(&r->control->tail, __ATOMIC_RELAXED);
		unsigned percent = (unsigned)((ring_head(r) - tail) * 100 / r->size);

		if (percent > most)
			most = percent;
	}
	return most < 100 ? most : 100;
}

/* Gives back the space of epochs that have been read, oldest first. */
static void release(struct cutter *c)
{
	while (c->released < c->sent) {
		const struct packer *p = c->config.packers[c->released % c->config.packer_count];
		const struct epoch *e = &c->epochs[c->released % c->epoch_max].epoch;

		if (packer_done(p) <= c->released / c->config.packer_count)
			return;
		for (unsigned i = 0; i < e->slice_count; i++)
			ring_release(c->config.rings[i], e->slices[i].to);
		c->released++;
	}
}

/*
 * Losing a packet is worse than a bigger file: compression yields as the rings fill. But it is no
 * gain to hand the disk more than it takes: when the writer waits for it, smaller is faster.
 */
static int level(struct cutter *c)
{
	unsigned fill = cutter_fill_percent(c->config.rings, c->config.ring_count);
	uint64_t now = clock_steady_ns();
	struct output out = c->config.output(c->config.data);
	bool is_disk_bound = (out.wait_ns - c->last_output.wait_ns) * 2 > now - c->last_level_ns;

	c->last_level_ns = now;
	c->last_output = out;
	if (c->config.level)
		return c->config.level;
	if (fill > 50 && !is_disk_bound) {
		c->step += c->step < LADDER_LAST;
		c->calm = 0;
	} else if (fill > 30 && !is_disk_bound) {
		c->calm = 0;
	} else if (c->step > 0 && (is_disk_bound || ++c->calm >= CALM_CUTS)) {
		c->step--;
		c->calm = 0;
	}
	return ladder[c->step];
}

/* Reads all heads at a time when no record from before the moment is under way. */
static bool read_heads(struct cutter *c)
{
	const struct timespec pause = {.tv_nsec = 20000};

	for (unsigned i = 0; i < c->config.ring_count; i++) {
		const struct ring *r = c->config.rings[i];

		for (int tries = 0; ring_busy(r) && tries < 250; tries++)
			(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		if (ring_busy(r))
			return false;
		c->heads[i] = ring_head(r);
	}
	return true;
}

/* The moment of the next epoch: as late as can be, but no more than a quarter of a ring at once, so
 * that its space comes back soon. */
static uint64_t choose_moment(const struct cutter *c, uint64_t latest_ns)
{
	uint64_t moment = latest_ns;

	for (unsigned i = 0; i < c->config.ring_count; i++) {
		const struct ring *r = c->config.rings[i];
		uint64_t m;

		if (c->heads[i] - c->cut_at[i] <= r->size / 4)
			continue;
		m = ring_moment(r, c->cut_at[i], c->heads[i], r->size / 8);
		if (m < moment)
			moment = m;
	}
	return moment;
}

enum cut_result { CUT_LATER, CUT_NOTHING, CUT_SENT };

/* Cuts one epoch of what is older than latest_ns. */
static enum cut_result cut(struct cutter *c, uint64_t latest_ns, bool is_last)
{
	struct outstanding *o = &c->epochs[c->sent % c->epoch_max];
	uint64_t moment = latest_ns;
	bool any = false;

	if (c->sent - c->released == c->epoch_max || !read_heads(c))
		return CUT_LATER;
	if (!is_last)
		moment = choose_moment(c, latest_ns);
	/* A portion that ends where the last one did (in a small ring, with only a filler between)
	 * would never get on: take all there is. */
	if (moment <= c->last_moment_ns)
		moment = latest_ns;
	if (latest_ns < c->last_moment_ns && c->last_moment_ns - latest_ns > CLOCK_STEP_NS) {
		/* The clock was set back: order is lost anyway, so nothing waits for the old time.
		 */
		moment = UINT64_MAX;
		c->last_moment_ns = latest_ns;
	} else if (moment < c->last_moment_ns) {
		moment = c->last_moment_ns;
	} else {
		c->last_moment_ns = moment;
	}

	for (unsigned i = 0; i < c->config.ring_count; i++) {
		const struct ring *r = c->config.rings[i];
		struct slice *s = &o->epoch.slices[i];

		s->from = c->cut_at[i];
		s->to = moment == UINT64_MAX ? c->heads[i]
					     : ring_cut(r, s->from, c->heads[i], moment);
		any = any || s->to != s->from;
	}
	buffer_reset(&o->before);
	buffer_reset(&o->after);
	/* Without its interface's description a record would spoil the file. */
	if (c->config.blocks_before(c->config.data, &o->before) < 0)
		return CUT_LATER;
	(void)c->config.blocks_after(c->config.data, &o->after);
	any = any || o->before.len || o->after.len;
	if (!any && !c->owes_flush)
		return CUT_NOTHING;
	/* The writer flushes on epochs only: behind the last one before a silence comes an empty.
	 */
	c->owes_flush = any;
	for (unsigned i = 0; i < c->config.ring_count; i++)
		c->cut_at[i] = o->epoch.slices[i].to;
	o->epoch.level = level(c);
	o->epoch.before = o->before.data;
	o->epoch.before_len = o->before.len;
	o->epoch.after = o->after.data;
	o->epoch.after_len = o->after.len;
	packer_send(c->config.packers[c->sent % c->config.packer_count], &o->epoch);
	c->sent++;
	return CUT_SENT;
}

static void nap(struct cutter *c)
{
	uint64_t ring_size = c->config.rings[0]->size;
	/* A third of what the ring lasts, so that two looks may come late. */
	uint64_t ns = ring_size / BYTES_PER_MS * NS_PER_MS / 3;
	struct pollfd p = {.fd = c->wake, .events = POLLIN};
	struct timespec t;

	ns = ns < SLEEP_MIN_NS ? SLEEP_MIN_NS : ns > SLEEP_MAX_NS ? SLEEP_MAX_NS : ns;
	/* Epochs under way: their space is wanted back soon. */
	if (c->released < c->sent)
		ns = SLEEP_MIN_NS;
	t = (struct timespec){.tv_nsec = (long)ns};
	(void)ppoll(&p, 1, &t, NULL);
}

/* What was recorded after the end is not part of the capture. */
static void count_beyond(struct cutter *c)
{
	for (unsigned i = 0; i < c->config.ring_count; i++) {
		const struct ring *r = c->config.rings[i];
		uint64_t at = c->cut_at[i], head = ring_head(r);
		const uint8_t *record;

		while ((record = ring_next(r, &at, head)))
			tally_set_count(&c->beyond, record);
	}
}

static void finish(struct cutter *c)
{
	uint64_t counter;

	/* It woke us up; from here on naps are naps. */
	(void)!read(c->wake, &counter, sizeof(counter));
	/* First what the rings hold in the usual portions, then the rest. */
	for (;;) {
		release(c);
		if (c->sent - c->released < c->epoch_max) {
			bool is_last = fullest(c) <= c->config.rings[0]->size / 4;
			enum cut_result r = cut(c, c->end_ns, is_last);

			/* What still fills a ring is behind the end. */
			if (r == CUT_NOTHING && !is_last) {
				is_last = true;
				r = cut(c, c->end_ns, true);
			}
			if (r != CUT_LATER && is_last)
				break;
			if (r == CUT_LATER)
				nap(c);
		} else {
			nap(c);
		}
	}
	count_beyond(c);
	for (unsigned i = 0; i < c->config.packer_count; i++)
		packer_send(c->config.packers[(c->sent + i) % c->config.packer_count], NULL);
}

/* All records from before it are in their rings; never later than the capture's end. */
static uint64_t latest_moment(const struct cutter *c)
{
	uint64_t steady = clock_steady_ns() - MARGIN_NS, moment = clock_unix_ns() - MARGIN_NS;

	return steady > c->config.deadline_ns ? moment - (steady - c->config.deadline_ns) : moment;
}

static void *cutter_run(void *data)
{
	struct cutter *c = data;

	thread_settle(-1, "retina-cutter");
	c->last_cut_ns = clock_steady_ns();
	/* Pairs with the release in cutter_finish(): end_ns and all records are there. */
	while (!atomic_load_explicit(&c->finish, memory_order_acquire)) {
		uint64_t now = clock_steady_ns();

		release(c);
		if (now - c->last_cut_ns >= c->config.flush_interval_ns ||
		    fullest(c) >= c->portion) {
			if (cut(c, latest_moment(c), false) != CUT_LATER)
				c->last_cut_ns = now;
		}
		nap(c);
	}
	finish(c);
	return NULL;
}

int cutter_new(struct cutter **ret, const struct cutter_config *config)
{
	struct cutter *c = calloc(1, sizeof(*c));
	int r = -ENOMEM;

	if (!c)
		return r;
	c->config = *config;
	c->wake = -1;
	c->portion =
		config->rings[0]->size / 8 < CHUNK_SIZE ? config->rings[0]->size / 8 : CHUNK_SIZE;
	c->epoch_max = config->packer_count * PACKER_EPOCHS;
	c->epochs = calloc(c->epoch_max, sizeof(*c->epochs));
	c->cut_at = calloc(config->ring_count, sizeof(*c->cut_at));
	c->heads = calloc(config->ring_count, sizeof(*c->heads));
	if (!c->epochs || !c->cut_at || !c->heads)
		goto fail;
	r = tally_set_init(&c->beyond, config->key_max);
	if (r < 0)
		goto fail;
	for (unsigned i = 0; i < c->epoch_max; i++) {
		struct epoch *e = &c->epochs[i].epoch;

		e->slices = calloc(config->ring_count, sizeof(*e->slices));
		if (!e->slices) {
			r = -ENOMEM;
			goto fail;
		}
		e->slice_count = config->ring_count;
		for (unsigned ring = 0; ring < config->ring_count; ring++)
			e->slices[ring].ring = config->rings[ring];
	}
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = c->wake < 0 ? -errno : thread_start(&c->thread, cutter_run, c);
	if (r < 0)
		goto fail;
	*ret = c;
	return 0;
fail:
	cutter_free(c);
	return r;
}

void cutter_finish(struct cutter *c, uint64_t end_ns)
{
	uint64_t one = 1;

	c->end_ns = end_ns;
	/* Pairs with the acquire in cutter_run(). */
	atomic_store_explicit(&c->finish, true, memory_order_release);
	(void)!write(c->wake, &one, sizeof(one));
	(void)pthread_join(c->thread, NULL);
}

struct cutter *cutter_free(struct cutter *c)
{
	if (!c)
		return NULL;
	for (unsigned i = 0; c->epochs && i < c->epoch_max; i++) {
		free(c->epochs[i].epoch.slices);
		buffer_release(&c->epochs[i].before);
		buffer_release(&c->epochs[i].after);
	}
	if (c->wake >= 0)
		close(c->wake);
	tally_set_release(&c->beyond);
	free(c->epochs);
	free(c->cut_at);
	free(c->heads);
	free(c);
	return NULL;
}

struct retina_tally cutter_beyond(const struct cutter *c, unsigned key)
{
	return c->beyond.by_key[key];
}
