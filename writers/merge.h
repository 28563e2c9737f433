/* SPDX-License-Identifier: MIT */
/* merge.h: the records of several slices in one order of time (see merge.c). */
#ifndef RETINA_WRITERS_MERGE_H
#define RETINA_WRITERS_MERGE_H

#include <stdint.h>
#include "base/ring.h"

struct merge;

/** merge_new() - @slices_max: slices that a merge can have; Return: 0 or -ENOMEM */
int merge_new(struct merge **ret, unsigned slices_max);
struct merge *merge_free(struct merge *m);

/** merge_begin() - starts over with new slices, which must stay until the last merge_next() */
void merge_begin(struct merge *m, const struct slice *slices, unsigned count);

/** merge_next() - the record with the smallest stamp, the first slice's on a tie; NULL at the end
 */
const uint8_t *merge_next(struct merge *m);

#endif
