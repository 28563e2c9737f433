/* SPDX-License-Identifier: MIT */
/*
 * channel.h: a bounded queue of pointers from one thread to one other, whose reader can sleep.
 * What the pointers point at belongs to the sender before channel_send(), to the receiver after
 * channel_receive(). The bound is the sender's promise: there are never more items than slots.
 */
#ifndef RETINA_BASE_CHANNEL_H
#define RETINA_BASE_CHANNEL_H

#include <assert.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>

enum { CHANNEL_SLOTS = 8 }; /* a power of two */

struct channel {
	sem_t items;	   /* its post and wait order the slots' contents too */
	unsigned sent;	   /* the sender's */
	unsigned received; /* the receiver's */
	void *slots[CHANNEL_SLOTS];
};

static inline void channel_init(struct channel *c)
{
	*c = (struct channel){0};
	(void)sem_init(&c->items, 0, 0); /* cannot fail: 0 is within SEM_VALUE_MAX */
}

static inline void channel_release(struct channel *c)
{
	(void)sem_destroy(&c->items);
}

static inline void channel_send(struct channel *c, void *item)
{
	c->slots[c->sent++ % CHANNEL_SLOTS] = item;
	(void)sem_post(&c->items);
}

/** channel_receive() - the oldest item; sleeps until there is one */
static inline void *channel_receive(struct channel *c)
{
	while (sem_wait(&c->items))
		; /* EINTR */
	return c->slots[c->received++ % CHANNEL_SLOTS];
}

/** channel_try_receive() - the oldest item, or NULL when there is none */
static inline void *channel_try_receive(struct channel *c)
{
	if (sem_trywait(&c->items))
		return NULL;
	return c->slots[c->received++ % CHANNEL_SLOTS];
}

#endif
