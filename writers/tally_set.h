/* SPDX-License-Identifier: MIT */
/*
 * tally_set.h: packets and bytes by key (interface * directions + direction), cheap to clear and to
 * walk when few keys are in use. One owner thread at a time.
 */
#ifndef RETINA_WRITERS_TALLY_SET_H
#define RETINA_WRITERS_TALLY_SET_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include "base/record.h"
#include "retina/ledger.h"

struct tally_set {
	struct retina_tally *by_key;
	uint16_t *keys; /* those in use, in the order of their first packet */
	unsigned count;
};

static inline int tally_set_init(struct tally_set *s, unsigned key_max)
{
	*s = (struct tally_set){
		.by_key = calloc(key_max, sizeof(*s->by_key)),
		.keys = calloc(key_max, sizeof(*s->keys)),
	};
	return s->by_key && s->keys ? 0 : -ENOMEM;
}

static inline void tally_set_release(struct tally_set *s)
{
	free(s->by_key);
	free(s->keys);
	*s = (struct tally_set){0};
}

static inline void tally_set_add(struct tally_set *s, unsigned key, struct retina_tally t)
{
	struct retina_tally *to = &s->by_key[key];

	if (!to->packets)
		s->keys[s->count++] = (uint16_t)key;
	to->packets += t.packets;
	to->bytes += t.bytes;
}

static inline void tally_set_clear(struct tally_set *s)
{
	for (unsigned i = 0; i < s->count; i++)
		s->by_key[s->keys[i]] = (struct retina_tally){0};
	s->count = 0;
}

/** tally_key() - the key that a record counts under */
static inline unsigned tally_key(const uint8_t *record)
{
	return record_interface(record) * TAP_DIRECTIONS + record_direction(record);
}

static inline void tally_set_count(struct tally_set *s, const uint8_t *record)
{
	tally_set_add(s, tally_key(record), (struct retina_tally){1, record_origlen(record)});
}

#endif
