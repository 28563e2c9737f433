/* SPDX-License-Identifier: MIT */
/*
 * cmd_send.c: the command line of "retina-traffic send".
 *
 * Turns options into a send_config that send_run() can trust: sizes that fit the kinds and the
 * interface, and only what the method can do. Main thread only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "live.h"
#include "outlet.h"
#include "payload.h"
#include "send.h"

static const char help[] =
	"usage: retina-traffic send -i IF [options]\n"
	"  -i, --interface IF   interface to send on\n"
	"  --method M           packet (default): AF_PACKET, through qdisc and tc egress\n"
	"                       bypass: AF_PACKET without them\n"
	"                       live: frames made by BPF_PROG_TEST_RUN, flat out only\n"
	"                       udp: UDP sockets, headers by the kernel (kinds udp4, udp6)\n"
	"  --rate PPS           packets a second; 0 (default): flat out\n"
	"  --count N            stop after N packets\n"
	"  --duration SEC       stop after SEC seconds; without --count and --duration: at SIGINT\n"
	"  --burst N            packets at a time, 1 to 1024 (default: by the rate)\n"
	"  --size N|imix|MIN-MAX  frame length without FCS (default: shortest that fits); imix is\n"
	"                       60, 590 and 1514 at 7:4:1; a range is uniform\n"
	"  --kind LIST          udp4,udp6,tcp4,tcp6,icmp4,icmp6,dns4,dns6, in turn (default udp4)\n"
	"  --flows N            different sources, in turn (default 1)\n"
	"  --seed N             take flows in random order; also seeds random sizes\n"
	"  --vlan ID            802.1Q tag\n"
	"  --qinq OUTER,INNER   802.1ad tag, then 802.1Q tag\n"
	"  --stream ID          number that tells runs apart, 32 bits (default 1)\n"
	"  --first-seq N        first sequence number, 48 bits (default 0)\n"
	"  --src-mac, --dst-mac MAC   (default 02:52:58:00:00:01 and ..:02: no host's, so no "
	"answers)\n"
	"  --src-ip, --dst-ip IP      IPv4 or IPv6, may be given once for each (default "
	"198.18.0.1,\n"
	"                       198.18.128.1, 2001:2::1, 2001:2::8001); flow N adds N % 251 to the "
	"source\n"
	"  --gso N              method udp: super-packets of segments with N payload bytes\n"
	"  --cpu N              run on that CPU\n";

enum {
	OPT_HELP = 256,
	OPT_METHOD,
	OPT_RATE,
	OPT_COUNT,
	OPT_DURATION,
	OPT_BURST,
	OPT_SIZE,
	OPT_KIND,
	OPT_FLOWS,
	OPT_SEED,
	OPT_VLAN,
	OPT_QINQ,
	OPT_STREAM,
	OPT_FIRST_SEQ,
	OPT_SRC_MAC,
	OPT_DST_MAC,
	OPT_SRC_IP,
	OPT_DST_IP,
	OPT_GSO,
	OPT_CPU,
};

static const struct option options[] = {
	{"help", no_argument, NULL, OPT_HELP},
	{"interface", required_argument, NULL, 'i'},
	{"method", required_argument, NULL, OPT_METHOD},
	{"rate", required_argument, NULL, OPT_RATE},
	{"count", required_argument, NULL, OPT_COUNT},
	{"duration", required_argument, NULL, OPT_DURATION},
	{"burst", required_argument, NULL, OPT_BURST},
	{"size", required_argument, NULL, OPT_SIZE},
	{"kind", required_argument, NULL, OPT_KIND},
	{"flows", required_argument, NULL, OPT_FLOWS},
	{"seed", required_argument, NULL, OPT_SEED},
	{"vlan", required_argument, NULL, OPT_VLAN},
	{"qinq", required_argument, NULL, OPT_QINQ},
	{"stream", required_argument, NULL, OPT_STREAM},
	{"first-seq", required_argument, NULL, OPT_FIRST_SEQ},
	{"src-mac", required_argument, NULL, OPT_SRC_MAC},
	{"dst-mac", required_argument, NULL, OPT_DST_MAC},
	{"src-ip", required_argument, NULL, OPT_SRC_IP},
	{"dst-ip", required_argument, NULL, OPT_DST_IP},
	{"gso", required_argument, NULL, OPT_GSO},
	{"cpu", required_argument, NULL, OPT_CPU},
	{0},
};

struct arguments {
	struct send_config config;
	const char *interface;
	int cpu; /* -1: anywhere */
};

