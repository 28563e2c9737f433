/* SPDX-License-Identifier: MIT */
/* test-pcapng.c: blocks are read back by a small parser of their own, and by Wireshark's tools. */
#include "pcapng.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static uint16_t u16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Checks the frame of the block at `at` and returns its type. */
static uint32_t block_type(const struct buffer *b, size_t at, size_t *ret_len)
{
	uint32_t len;

	assert_true(b->len - at >= 12);
	len = u32(b->data + at + 4);
	assert_int_equal(len % 4, 0);
	assert_true(len >= 12 && len <= b->len - at);
	assert_int_equal(u32(b->data + at + len - 4), len);
	*ret_len = len;
	return u32(b->data + at);
}

/* The first option with this code in a one-block buffer whose options begin at `at`, or NULL. On
 * the way: options end with opt_endofopt, exactly before the trailing length, and padding is zero.
 */
static const uint8_t *find_option(const struct buffer *b, size_t at, uint16_t code, size_t *ret_len)
{
	const uint8_t *found = NULL, *p = b->data + at, *end = b->data + b->len - 4;

	*ret_len = 0;
	if (p == end)
		return NULL;
	for (;;) {
		size_t len, padded;

		assert_true(end - p >= 4);
		len = u16(p + 2);
		padded = (len + 3) / 4 * 4;
		if (u16(p) == 0) {
			assert_int_equal(len, 0);
			assert_ptr_equal(p + 4, end);
			return found;
		}
		assert_true((size_t)(end - p) >= 4 + padded);
		for (size_t i = len; i < padded; i++)
			assert_int_equal(p[4 + i], 0);
		if (!found && u16(p) == code) {
			found = p + 4;
			*ret_len = len;
		}
		p += 4 + padded;
	}
}

static void assert_text(const struct buffer *b, size_t at, uint16_t code, const char *text)
{
	size_t len;
	const uint8_t *p = find_option(b, at, code, &len);

	assert_non_null(p);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(p, text, len);
}

static void assert_u64(const struct buffer *b, size_t at, uint16_t code, uint64_t v)
{
	size_t len;
	const uint8_t *p = find_option(b, at, code, &len);

	assert_non_null(p);
	assert_int_equal(len, 8);
	assert_true(u64(p) == v);
}

static void assert_absent(const struct buffer *b, size_t at, uint16_t code)
{
	size_t len;

	assert_null(find_option(b, at, code, &len));
}

static void section_header_says_who_wrote_it(void **state)
{
	const struct pcapng_section s = {.hardware = "x", .os = "Linux", .application = "retina"};
	struct buffer b = {0};
	size_t len;

	(void)state;
	assert_int_equal(pcapng_section_header(&b, &s), 0);
	assert_int_equal(block_type(&b, 0, &len), 0x0a0d0d0a);
	assert_int_equal(len, b.len);
	assert_int_equal(u32(b.data + 8), 0x1a2b3c4d);
	assert_int_equal(u16(b.data + 12), 1);
	assert_int_equal(u16(b.data + 14), 0);
	assert_true(u64(b.data + 16) == UINT64_MAX);
	assert_text(&b, 24, 2, "x");
	assert_text(&b, 24, 3, "Linux");
	assert_text(&b, 24, 4, "retina");
	assert_absent(&b, 24, 1);
	buffer_release(&b);
}

static void section_header_without_options_has_no_end_mark(void **state)
{
	struct buffer b = {0};
	size_t len;

	(void)state;
	assert_int_equal(pcapng_section_header(&b, &(struct pcapng_section){0}), 0);
	assert_int_equal(block_type(&b, 0, &len), 0x0a0d0d0a);
	assert_int_equal(len, 28);
	buffer_release(&b);
}

static void interface_description_holds_every_option(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	const struct pcapng_interface i = {.name = "eth0",
					   .description = "uplink",
					   .filter = "tcp port 80",
					   .hardware = "veth",
					   .os = "Linux 6.18",
					   .comment = "clock: tai",
					   .link_type = 113,
					   .snaplen = 128,
					   .speed_bps = 10000000000,
					   .mac = mac};
	struct buffer b = {0};
	const uint8_t *p;
	size_t len;

	(void)state;
	assert_int_equal(pcapng_interface_description(&b, &i), 0);
	assert_int_equal(block_type(&b, 0, &len), 1);
	assert_int_equal(len, b.len);
	assert_int_equal(u16(b.data + 8), 113);
	assert_int_equal(u16(b.data + 10), 0);
	assert_int_equal(u32(b.data + 12), 128);
	assert_text(&b, 16, 1, "clock: tai");
	assert_text(&b, 16, 2, "eth0");
	assert_text(&b, 16, 3, "uplink");
	assert_text(&b, 16, 12, "Linux 6.18");
	assert_text(&b, 16, 15, "veth");
	assert_u64(&b, 16, 8, 10000000000);
	p = find_option(&b, 16, 6, &len);
	assert_int_equal(len, 6);
	assert_memory_equal(p, mac, 6);
	p = find_option(&b, 16, 9, &len);
	assert_int_equal(len, 1);
	assert_int_equal(*p, 9);
	p = find_option(&b, 16, 11, &len);
	assert_int_equal(len, 1 + strlen(i.filter));
	assert_int_equal(*p, 0);
	assert_memory_equal(p + 1, i.filter, strlen(i.filter));
	buffer_release(&b);
}

