/* SPDX-License-Identifier: MIT */
/* journal.h: what was appended to the file and is not yet known to be written (see journal.c). */
#ifndef RETINA_WRITERS_JOURNAL_H
#define RETINA_WRITERS_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include "retina/ledger.h"

/* Packets of one key, in a chunk that ends at an offset of the file. */
struct journal_entry {
	uint64_t end;
	uint64_t last_ns;    /* stamp of the chunk's last packet */
	unsigned interfaces; /* described in the file up to there */
	unsigned key;
	struct retina_tally tally;
};

struct journal;

/** journal_new() - @entries: its size; Return: 0 or -ENOMEM */
int journal_new(struct journal **ret, unsigned entries);
struct journal *journal_free(struct journal *j);

/** journal_room() - entries that can be added */
unsigned journal_room(const struct journal *j);
void journal_add(struct journal *j, const struct journal_entry *e);

/** journal_settle() - forgets the chunks that end at or before `written`, remembers the last end */
void journal_settle(struct journal *j, uint64_t written);

/** journal_pop() - takes the oldest entry that is left; false: none */
bool journal_pop(struct journal *j, struct journal_entry *ret);

/** journal_settled() - the last entry that was settled; all zero before the first */
const struct journal_entry *journal_settled(const struct journal *j);

#endif
