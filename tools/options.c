// SPDX-License-Identifier: MIT
/* options.c: reads a command line by its table. Uses getopt_long(3); one thread, at the start. */
#include "options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "help.h"
#include "quantity.h"

/* Codes of long options: their index in the table, behind all letters. */
enum { LONG_BASE = 256, OPTIONS_MAX = 96 };

bool usage_error(const char *format, ...)
{
	va_list args;

	(void)fprintf(stderr, "retina-xdpctl: ");
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
	return false;
}

bool options_check_range(const struct option_spec *o, const char *shown, uint64_t value)
{
	char low[32], high[32];

	if (value >= o->min && value <= o->max)
		return true;
	if (o->type == OPTION_SIZE) {
		(void)quantity_size(low, sizeof(low), o->min);
		(void)quantity_size(high, sizeof(high), o->max);
	} else if (o->type == OPTION_DURATION) {
		(void)quantity_duration(low, sizeof(low), o->min);
		(void)quantity_duration(high, sizeof(high), o->max);
	} else {
		(void)snprintf(low, sizeof(low), "%llu", (unsigned long long)o->min);
		(void)snprintf(high, sizeof(high), "%llu", (unsigned long long)o->max);
	}
	return usage_error("%s: it must be from %s to %s", shown, low, high);
}

static bool parse_choice(int *ret, const struct option_spec *o, const char *argument)
{
	char list[128] = "";

	for (int i = 0; o->choices[i]; i++) {
		if (strcmp(o->choices[i], argument) == 0) {
			*ret = i;
			return true;
		}
		(void)snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
			       i ? ", " : "", o->choices[i]);
	}
	return usage_error("--%s %s: it must be one of %s", o->name, argument, list);
}

static bool parse_one(const struct option_spec *o, void *options, const char *argument)
{
	void *field = (char *)options + o->offset;
	char shown[128];

	(void)snprintf(shown, sizeof(shown), "--%s %s", o->name, argument ? argument : "");
	switch (o->type) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return true;
	case OPTION_TEXT:
		*(const char **)field = argument;
		return true;
	case OPTION_COUNT:
		if (!quantity_parse_count(field, argument))
			return usage_error("--%s %s: not a number", o->name, argument);
		return options_check_range(o, shown, *(uint64_t *)field);
	case OPTION_SIZE:
		if (!quantity_parse_size(field, argument))
			return usage_error("--%s %s: not a size (such as 100MB or 64Mi)", o->name,
					   argument);
		return options_check_range(o, shown, *(uint64_t *)field);
	case OPTION_DURATION:
		if (!quantity_parse_duration(field, argument))
			return usage_error("--%s %s: not a duration (such as 30s or 1h30m)",
					   o->name, argument);
		return options_check_range(o, shown, *(uint64_t *)field);
	case OPTION_CHOICE:
		return parse_choice(field, o, argument);
	case OPTION_CUSTOM:
		return o->parse(options, o, argument);
	case OPTION_SECTION:
		break;
	}
	return false;
}

/* getopt's own tables, from ours. */
static void build(const struct option_spec *specs, struct option *longs, char *shorts)
{
	size_t n = 0;

	/* + : options end at the first other argument; : : missing arguments are told apart. */
	shorts += sprintf(shorts, "+:h");
	for (int i = 0; specs[i].name; i++) {
		const struct option_spec *o = &specs[i];

		if (o->type == OPTION_SECTION)
			continue;
		longs[n++] = (struct option){o->name, o->argument ? required_argument : no_argument,
					     NULL, LONG_BASE + i};
		if (o->letter)
			shorts += sprintf(shorts, "%c%s", o->letter, o->argument ? ":" : "");
	}
	longs[n++] = (struct option){"help", no_argument, NULL, 'h'};
	longs[n++] = (struct option){"man", no_argument, NULL, LONG_BASE - 1};
	longs[n] = (struct option){0};
}

static const struct option_spec *find(const struct option_spec *specs, int code)
{
	if (code >= LONG_BASE)
		return &specs[code - LONG_BASE];
	for (int i = 0; specs[i].name; i++)
		if (specs[i].letter == code)
			return &specs[i];
	return NULL;
}

enum options_result options_parse(const struct command *c, void *options, int argc, char **argv,
				  int *ret_rest)
{
	struct option longs[OPTIONS_MAX];
	char shorts[3 * OPTIONS_MAX];
	int code;

	build(c->options, longs, shorts);
	opterr = 0;
	while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		switch (code) {
		case 'h':
			help_print(c);
			return OPTIONS_DONE;
		case LONG_BASE - 1:
			help_print_man(c);
			return OPTIONS_DONE;
		case '?':
			/* Of a cluster such as -qz only the letter is known. */
			if (optopt && optopt < LONG_BASE - 1)
				(void)usage_error(
					"-%c: no such option: see retina-xdpctl %s --help", optopt,
					c->name);
			else
				(void)usage_error("%s: no such option: see retina-xdpctl %s --help",
						  argv[optind - 1], c->name);
			return OPTIONS_BAD;
		case ':':
			(void)usage_error("%s: it needs an argument: see retina-xdpctl %s --help",
					  argv[optind - 1], c->name);
			return OPTIONS_BAD;
		}
		if (!parse_one(find(c->options, code), options, optarg))
			return OPTIONS_BAD;
	}
	*ret_rest = optind;
	return OPTIONS_OK;
}
