/* SPDX-License-Identifier: MIT */
/*
 * main.c: retina-traffic, the source and the judge of test traffic.
 *
 * "send" and "replay" say exactly what they sent; "check" says exactly what of it is in a capture.
 */
#include <stdio.h>
#include <string.h>

#include "command.h"

static const char help[] =
	"usage: retina-traffic send -i IF [options]          send generated frames\n"
	"       retina-traffic replay -i IF FILE [options]   send the frames of a capture file\n"
	"       retina-traffic check [options] FILE|-        find generated frames in a capture "
	"file\n"
	"Each prints one JSON object on standard output; COMMAND --help lists its options.\n"
	"Exit status: 0 done, 1 usage, 2 failed, 3 check found frames missing, duplicated or "
	"corrupt.\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"send", cmd_send},
	{"replay", cmd_replay},
	{"check", cmd_check},
};

int main(int argc, char **argv)
{
	if (argc < 2)
		return command_fail(COMMAND_USAGE, "no command; try --help");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		(void)fputs(help, stdout);
		return COMMAND_DONE;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, argv[1]) == 0)
			return commands[i].run(argc - 1, argv + 1);
	return command_fail(COMMAND_USAGE, "unknown command '%s'; try --help", argv[1]);
}