static bool parse_size(const char *text, struct plan *plan)
{
	uint64_t min;
	uint64_t max;
	char *copy;
	char *dash;
	bool ok;

	if (strcmp(text, "imix") == 0) {
		plan->imix = true;
		return true;
	}
	copy = strdup(text);
	if (!copy)
		return false;
	dash = strchr(copy, '-');
	if (dash)
		*dash = 0;
	ok = command_number(copy, PACKET_SIZE_MAX, &min) &&
	     command_number(dash ? dash + 1 : copy, PACKET_SIZE_MAX, &max) && min > 0 && min <= max;
	free(copy);
	if (ok) {
		plan->imix = false;
		plan->size_min = (size_t)min;
		plan->size_max = (size_t)max;
	}
	return ok;
}

static bool parse_kinds(const char *text, struct plan *plan)
{
	char *copy = strdup(text);
	char *rest = copy;
	bool ok = copy != NULL;

	plan->kinds_count = 0;
	while (ok && rest) {
		enum packet_kind kind = packet_kind_find(strsep(&rest, ","));

		ok = kind < PACKET_KINDS && plan->kinds_count < PLAN_KINDS_MAX;
		if (ok)
			plan->kinds[plan->kinds_count++] = kind;
	}
	free(copy);
	return ok;
}

static bool parse_qinq(const char *text, struct packet_config *packet)
{
	char end;

	packet->vlans = 2;
	return sscanf(text, "%hu,%hu%c", &packet->vlan[0], &packet->vlan[1], &end) == 2 &&
	       packet->vlan[0] < 4095 && packet->vlan[1] < 4095;
}

static bool parse_mac(const char *text, uint8_t *ret)
{
	char end;

	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &ret[0], &ret[1], &ret[2],
		      &ret[3], &ret[4], &ret[5], &end) == 6;
}

static bool parse_ip(const char *text, uint8_t *ret4, uint8_t *ret6)
{
	return inet_pton(AF_INET, text, ret4) == 1 || inet_pton(AF_INET6, text, ret6) == 1;
}

