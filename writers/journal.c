// SPDX-License-Identifier: MIT
/*
 * journal.c: a ring of entries in the order of the file. The writer thread owns it. As long as a
 * chunk is in the journal, a failing write can still take it back.
 */
#include "journal.h"

#include <errno.h>
#include <stdlib.h>

struct journal {
	unsigned size, first, count;
	struct journal_entry settled;
	struct journal_entry entries[];
};

int journal_new(struct journal **ret, unsigned entries)
{
	struct journal *j = calloc(1, sizeof(*j) + entries * sizeof(j->entries[0]));

	if (!j)
		return -ENOMEM;
	j->size = entries;
	*ret = j;
	return 0;
}

struct journal *journal_free(struct journal *j)
{
	free(j);
	return NULL;
}

unsigned journal_room(const struct journal *j)
{
	return j->size - j->count;
}

void journal_add(struct journal *j, const struct journal_entry *e)
{
	j->entries[(j->first + j->count++) % j->size] = *e;
}

bool journal_pop(struct journal *j, struct journal_entry *ret)
{
	if (!j->count)
		return false;
	*ret = j->entries[j->first];
	j->first = (j->first + 1) % j->size;
	j->count--;
	return true;
}

void journal_settle(struct journal *j, uint64_t written)
{
	while (j->count && j->entries[j->first].end <= written)
		(void)journal_pop(j, &j->settled);
}

const struct journal_entry *journal_settled(const struct journal *j)
{
	return &j->settled;
}
