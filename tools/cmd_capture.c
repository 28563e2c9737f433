// SPDX-License-Identifier: MIT
/* cmd_capture.c: retina-xdpctl capture: options to a configuration, signals to a stop, the result
 * to a report and an exit status. */
#include <errno.h>
#include <retina/capture.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "commands.h"
#include "control.h"
#include "options.h"
#include "progress.h"
#include "quantity.h"
#include "report.h"
#include "words.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull
#define KIB	  1024ull
#define TB	  1000000000000ull

enum { INTERFACES_MAX = 1024, CPUS_MAX = 1024, TARGETS_MAX = 65536 };

struct capture_options {
	const char *interfaces[INTERFACES_MAX];
	unsigned interface_count;
	const char *path;
	uint64_t snaplen, count, duration_ns, max_size, ring_size, flush_interval_ns, workers;
	int direction, source, hook, order;
	int format, compress; /* -1: by the file's name */
	int level;
	unsigned cpus[CPUS_MAX], cpu_count;
	const char *name, *comment;
	const char *include[TARGETS_MAX], *exclude[TARGETS_MAX];
	unsigned include_count, exclude_count;
	uint64_t sample;
	int sample_by; /* -1: not said */
	char *filter;
	const char *control;
	bool force, fail_on_loss, json, quiet, verbose;
};

static bool add_interface(void *data, const struct option_spec *o, const char *argument)
{
	struct capture_options *k = data;

	(void)o;
	if (k->interface_count == INTERFACES_MAX)
		return usage_error("more than %d interfaces", INTERFACES_MAX);
	k->interfaces[k->interface_count++] = argument;
	return true;
}

/* T[,T...] or @FILE; the commas end strings in place, in an argument that is ours. */
static bool add_targets(const char **list, unsigned *count, const struct option_spec *o,
			const char *argument)
{
	char *rest = (char *)argument, *text;

	if (*argument == '@') {
		list[(*count)++] = argument;
		return true;
	}
	while ((text = strsep(&rest, ","))) {
		if (*count == TARGETS_MAX - 1)
			return usage_error("--%s: more than %d: put them into a file, --%s @FILE",
					   o->name, TARGETS_MAX - 1, o->name);
		list[(*count)++] = text;
	}
	return true;
}

static bool add_include(void *data, const struct option_spec *o, const char *argument)
{
	struct capture_options *k = data;

	return add_targets(k->include, &k->include_count, o, argument);
}

static bool add_exclude(void *data, const struct option_spec *o, const char *argument)
{
	struct capture_options *k = data;

	return add_targets(k->exclude, &k->exclude_count, o, argument);
}

/* 1/N or N. */
static bool parse_sample(void *data, const struct option_spec *o, const char *argument)
{
	struct capture_options *k = data;
	const char *number = strncmp(argument, "1/", 2) == 0 ? argument + 2 : argument;
	char shown[128];

	if (!quantity_parse_count(&k->sample, number))
		return usage_error("--%s %s: it must be 1/N, such as 1/100", o->name, argument);
	(void)snprintf(shown, sizeof(shown), "--%s %s", o->name, argument);
	return options_check_range(o, shown, k->sample);
}

static bool parse_cpus(void *data, const struct option_spec *o, const char *argument)
{
	struct capture_options *k = data;

	if (quantity_parse_cpus(k->cpus, CPUS_MAX, &k->cpu_count, argument))
		return true;
	return usage_error("--%s %s: not a list of CPUs (such as 0-3,5)", o->name, argument);
}

static bool parse_level(void *data, const struct option_spec *o, const char *argument)
{
	struct capture_options *k = data;
	char *end;
	long level = strtol(argument, &end, 10);

	if (strcmp(argument, "adaptive") == 0) {
		k->level = 0;
		return true;
	}
	if (!*argument || *end || level < -50 || level > 19 || level == 0)
		return usage_error("--%s %s: it must be adaptive, or -50 to 19 but not 0", o->name,
				   argument);
	k->level = (int)level;
	return true;
}

