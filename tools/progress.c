// SPDX-License-Identifier: MIT
/* progress.c: the progress line, on standard error. The capture's thread draws it. */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "quantity.h"

static int terminal_columns(void)
{
	struct winsize w;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
		return w.ws_col;
	return 80;
}

/* What ends the capture first, as far as it is known. */
static int remaining(char *text, size_t size, const struct retina_status *s)
{
	char left[32];

	if (s->remaining_ns != UINT64_MAX)
		return snprintf(text, size, ", %s left",
				quantity_duration(left, sizeof(left), s->remaining_ns));
	if (s->max_bytes)
		return snprintf(text, size, ", %.0f %% of the size cap",
				100.0 * (double)s->file_bytes / (double)s->max_bytes);
	if (s->max_packets)
		return snprintf(text, size, ", %.0f %% of the packets",
				100.0 * (double)s->file_packets / (double)s->max_packets);
	*text = 0;
	return 0;
}

void progress_show(void *data, const struct retina_status *s)
{
	struct progress *p = data;
	double span = (double)(s->elapsed_ns - p->last.elapsed_ns) / 1e9;
	uint64_t packets = s->totals.captured.packets,
		 lost = retina_ledger_lost(&s->totals).packets;
	uint64_t bytes = s->totals.captured.bytes;
	char elapsed[32], rate[32], bits[32], count[32], file[32], end[64], line[256];

	if (span <= 0)
		span = 1;
	(void)remaining(end, sizeof(end), s);
	(void)snprintf(line, sizeof(line),
		       "%s  %spps %sbit/s  %spackets  file %s (%.1fx)  ring %u %%  lost %" PRIu64
		       "%s",
		       quantity_duration(elapsed, sizeof(elapsed), s->elapsed_ns),
		       quantity_rate(rate, sizeof(rate),
				     (double)(packets - p->last.totals.captured.packets) / span),
		       quantity_rate(bits, sizeof(bits),
				     (double)(bytes - p->last.totals.captured.bytes) * 8 / span),
		       quantity_rate(count, sizeof(count), (double)packets),
		       quantity_size(file, sizeof(file), s->file_bytes),
		       s->file_bytes ? (double)s->raw_bytes / (double)s->file_bytes : 1,
		       s->ring_fill_percent, lost, end);
	/* \r and "erase to the end of the line" (ECMA-48 EL). */
	(void)fprintf(stderr, "\r%.*s\033[K", terminal_columns() - 1, line);
	(void)fflush(stderr);
	p->last = *s;
	p->is_shown = true;
}

void progress_clear(struct progress *p)
{
	if (p->is_shown)
		(void)fprintf(stderr, "\r\033[K");
	p->is_shown = false;
}
