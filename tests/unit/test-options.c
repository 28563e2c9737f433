// SPDX-License-Identifier: MIT
/*
 * test-options.c: a command line is taken as its table says, or refused with one line. Then the
 * table of `capture`, through the built tool (RETINA_BUILD): every number at its limits.
 */
#include "options.h"

#include <fcntl.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

struct sample {
	bool flag;
	const char *text;
	uint64_t count, size, duration;
	int choice;
	unsigned customs;
};

static bool parse_custom(void *data, const struct option_spec *o, const char *argument)
{
	struct sample *s = data;

	s->customs++;
	if (strcmp(argument, "bad") == 0)
		return usage_error("--%s %s: bad", o->name, argument);
	return true;
}

static const char *const choices[] = {"red", "green", "blue", NULL};

#define FIELD(f) .offset = offsetof(struct sample, f)

static const struct option_spec specs[] = {
	{OPTION_SECTION, .name = "Section"},
	{OPTION_FLAG, 'f', "flag", FIELD(flag), .help = "a flag"},
	{OPTION_TEXT, 't', "text", "TEXT", FIELD(text), .help = "a text"},
	{OPTION_COUNT, 'n', "count", "N", FIELD(count), .min = 3, .max = 5, .help = "a count"},
	{OPTION_SIZE, 0, "size", "SIZE", FIELD(size), .min = 1000, .max = 2000, .help = "a size"},
	{OPTION_SECTION, .name = "Another"},
	{OPTION_DURATION, 0, "duration", "TIME", FIELD(duration), .min = 1000, .max = 5000000000,
	 .help = "a time"},
	{OPTION_CHOICE, 'k', "choice", "COLOUR", FIELD(choice), .choices = choices,
	 .help = "a choice"},
	{OPTION_CUSTOM, 'u', "custom", "ANY", .parse = parse_custom, .help = "custom"},
	{0},
};

static const char *const no_examples[] = {NULL};

static const struct command command = {.name = "sample",
				       .synopsis = "sample [options]",
				       .summary = "A sample.",
				       .examples = no_examples,
				       .options = specs};

/* What a call wrote to standard error. */
static char said[4096];

static enum options_result parse(struct sample *s, int *rest, const char *const *words)
{
	char *argv[16] = {(char *)"sample"};
	int argc = 1, before = dup(STDERR_FILENO), pipes[2];
	enum options_result r;
	ssize_t n;

