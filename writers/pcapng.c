/* SPDX-License-Identifier: MIT */
/*
 * pcapng.c: builds pcapng blocks at the end of a buffer, in native byte order. A block is opened,
 * filled and closed; closing back-patches its length, so no length is ever computed ahead. The
 * caller owns the buffer, and with it everything here: any thread, one at a time. Invariant: after
 * a close the buffer holds whole blocks only; an error takes the unfinished block out again.
 * Between open and close the first error is kept, so that a builder reads as a list of fields.
 *
 * Spec: draft-ietf-opsawg-pcapng. Enhanced packet blocks are not built here: sources write them.
 */
#include "pcapng.h"

#include <string.h>

#include "base/errno.h"

enum {
	BLOCK_SECTION_HEADER = 0x0a0d0d0a,
	BLOCK_INTERFACE_DESCRIPTION = 1,
	BLOCK_INTERFACE_STATISTICS = 5,
};

enum {
	OPT_COMMENT = 1,
	SHB_HARDWARE = 2,
	SHB_OS = 3,
	SHB_USERAPPL = 4,
	IF_NAME = 2,
	IF_DESCRIPTION = 3,
	IF_MACADDR = 6,
	IF_SPEED = 8,
	IF_TSRESOL = 9,
	IF_FILTER = 11,
	IF_OS = 12,
	IF_HARDWARE = 15,
	ISB_STARTTIME = 2,
	ISB_ENDTIME = 3,
	ISB_IFRECV = 4,
	ISB_IFDROP = 5,
	ISB_FILTERACCEPT = 6,
	ISB_OSDROP = 7,
	ISB_USRDELIV = 8,
};

#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define OPTION_MAX	 UINT16_MAX /* bytes: an option's length field has 16 bits */
#define TSRESOL_NS	 9	    /* time stamps count 10^-9 s */
#define FILTER_STRING	 0	    /* first byte of if_filter: a libpcap filter string follows */

static void put_u16(struct pcapng_block *k, uint16_t v)
{
	pcapng_block_put(k, &v, sizeof(v));
}

static void put_u32(struct pcapng_block *k, uint32_t v)
{
	pcapng_block_put(k, &v, sizeof(v));
}

/* A time stamp is two words, high first, in either byte order; not a 64-bit number. */
static void put_time(struct pcapng_block *k, uint64_t ns)
{
	put_u32(k, ns >> 32);
	put_u32(k, (uint32_t)ns);
}

static void pad(struct pcapng_block *k)
{
	static const uint8_t zero[4];

	pcapng_block_put(k, zero, -(k->buffer->len - k->start) & 3);
}

/* The length of `text`, at most `max`, without half a character at its end. */
static size_t text_len(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	if (len <= max)
		return len;
	len = max;
	while (len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80)
		len--;
	return len;
}

static void option_header(struct pcapng_block *k, uint16_t code, size_t len)
{
	k->has_options = true;
	put_u16(k, code);
	put_u16(k, len);
}

static void option_u64(struct pcapng_block *k, uint16_t code, uint64_t v)
{
	pcapng_block_option(k, code, &v, sizeof(v));
}

static void option_counter(struct pcapng_block *k, uint16_t code, uint64_t v)
{
	if (v != UINT64_MAX)
		option_u64(k, code, v);
}

static void option_time(struct pcapng_block *k, uint16_t code, uint64_t ns)
{
	if (ns == 0)
		return;
	option_header(k, code, sizeof(ns));
	put_time(k, ns);
}

static void option_filter(struct pcapng_block *k, const char *filter)
{
	static const uint8_t kind = FILTER_STRING;
	size_t len;

	if (!filter)
		return;
	len = text_len(filter, OPTION_MAX - sizeof(kind));
	option_header(k, IF_FILTER, sizeof(kind) + len);
	pcapng_block_put(k, &kind, sizeof(kind));
	pcapng_block_put(k, filter, len);
	pad(k);
}

void pcapng_block_open(struct pcapng_block *k, struct buffer *b, uint32_t type)
{
	*k = (struct pcapng_block){.buffer = b, .start = b->len};
	put_u32(k, type);
	put_u32(k, 0); /* the length: pcapng_block_close() knows it */
}