static bool parse_autostop(void *data, const struct option_spec *o, const char *argument);

static const char *const directions[] = {"inout", "in", "out", NULL};
static const char *const sources[] = {"tap", NULL};
static const char *const hooks[] = {"auto", "xdp", "tcx", "clsact", NULL};
static const char *const formats[] = {"pcapng", "pcap", NULL};
static const char *const compressions[] = {"zstd", "none", NULL};
static const char *const sample_units[] = {"packet", "flow", NULL};
static const char *const orders[] = {"time", NULL};

#define FIELD(f) .offset = offsetof(struct capture_options, f)

static const struct option_spec options[] = {
	{OPTION_SECTION, .name = "What to record"},
	{OPTION_CUSTOM, 'i', "interface", "NAME", .parse = add_interface,
	 .help = "an interface; may be repeated; any: all there are and will be"},
	{OPTION_CHOICE, 'Q', "direction", "DIR", FIELD(direction), .choices = directions,
	 .help = "in, out or inout (default)"},
	{OPTION_CUSTOM, 0, "include", "TARGETS", .parse = add_include,
	 .help = "only from or to these: IP[/LEN][:PORT],[v6]:PORT,*:PORT or @FILE"},
	{OPTION_CUSTOM, 0, "exclude", "TARGETS", .parse = add_exclude,
	 .help = "nothing from or to these targets; wins over --include"},
	{OPTION_CUSTOM, 0, "sample", "1/N", .min = 1, .max = UINT32_MAX, .parse = parse_sample,
	 .help = "one in N of the frames that match"},
	{OPTION_CHOICE, 0, "sample-by", "UNIT", FIELD(sample_by), .choices = sample_units,
	 .help = "packet (default) or flow: all packets of one in N flows"},
	{OPTION_COUNT, 's', "snaplen", "N", FIELD(snaplen), .min = 0, .max = 262144,
	 .help = "bytes of a frame to keep; 0 and default: 262144"},
	{OPTION_COUNT, 0, "packet-size", "N", FIELD(snaplen), .min = 0, .max = 262144,
	 .help = "the same as --snaplen"},
	{OPTION_CHOICE, 0, "source", "SOURCE", FIELD(source), .choices = sources,
	 .help = "tap (default): the traffic is not touched"},
	{OPTION_CHOICE, 0, "hook", "HOOK", FIELD(hook), .choices = hooks,
	 .help = "auto (default), xdp, tcx or clsact for incoming frames"},

	{OPTION_SECTION, .name = "Where to"},
	{OPTION_TEXT, 'w', "write", "PATH", FIELD(path), .help = "the file; - is standard output"},
	{OPTION_FLAG, 0, "force", FIELD(force), .help = "overwrite an existing file"},
	{OPTION_CHOICE, 0, "format", "FORMAT", FIELD(format), .choices = formats,
	 .help = "pcapng or pcap; default: by the file's name, else pcapng"},
	{OPTION_CHOICE, 0, "compress", "METHOD", FIELD(compress), .choices = compressions,
	 .help = "zstd or none; default: zstd, but none for -, *.pcapng, *.pcap"},
	{OPTION_CUSTOM, 0, "level", "LEVEL", .parse = parse_level,
	 .help = "adaptive (default: by load), or zstd's -50 to 19"},
	{OPTION_CHOICE, 0, "order", "ORDER", FIELD(order), .choices = orders,
	 .help = "time (default)"},
	{OPTION_TEXT, 0, "comment", "TEXT", FIELD(comment), .help = "put into the file's header"},

	{OPTION_SECTION, .name = "When to stop (also: SIGINT, SIGTERM)"},
	{OPTION_DURATION, 0, "duration", "TIME", FIELD(duration_ns), .min = NS_PER_MS,
	 .max = 3650 * 86400 * NS_PER_S, .help = "such as 30s, 10m, 1h30m; from the first hook on"},
	{OPTION_SIZE, 0, "max-size", "SIZE", FIELD(max_size), .min = 4096, .max = 8 * TB,
	 .help = "such as 100MB or 64Mi; the file never exceeds it"},
	{OPTION_COUNT, 'c', "count", "N", FIELD(count), .min = 1, .max = INT64_MAX,
	 .help = "packets in the file"},
	{OPTION_CUSTOM, 'a', "autostop", "COND", .parse = parse_autostop,
	 .help = "duration:S, filesize:kB or packets:N, as dumpcap has it"},

	{OPTION_SECTION, .name = "How"},
	{OPTION_SIZE, 0, "ring-size", "SIZE", FIELD(ring_size), .min = 4 * KIB,
	 .max = 256 * KIB * KIB,
	 .help = "buffer of each CPU, rounded up to a power of two; default 32Mi or less"},
	{OPTION_DURATION, 0, "flush-interval", "TIME", FIELD(flush_interval_ns),
	 .min = 10 * NS_PER_MS, .max = 3600 * NS_PER_S,
	 .help = "until a packet is in the file at the latest; default 1s"},
	{OPTION_COUNT, 0, "workers", "N", FIELD(workers), .min = 1, .max = 64,
	 .help = "packer threads; default: one per CPU, at most 4"},
	{OPTION_CUSTOM, 0, "cpus", "LIST", .parse = parse_cpus,
	 .help = "CPUs for the packers, such as 0-3,5"},

	{OPTION_TEXT, 0, "control", "PATH", FIELD(control),
	 .help = "socket for filter set, target; none; default: /run/retina-xdp/SESSION.sock"},

	{OPTION_SECTION, .name = "What to say"},
	{OPTION_TEXT, 0, "name", "SESSION", FIELD(name), .help = "of the capture, in its summary"},
	{OPTION_FLAG, 0, "json", FIELD(json), .help = "the summary as JSON on standard output"},
	{OPTION_FLAG, 0, "fail-on-loss", FIELD(fail_on_loss),
	 .help = "exit status 3 if packets were lost"},
	{OPTION_FLAG, 'q', "quiet", FIELD(quiet), .help = "errors and warnings only"},
	{OPTION_FLAG, 'v', "verbose", FIELD(verbose), .help = "details, for finding faults"},
	{0},
};

