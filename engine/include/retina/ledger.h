/* SPDX-License-Identifier: MIT */
/* retina/ledger.h: where every packet went. seen = rejected + captured + lost, always. */
#ifndef RETINA_LEDGER_H
#define RETINA_LEDGER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct retina_tally {
	uint64_t packets;
	uint64_t bytes; /* of the frames as they were on the wire */
};

/* The places where a packet that should have been captured can be lost. */
enum retina_loss {
	RETINA_LOST_RING_FULL, /* the ring of its CPU had no room: packers or disk are too slow */
	RETINA_LOST_REENTRANT, /* it came while the program was busy with another on the same CPU */
	RETINA_LOST_NO_RING,   /* its CPU came online after the start */
	RETINA_LOST_COPY,      /* the kernel would not copy it */
	RETINA_LOST_DISK,      /* it was recorded, but could not be written to the file */
	RETINA_LOSSES
};

/* One interface and direction, or a sum of them. */
struct retina_ledger {
	struct retina_tally seen;     /* by our hook, from its attachment to the capture's end */
	struct retina_tally rejected; /* by the filter */
	struct retina_tally captured; /* in the file; while running: in the rings too */
	struct retina_tally lost[RETINA_LOSSES];
};

/** retina_loss_name() - "ring_full", "disk", ...: as in the JSON summary; a static string */
const char *retina_loss_name(enum retina_loss loss);

/** retina_ledger_add() - adds one ledger to another */
void retina_ledger_add(struct retina_ledger *to, const struct retina_ledger *from);

/** retina_ledger_lost() - the sum over all places */
struct retina_tally retina_ledger_lost(const struct retina_ledger *l);

/** retina_ledger_balanced() - 1 if packets and bytes add up, else 0 */
int retina_ledger_balanced(const struct retina_ledger *l);

#ifdef __cplusplus
}
#endif

#endif
