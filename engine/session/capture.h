/* SPDX-License-Identifier: MIT */
/* capture.h: the inside of a capture, for the files of this folder that are parts of it: capture.c
 * (its life), membership.c (its interfaces), account.c (its packets). */
#ifndef RETINA_SESSION_CAPTURE_H
#define RETINA_SESSION_CAPTURE_H

#include <stdatomic.h>
#include <sys/resource.h>
#include "base/log.h"
#include "config.h"
#include "cutter.h"
#include "linkwatch.h"
#include "packer.h"
#include "retina/capture.h"
#include "roster.h"
#include "steering.h"
#include "tap.h"
#include "writer.h"

struct file;

struct retina_capture {
	struct config config;
	struct log log;
	int wake;		 /* eventfd: stop() and the writer */
	_Atomic int stop_reason; /* enum retina_stop_reason */

	struct roster roster;
	unsigned key_max; /* of tallies */
	struct tap *tap;
	struct file *file;
	struct writer *writer;
	struct ring **rings;
	struct packer **packers;
	unsigned packer_count;
	struct cutter *cutter;
	struct linkwatch *linkwatch;
	int begin_error; /* of capture_begin() with "any" */
	struct steering steering;

	/* Written by the control thread, read by retina_capture_status(). */
	_Atomic uint64_t start_ns;    /* first hook attached, steady clock; 0: not running */
	_Atomic uint64_t deadline_ns; /* steady clock, UINT64_MAX: none */
	uint64_t end_ns;	      /* steady clock */
	uint64_t clock_offset_ns;
	uint64_t last_statistics_ns; /* the cutter's */
	struct rusage usage_before, usage_after;

	struct retina_interface_summary *summaries;
	unsigned summary_count;
	struct retina_ledger totals;
	struct retina_file_summary file_summary;
	bool balanced;
};

/* capture.c */

/** capture_begin() - the first hooks are attached: writes the head, starts cutting, sets the end */
int capture_begin(struct retina_capture *c);

/* membership.c; control thread */

/** membership_enlist() - reads the named interfaces into the roster; 0 or -errno after a line */
int membership_enlist(struct retina_capture *c);

/** membership_attach() - attaches to all there is, calls capture_begin(); 0 or -errno after a line
 */
int membership_attach(struct retina_capture *c);

/** membership_count() - interfaces that are attached now; any thread */
unsigned membership_count(const struct retina_capture *c);

/* account.c */

/** account_statistics() - appends the statistics blocks of the first `count` interfaces */
int account_statistics(const struct retina_capture *c, unsigned count, bool is_final,
		       struct buffer *b);

/** account_note() - appends a statistics block of the first interface that tells what happened */
int account_note(const struct retina_capture *c, const char *note, struct buffer *b);

/** account_close() - fills in the summary, after all threads have ended */
void account_close(struct retina_capture *c);

#endif
