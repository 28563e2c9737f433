// SPDX-License-Identifier: MIT
/* cmd_filter.c: retina-xdpctl filter show|test|set: a filter looked at, tried on a file, given to a
 * running capture. */
#include <errno.h>
#include <jansson.h>
#include <retina/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"
#include "commands.h"
#include "options.h"
#include "packet_file.h"
#include "words.h"

enum { DIFFER_SHOWN = 20 };

struct filter_options {
	int link_type;
	const char *pcap;
	bool json;
};

static const char *const link_types[] = {"ethernet", "raw", NULL};

#define FIELD(f) .offset = offsetof(struct filter_options, f)

static const struct option_spec options[] = {
	{OPTION_TEXT, 0, "pcap", "FILE", FIELD(pcap),
	 .help = "test: pcap or pcapng, also .gz, .zst, .lz4, .xz"},
	{OPTION_CHOICE, 0, "link-type", "TYPE", FIELD(link_type), .choices = link_types,
	 .help = "show: ethernet (default) or raw"},
	{OPTION_FLAG, 0, "json", FIELD(json), .help = "the result as JSON on standard output"},
	{0},
};

static const char *const examples[] = {
	"retina-xdpctl filter show tcp port 443",
	"what libpcap compiles it to, and the programs for XDP and tc",
	"retina-xdpctl filter test --pcap trace.pcapng.zst 'vlan and udp'",
	"which packets match, by each program and by libpcap; 2 if they differ",
	"retina-xdpctl filter set web tcp port 443 or udp port 443",
	"change the filter of the running capture called web; '' for everything",
	NULL,
};

static const struct command command = {
	.name = "filter",
	.synopsis = "filter show EXPRESSION | filter test --pcap FILE EXPRESSION | filter set NAME "
		    "EXPRESSION",
	.summary =
		"Look at a filter expression, try it on a file, change that of a running capture.",
	.examples = examples,
	.options = options,
};

static void say(void *data, enum retina_log_level level, const char *format, va_list args)
{
	(void)data;
	if (level > RETINA_LOG_WARNING)
		return;
	(void)fprintf(stderr, "retina-xdpctl: ");
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
}

/* --- show --- */

static const struct {
	enum retina_filter_form form;
	const char *name, *title;
} forms[] = {
	{RETINA_FILTER_CLASSIC, "classic", "classic BPF, by libpcap"},
	{RETINA_FILTER_XDP, "xdp", "eBPF for XDP"},
	{RETINA_FILTER_TC, "tc", "eBPF for tc"},
};

/* Frames to measure with: the shortest of each kind, with ports 443 and 53. */
static const struct {
	const char *name;
	uint8_t bytes[74];
	uint32_t len;
} samples[] = {
	{"IPv4 TCP",
	 {2, 0, 0,  0, 0, 1, 2,	 0, 0, 0, 0,  2, 8, 0, 0x45, 0,	   0,	 40, 0,		  1,
	  0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x1,  0xbb, 0xc0, 0,  [46] = 0x50, 0x10},
	 60},
	{"IPv4 UDP",
	 {2, 0, 0,  0,	0, 1, 2,  0, 0, 0, 0,  2, 8, 0, 0x45, 0,  0,	40, 0, 1,
	  0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0,    53, 0xc0, 0,  0, 20},
	 60},
	{"IPv6 TCP",
	 {2,	0,	  0,	0,	  0,   1,    2,	   0, 0,	   0,	0,
	  2,	0x86,	  0xdd, 0x60,	  0,   0,    0,	   0, 20,	   6,	64,
	  0xfd, [37] = 1, 0xfd, [53] = 2, 0x1, 0xbb, 0xc0, 0, [66] = 0x50, 0x10},
	 74},
	{"ARP",
	 {2, 0, 0, 0, 0, 1, 2, 0,  0, 0, 0, 2, 8, 6, 0, 1, 8, 0,  6, 4, 0,
	  1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2},
	 60},
};

static json_t *measure(struct retina_filter *f)
{
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		uint32_t xdp, tc;

		if (retina_filter_measure(f, samples[i].bytes, samples[i].len, &xdp, &tc) < 0) {
			json_decref(list);
			return NULL;
		}
		(void)json_array_append_new(list,
					    json_pack("{s:s, s:i, s:i}", "frame", samples[i].name,
						      "xdp_ns", (int)xdp, "tc_ns", (int)tc));
	}
	return list;
}