	while (words[argc - 1]) {
		argv[argc] = (char *)words[argc - 1];
		argc++;
	}
	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	assert_true(dup2(pipes[1], STDERR_FILENO) >= 0);
	optind = 0; /* begin anew */
	*s = (struct sample){0};
	r = options_parse(&command, s, argc, argv, rest);
	(void)fflush(stderr);
	assert_true(dup2(before, STDERR_FILENO) >= 0);
	close(before);
	close(pipes[1]);
	n = read(pipes[0], said, sizeof(said) - 1);
	said[n > 0 ? n : 0] = 0;
	close(pipes[0]);
	return r;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void every_kind_of_option_reaches_its_field(void **state)
{
	struct sample s;
	int rest;

	(void)state;
	assert_int_equal(parse(&s, &rest,
			       WORDS("-f", "--text", "words", "--count=4", "--size", "1.5K",
				     "--duration", "2s", "-kblue", "--custom", "x", "-uy", "rest",
				     "-f")),
			 OPTIONS_OK);
	assert_true(s.flag);
	assert_string_equal(s.text, "words");
	assert_int_equal(s.count, 4);
	assert_int_equal(s.size, 1500);
	assert_int_equal(s.duration, 2000000000);
	assert_int_equal(s.choice, 2);
	assert_int_equal(s.customs, 2);
	assert_int_equal(rest, 13);
	assert_string_equal(said, "");

	assert_int_equal(parse(&s, &rest, WORDS("--", "-f")), OPTIONS_OK);
	assert_false(s.flag);
	assert_int_equal(rest, 2);
	assert_int_equal(parse(&s, &rest, WORDS("-")), OPTIONS_OK);
	assert_int_equal(rest, 1);
	/* The last one counts. */
	assert_int_equal(parse(&s, &rest, WORDS("-k", "red", "-k", "green")), OPTIONS_OK);
	assert_int_equal(s.choice, 1);
}

/* One line that begins with the tool's name and holds the word. */
static void assert_refused(const char *word, const char *const *words)
{
	struct sample s;
	int rest;

	assert_int_equal(parse(&s, &rest, words), OPTIONS_BAD);
	if (strncmp(said, "retina-xdpctl: ", 15) != 0 || !strstr(said, word) ||
	    strchr(said, '\n') != said + strlen(said) - 1)
		fail_msg("\"%s\" does not say \"%s\" in one line", said, word);
}

static void every_error_is_told_in_one_line(void **state)
{
	(void)state;
	assert_refused("--nothing", WORDS("--nothing"));
	assert_refused("-z", WORDS("-z"));
	assert_refused("-t", WORDS("-t"));
	assert_refused("--text", WORDS("--text"));
	assert_refused("--flag", WORDS("--flag=yes"));
	assert_refused("--count", WORDS("--count", "four"));
	assert_refused("--count", WORDS("--count", ""));
	assert_refused("--count", WORDS("--count", "-4"));
	assert_refused("3 to 5", WORDS("--count", "2"));
	assert_refused("3 to 5", WORDS("--count", "6"));
	assert_refused("--size", WORDS("--size", "big"));
	assert_refused("1.0 kB to 2.0 kB", WORDS("--size", "999"));
	assert_refused("1.0 kB to 2.0 kB", WORDS("--size", "2001"));
	assert_refused("--duration", WORDS("--duration", "long"));
	assert_refused("--duration", WORDS("--duration", "999ns"));
	assert_refused("--duration", WORDS("--duration", "5000000001ns"));
	assert_refused("red, green, blue", WORDS("--choice", "Red"));
	assert_refused("red, green, blue", WORDS("--choice", ""));
	assert_refused("red, green, blue", WORDS("--choice", "re"));
	assert_refused("--custom bad: bad", WORDS("--custom", "bad"));
	/* The first error ends it. */
	assert_refused("--count", WORDS("--count", "6", "--size", "1"));
}

static void an_unknown_letter_is_named_wherever_it_stands(void **state)
{
	(void)state;
	assert_refused("z: no such", WORDS("-fz"));
	assert_refused("z: no such", WORDS("-zf"));
}

static void a_heading_is_no_option(void **state)
{
	(void)state;
	assert_refused("--Section", WORDS("--Section"));
}

static void limits_are_part_of_the_range(void **state)
{
	struct sample s;
	int rest;

	(void)state;
	assert_int_equal(parse(&s, &rest,
			       WORDS("--count", "3", "--size", "1000", "--duration", "1000ns")),
			 OPTIONS_OK);
	assert_int_equal(parse(&s, &rest,
			       WORDS("--count", "5", "--size", "2000", "--duration", "5s")),
			 OPTIONS_OK);
}

/* --- the real table --- */

/* Runs `retina-xdpctl capture` on words that cannot begin a capture; returns its exit status. */
static int run_capture(const char *words)
{
	const char *build = getenv("RETINA_BUILD");
	char line[512];
	size_t n;
	FILE *f;

	assert_true((size_t)snprintf(line, sizeof(line), "%s/tools/retina-xdpctl capture %s 2>&1",
				     build, words) < sizeof(line));
	f = popen(line, "re");
	assert_non_null(f);
	n = fread(said, 1, sizeof(said) - 1, f);
	said[n] = 0;
	return WEXITSTATUS(pclose(f));
}

static void need_the_tool(void)
{
	if (!getenv("RETINA_BUILD"))
		skip();
}

/* Without an interface it always fails with status 1: the line says whether the option did. */
static void assert_taken(const char *option, const char *value)
{
	char words[128];

	(void)snprintf(words, sizeof(words), "--%s '%s'", option, value);
	assert_int_equal(run_capture(words), 1);
	if (!strstr(said, "no interface"))
		fail_msg("%s: %s", words, said);
}

static void assert_not_taken(const char *option, const char *value)
{
	char words[128], name[64];

	(void)snprintf(words, sizeof(words), "--%s '%s'", option, value);
	(void)snprintf(name, sizeof(name), "-%s", strcmp(option, "autostop") ? option : "a");
	assert_int_equal(run_capture(words), 1);
	if (strstr(said, "no interface") || !strstr(said, name) ||
	    strchr(said, '\n') != said + strlen(said) - 1)
		fail_msg("%s: %s", words, said);
}

static void every_number_of_capture_keeps_its_range(void **state)
{
	/* The contract, written down a second time. */
	static const struct {
		const char *option, *below, *min, *max, *above;
	} ranges[] = {
		{"snaplen", NULL, "0", "262144", "262145"},
		{"packet-size", NULL, "0", "262144", "262145"},
		{"duration", "999999ns", "1ms", "3650d", "315360000000000001ns"},
		{"max-size", "4095", "4096", "8T", "8000000000001"},
		{"count", "0", "1", "9223372036854775807", "9223372036854775808"},
		{"ring-size", "4095", "4096", "256Mi", "268435457"},
		{"flush-interval", "9999999ns", "10ms", "1h", "3600000000001ns"},
		{"workers", "0", "1", "64", "65"},
		{"level", "-51", "-50", "19", "20"},
		{"autostop", "duration:0", "duration:1ms", "duration:315360000",
		 "duration:315360001"},
		{"autostop", "packets:0", "packets:1", "packets:1000000000000",
		 "packets:18446744073709551616"},
		{"autostop", "filesize:4", "filesize:5", "filesize:8000000000",
		 "filesize:8000000001"},
	};

	(void)state;
	need_the_tool();
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (ranges[i].below)
			assert_not_taken(ranges[i].option, ranges[i].below);
		assert_taken(ranges[i].option, ranges[i].min);
		assert_taken(ranges[i].option, ranges[i].max);
		assert_not_taken(ranges[i].option, ranges[i].above);
	}
}

