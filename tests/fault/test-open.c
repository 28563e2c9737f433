// SPDX-License-Identifier: MIT
/*
 * test-open.c: every part is built, used a little and freed, while one call after the other fails.
 * A failure is passed up unchanged, or made up for where the comments of the code say so.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/limits.h"
#include "base/record.h"
#include "compressor.h"
#include "config.h"
#include "cutter.h"
#include "encoder.h"
#include "fault.h"
#include "file.h"
#include "journal.h"
#include "merge.h"
#include "packer.h"
#include "pcapng.h"
#include "producer.h"
#include "roster.h"
#include "writer.h"

enum { RINGS = 2, PACKERS = 2, KEYS = 4, PACKETS = 200, SNAPLEN = 1000, ALARM_S = 60 };

/* A file is written all the same without io_uring, without the second descriptor for direct writes
 * and without space taken ahead. */
#define FILE_DOES_WITHOUT                                                                    \
	" io_uring_queue_init io_uring_register_buffers io_uring_register_files fallocate64" \
	" open_direct "

struct fixture {
	char dir[32], path[64];
	struct producer producers[RINGS];
	struct ring *rings[RINGS];
	int wake;
	bool to_stdout, zstd;
};

static const struct roster_selection no_selection = {"", ""};

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	strcpy(x->dir, "/tmp/test-fault.XXXXXX");
	if (!mkdtemp(x->dir))
		return -1;
	(void)snprintf(x->path, sizeof(x->path), "%s/out", x->dir);
	for (unsigned i = 0; i < RINGS; i++) {
		if (producer_init(&x->producers[i], 256 * KIB, 64 * KIB, SNAPLEN) < 0)
			return -1;
		x->rings[i] = &x->producers[i].ring;
	}
	x->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	*state = x;
	(void)alarm(ALARM_S); /* a hang is a failure */
	return x->wake >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;

	(void)alarm(0);
	(void)unlink(x->path);
	for (unsigned i = 0; i < RINGS; i++)
		producer_release(&x->producers[i]);
	close(x->wake);
	(void)rmdir(x->dir);
	free(x);
	return 0;
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static int first_of(int a, int b)
{
	return a < 0 ? a : b;
}

/* --- what is only built --- */

static int attempt_compressor(void *data)
{
	struct compressor *c = NULL;
	int r = compressor_new(&c);

	(void)data;
	assert_true((r == 0) == (c != NULL));
	compressor_free(c);
	return r;
}

static void a_compressor_is_whole_or_not_there(void **state)
{
	const struct fault_trial t = {.attempt = attempt_compressor, .data = *state};

	assert_true(fault_each(&t) >= 10);
}

static int attempt_encoder(void *data)
{
	const struct encoder_config config = {.pcap = true, .zstd = true};
	struct encoder *e = NULL;
	int r = encoder_new(&e, &config);

	(void)data;
	assert_true((r == 0) == (e != NULL));
	encoder_free(e);
	return r;
}

static void an_encoder_is_whole_or_not_there(void **state)
{
	const struct fault_trial t = {.attempt = attempt_encoder, .data = *state};

	assert_true(fault_each(&t) >= 12);
}

static int attempt_merge(void *data)
{
	struct merge *m = NULL;
	int r = merge_new(&m, RINGS);

	(void)data;
	merge_free(m);
	return r;
}

static int attempt_journal(void *data)
{
	struct journal *j = NULL;
	int r = journal_new(&j, 100);

	(void)data;
	journal_free(j);
	return r;
}

static int attempt_roster(void *data)
{
	const struct interface i = {.name = "eth0", .ifindex = 7};
	const struct hook_choice hooks = {HOOK_TCX, HOOK_TCX, "a test"};
	struct member_ledgers l = {0};
	struct buffer b = {0};
	struct roster roster;
	int r = roster_init(&roster, 2, SNAPLEN, "a test's");

	(void)data;
	if (r == 0) {
		(void)roster_add(&roster, &i, &hooks);
		roster_publish(&roster);
		r = section_header(&b, "test", "one");
	}
	if (r == 0) {
		size_t len = b.len;

		r = roster_describe(&roster, &no_selection, &b);
		assert_true((r == 0) == (b.len > len));
		assert_int_equal(roster.described, r == 0);
	}
	for (unsigned n = 0; r == 0 && n < 20; n++) {
		size_t len = b.len;

		r = roster_statistics(&roster, 0, &l, 1, NULL, &b);
		assert_true((r == 0) == (b.len > len));
	}
	buffer_release(&b);
	roster_release(&roster);
	return r;
}