static const struct option_spec *option_named(const char *name)
{
	const struct option_spec *o = options;

	while (strcmp(o->name, name) != 0)
		o++;
	return o;
}

/* dumpcap's -a duration:S, filesize:kB, packets:N: other spellings of three options, whose bounds
 * they share. */
static bool parse_autostop(void *data, const struct option_spec *o, const char *argument)
{
	struct capture_options *k = data;
	const char *value = strchr(argument, ':');
	const char *name;
	char shown[128];
	uint64_t *field, n;

	(void)o;
	if (value && strncmp(argument, "duration:", 9) == 0) {
		name = "duration";
		field = &k->duration_ns;
	} else if (value && strncmp(argument, "filesize:", 9) == 0) {
		name = "max-size";
		field = &k->max_size;
	} else if (value && strncmp(argument, "packets:", 8) == 0) {
		name = "count";
		field = &k->count;
	} else {
		return usage_error("-a %s: it must be duration:S, filesize:kB or packets:N",
				   argument);
	}
	value++;
	if (field == &k->duration_ns ? !quantity_parse_duration(&n, value)
				     : !quantity_parse_count(&n, value))
		return usage_error("-a %s: %s is not a number", argument, value);
	if (field == &k->max_size && __builtin_mul_overflow(n, 1000, &n))
		n = UINT64_MAX;
	(void)snprintf(shown, sizeof(shown), "-a %s", argument);
	if (!options_check_range(option_named(name), shown, n))
		return false;
	*field = n;
	return true;
}

