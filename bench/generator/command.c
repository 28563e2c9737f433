/* SPDX-License-Identifier: MIT */
/*
 * command.c: messages, numbers and signals of the subcommands.
 *
 * The stop flag is the one global of the program: a signal handler has no other way to reach the
 * loop, which must report what it sent until then. Main thread only.
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"

static atomic_bool stop;

int command_fail(enum command_exit status, const char *format, ...)
{
	va_list args;

	(void)fputs("retina-traffic: ", stderr);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
	return status;
}

static void on_signal(int signal)
{
	(void)signal;
	/* Relaxed: read by the thread that runs this handler. */
	atomic_store_explicit(&stop, true, memory_order_relaxed);
}

const atomic_bool *command_stop(void)
{
	/* No SA_RESTART: a blocked send must end. */
	struct sigaction action = {.sa_handler = on_signal};

	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	return &stop;
}

bool command_number(const char *text, uint64_t max, uint64_t *ret)
{
	unsigned long long value;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || *end || value > max)
		return false;
	*ret = value;
	return true;
}

bool command_seconds(const char *text, uint64_t *ret)
{
	double value;
	char *end;

	if (!isdigit((unsigned char)text[0]) && text[0] != '.')
		return false;
	value = strtod(text, &end);
	if (*end || !(value >= 1e-6 && value <= 1e9))
		return false;
	*ret = (uint64_t)(value * 1e9);
	return true;
}
