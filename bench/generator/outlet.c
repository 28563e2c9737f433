/* SPDX-License-Identifier: MIT */
/*
 * outlet.c: collects frames and hands them to a socket with sendmmsg(2).
 *
 * Invariant: frames are taken by the kernel in the order they were pushed, each once, none is
 * skipped. So the frames sent are always the first n of a sequence, and a capture can be checked
 * against two numbers.
 *
 * Owned by one thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "outlet.h"
#include "pace.h"

#define STALL_NS     UINT64_C(10000000000) /* nobody's queue stays full this long */
#define RETRY_NAP_NS 20000		   /* a full queue drains some frames meanwhile */

struct outlet {
	unsigned slots;
	size_t slot_size;
	unsigned count;
	uint8_t *area;
	struct mmsghdr *messages;
	struct iovec *vectors;
	struct outlet_item *items;
};

int outlet_new(struct outlet **ret, unsigned slots, size_t slot_size)
{
	struct outlet *outlet = calloc(1, sizeof(*outlet));

	if (!outlet)
		return -ENOMEM;
	outlet->slots = slots;
	outlet->slot_size = slot_size;
	outlet->area = calloc(slots, slot_size);
	outlet->messages = calloc(slots, sizeof(*outlet->messages));
	outlet->vectors = calloc(slots, sizeof(*outlet->vectors));
	outlet->items = calloc(slots, sizeof(*outlet->items));
	if (!outlet->area || !outlet->messages || !outlet->vectors || !outlet->items) {
		outlet_free(outlet);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < slots; i++) {
		outlet->vectors[i].iov_base = outlet->area + i * slot_size;
		outlet->messages[i].msg_hdr.msg_iov = &outlet->vectors[i];
		outlet->messages[i].msg_hdr.msg_iovlen = 1;
	}
	*ret = outlet;
	return 0;
}

struct outlet *outlet_free(struct outlet *outlet)
{
	if (!outlet)
		return NULL;
	free(outlet->items);
	free(outlet->vectors);
	free(outlet->messages);
	free(outlet->area);
	free(outlet);
	return NULL;
}

uint8_t *outlet_slot(struct outlet *outlet)
{
	return outlet->area + outlet->count * outlet->slot_size;
}

void outlet_push(struct outlet *outlet, const struct outlet_item *item)
{
	outlet->vectors[outlet->count].iov_len = item->len;
	outlet->items[outlet->count++] = *item;
}

unsigned outlet_pending(const struct outlet *outlet)
{
	return outlet->count;
}

bool outlet_full(const struct outlet *outlet)
{
	return outlet->count == outlet->slots;
}

static void nap(void)
{
	struct timespec t = {.tv_nsec = RETRY_NAP_NS};

	(void)nanosleep(&t, NULL);
}

int outlet_flush(struct outlet *outlet, int fd, struct report *report, uint64_t deadline_ns,
		 const atomic_bool *stop)
{
	uint64_t stalled_since_ns = 0;
	unsigned sent = 0;
	int r = 0;

	while (sent < outlet->count) {
		int n = sendmmsg(fd, outlet->messages + sent, outlet->count - sent, 0);
		int error = n < 0 ? errno : 0;

		for (int i = 0; i < n; i++, sent++) {
			const struct outlet_item *item = &outlet->items[sent];

			report_add(report, item->kind, item->frame_size, item->frames);
		}
		if (n > 0) {
			stalled_since_ns = 0;
			continue;
		}
		/* Relaxed: a flag from this thread's signal handler, nothing else is published. */
		if (atomic_load_explicit(stop, memory_order_relaxed))
			break;
		/* A refused connection is the peer's word on an earlier datagram: this one was not
		 * tried. */
		if (error == EINTR || error == ECONNREFUSED)
			continue;
		if (error != ENOBUFS && error != EAGAIN && error != ENOMEM) {
			r = -error;
			break;
		}
		report->errors++;
		if (!stalled_since_ns)
			stalled_since_ns = pace_now_ns();
		if (pace_now_ns() - stalled_since_ns > STALL_NS) {
			r = -ETIMEDOUT;
			break;
		}
		if (pace_now_ns() >= deadline_ns)
			break;
		nap();
	}
	outlet->count = 0;
	return r;
}