static const char *const examples[] = {
	"retina-xdpctl capture -i eth0 -w /tmp/a.pcapng.zst --duration 10s",
	"ten seconds of eth0, both directions, compressed; tshark -r reads it",
	"retina-xdpctl capture -i any -s 128 --max-size 100MB -w heads.pcapng.zst",
	"the first 128 bytes of every frame of every interface, up to 100 MB",
	"retina-xdpctl capture -i eth0 -w web.pcapng.zst --exclude 10.0.0.9 tcp port 443",
	"TLS, but not from or to 10.0.0.9: filter expressions are tcpdump's",
	"retina-xdpctl capture -i eth0 -w - | tshark -i -",
	"look at the traffic live",
	NULL,
};

static const struct command command = {
	.name = "capture",
	.synopsis = "capture -i IF [-i IF]... -w FILE [options] [expression]",
	.summary = "Record interfaces to a file, in the kernel, without touching the traffic.",
	.examples = examples,
	.options = options,
};

/* What the log function needs. */
struct voice {
	enum retina_log_level level;
	struct progress progress;
};

static void say(void *data, enum retina_log_level level, const char *format, va_list args)
{
	struct voice *v = data;
	char text[RETINA_MESSAGE_MAX];

	if (level > v->level)
		return;
	(void)vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\r")] = 0;
	for (size_t len = strlen(text); len && text[len - 1] == '\n'; len--)
		text[len - 1] = 0;
	progress_clear(&v->progress);
	/* Further lines show a place in an expression: they stay in line with each other. */
	(void)fprintf(stderr, "retina-xdpctl: %s%s\n",
		      level == RETINA_LOG_WARNING ? "warning: " : "", text);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/* What was not said follows from the file's name. */
static void choose_format(struct capture_options *k)
{
	if (k->format < 0)
		k->format = ends_with(k->path, ".pcap") || ends_with(k->path, ".pcap.zst")
				    ? RETINA_PCAP
				    : RETINA_PCAPNG;
	if (k->compress < 0)
		k->compress = strcmp(k->path, "-") == 0 || ends_with(k->path, ".pcap") ||
					      ends_with(k->path, ".pcapng")
				      ? RETINA_UNCOMPRESSED
				      : RETINA_ZSTD;
}

static bool check(const struct capture_options *k)
{
	if (!k->interface_count)
		return usage_error("no interface was given: use -i NAME or -i any");
	if (!k->path)
		return usage_error("no file was given: use -w FILE, or -w - for standard output");
	if (k->sample_by >= 0 && !k->sample)
		return usage_error("--sample-by says of what --sample 1/N takes one: give both");
	if (strcmp(k->path, "-") == 0 && k->json)
		return usage_error("-w - and --json both want standard output");
	if (strcmp(k->path, "-") == 0 && isatty(STDOUT_FILENO))
		return usage_error("-w -: standard output is a terminal: use a pipe");
	return true;
}

/* The words behind the options, as tcpdump joins them. */
static bool take_filter(struct capture_options *k, int rest, int argc, char **argv)
{
	if (rest == argc)
		return true;
	k->filter = words_join(argc - rest, argv + rest);
	return k->filter && words_check_expression(k->filter);
}

static uint64_t power_of_two(uint64_t v)
{
	uint64_t p = 1;

	while (p < v)
		p *= 2;
	return v ? p : 0;
}

/* Signal handlers have no user data. */
static struct retina_capture *running;

static void on_signal(int number)
{
	(void)number;
	retina_capture_stop(running, RETINA_STOP_SIGNAL);
}

/* The second signal of a kind finds its default: whoever insists can end a process that waits for a
 * reader of its pipe. */
static void handle_signals(struct retina_capture *c)
{
	struct sigaction a = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};

	running = c;
	(void)sigemptyset(&a.sa_mask);
	(void)sigaction(SIGINT, &a, NULL);
	(void)sigaction(SIGTERM, &a, NULL);
	/* Under nohup it stays ignored. */
	if (signal(SIGHUP, SIG_IGN) != SIG_IGN)
		(void)sigaction(SIGHUP, &a, NULL);
}