static void every_choice_of_capture_is_taken_and_no_other(void **state)
{
	static const struct {
		const char *option, *choices[5];
	} all[] = {
		{"direction", {"in", "out", "inout"}},
		{"source", {"tap"}},
		{"hook", {"auto", "xdp", "tcx", "clsact"}},
		{"format", {"pcapng", "pcap"}},
		{"compress", {"zstd", "none"}},
		{"order", {"time"}},
		{"level", {"adaptive", "-1", "1"}},
		{"cpus", {"0", "0-3,5"}},
	};

	(void)state;
	need_the_tool();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (unsigned k = 0; all[i].choices[k]; k++)
			assert_taken(all[i].option, all[i].choices[k]);
		assert_not_taken(all[i].option, "nonsense");
		assert_not_taken(all[i].option, "");
	}
	assert_not_taken("level", "0");
	assert_not_taken("autostop", "nonsense");
	assert_not_taken("autostop", "nonsense:3");
	assert_not_taken("autostop", "duration:18446744073"); /* would overflow the deadline */
}

static void capture_says_what_is_missing(void **state)
{
	(void)state;
	need_the_tool();
	assert_int_equal(run_capture(""), 1);
	assert_non_null(strstr(said, "no interface"));
	assert_int_equal(run_capture("-i lo"), 1);
	assert_non_null(strstr(said, "no file"));
	assert_int_equal(run_capture("--help"), 0);
	assert_non_null(strstr(said, "--max-size"));
	assert_int_equal(run_capture("-i lo -w - --json"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_option_reaches_its_field),
		cmocka_unit_test(every_error_is_told_in_one_line),
		cmocka_unit_test(an_unknown_letter_is_named_wherever_it_stands),
		cmocka_unit_test(a_heading_is_no_option),
		cmocka_unit_test(limits_are_part_of_the_range),
		cmocka_unit_test(every_number_of_capture_keeps_its_range),
		cmocka_unit_test(every_choice_of_capture_is_taken_and_no_other),
		cmocka_unit_test(capture_says_what_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
