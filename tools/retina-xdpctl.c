// SPDX-License-Identifier: MIT
/* retina-xdpctl.c: finds the subcommand. */
#include <bpf/libbpf.h>
#include <jansson.h>
#include <retina/capture.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>
#include "commands.h"
#include "module.h"
#include "options.h"

typedef int command_fn(int argc, char **argv);

static const struct {
	const char *name;
	command_fn *run; /* NULL: cmd_NAME() of the module `steer` */
	const char *summary;
} commands[] = {
	{"capture", cmd_capture, "record interfaces to a file"},
	{"filter", NULL, "look at a filter, try it on a file, change it while recording"},
	{"target", NULL, "change what a running capture includes and excludes"},
};

static int run(size_t i, int argc, char **argv)
{
	command_fn *function = commands[i].run;
	char name[32];

	(void)snprintf(name, sizeof(name), "cmd_%s", commands[i].name);
	if (!function)
		function = (command_fn *)module_function("steer", name);
	return function ? function(argc, argv) : EXIT_FAILED;
}

static void print_help(void)
{
	(void)printf("Usage: retina-xdpctl COMMAND [options]\n"
		     "Records packets in the kernel, without touching the traffic.\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		(void)printf("  %-12s %s\n", commands[i].name, commands[i].summary);
	(void)printf("\nretina-xdpctl COMMAND --help tells more. --version names the libraries.\n");
}

static void print_version(void)
{
	(void)printf("retina-xdpctl %s (libbpf %s, zstd %s, jansson %s)\n", retina_version(),
		     libbpf_version_string(), ZSTD_versionString(), JANSSON_VERSION);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		(void)usage_error("no command was given: see retina-xdpctl --help");
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		print_help();
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		print_version();
		return EXIT_DONE;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return run(i, argc - 1, argv + 1);
	(void)usage_error("%s: no such command: see retina-xdpctl --help", argv[1]);
	return EXIT_USAGE;
}