/* Before the capture is freed: a late signal must not find it. */
static void ignore_signals(void)
{
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
}

static int record(const struct retina_capture_config *config, const struct capture_options *k,
		  struct voice *voice)
{
	bool is_steered = !k->control || strcmp(k->control, "none") != 0;
	struct control *control = NULL;
	struct retina_capture *c;
	struct retina_summary s;
	int r, status = EXIT_DONE;

	r = retina_capture_new(&c, config);
	if (r < 0)
		return r == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
	if (is_steered && !control_start(&control, c, k->control)) {
		retina_capture_free(c);
		return EXIT_FAILED;
	}
	handle_signals(c);
	r = retina_capture_run(c);
	control_stop(control);
	progress_clear(&voice->progress);
	if (r < 0)
		status = EXIT_FAILED;
	retina_capture_summary(c, &s);
	if (s.file_count) {
		if (!k->quiet)
			report_text(&s);
		if (k->json && !report_json(&s))
			status = EXIT_FAILED;
		if (status == EXIT_DONE && k->fail_on_loss && retina_ledger_lost(&s.totals).packets)
			status = EXIT_LOSS;
	}
	ignore_signals();
	retina_capture_free(c);
	return status;
}

int cmd_capture(int argc, char **argv)
{
	static struct capture_options k = {.format = -1, .compress = -1, .sample_by = -1};
	struct voice voice = {.level = RETINA_LOG_INFO};
	struct retina_capture_config config;
	int rest = argc;

	switch (options_parse(&command, &k, argc, argv, &rest)) {
	case OPTIONS_DONE:
		return EXIT_DONE;
	case OPTIONS_BAD:
		return EXIT_USAGE;
	case OPTIONS_OK:
		break;
	}
	if (!check(&k) || !take_filter(&k, rest, argc, argv))
		return EXIT_USAGE;
	choose_format(&k);
	if (k.quiet)
		voice.level = RETINA_LOG_WARNING;
	if (k.verbose)
		voice.level = RETINA_LOG_DEBUG;
	config = (struct retina_capture_config){
		.interfaces = k.interfaces,
		.interface_count = k.interface_count,
		.direction = (enum retina_direction)k.direction,
		.hook = (enum retina_hook)k.hook,
		.snaplen = (uint32_t)k.snaplen,
		.filter = k.filter,
		.include = k.include,
		.include_count = k.include_count,
		.exclude = k.exclude,
		.exclude_count = k.exclude_count,
		.sample = (uint32_t)k.sample,
		.sample_by_flow = k.sample_by == 1,
		.path = k.path,
		.overwrite = k.force,
		.format = (enum retina_format)k.format,
		.compression = (enum retina_compression)k.compress,
		.level = k.level,
		.max_packets = k.count,
		.max_bytes = k.max_size,
		.duration_ns = k.duration_ns,
		.ring_bytes = power_of_two(k.ring_size),
		.flush_interval_ns = k.flush_interval_ns,
		.workers = (unsigned)k.workers,
		.cpus = k.cpu_count ? k.cpus : NULL,
		.cpu_count = k.cpu_count,
		.name = k.name,
		.comment = k.comment,
		.application = "retina-xdpctl " RETINA_VERSION,
		.log = say,
		.log_data = &voice,
		.progress = isatty(STDERR_FILENO) && !k.quiet ? progress_show : NULL,
		.progress_interval_ns = 500 * NS_PER_MS,
		.progress_data = &voice.progress,
	};
	/* A reader that goes away is an error of write(2), which the library reports. */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* so is a file that RLIMIT_FSIZE ends */
	return record(&config, &k, &voice);
}
