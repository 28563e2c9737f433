/* SPDX-License-Identifier: MIT */
/* progress.h: one line on a terminal that tells how the capture stands. */
#ifndef RETINA_TOOLS_PROGRESS_H
#define RETINA_TOOLS_PROGRESS_H

#include <retina/capture.h>

struct progress {
	struct retina_status last; /* for rates */
	bool is_shown;		   /* there is a line to be cleared */
};

/** progress_show() - draws over the last line; a retina_progress_fn with a struct progress */
void progress_show(void *data, const struct retina_status *status);

/** progress_clear() - makes room for other output */
void progress_clear(struct progress *p);

#endif