static void interface_description_always_has_its_resolution(void **state)
{
	struct buffer b = {0};
	size_t len;

	(void)state;
	assert_int_equal(pcapng_interface_description(&b, &(struct pcapng_interface){0}), 0);
	assert_non_null(find_option(&b, 16, 9, &len));
	for (uint16_t code = 1; code < 20; code++)
		if (code != 9)
			assert_absent(&b, 16, code);
	buffer_release(&b);
}

static void statistics_hold_times_as_two_words(void **state)
{
	const struct pcapng_statistics s = {.interface_id = 3,
					    .now_ns = 0x1111111122222222,
					    .start_ns = 0x3333333344444444,
					    .end_ns = 0x5555555566666666,
					    .received = 10,
					    .dropped = 0,
					    .accepted = 1ull << 40,
					    .os_dropped = 2,
					    .delivered = 7};
	struct buffer b = {0};
	const uint8_t *p;
	size_t len;

	(void)state;
	assert_int_equal(pcapng_interface_statistics(&b, &s), 0);
	assert_int_equal(block_type(&b, 0, &len), 5);
	assert_int_equal(u32(b.data + 8), 3);
	assert_int_equal(u32(b.data + 12), 0x11111111);
	assert_int_equal(u32(b.data + 16), 0x22222222);
	p = find_option(&b, 20, 2, &len);
	assert_int_equal(len, 8);
	assert_int_equal(u32(p), 0x33333333);
	assert_int_equal(u32(p + 4), 0x44444444);
	p = find_option(&b, 20, 3, &len);
	assert_int_equal(len, 8);
	assert_int_equal(u32(p), 0x55555555);
	assert_int_equal(u32(p + 4), 0x66666666);
	assert_u64(&b, 20, 4, 10);
	assert_u64(&b, 20, 5, 0);
	assert_u64(&b, 20, 6, 1ull << 40);
	assert_u64(&b, 20, 7, 2);
	assert_u64(&b, 20, 8, 7);
	buffer_release(&b);
}

static void statistics_leave_out_what_is_unknown(void **state)
{
	const struct pcapng_statistics s = {.received = UINT64_MAX,
					    .dropped = UINT64_MAX,
					    .accepted = UINT64_MAX,
					    .os_dropped = UINT64_MAX,
					    .delivered = UINT64_MAX};
	struct buffer b = {0};
	size_t len;

	(void)state;
	assert_int_equal(pcapng_interface_statistics(&b, &s), 0);
	assert_int_equal(block_type(&b, 0, &len), 5);
	assert_int_equal(len, 24);
	buffer_release(&b);
}

/* A text of `len` bytes that are all euro signs (3 bytes each). */
static char *euros(size_t len)
{
	char *text = malloc(len + 1);

	assert_non_null(text);
	for (size_t i = 0; i < len; i++)
		text[i] = "\xe2\x82\xac"[i % 3];
	text[len] = 0;
	return text;
}

static void long_text_is_cut_between_characters(void **state)
{
	char *text = euros(90000);
	const struct pcapng_section s = {.os = text, .comment = text};
	const struct pcapng_interface i = {.filter = text};
	struct buffer b = {0};
	size_t len;

	(void)state;
	assert_int_equal(pcapng_section_header(&b, &s), 0);
	assert_non_null(find_option(&b, 24, 1, &len));
	assert_int_equal(len, 65535); /* 21845 euros exactly */
	buffer_reset(&b);
	assert_int_equal(pcapng_interface_description(&b, &i), 0);
	assert_non_null(find_option(&b, 16, 11, &len));
	assert_int_equal(len, 1 + 65532); /* one byte less room: one euro less */
	text[0] = text[1] = '.';	  /* now a cut at 65535 would split one */
	text[2] = 'x';
	memmove(text + 2, text + 3, 90000 - 2);
	buffer_reset(&b);
	assert_int_equal(pcapng_section_header(&b, &s), 0);
	assert_non_null(find_option(&b, 24, 1, &len));
	assert_int_equal(len, 65534); /* 2 dots and 21844 euros */
	buffer_release(&b);
	free(text);
}

static void text_that_just_fits_is_kept_whole(void **state)
{
	struct buffer b = {0};

	(void)state;
	for (size_t len = 65530; len <= 65535; len++) {
		char *text = malloc(len + 1);
		const struct pcapng_section s = {.comment = text};

		assert_non_null(text);
		memset(text, 'a', len);
		text[len] = 0;
		buffer_reset(&b);
		assert_int_equal(pcapng_section_header(&b, &s), 0);
		assert_text(&b, 24, 1, text);
		free(text);
	}
	buffer_release(&b);
}

