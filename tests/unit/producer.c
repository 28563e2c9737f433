// SPDX-License-Identifier: MIT
/*
 * producer.c: what tap.bpf.c does, said again in user space, so that consumers can be tested
 * without a kernel. One thread is the producer of a ring. Whatever is written below the head is
 * published by the exchange in producer_publish().
 */
#include "producer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/record.h"

/* What nobody may write to looks like this. */
enum { UNTOUCHED = 0xa5 };

#define NO_ROOM UINT64_MAX

uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

int producer_init(struct producer *p, uint64_t size, uint64_t segment_size, uint32_t snaplen)
{
	uint64_t element = ring_element_size(size, segment_size);
	struct ring_control *control = aligned_alloc(128, sizeof(*control));

	*p = (struct producer){.snaplen = snaplen, .memory = aligned_alloc(4096, element)};
	if (!p->memory || !control) {
		free(p->memory);
		free(control);
		p->memory = NULL;
		return -ENOMEM;
	}
	*control = (struct ring_control){0};
	memset(p->memory, UNTOUCHED, element);
	ring_init(&p->ring, p->memory, control, size, segment_size);
	return 0;
}

void producer_release(struct producer *p)
{
	free(p->memory);
	free(p->ring.control);
	*p = (struct producer){0};
}

void producer_start_at(struct producer *p, uint64_t position)
{
	p->ring.control->head = p->ring.control->tail = position;
}

bool producer_slack_is_untouched(const struct producer *p)
{
	for (uint64_t i = 0; i < RING_SLACK; i++)
		if (p->memory[p->ring.size + i] != UNTOUCHED)
			return false;
	return true;
}

uint32_t packet_caplen(const struct packet *k, uint32_t snaplen)
{
	return k->origlen < snaplen ? k->origlen : snaplen;
}

uint32_t packet_record_len(const struct packet *k, uint32_t snaplen)
{
	return 28 + ((packet_caplen(k, snaplen) + 3) & ~3u) + 8 + (k->queue ? 8 : 0) + 4 + 4;
}

void packet_bytes(const struct packet *k, uint8_t *to, uint32_t len)
{
	uint32_t seed = k->seed;

	/* Half of all packets compress well. */
	for (uint32_t i = 0; i < len; i++)
		to[i] = k->seed & 1 ? (uint8_t)next_random(&seed) : (uint8_t)(k->seed + i / 16);
}

static void put(uint8_t **to, uint32_t word)
{
	memcpy(*to, &word, sizeof(word));
	*to += sizeof(word);
}

static bool open_segment(struct ring *r, uint64_t head, uint64_t tail)
{
	struct ring_control *c = r->control;
	uint64_t tail_segment = tail / r->segment_size, segment = head / r->segment_size;
	uint64_t count = r->size / r->segment_size, place;

	if (segment - tail_segment >= count)
		return false;
	if (c->warm_tail != tail_segment) {
		c->warm_tail = tail_segment;
		c->warm = tail_segment;
	}
	if (c->warm && c->warm + count > segment + 1) {
		c->warm--;
		place = ring_segment(r, head)->place;
		ring_segment(r, head)->place = ring_segment(r, c->warm * r->segment_size)->place;
		ring_segment(r, c->warm * r->segment_size)->place = place;
	}
	return true;
}

static void fill(struct ring *r, uint64_t head, uint32_t room)
{
	uint8_t *at = ring_at(r, head);
	uint8_t *end = at + room - 4;

	put(&at, RECORD_FILLER);
	put(&at, room);
	put(&at, 0);
	put(&end, room);
}

static void note(struct ring *r, uint64_t head, uint64_t now_ns, uint32_t len)
{
	struct ring_segment *s = ring_segment(r, head);

	if (!(head & (r->segment_size - 1))) {
		s->first_ns = now_ns;
		s->packets = 0;
		s->used = 0;
	}
	s->last_ns = now_ns;
	s->packets++;
	s->used += len;
}

uint64_t producer_begin(struct producer *p, const struct packet *k)
{
	struct ring *r = &p->ring;
	uint32_t caplen = packet_caplen(k, p->snaplen), len = packet_record_len(k, p->snaplen);
	uint64_t head, start, tail, room;
	uint8_t *at;

	/* Sequentially consistent: seen before the stamp that the caller has taken is old. */
	__atomic_store_n(&r->control->busy, 1, __ATOMIC_SEQ_CST);
	/* Relaxed: only this thread writes the head. */
	head = __atomic_load_n(&r->control->head, __ATOMIC_RELAXED);
	/* Pairs with the release in ring_release(). */
	tail = __atomic_load_n(&r->control->tail, __ATOMIC_ACQUIRE);
	room = r->segment_size - (head & (r->segment_size - 1));
	start = head;
	if (len != room && len + RECORD_FILLER_MIN > room)
		start += room;
	if (!(start & (r->segment_size - 1)) && !open_segment(r, start, tail))
		return NO_ROOM;
	if (start != head)
		fill(r, head, (uint32_t)room);
	at = ring_at(r, start);
	put(&at, RECORD_PACKET);
	put(&at, len);
	put(&at, k->interface);
	put(&at, (uint32_t)(k->ns >> 32));
	put(&at, (uint32_t)k->ns);
	put(&at, caplen);
	put(&at, k->origlen);
	packet_bytes(k, at, caplen);
	at += caplen;
	for (; caplen & 3; caplen++)
		*at++ = 0;
	put(&at, RECORD_OPTION_FLAGS);
	put(&at, k->flags);
	if (k->queue) {
		put(&at, RECORD_OPTION_QUEUE);
		put(&at, k->queue - 1);
	}
	put(&at, 0);
	put(&at, len);
	note(r, start, k->ns, len);
	return start + len;
}

void producer_publish(struct producer *p, uint64_t end)
{
	/* Pairs with the acquire in ring_head(). */
	if (end != NO_ROOM)
		(void)__atomic_exchange_n(&p->ring.control->head, end, __ATOMIC_SEQ_CST);
	__atomic_store_n(&p->ring.control->busy, 0, __ATOMIC_RELEASE);
}

bool producer_write(struct producer *p, const struct packet *k)
{
	uint64_t end = producer_begin(p, k);

	producer_publish(p, end);
	return end != NO_ROOM;
}

const char *packet_difference(const struct packet *k, uint32_t snaplen, const uint8_t *record)
{
	static _Thread_local uint8_t expected[RECORD_SNAPLEN_MAX];
	uint32_t caplen = packet_caplen(k, snaplen), len = packet_record_len(k, snaplen);
	const uint8_t *at = record + RECORD_HEADER + caplen;

	if (record_type(record) != RECORD_PACKET)
		return "type";
	if (record_len(record) != len || record_word(record, len / 4 - 1) != len)
		return "length";
	if (record_interface(record) != k->interface)
		return "interface";
	if (record_ns(record) != k->ns)
		return "stamp";
	if (record_caplen(record) != caplen)
		return "caplen";
	if (record_origlen(record) != k->origlen)
		return "origlen";
	packet_bytes(k, expected, caplen);
	if (memcmp(expected, record + RECORD_HEADER, caplen) != 0)
		return "data";
	for (; (uintptr_t)(at - record) & 3; at++)
		if (*at)
			return "padding";
	if (record_word(at, 0) != RECORD_OPTION_FLAGS || record_word(at, 1) != k->flags)
		return "flags";
	at += 8;
	if (k->queue) {
		if (record_word(at, 0) != RECORD_OPTION_QUEUE || record_word(at, 1) != k->queue - 1)
			return "queue";
		at += 8;
	}
	return record_word(at, 0) ? "end of options" : NULL;
}