static void merge_journal_and_roster_tell_of_no_memory(void **state)
{
	const struct fault_trial merge = {.attempt = attempt_merge, .data = *state};
	const struct fault_trial journal = {.attempt = attempt_journal, .data = *state};
	const struct fault_trial roster = {.attempt = attempt_roster, .data = *state};

	assert_int_equal(fault_each(&merge), 1);
	assert_int_equal(fault_each(&journal), 1);
	assert_true(fault_each(&roster) >= 3);
}

static int attempt_config(void *data)
{
	const char *const names[] = {"eth0", "eth1", "eth2"};
	const struct retina_capture_config from = {.interfaces = names,
						   .interface_count = 3,
						   .filter = "tcp",
						   .include = names,
						   .include_count = 2,
						   .exclude = names,
						   .exclude_count = 1,
						   .path = "out",
						   .comment = "of a test",
						   .application = "test"};
	struct config c;
	int r = config_init(&c, &from, &fault_log);

	(void)data;
	if (r == 0)
		assert_string_equal(c.c.interfaces[2], "eth2");
	if (r == 0)
		assert_string_equal(c.c.include[1], "eth1");
	config_release(&c); /* also after a failure */
	return r;
}

static void a_configuration_is_copied_whole_or_not_at_all(void **state)
{
	const struct fault_trial t = {.attempt = attempt_config, .data = *state};

	assert_int_equal(fault_each(&t), 16);
}

/* --- files --- */

static int attempt_file(void *data)
{
	struct fixture *x = data;
	const struct file_config config = {.path = x->to_stdout ? "-" : x->path};
	struct file *f = NULL;
	struct stat st;
	int r = file_open(&f, &config);

	if (r < 0) {
		assert_null(f);
		assert_false(exists(x->path));
		return r;
	}
	assert_int_equal(exists(x->path), !x->to_stdout);
	if (x->to_stdout)
		return file_abort(f);
	r = file_append(f, "twelve bytes", 12);
	r = first_of(r, file_close(f));
	assert_int_equal(stat(x->path, &st), 0);
	if (r == 0)
		assert_int_equal(st.st_size, 12);
	assert_int_equal(unlink(x->path), 0);
	return r;
}

static void a_file_is_written_whole_or_tells_why_not(void **state)
{
	const struct fault_trial t = {
		.attempt = attempt_file,
		.data = *state,
		.made_up_for = FILE_DOES_WITHOUT,
	};

	assert_true(fault_each(&t) >= 12);
}

static int attempt_to_open(void *data)
{
	struct fixture *x = data;
	const struct file_config config = {.path = x->path};
	struct file *f = NULL;
	int r = file_open(&f, &config);

	if (r == 0)
		r = file_abort(f);
	assert_false(exists(x->path));
	return r;
}

static void an_aborted_file_leaves_none(void **state)
{
	const struct fault_trial t = {
		.attempt = attempt_to_open,
		.data = *state,
		.made_up_for = FILE_DOES_WITHOUT,
	};

	assert_true(fault_each(&t) >= 10);
}

static void standard_output_is_opened_or_not(void **state)
{
	struct fixture *x = *state;
	const struct fault_trial t = {
		.attempt = attempt_file, .data = x, .made_up_for = FILE_DOES_WITHOUT};

	x->to_stdout = true;
	assert_true(fault_each(&t) >= 5);
}

/* --- threads --- */