static char *listing(const struct retina_filter *f, enum retina_filter_form form)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	(void)retina_filter_print(f, form, to);
	(void)fclose(to);
	return text;
}

static json_t *describe(const struct retina_filter *f)
{
	json_t *root = json_object();

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct retina_filter_size s = retina_filter_size(f, forms[i].form);
		char *text = listing(f, forms[i].form);

		(void)json_object_set_new(root, forms[i].name,
					  json_pack("{s:i, s:i, s:s}", "instructions",
						    (int)s.instructions, "longest_path",
						    (int)s.longest_path, "listing",
						    text ? text : ""));
		free(text);
	}
	return root;
}

static void print_description(json_t *root, json_t *cost)
{
	json_t *sample;
	size_t i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		json_t *o = json_object_get(root, forms[i].name);

		(void)printf("%s: %lld instructions, %lld on the longest path\n%s\n",
			     forms[i].title,
			     (long long)json_integer_value(json_object_get(o, "instructions")),
			     (long long)json_integer_value(json_object_get(o, "longest_path")),
			     json_string_value(json_object_get(o, "listing")));
	}
	if (!cost)
		(void)printf("cost: root can have it measured\n");
	else
		(void)printf(
			"cost on this machine, ns a frame, the way to the program included:\n");
	json_array_foreach(cost, i, sample)(void)
		printf("  %-9s XDP %lld, tc %lld\n",
		       json_string_value(json_object_get(sample, "frame")),
		       (long long)json_integer_value(json_object_get(sample, "xdp_ns")),
		       (long long)json_integer_value(json_object_get(sample, "tc_ns")));
}

static void be_silent(void *data, enum retina_log_level level, const char *format, va_list args)
{
	(void)data;
	(void)level;
	(void)format;
	(void)args;
}

static int filter_show(const struct filter_options *k, const char *expression)
{
	enum retina_link_type type = k->link_type == 1 ? RETINA_RAW_IP : RETINA_ETHERNET;
	struct retina_filter *f, *measured;
	json_t *root, *cost = NULL;

	if (retina_filter_new(&f, expression, type, say, NULL) < 0)
		return EXIT_USAGE;
	root = describe(f);
	/* Without privileges there is no cost to tell; that is no error. */
	if (type == RETINA_ETHERNET &&
	    retina_filter_new(&measured, expression, type, be_silent, NULL) == 0) {
		cost = measure(measured);
		retina_filter_free(measured);
	}
	if (k->json) {
		(void)json_object_set_new(root, "cost", cost ? json_incref(cost) : json_null());
		(void)json_dumpf(root, stdout, JSON_COMPACT);
		(void)putchar('\n');
	} else {
		print_description(root, cost);
	}
	json_decref(root);
	json_decref(cost);
	retina_filter_free(f);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* --- test --- */

struct trial {
	unsigned long long packets, xdp, tc, libpcap, skipped, cut;
	json_t *differ;
};

/* Return: false after a line on standard error. */
static bool try_packet(struct trial *t, struct retina_filter *f, const struct packet *p)
{
	struct retina_verdict v;
	int r;

	t->packets++;
	t->cut += p->caplen < p->len;
	r = retina_filter_judge(f, p->data, p->caplen, &v);
	if (r == -EMSGSIZE) {
		t->skipped++;
		return true;
	}
	if (r < 0)
		return false;
	t->xdp += v.xdp;
	t->tc += v.tc;
	t->libpcap += v.interpreter;
	if (v.xdp != v.interpreter || v.tc != v.interpreter)
		(void)json_array_append_new(t->differ, json_integer((json_int_t)t->packets));
	return true;
}

static void report(const struct trial *t)
{
	size_t count = json_array_size(t->differ);

	(void)printf("%llu packets\n  XDP program  %llu match\n  tc program   %llu match\n"
		     "  libpcap      %llu match\n",
		     t->packets, t->xdp, t->tc, t->libpcap);
	if (t->skipped)
		(void)printf("%llu not tried: the kernel's test runs refuse frames that end within "
			     "their IP "
			     "header or are very long\n",
			     t->skipped);
	if (count)
		(void)printf("%zu differ: packets", count);
	for (size_t i = 0; i < count && i < DIFFER_SHOWN; i++)
		(void)printf(" %lld", (long long)json_integer_value(json_array_get(t->differ, i)));
	if (count > DIFFER_SHOWN)
		(void)printf(" and %zu more", count - DIFFER_SHOWN);
	if (count)
		(void)putchar('\n');
}

static int try_file(struct packet_file *file, struct retina_filter *f,
		    const struct filter_options *k)
{
	struct trial t = {.differ = json_array()};
	struct packet p;
	bool failed = false;
	int r;

	while (!failed && (r = packet_file_next(file, &p)) > 0)
		failed = !try_packet(&t, f, &p);
	if (t.cut && retina_filter_uses_length(f))
		(void)fprintf(stderr,
			      "retina-xdpctl: %llu packets were cut by a snap length: their length "
			      "is taken to be what is left\n",
			      t.cut);
	if (k->json) {
		json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:O, s:I}", "packets",
				      (json_int_t)t.packets, "xdp", (json_int_t)t.xdp, "tc",
				      (json_int_t)t.tc, "libpcap", (json_int_t)t.libpcap, "differ",
				      t.differ, "skipped", (json_int_t)t.skipped);

		(void)json_dumpf(o, stdout, JSON_COMPACT);
		(void)putchar('\n');
		json_decref(o);
	} else {
		report(&t);
	}
	failed = failed || r < 0 || json_array_size(t.differ) || fflush(stdout) != 0;
	json_decref(t.differ);
	return failed ? EXIT_FAILED : EXIT_DONE;
}