/* Return: whether @text is a right value of the option. */
static bool parse_option(struct arguments *args, int option, const char *text)
{
	struct send_config *config = &args->config;
	uint64_t n = 0;
	bool ok;

	switch (option) {
	case 'i':
		args->interface = text;
		return true;
	case OPT_METHOD:
		config->method = send_method_find(text);
		return config->method < SEND_METHODS;
	case OPT_RATE:
		return command_number(text, 1000000000, &config->rate);
	case OPT_COUNT:
		return command_number(text, PAYLOAD_SEQ_MAX, &config->count) && config->count > 0;
	case OPT_DURATION:
		return command_seconds(text, &config->duration_ns);
	case OPT_BURST:
		ok = command_number(text, OUTLET_SLOTS_MAX, &n) && n > 0;
		config->burst = (unsigned)n;
		return ok;
	case OPT_SIZE:
		return parse_size(text, &config->plan);
	case OPT_KIND:
		return parse_kinds(text, &config->plan);
	case OPT_FLOWS:
		ok = command_number(text, PACKET_FLOWS_MAX, &n) && n > 0;
		config->plan.flows = (uint32_t)n;
		return ok;
	case OPT_SEED:
		config->plan.random_flows = true;
		return command_number(text, UINT64_MAX, &config->plan.seed);
	case OPT_VLAN:
		ok = command_number(text, 4094, &n);
		config->packet.vlans = 1;
		config->packet.vlan[0] = (uint16_t)n;
		return ok;
	case OPT_QINQ:
		return parse_qinq(text, &config->packet);
	case OPT_STREAM:
		ok = command_number(text, UINT32_MAX, &n);
		config->packet.stream = (uint32_t)n;
		return ok;
	case OPT_FIRST_SEQ:
		return command_number(text, PAYLOAD_SEQ_MAX, &config->first_seq);
	case OPT_SRC_MAC:
		return parse_mac(text, config->packet.src_mac);
	case OPT_DST_MAC:
		return parse_mac(text, config->packet.dst_mac);
	case OPT_SRC_IP:
		config->bind_src4 |= strchr(text, '.') != NULL;
		config->bind_src6 |= strchr(text, ':') != NULL;
		return parse_ip(text, config->packet.src4, config->packet.src6);
	case OPT_DST_IP:
		return parse_ip(text, config->packet.dst4, config->packet.dst6);
	case OPT_GSO:
		ok = command_number(text, SEND_GSO_BYTES, &n) && n >= PAYLOAD_STAMP_SIZE;
		config->gso = (unsigned)n;
		return ok;
	case OPT_CPU:
		ok = command_number(text, CPU_SETSIZE - 1, &n);
		args->cpu = (int)n;
		return ok;
	default:
		return false;
	}
}

static const char *option_name(int option)
{
	const struct option *o = options;

	while (o->name && o->val != option)
		o++;
	return o->name ? o->name : "?";
}

static int check_method(const struct send_config *config)
{
	const struct plan *plan = &config->plan;

	if (config->gso && config->method != SEND_UDP)
		return command_fail(COMMAND_USAGE, "--gso needs --method udp");
	if (config->gso && (plan->imix || plan->size_min))
		return command_fail(COMMAND_USAGE,
				    "--gso sets the size: --size can't be given too");
	for (unsigned i = 0; i < plan->kinds_count; i++) {
		enum packet_kind kind = plan->kinds[i];

		if (config->method == SEND_UDP && kind != PACKET_UDP4 && kind != PACKET_UDP6)
			return command_fail(COMMAND_USAGE, "--method udp can't send %s",
					    packet_kind_name(kind));
		if (config->method == SEND_LIVE && (kind == PACKET_DNS4 || kind == PACKET_DNS6))
			return command_fail(
				COMMAND_USAGE,
				"--method live can't send %s: the name can't be rewritten",
				packet_kind_name(kind));
	}
	if (config->method == SEND_UDP && config->packet.vlans)
		return command_fail(COMMAND_USAGE, "--method udp can't tag: give a VLAN interface");
	if (config->method == SEND_UDP && plan->flows * plan->kinds_count > SEND_UDP_FLOWS)
		return command_fail(COMMAND_USAGE, "--method udp has at most %d flows",
				    SEND_UDP_FLOWS);
	if (config->method != SEND_LIVE)
		return COMMAND_DONE;
	if (config->rate || config->burst)
		return command_fail(COMMAND_USAGE,
				    "--method live is flat out: no --rate, no --burst");
	if (plan->imix || plan->size_min != plan->size_max || plan->random_flows)
		return command_fail(COMMAND_USAGE, "--method live: one --size, flows in turn");
	if (plan->size_min > LIVE_FRAME_MAX)
		return command_fail(COMMAND_USAGE, "--method live: frames are at most %d bytes",
				    LIVE_FRAME_MAX);
	if (plan->flows > PACKET_PORT_COUNT)
		return command_fail(COMMAND_USAGE, "--method live has at most %d flows",
				    PACKET_PORT_COUNT);
	return COMMAND_DONE;
}