static int attempt_packer(void *data)
{
	const struct packer_config config = {.cpu = -1,
					     .slices_max = RINGS,
					     .key_max = KEYS,
					     .encoder = {.pcap = true, .zstd = true}};
	struct packer *p = NULL;
	int r = packer_new(&p, &config);

	(void)data;
	assert_true((r == 0) == (p != NULL));
	if (p)
		packer_send(p, NULL);
	packer_free(p);
	return r;
}

static void a_packer_runs_or_is_not_there(void **state)
{
	const struct fault_trial t = {.attempt = attempt_packer, .data = *state};

	assert_true(fault_each(&t) >= 20);
}

/* What a whole way to the file owns. */
struct way {
	struct file *file;
	struct writer *writer;
	struct packer *packers[PACKERS];
	unsigned packer_count;
	struct cutter *cutter;
	bool is_finished; /* the packers have been told */
	struct buffer head;
	struct roster roster; /* described by the cutter */
};

static int blocks_before(void *data, struct buffer *b)
{
	struct way *y = data;

	return roster_describe(&y->roster, &no_selection, b);
}

static int blocks_after(void *data, struct buffer *b)
{
	(void)data;
	(void)b;
	return 0;
}

static struct output output_of(void *data)
{
	const struct way *y = data;

	return (struct output){.bytes = writer_bytes(y->writer)};
}

static int way_open(struct way *y, struct fixture *x)
{
	const struct encoder_config encoder = {.zstd = x->zstd};
	const struct file_config to = {.path = x->path, .max_bytes = 10 * MIB};
	const struct writer_config config = {.encoder = encoder,
					     .max_packets = 10 * PACKETS,
					     .max_bytes = 10 * MIB,
					     .statistics_room = 100,
					     .key_max = KEYS,
					     .flush_interval_ns = 1,
					     .wake_fd = x->wake};
	int r = file_open(&y->file, &to);

	if (r == 0)
		r = writer_new(&y->writer, &config, y->file);
	if (r == 0)
		r = pcapng_section_header(&y->head, &(struct pcapng_section){.os = "test"});
	if (r == 0)
		r = roster_init(&y->roster, KEYS / 2, SNAPLEN, "a test's");
	for (unsigned i = 0; r == 0 && i < KEYS / 2; i++) {
		const struct interface interface = {.name = "a", .link_type = 1};

		(void)roster_add(&y->roster, &interface, &(struct hook_choice){.reason = "none"});
		roster_publish(&y->roster);
	}
	if (r == 0)
		r = writer_head(y->writer, y->head.data, y->head.len, 0);
	while (r == 0 && y->packer_count < PACKERS) {
		const struct packer_config packer = {.index = y->packer_count,
						     .cpu = -1,
						     .slices_max = RINGS,
						     .key_max = KEYS,
						     .encoder = encoder};

		r = packer_new(&y->packers[y->packer_count], &packer);
		if (r == 0)
			y->packer_count++;
	}
	if (r == 0)
		r = writer_start(y->writer, y->packers, y->packer_count);
	return r;
}

static int way_cut(struct way *y, struct fixture *x)
{
	const struct cutter_config config = {.rings = x->rings,
					     .ring_count = RINGS,
					     .packers = y->packers,
					     .packer_count = y->packer_count,
					     .key_max = KEYS,
					     .level = 1,
					     .flush_interval_ns = NS_PER_MS,
					     .deadline_ns = UINT64_MAX,
					     .blocks_before = blocks_before,
					     .blocks_after = blocks_after,
					     .output = output_of,
					     .data = y};
	int r = cutter_new(&y->cutter, &config);

	if (r < 0) {
		assert_null(y->cutter);
		return r;
	}
	for (unsigned i = 0; i < PACKETS; i++) {
		const struct packet k = {.ns = i + 1,
					 .interface = i % (KEYS / 2),
					 .flags = 1 + i % 2,
					 .origlen = 60 + i,
					 .seed = i};

		assert_true(producer_write(&x->producers[i % RINGS], &k));
	}
	cutter_finish(y->cutter, UINT64_MAX);
	y->is_finished = true;
	return 0;
}

static uint64_t sum_of(const struct way *y,
		       struct retina_tally (*tally)(const struct writer *w, unsigned key))
{
	uint64_t sum = 0;