void pcapng_block_put(struct pcapng_block *k, const void *data, size_t len)
{
	struct buffer *b = k->buffer;

	if (k->error || len == 0)
		return;
	k->error = buffer_reserve(b, len);
	if (k->error)
		return;
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

void pcapng_block_option(struct pcapng_block *k, uint16_t code, const void *data, size_t len)
{
	if (len > OPTION_MAX)
		len = OPTION_MAX;
	option_header(k, code, len);
	pcapng_block_put(k, data, len);
	pad(k);
}

void pcapng_block_text(struct pcapng_block *k, uint16_t code, const char *text)
{
	if (text)
		pcapng_block_option(k, code, text, text_len(text, OPTION_MAX));
}

int pcapng_block_close(struct pcapng_block *k)
{
	struct buffer *b = k->buffer;
	uint32_t len;

	pad(k);
	if (k->has_options)
		put_u32(k, 0); /* opt_endofopt */
	put_u32(k, 0);
	if (!k->error && b->len - k->start > UINT32_MAX)
		k->error = -EFBIG;
	if (k->error) {
		b->len = k->start;
		return k->error;
	}
	len = b->len - k->start;
	memcpy(b->data + k->start + sizeof(uint32_t), &len, sizeof(len));
	memcpy(b->data + b->len - sizeof(len), &len, sizeof(len));
	return 0;
}

int pcapng_section_header(struct buffer *b, const struct pcapng_section *s)
{
	static const uint64_t unknown_length = UINT64_MAX;
	struct pcapng_block k;

	pcapng_block_open(&k, b, BLOCK_SECTION_HEADER);
	put_u32(&k, BYTE_ORDER_MAGIC);
	put_u16(&k, 1); /* version 1.0 */
	put_u16(&k, 0);
	pcapng_block_put(&k, &unknown_length, sizeof(unknown_length));
	pcapng_block_text(&k, SHB_HARDWARE, s->hardware);
	pcapng_block_text(&k, SHB_OS, s->os);
	pcapng_block_text(&k, SHB_USERAPPL, s->application);
	pcapng_block_text(&k, OPT_COMMENT, s->comment);
	return pcapng_block_close(&k);
}

int pcapng_interface_description(struct buffer *b, const struct pcapng_interface *i)
{
	static const uint8_t tsresol = TSRESOL_NS;
	struct pcapng_block k;

	pcapng_block_open(&k, b, BLOCK_INTERFACE_DESCRIPTION);
	put_u16(&k, i->link_type);
	put_u16(&k, 0); /* reserved */
	put_u32(&k, i->snaplen);
	pcapng_block_text(&k, IF_NAME, i->name);
	pcapng_block_text(&k, IF_DESCRIPTION, i->description);
	if (i->mac)
		pcapng_block_option(&k, IF_MACADDR, i->mac, 6);
	if (i->speed_bps)
		option_u64(&k, IF_SPEED, i->speed_bps);
	pcapng_block_option(&k, IF_TSRESOL, &tsresol, sizeof(tsresol));
	option_filter(&k, i->filter);
	pcapng_block_text(&k, IF_OS, i->os);
	pcapng_block_text(&k, IF_HARDWARE, i->hardware);
	pcapng_block_text(&k, OPT_COMMENT, i->comment);
	return pcapng_block_close(&k);
}

int pcapng_interface_statistics(struct buffer *b, const struct pcapng_statistics *s)
{
	struct pcapng_block k;

	pcapng_block_open(&k, b, BLOCK_INTERFACE_STATISTICS);
	put_u32(&k, s->interface_id);
	put_time(&k, s->now_ns);
	option_time(&k, ISB_STARTTIME, s->start_ns);
	option_time(&k, ISB_ENDTIME, s->end_ns);
	option_counter(&k, ISB_IFRECV, s->received);
	option_counter(&k, ISB_IFDROP, s->dropped);
	option_counter(&k, ISB_FILTERACCEPT, s->accepted);
	option_counter(&k, ISB_OSDROP, s->os_dropped);
	option_counter(&k, ISB_USRDELIV, s->delivered);
	pcapng_block_text(&k, OPT_COMMENT, s->comment);
	return pcapng_block_close(&k);
}