static int check_size(const struct send_config *config)
{
	const struct plan *plan = &config->plan;
	size_t minimum = plan_minimum(plan, &config->packet);
	size_t limit = device_frame_max(&config->device, config->packet.vlans == 1);
	size_t maximum = plan_maximum(plan, &config->packet);

	if (plan->size_min && plan->size_min < minimum)
		return command_fail(COMMAND_USAGE, "--size %zu is too small: these frames need %zu",
				    plan->size_min, minimum);
	if (config->gso)
		maximum = config->gso + packet_layout(&config->packet, plan->kinds[0]).payload;
	if (maximum > limit)
		return command_fail(COMMAND_FAILED, "%s takes frames of %zu bytes at most, not %zu",
				    config->device.name, limit, maximum);
	return COMMAND_DONE;
}

static int pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return COMMAND_DONE;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		return command_fail(COMMAND_FAILED, "CPU %d: %s", cpu, strerror(errno));
	return COMMAND_DONE;
}

static int run(const struct arguments *args)
{
	const struct send_config *config = &args->config;
	struct report *report = calloc(1, sizeof(*report));
	int status = COMMAND_DONE;
	int r;

	if (!report)
		return command_fail(COMMAND_FAILED, "out of memory");
	report->interface = args->interface;
	report->method = send_method_name(config->method);
	report->stream = config->packet.stream;
	r = send_run(config, report, command_stop());
	if (r == -EOPNOTSUPP && config->method == SEND_LIVE)
		status =
			command_fail(COMMAND_FAILED,
				     "%s: took no live frame; a veth needs GRO on at its other end",
				     args->interface);
	else if (r < 0)
		status = command_fail(COMMAND_FAILED, "%s: %s: %s", args->interface, report->method,
				      strerror(-r));
	/* After a failure too: what was sent was sent. */
	r = report_print(report, NULL);
	if (r < 0)
		status = command_fail(COMMAND_FAILED, "standard output: %s", strerror(-r));
	free(report);
	return status;
}

int cmd_send(int argc, char **argv)
{
	struct arguments args = {
		.config = {.packet = {.src_mac = {0x02, 0x52, 0x58, 0, 0, 1},
				      .dst_mac = {0x02, 0x52, 0x58, 0, 0, 2},
				      .src4 = {198, 18, 0, 1},
				      .dst4 = {198, 18, 128, 1},
				      .src6 = {0x20, 0x01, 0, 2, [15] = 1},
				      .dst6 = {0x20, 0x01, 0, 2, [14] = 0x80, [15] = 1},
				      .stream = 1},
			   .plan = {.kinds = {PACKET_UDP4},
				    .kinds_count = 1,
				    .flows = 1,
				    .seed = 1}},
		.cpu = -1,
	};
	int option;
	int status;
	int r;

	while ((option = getopt_long(argc, argv, "i:h", options, NULL)) != -1) {
		if (option == '?')
			return COMMAND_USAGE; /* getopt_long() named it */
		if (option == OPT_HELP || option == 'h') {
			(void)fputs(help, stdout);
			return COMMAND_DONE;
		}
		if (!parse_option(&args, option, optarg))
			return command_fail(COMMAND_USAGE, "--%s: bad value '%s'",
					    option_name(option), optarg);
	}
	if (optind < argc)
		return command_fail(COMMAND_USAGE, "unexpected argument '%s'", argv[optind]);
	if (!args.interface)
		return command_fail(COMMAND_USAGE, "no interface: give -i IF");
	if (args.config.count && args.config.first_seq > PAYLOAD_SEQ_MAX - args.config.count)
		return command_fail(COMMAND_USAGE, "sequence numbers would exceed 48 bits");
	status = check_method(&args.config);
	if (status != COMMAND_DONE)
		return status;
	r = device_find(&args.config.device, args.interface);
	if (r < 0)
		return command_fail(COMMAND_FAILED, "%s: %s", args.interface, strerror(-r));
	status = check_size(&args.config);
	if (status == COMMAND_DONE)
		status = pin(args.cpu);
	if (status != COMMAND_DONE)
		return status;
	return run(&args);
}
