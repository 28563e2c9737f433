/* SPDX-License-Identifier: MIT */
/* fault.h: the n-th fallible call of our own code fails, and what a failure must leave behind:
 * nothing (see fault.c). */
#ifndef RETINA_TESTS_FAULT_H
#define RETINA_TESTS_FAULT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/log.h"

/* The call that failed. */
struct fault {
	const char *call; /* NULL: none */
	int error;	  /* what it said, positive */
};

/** fault_arm() - the n-th fallible call from now on fails, once; 1 is the next, of any thread */
void fault_arm(unsigned n);

/** fault_disarm() - no more calls fail; Return: the one that did; may be called again */
struct fault fault_disarm(void);

/** fault_hold() - while held, calls neither fail nor count: what another trial goes through */
void fault_hold(bool held);

struct fault_trial {
	/* Builds, uses and frees; when it returns, nothing may be left. 0, or what first failed. */
	int (*attempt)(void *data);
	void *data;
	/* Names between spaces: calls whose failure is made up for, so that the attempt succeeds.
	 */
	const char *made_up_for;
	bool logs; /* a failure is told in one line, to fault_log */
};

/**
 * fault_each() - attempts with the first call failing, with the second, ... until none is left
 * Each failing attempt returns the error of its call unchanged, has logged one line if it logs, and
 * leaves no descriptor, thread, child, mapping or memory. The last one succeeds.
 * Return: attempts that a fault was in.
 */
unsigned fault_each(const struct fault_trial *t);

/* Counts the lines of errors; any thread. */
extern const struct log fault_log;

#endif
