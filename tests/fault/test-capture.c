// SPDX-License-Identifier: MIT
/*
 * test-capture.c: a whole capture through the public API, while one call after the other fails: on
 * an interface of its own in a network namespace of its own, that something is sent through while
 * it is recorded. Whatever fails, nothing stays attached, there is no file unless the recording
 * had begun, and a recording's ledger and file agree.
 */
#include "retina/capture.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/limits.h"
#include "base/record.h"
#include "fault.h"

#define INTERFACE "fault0"
#define PEER	  "fault1"

/* Attach types of tcx, newer than Debian 12's headers. */
enum { TCX_INGRESS = 46, TCX_EGRESS = 47 };

enum {
	SKIPPED = 77,
	ALARM_S = 110,
	DURATION_MAX_S = 5,
	FRAMES_PER_TURN = 3,
	PACKETS = 4,
	FRAME_LEN = 80
};

/* Files are written without io_uring, space taken ahead and direct writes, interfaces described
 * without driver and speed; what is not known of offloads speaks for tc, which a veth gets anyway.
 */
#define DONE_WITHOUT                                                                         \
	" io_uring_queue_init io_uring_register_buffers io_uring_register_files fallocate64" \
	" open_direct fopen64 ethtool offloads "

/* What the parent's look at a qdisc needs: where it fails, the guard removes it. And a filter that
 * can't be the first is behind others. */
#define CLSACT_DOES_WITHOUT "mnl_socket_open2 mnl_socket_sendto bpf_tc_attach "

struct fixture {
	char dir[32], path[64];
	const char *interface;
	enum retina_hook hook;
	enum retina_compression compression;
	int ifindex, sender;
	bool only_run;	/* what is the same up to there was in another trial */
	bool has_begun; /* the last attempt: recorded something */
};

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	strcpy(x->dir, "/tmp/test-fault.XXXXXX");
	if (!mkdtemp(x->dir))
		return -1;
	(void)snprintf(x->path, sizeof(x->path), "%s/out", x->dir);
	x->interface = INTERFACE;
	x->ifindex = (int)if_nametoindex(INTERFACE);
	x->sender = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	*state = x;
	(void)alarm(ALARM_S); /* a hang is a failure */
	return x->ifindex && x->sender >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;

	(void)alarm(0);
	close(x->sender);
	(void)unlink(x->path);
	(void)rmdir(x->dir);
	free(x);
	return 0;
}

/* --- what must not be left --- */

static unsigned attached(int ifindex, int type)
{
	LIBBPF_OPTS(bpf_prog_query_opts, o);

	/* The union's other name is target_ifindex. Kernels before 6.6 refuse: there is none. */
	if (bpf_prog_query_opts(ifindex, (enum bpf_attach_type)type, &o) < 0)
		return 0;
	return o.prog_cnt;
}

static void assert_nothing_attached(int ifindex, bool may_have_qdisc)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, xdp);
	LIBBPF_OPTS(bpf_tc_hook, clsact, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	assert_int_equal(attached(ifindex, TCX_INGRESS), 0);
	assert_int_equal(attached(ifindex, TCX_EGRESS), 0);
	assert_int_equal(bpf_xdp_query(ifindex, 0, &xdp), 0);
	assert_int_equal(xdp.prog_id, 0);
	if (!may_have_qdisc)
		return; /* what follows takes the kernel a while */
	/* Filters need a qdisc, and there is one at most. */
	assert_int_equal(bpf_tc_hook_create(&clsact), 0);
	assert_int_equal(bpf_tc_hook_destroy(&clsact), 0);
}

/* --- the file --- */

static uint8_t *read_file(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "re");
	uint8_t *data = malloc(MIB);

	assert_non_null(f);
	assert_non_null(data);
	*ret_len = fread(data, 1, MIB, f);
	assert_true(*ret_len < MIB);
	(void)fclose(f);
	return data;
}

static uint8_t *decompress(uint8_t *packed, size_t packed_len, size_t *ret_len, bool is_whole)
{
	ZSTD_DCtx *d = ZSTD_createDCtx();
	uint8_t *data = malloc(16 * MIB);
	ZSTD_inBuffer in = {packed, packed_len, 0};
	ZSTD_outBuffer out = {data, 16 * MIB, 0};
	size_t r = 1;

	assert_non_null(data);
	while (in.pos < in.size && r) {
		r = ZSTD_decompressStream(d, &out, &in);
		assert_false(ZSTD_isError(r));
	}
	if (is_whole)
		assert_int_equal(r, 0);
	(void)ZSTD_freeDCtx(d);
	free(packed);
	*ret_len = out.pos;
	return data;
}

