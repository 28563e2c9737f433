// SPDX-License-Identifier: MIT
/* ledger.c: arithmetic on ledgers. Pure functions, any thread. */
#include "retina/ledger.h"

static void tally_add(struct retina_tally *to, struct retina_tally from)
{
	to->packets += from.packets;
	to->bytes += from.bytes;
}

const char *retina_loss_name(enum retina_loss loss)
{
	static const char *const names[RETINA_LOSSES] = {
		[RETINA_LOST_RING_FULL] = "ring_full", [RETINA_LOST_REENTRANT] = "reentrant",
		[RETINA_LOST_NO_RING] = "no_ring",     [RETINA_LOST_COPY] = "copy",
		[RETINA_LOST_DISK] = "disk",
	};

	return names[loss];
}

void retina_ledger_add(struct retina_ledger *to, const struct retina_ledger *from)
{
	tally_add(&to->seen, from->seen);
	tally_add(&to->rejected, from->rejected);
	tally_add(&to->captured, from->captured);
	for (unsigned i = 0; i < RETINA_LOSSES; i++)
		tally_add(&to->lost[i], from->lost[i]);
}

struct retina_tally retina_ledger_lost(const struct retina_ledger *l)
{
	struct retina_tally sum = {0};

	for (unsigned i = 0; i < RETINA_LOSSES; i++)
		tally_add(&sum, l->lost[i]);
	return sum;
}

int retina_ledger_balanced(const struct retina_ledger *l)
{
	struct retina_tally sum = retina_ledger_lost(l);

	tally_add(&sum, l->rejected);
	tally_add(&sum, l->captured);
	return sum.packets == l->seen.packets && sum.bytes == l->seen.bytes;
}