	for (unsigned key = 0; key < KEYS; key++)
		sum += tally(y->writer, key).packets;
	return sum;
}

/* So many packets, each of an interface that is described before. */
static void assert_packets_in_file(const char *path, uint64_t packets)
{
	static uint8_t data[MIB];
	int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	ssize_t len = read(fd, data, sizeof(data));
	uint32_t interfaces = 0;

	assert_true(len >= 0);
	close(fd);
	for (size_t i = 0; i < (size_t)len; i += record_len(data + i)) {
		const uint8_t *b = data + i;

		assert_true((size_t)len - i >= 12 && record_len(b) <= (size_t)len - i);
		interfaces += record_type(b) == RECORD_INTERFACE_DESCRIPTION;
		if (!record_is_packet(b))
			continue;
		packets--;
		if (record_interface(b) >= interfaces)
			fail_msg("a packet of interface %u, which is not described",
				 record_interface(b));
	}
	assert_int_equal(packets, 0);
}

/* As the session ends it: every packet is captured or lost, and the file as large as is said. */
static int way_close(struct way *y, struct fixture *x, int r)
{
	bool was_recorded = y->is_finished;
	struct stat st;

	for (unsigned i = 0; !y->is_finished && i < y->packer_count; i++)
		packer_send(y->packers[i], NULL);
	if (y->writer)
		writer_join(y->writer);
	for (unsigned i = 0; i < y->packer_count; i++)
		packer_free(y->packers[i]);
	if (was_recorded) {
		uint64_t bytes;

		if (writer_state(y->writer) == WRITER_FAILED)
			r = first_of(r, writer_error(y->writer));
		r = first_of(r, writer_finish(y->writer, NULL, 0));
		assert_int_equal(sum_of(y, writer_captured) + sum_of(y, writer_lost), PACKETS);
		assert_int_equal(sum_of(y, writer_captured), writer_packets(y->writer));
		bytes = writer_bytes(y->writer);
		r = first_of(r, file_close(y->file));
		(void)fault_disarm(); /* the rest of the calls are this test's */
		assert_int_equal(stat(x->path, &st), 0);
		if (r == 0)
			assert_int_equal(st.st_size, bytes);
		if (!x->zstd)
			assert_packets_in_file(x->path, writer_packets(y->writer));
		assert_int_equal(unlink(x->path), 0);
	} else {
		(void)file_abort(y->file);
		assert_false(exists(x->path));
	}
	cutter_free(y->cutter);
	writer_free(y->writer);
	buffer_release(&y->head);
	roster_release(&y->roster);
	return r;
}

static int attempt_way(void *data)
{
	struct fixture *x = data;
	struct way y = {0};
	int r;

	/* Empty, as a cutter finds them that begins. */
	for (unsigned i = 0; i < RINGS; i++)
		*x->rings[i]->control = (struct ring_control){0};
	r = way_open(&y, x);
	if (r == 0)
		r = way_cut(&y, x);
	return way_close(&y, x, r);
}

static void from_rings_to_file_every_packet_is_counted(void **state)
{
	/* realloc: of the blocks that an epoch begins with; the next epoch has them. */
	const struct fault_trial t = {
		.attempt = attempt_way,
		.data = *state,
		.made_up_for = FILE_DOES_WITHOUT "realloc ",
	};

	assert_true(fault_each(&t) >= 40);
}

static void from_rings_to_compressed_file_as_well(void **state)
{
	struct fixture *x = *state;

	x->zstd = true;
	from_rings_to_file_every_packet_is_counted(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_compressor_is_whole_or_not_there, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_encoder_is_whole_or_not_there, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(merge_journal_and_roster_tell_of_no_memory, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_configuration_is_copied_whole_or_not_at_all,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_is_written_whole_or_tells_why_not, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_aborted_file_leaves_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(standard_output_is_opened_or_not, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_packer_runs_or_is_not_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(from_rings_to_file_every_packet_is_counted, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(from_rings_to_compressed_file_as_well, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
