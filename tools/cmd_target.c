// SPDX-License-Identifier: MIT
/* cmd_target.c: retina-xdpctl target: the target sets of a running capture. Files are read here,
 * with the rights of who asks. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"
#include "commands.h"
#include "options.h"

struct target_options {
	bool exclude, json;
};

#define FIELD(f) .offset = offsetof(struct target_options, f)

static const struct option_spec options[] = {
	{OPTION_FLAG, 0, "exclude", FIELD(exclude),
	 .help = "the set of what is left out; default: the include set"},
	{OPTION_FLAG, 0, "json", FIELD(json), .help = "list: as JSON"},
	{0},
};

static const char *const examples[] = {
	"retina-xdpctl target add web 10.0.0.7 10.1.0.0/16:443",
	"record these, too, in the capture called web",
	"retina-xdpctl target add web --exclude @noisy.txt",
	"leave out whom the file lists, one a line, # for comments",
	"retina-xdpctl target list web",
	"what is included and excluded now",
	NULL,
};

static const struct command command = {
	.name = "target",
	.synopsis = "target add|del|list NAME [options] [TARGET|@FILE]...",
	.summary =
		"Change what a running capture includes and excludes. A target is IP[/LEN][:PORT], "
		"[IPv6][/LEN]:PORT or *:PORT.",
	.examples = examples,
	.options = options,
};

/* Blanks around and what follows # are no part of a target. */
static bool add_line(json_t *list, char *line)
{
	char *text, *rest;

	line[strcspn(line, "#")] = 0;
	text = strtok_r(line, " \t\r\n", &rest);
	return !text || json_array_append_new(list, json_string(text)) == 0;
}

static bool add_file(json_t *list, const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	bool ok = true;

	if (!f)
		return usage_error("%s: %s", path, strerror(errno));
	while (ok && getline(&line, &size, f) >= 0)
		ok = add_line(list, line);
	if (ferror(f))
		ok = usage_error("%s: cannot read", path);
	free(line);
	(void)fclose(f);
	return ok;
}

/* Words and, in words, what commas divide. */
static bool add_word(json_t *list, char *word)
{
	char *text;

	if (*word == '@')
		return add_file(list, word + 1);
	while ((text = strsep(&word, ",")))
		if (json_array_append_new(list, json_string(text)) < 0)
			return usage_error("%s: not UTF-8", text);
	return true;
}

static int change(const char *verb, const char *name, const struct target_options *k, int count,
		  char **words)
{
	json_t *list = json_array(), *reply;
	bool ok = true;

	for (int i = 0; i < count && ok; i++)
		ok = add_word(list, words[i]);
	if (ok && !json_array_size(list))
		ok = usage_error("target %s: no target was given", verb);
	if (!ok) {
		json_decref(list);
		return EXIT_USAGE;
	}
	reply = client_call(name, "POST", "/v1/targets",
			    json_pack("{s:s, s:o}", "set", k->exclude ? "exclude" : "include",
				      strcmp(verb, "add") == 0 ? "add" : "remove", list));
	if (!reply)
		return EXIT_FAILED;
	(void)printf("%s: %lld %s\n", name,
		     (long long)json_integer_value(json_object_get(reply, "changed")),
		     strcmp(verb, "add") == 0 ? "added" : "removed");
	json_decref(reply);
	return EXIT_DONE;
}

static int list(const char *name, const struct target_options *k)
{
	json_t *reply = client_call(name, "GET", "/v1/targets", NULL), *set, *target;
	const char *key;
	size_t i;

	if (!reply)
		return EXIT_FAILED;
	if (k->json) {
		(void)json_dumpf(reply, stdout, JSON_COMPACT);
		(void)putchar('\n');
	} else {
		json_object_foreach(reply, key, set) json_array_foreach(set, i, target)(void)
			printf("%s %s\n", key, json_string_value(target));
	}
	json_decref(reply);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* Options may stand before the name, behind it or behind the verb: the verb and the name come
 * first, so they are taken out. */
int cmd_target(int argc, char **argv)
{
	struct target_options k = {0};
	const char *verb = argc > 1 ? argv[1] : "", *name;
	int rest = argc;

	if (*verb == '-' || argc < 3 || *argv[2] == '-') {
		if (options_parse(&command, &k, argc, argv, &rest) == OPTIONS_DONE)
			return EXIT_DONE;
		(void)usage_error("wanted: target add|del|list NAME ...: see retina-xdpctl target "
				  "--help");
		return EXIT_USAGE;
	}
	name = argv[2];
	argv[2] = argv[0];
	if (options_parse(&command, &k, argc - 2, argv + 2, &rest) != OPTIONS_OK)
		return EXIT_USAGE;
	rest += 2;
	if (strcmp(verb, "list") == 0) {
		if (rest < argc)
			return (void)usage_error("target list: %s: nothing more is wanted",
						 argv[rest]),
			       EXIT_USAGE;
		return list(name, &k);
	}
	if (strcmp(verb, "add") == 0 || strcmp(verb, "del") == 0)
		return change(verb, name, &k, argc - rest, argv + rest);
	(void)usage_error("target %s: it must be add, del or list", verb);
	return EXIT_USAGE;
}
