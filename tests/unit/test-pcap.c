/* SPDX-License-Identifier: MIT */
/* test-pcap.c: the two headers of classic pcap, byte by byte, and a file read by capinfos. */
#include "pcap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static uint32_t word(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void file_header_announces_nanoseconds(void **state)
{
	uint8_t h[PCAP_FILE_HEADER_SIZE];
	uint16_t version[2];

	(void)state;
	pcap_file_header(h, 113, 262144);
	memcpy(version, h + 4, sizeof(version));
	assert_int_equal(word(h), 0xa1b23c4d);
	assert_int_equal(version[0], 2);
	assert_int_equal(version[1], 4);
	assert_int_equal(word(h + 8), 0);
	assert_int_equal(word(h + 12), 0);
	assert_int_equal(word(h + 16), 262144);
	assert_int_equal(word(h + 20), 113);
}

static void record_header_splits_the_time(void **state)
{
	uint8_t h[PCAP_RECORD_HEADER_SIZE];

	(void)state;
	pcap_record_header(h, 1700000000999999999ull, 60, 1514);
	assert_int_equal(word(h), 1700000000);
	assert_int_equal(word(h + 4), 999999999);
	assert_int_equal(word(h + 8), 60);
	assert_int_equal(word(h + 12), 1514);
}

static void capinfos_reads_the_file(void **state)
{
	char path[] = "/tmp/test-pcap.XXXXXX", command[128], output[4096];
	uint8_t h[PCAP_FILE_HEADER_SIZE], r[PCAP_RECORD_HEADER_SIZE], data[60] = {0};
	size_t len;
	FILE *f;
	int fd;

	(void)state;
	if (access("/usr/bin/capinfos", X_OK) != 0)
		skip();
	fd = mkstemp(path);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_non_null(f);
	pcap_file_header(h, 1, 65535);
	pcap_record_header(r, 1700000000123456789ull, sizeof(data), 1514);
	assert_int_equal(fwrite(h, sizeof(h), 1, f), 1);
	assert_int_equal(fwrite(r, sizeof(r), 1, f), 1);
	assert_int_equal(fwrite(data, sizeof(data), 1, f), 1);
	assert_int_equal(fclose(f), 0);
	(void)snprintf(command, sizeof(command), "TZ=UTC capinfos %s", path);
	f = popen(command, "r");
	assert_non_null(f);
	len = fread(output, 1, sizeof(output) - 1, f);
	output[len] = 0;
	assert_int_equal(pclose(f), 0);
	assert_int_equal(unlink(path), 0);
	assert_non_null(strstr(output, "nanosecond pcap"));
	assert_non_null(strstr(output, "Data size:           1514 bytes"));
	assert_non_null(strstr(output, "2023-11-14 22:13:20.123456789"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_header_announces_nanoseconds),
		cmocka_unit_test(record_header_splits_the_time),
		cmocka_unit_test(capinfos_reads_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