static int filter_test(const struct filter_options *k, const char *expression)
{
	struct packet_file *file;
	struct retina_filter *f;
	int type, status;

	if (!k->pcap)
		return (void)usage_error("filter test: no file was given: use --pcap FILE"),
		       EXIT_USAGE;
	file = packet_file_open(k->pcap);
	if (!file)
		return EXIT_FAILED;
	type = packet_file_link_type(file);
	if (type != RETINA_ETHERNET && type != RETINA_RAW_IP) {
		(void)usage_error("%s: link type %d: filters judge Ethernet and raw IP", k->pcap,
				  type);
		packet_file_close(file);
		return EXIT_FAILED;
	}
	if (retina_filter_new(&f, expression, (enum retina_link_type)type, say, NULL) < 0) {
		packet_file_close(file);
		return EXIT_USAGE;
	}
	status = try_file(file, f, k);
	retina_filter_free(f);
	packet_file_close(file);
	return status;
}

/* --- set --- */

static int filter_set(const char *name, const char *expression)
{
	json_t *reply = client_call(name, "PUT", "/v1/filter",
				    json_pack("{s:s}", "expression", expression));

	if (!reply)
		return EXIT_FAILED;
	if (*expression)
		(void)printf("%s: filter: %s\n", name, expression);
	else
		(void)printf("%s: no filter: everything is recorded\n", name);
	json_decref(reply);
	return EXIT_DONE;
}

static int run(const char *verb, const struct filter_options *k, int count, char **words)
{
	const char *name = NULL;
	char *expression;
	int status = EXIT_USAGE;

	if (strcmp(verb, "set") == 0) {
		if (count < 2)
			return (void)usage_error("wanted: filter set NAME EXPRESSION"), EXIT_USAGE;
		name = *words++;
		count--;
	} else if (strcmp(verb, "show") != 0 && strcmp(verb, "test") != 0) {
		return (void)usage_error("filter %s: it must be show, test or set", verb),
		       EXIT_USAGE;
	} else if (!count) {
		return (void)usage_error("filter %s: no expression was given", verb), EXIT_USAGE;
	}
	expression = words_join(count, words);
	if (!expression || !words_check_expression(expression))
		goto done;
	if (name)
		status = filter_set(name, expression);
	else
		status = strcmp(verb, "show") == 0 ? filter_show(k, expression)
						   : filter_test(k, expression);
done:
	free(expression);
	return status;
}

int cmd_filter(int argc, char **argv)
{
	struct filter_options k = {0};
	const char *verb;
	int rest;

	if (argc < 2 || *argv[1] == '-') {
		if (options_parse(&command, &k, argc, argv, &rest) == OPTIONS_DONE)
			return EXIT_DONE;
		(void)usage_error(
			"wanted: filter show|test|set ...: see retina-xdpctl filter --help");
		return EXIT_USAGE;
	}
	verb = argv[1];
	switch (options_parse(&command, &k, argc - 1, argv + 1, &rest)) {
	case OPTIONS_DONE:
		return EXIT_DONE;
	case OPTIONS_BAD:
		return EXIT_USAGE;
	case OPTIONS_OK:
		break;
	}
	return run(verb, &k, argc - 1 - rest, argv + 1 + rest);
}
