/* SPDX-License-Identifier: MIT */
/* command.h: what the subcommands share. */
#ifndef TRAFFIC_COMMAND_H
#define TRAFFIC_COMMAND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum command_exit {
	COMMAND_DONE = 0,
	COMMAND_USAGE = 1,
	COMMAND_FAILED = 2,
	COMMAND_DIFFERS = 3, /* check: what was captured is not what was sent */
};

int cmd_send(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_check(int argc, char **argv);

/** command_fail() - print one line on standard error; Return: @status */
int command_fail(enum command_exit status, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** command_stop() - set by SIGINT and SIGTERM once this was called */
const atomic_bool *command_stop(void);

/** command_number() - parse all of @text as a decimal, 0x or octal number of at most @max */
bool command_number(const char *text, uint64_t max, uint64_t *ret);

/** command_seconds() - parse all of @text as seconds, fractions allowed, into nanoseconds; above 0
 */
bool command_seconds(const char *text, uint64_t *ret);

#endif
