// SPDX-License-Identifier: MIT
/*
 * packer.c: one pinned thread that takes whole epochs, merges their records by time into chunks and
 * encodes them. Several packers work on epochs in turn; the writer asks them in the same turn, so
 * the file is in order though no thread sees all of it.
 *
 * Invariant: a slice is read only before its epoch counts as done.
 */
#include "packer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "base/limits.h"
#include "base/record.h"
#include "base/thread.h"
#include "merge.h"

struct packer {
	struct packer_config config;
	pthread_t thread;
	bool has_thread;
	struct channel epochs; /* cutter -> packer */
	struct channel full;   /* packer -> writer */
	struct channel empty;  /* writer -> packer */
	_Atomic uint64_t done; /* written by the packer */
	sem_t started;	       /* posted once start_error is known */
	int start_error;

	/* The packer thread's own. */
	struct merge *merge;
	struct encoder *encoder;
	struct chunk chunks[PACKER_CHUNKS];
	struct chunk *open; /* being filled, NULL: none yet */
	int level;
};

static struct chunk *open_chunk(struct packer *p)
{
	struct chunk *c = p->open;

	if (c)
		return c;
	c = channel_receive(&p->empty);
	c->raw_len = c->out_len = 0;
	c->packets = c->first_ns = c->last_ns = 0;
	c->interfaces = 0;
	c->level = p->level;
	c->ends_epoch = c->is_end = c->is_broken = false;
	tally_set_clear(&c->tallies);
	p->open = c;
	return c;
}

static void send_chunk(struct packer *p)
{
	struct chunk *c = p->open;

	if (c->raw_len)
		c->is_broken = encoder_encode(p->encoder, c->level, c->raw, c->raw_len, c->room,
					      &c->out, &c->out_len) < 0;
	p->open = NULL;
	channel_send(&p->full, c);
}

static void add_block(struct packer *p, const uint8_t *block)
{
	struct chunk *c = open_chunk(p);
	size_t len = record_len(block);

	memcpy(c->raw + c->raw_len, block, len);
	c->raw_len += len;
	if (record_is_packet(block)) {
		uint64_t ns = record_ns(block);

		if (!c->packets++)
			c->first_ns = ns;
		c->last_ns = ns;
		tally_set_count(&c->tallies, block);
	} else if (record_type(block) == RECORD_INTERFACE_DESCRIPTION) {
		c->interfaces++;
	}
	if (c->raw_len >= CHUNK_SIZE)
		send_chunk(p);
}

static void add_blocks(struct packer *p, const uint8_t *blocks, size_t len)
{
	for (size_t i = 0; i < len; i += record_len(blocks + i))
		add_block(p, blocks + i);
}

static void pack(struct packer *p, const struct epoch *e)
{
	const uint8_t *record;

	p->level = e->level;
	add_blocks(p, e->before, e->before_len);
	merge_begin(p->merge, e->slices, e->slice_count);
	while ((record = merge_next(p->merge)))
		add_block(p, record);
	add_blocks(p, e->after, e->after_len);
	/* Pairs with the acquire in packer_done(): the slices have been read. Relaxed load: only
	 * this thread writes it. */
	atomic_store_explicit(&p->done, atomic_load_explicit(&p->done, memory_order_relaxed) + 1,
			      memory_order_release);
	open_chunk(p)->ends_epoch = true;
	send_chunk(p);
}

static void *packer_run(void *data)
{
	struct packer *p = data;
	const struct epoch *e;

	thread_settle(p->config.cpu, "retina-pack/%u", p->config.index);
	/* Here, not in packer_new(): zstd starts a thread for each context, which inherits the CPU.
	 */
	p->start_error = encoder_new(&p->encoder, &p->config.encoder);
	(void)sem_post(&p->started);
	if (p->start_error < 0)
		return NULL;
	while ((e = channel_receive(&p->epochs)))
		pack(p, e);
	open_chunk(p)->is_end = true;
	send_chunk(p);
	return NULL;
}

int packer_new(struct packer **ret, const struct packer_config *config)
{
	struct packer *p = calloc(1, sizeof(*p));
	size_t room = encoder_room(&config->encoder);
	int r;

	if (!p)
		return -ENOMEM;
	p->config = *config;
	(void)sem_init(&p->started, 0, 0);
	channel_init(&p->epochs);
	channel_init(&p->full);
	channel_init(&p->empty);
	r = merge_new(&p->merge, config->slices_max);
	if (r < 0)
		goto fail;
	for (unsigned i = 0; i < PACKER_CHUNKS; i++) {
		struct chunk *c = &p->chunks[i];

		c->raw = malloc(CHUNK_SIZE + CHUNK_SLACK);
		c->room = malloc(room ? room : 1);
		r = tally_set_init(&c->tallies, config->key_max);
		if (r < 0 || !c->raw || !c->room) {
			r = -ENOMEM;
			goto fail;
		}
		channel_send(&p->empty, c);
	}
	r = thread_start(&p->thread, packer_run, p);
	if (r < 0)
		goto fail;
	p->has_thread = true;
	while (sem_wait(&p->started))
		; /* EINTR */
	r = p->start_error;
	if (r < 0)
		goto fail;
	*ret = p;
	return 0;
fail:
	packer_free(p);
	return r;
}

struct packer *packer_free(struct packer *p)
{
	if (!p)
		return NULL;
	if (p->has_thread)
		(void)pthread_join(p->thread, NULL);
	for (unsigned i = 0; i < PACKER_CHUNKS; i++) {
		free(p->chunks[i].raw);
		free(p->chunks[i].room);
		tally_set_release(&p->chunks[i].tallies);
	}
	encoder_free(p->encoder);
	merge_free(p->merge);
	(void)sem_destroy(&p->started);
	channel_release(&p->epochs);
	channel_release(&p->full);
	channel_release(&p->empty);
	free(p);
	return NULL;
}

void packer_send(struct packer *p, const struct epoch *e)
{
	channel_send(&p->epochs, (void *)e);
}

uint64_t packer_done(const struct packer *p)
{
	/* Pairs with the release in pack(): the slices have been read. */
	return atomic_load_explicit(&p->done, memory_order_acquire);
}

struct chunk *packer_receive(struct packer *p)
{
	return channel_receive(&p->full);
}

void packer_return(struct packer *p, struct chunk *c)
{
	channel_send(&p->empty, c);
}