/* Walks the blocks; Return: packets in them, each of an interface that was described before. */
static uint64_t count_packets(const struct fixture *x, bool is_whole)
{
	uint64_t packets = 0;
	uint32_t interfaces = 0;
	size_t len;
	uint8_t *data = read_file(x->path, &len);

	if (x->compression == RETINA_ZSTD)
		data = decompress(data, len, &len, is_whole);
	for (size_t i = 0; i < len; i += record_len(data + i)) {
		assert_true(len - i >= 12 && record_len(data + i) <= len - i);
		interfaces += record_type(data + i) == RECORD_INTERFACE_DESCRIPTION;
		if (!record_is_packet(data + i))
			continue;
		if (record_interface(data + i) >= interfaces)
			fail_msg("a packet of interface %u, which is not described",
				 record_interface(data + i));
		packets++;
	}
	free(data);
	return packets;
}

/* --- a capture --- */

/* The capture's thread tells how it stands, and we take the chance to send. */
static void send_frames(void *data, const struct retina_status *status)
{
	const struct fixture *x = data;
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = x->ifindex};
	uint8_t frame[FRAME_LEN] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5};

	(void)status;
	for (unsigned i = 0; i < FRAMES_PER_TURN; i++)
		(void)sendto(x->sender, frame, sizeof(frame), 0, (struct sockaddr *)&to,
			     sizeof(to));
}

static void assert_books_agree(struct fixture *x, const struct retina_summary *s, int r)
{
	struct stat st;

	assert_true(s->balanced);
	assert_int_equal(stat(x->path, &st), 0);
	assert_int_equal(st.st_size, s->files[0].bytes);
	assert_int_equal(s->files[0].packets, s->totals.captured.packets);
	assert_int_equal(count_packets(x, r == 0), s->totals.captured.packets);
	if (r == 0) {
		assert_int_equal(s->stop_reason, RETINA_STOP_PACKETS);
		assert_int_equal(s->totals.captured.packets, PACKETS);
	}
}

static int attempt_capture(void *data)
{
	struct fixture *x = data;
	const struct retina_capture_config config = {
		.interfaces = &x->interface,
		.interface_count = 1,
		.hook = x->hook,
		.path = x->path,
		.compression = x->compression,
		.max_packets = PACKETS,
		.ring_bytes = 1 * MIB,
		.flush_interval_ns = 2 * NS_PER_MS,
		.duration_ns = DURATION_MAX_S * NS_PER_S,
		.workers = 1,
		.comment = "of a test",
		.log = fault_log.function,
		.progress = send_frames,
		.progress_interval_ns = NS_PER_MS,
		.progress_data = x,
	};
	struct retina_capture *c = NULL;
	bool has_run;
	int r;

	fault_hold(x->only_run);
	r = retina_capture_new(&c, &config);
	fault_hold(false);
	has_run = r == 0;
	x->has_begun = false;
	assert_true((r == 0) == (c != NULL));
	if (r == 0) {
		struct retina_summary s;

		r = retina_capture_run(c);
		(void)fault_disarm(); /* the rest of the calls are this test's */
		retina_capture_summary(c, &s);
		x->has_begun = s.file_count > 0;
		if (x->has_begun)
			assert_books_agree(x, &s, r);
		else
			assert_true(r < 0);
	}
	retina_capture_free(c);
	assert_int_equal(access(x->path, F_OK) == 0, x->has_begun);
	if (x->has_begun)
		assert_int_equal(unlink(x->path), 0);
	assert_nothing_attached(x->ifindex, has_run && x->hook == RETINA_HOOK_CLSACT);
	return r;
}

static void each_fault(struct fixture *x, const char *made_up_for, unsigned least)
{
	const struct fault_trial t = {
		.attempt = attempt_capture, .data = x, .made_up_for = made_up_for, .logs = true};
	unsigned n = fault_each(&t);

	print_message("# %u faults\n", n);
	assert_true(n >= least);
}

static void a_capture_at_tcx_fails_clean(void **state)
{
	struct fixture *x = *state;

	x->hook = RETINA_HOOK_AUTO; /* tcx, or clsact before 6.6 */
	each_fault(x, DONE_WITHOUT, 100);
}

static void a_capture_at_clsact_fails_clean(void **state)
{
	struct fixture *x = *state;

	x->hook = RETINA_HOOK_CLSACT;
	x->only_run = true;
	x->compression = RETINA_UNCOMPRESSED;
	each_fault(x, DONE_WITHOUT CLSACT_DOES_WITHOUT, 35);
}

/* A namespace of this process: it ends with it, and what is in it. */
static const char *make_namespace(void)
{
	if (geteuid() != 0)
		return "not root";
	if (unshare(CLONE_NEWNET) < 0)
		return "no network namespace of our own";
	if (system("ip link add " INTERFACE " type veth peer name " PEER
		   " && ip link set " INTERFACE " up && ip link set " PEER
		   " up && ip link set lo up") != 0)
		return "ip(8) cannot make a pair of interfaces";
	return NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_capture_at_tcx_fails_clean, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_capture_at_clsact_fails_clean, set_up, tear_down),
	};
	const char *objection = make_namespace();

	if (objection) {
		(void)fprintf(stderr, "%s\n", objection);
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
