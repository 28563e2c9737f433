/* SPDX-License-Identifier: MIT */
/* options.h: the one table of options of a command; parser, help and man page read it. */
#ifndef RETINA_TOOLS_OPTIONS_H
#define RETINA_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_type {
	OPTION_FLAG,	 /* bool */
	OPTION_TEXT,	 /* const char * */
	OPTION_COUNT,	 /* uint64_t */
	OPTION_SIZE,	 /* uint64_t, bytes */
	OPTION_DURATION, /* uint64_t, nanoseconds */
	OPTION_CHOICE,	 /* int: index in the choices */
	OPTION_CUSTOM,	 /* parsed by a function of the command */
	OPTION_SECTION,	 /* no option: a heading of the help */
};

struct option_spec {
	enum option_type type;
	char letter; /* 0: none */
	const char *name;
	const char *argument;	    /* as shown in the help; NULL: none */
	size_t offset;		    /* of the field in the command's structure */
	uint64_t min, max;	    /* of numbers, in the field's unit */
	const char *const *choices; /* NULL-terminated */
	/* Custom: false after one line on standard error. */
	bool (*parse)(void *options, const struct option_spec *o, const char *argument);
	const char *help;
};

struct command {
	const char *name;
	const char *synopsis;
	const char *summary;
	const char *const *examples;	   /* pairs of command and what it does, NULL-terminated */
	const struct option_spec *options; /* up to an entry without a name and heading */
};

enum options_result { OPTIONS_OK, OPTIONS_DONE, OPTIONS_BAD };

/**
 * options_parse() - fills a command's structure
 * @ret_rest: receives the index of the first argument that is no option
 * Return: OPTIONS_DONE when --help or --man was answered, OPTIONS_BAD after one line on
 * standard error.
 */
enum options_result options_parse(const struct command *c, void *options, int argc, char **argv,
				  int *ret_rest);

/**
 * options_check_range() - whether a number is within the option's bounds; else tells why not
 * @shown: what was typed, for the message
 */
bool options_check_range(const struct option_spec *o, const char *shown, uint64_t value);

/** usage_error() - one line on standard error; returns false */
__attribute__((format(printf, 1, 2))) bool usage_error(const char *format, ...);

#endif