static void block_that_fails_leaves_no_trace(void **state)
{
	struct buffer b = {0};
	struct pcapng_block k;

	(void)state;
	assert_int_equal(pcapng_section_header(&b, &(struct pcapng_section){0}), 0);
	pcapng_block_open(&k, &b, 0xbad);
	pcapng_block_put(&k, "abc", 3);
	pcapng_block_put(&k, "", SIZE_MAX / 2); /* no memory for that */
	pcapng_block_text(&k, 1, "ignored");
	assert_int_equal(pcapng_block_close(&k), -ENOMEM);
	assert_int_equal(b.len, 28);
	buffer_release(&b);
}

static void put_packet(struct buffer *b, uint32_t interface_id, uint64_t ts_ns)
{
	const uint32_t fields[] = {interface_id, ts_ns >> 32, (uint32_t)ts_ns, 61, 1514};
	const uint8_t data[61] = {0};
	struct pcapng_block k;

	pcapng_block_open(&k, b, 6);
	pcapng_block_put(&k, fields, sizeof(fields));
	pcapng_block_put(&k, data, sizeof(data));
	assert_int_equal(pcapng_block_close(&k), 0);
}

static void assert_output_has(const char *format, const char *path, const char *const *words)
{
	char command[256], output[8192];
	size_t len;
	FILE *f;

	(void)snprintf(command, sizeof(command), format, path);
	f = popen(command, "r");
	assert_non_null(f);
	len = fread(output, 1, sizeof(output) - 1, f);
	output[len] = 0;
	assert_int_equal(pclose(f), 0);
	for (; *words; words++)
		if (!strstr(output, *words))
			fail_msg("no \"%s\" in:\n%s", *words, output);
}

static void wireshark_reads_the_file(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	char path[] = "/tmp/test-pcapng.XXXXXX";
	struct buffer b = {0};
	int fd;

	(void)state;
	if (access("/usr/bin/capinfos", X_OK) != 0 || access("/usr/bin/tshark", X_OK) != 0)
		skip();
	assert_int_equal(pcapng_section_header(&b,
					       &(struct pcapng_section){.hardware = "an abacus",
									.os = "Linux 1.0",
									.application = "retina-xdp",
									.comment = "h\xc3\xa9"
										   "llo"}),
			 0);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(pcapng_interface_description(
					 &b, &(struct pcapng_interface){.name = i ? "eth1" : "eth0",
									.description = "uplink",
									.filter = "tcp port 80",
									.hardware = "veth",
									.os = "Linux",
									.comment = "clock: tai",
									.link_type = 1,
									.snaplen = 61,
									.speed_bps = 25000000000,
									.mac = mac}),
				 0);
	put_packet(&b, 0, 1700000000123456789);
	put_packet(&b, 1, 1700000001000000001);
	assert_int_equal(pcapng_interface_statistics(
				 &b, &(struct pcapng_statistics){.now_ns = 1700000002000000000,
								 .start_ns = 1700000000000000000,
								 .end_ns = 1700000002000000000,
								 .received = 5,
								 .dropped = 1,
								 .accepted = 4,
								 .os_dropped = 3,
								 .delivered = 1}),
			 0);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, b.data, b.len), b.len);
	assert_int_equal(close(fd), 0);
	assert_output_has("TZ=UTC capinfos %s", path,
			  (const char *const[]){
				  "pcapng", "Number of packets:   2", "an abacus", "Linux 1.0",
				  "retina-xdp", "h\xc3\xa9llo", "Name = eth1",
				  "Description = uplink", "Speed = 25000000000",
				  "Filter string = tcp port 80", "Time precision = nanoseconds (9)",
				  "Number of stat entries = 1", ".123456789", NULL});
	assert_output_has("tshark -r %s -T fields -e frame.interface_name -e frame.time_epoch -e "
			  "frame.cap_len -e frame.len 2>&1",
			  path,
			  (const char *const[]){"eth0\t1700000000.123456789\t61\t1514\n",
						"eth1\t1700000001.000000001\t61\t1514\n", NULL});
	assert_int_equal(unlink(path), 0);
	buffer_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(section_header_says_who_wrote_it),
		cmocka_unit_test(section_header_without_options_has_no_end_mark),
		cmocka_unit_test(interface_description_holds_every_option),
		cmocka_unit_test(interface_description_always_has_its_resolution),
		cmocka_unit_test(statistics_hold_times_as_two_words),
		cmocka_unit_test(statistics_leave_out_what_is_unknown),
		cmocka_unit_test(long_text_is_cut_between_characters),
		cmocka_unit_test(text_that_just_fits_is_kept_whole),
		cmocka_unit_test(block_that_fails_leaves_no_trace),
		cmocka_unit_test(wireshark_reads_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
