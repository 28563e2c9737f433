/* SPDX-License-Identifier: MIT */
/*
 * input.c: a capture file, read with libpcap, unpacked by zstdcat when it is packed.
 *
 * Time stamps always have nanoseconds. A file that ends in the middle of a record, or whose packing
 * is damaged, gives all records before that place and then an error, never a quiet end.
 *
 * Owned by one thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "input.h"

struct input {
	pcap_t *pcap;
	pid_t unpacker; /* 0: none */
	char error[PCAP_ERRBUF_SIZE];
};

/* Start zstdcat. Return: its output's descriptor, or -errno. */
static int start_unpacker(struct input *input, const char *path)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		(void)close(fds[0]);
		(void)close(fds[1]);
		return r;
	}
	if (pid == 0) {
		(void)dup2(fds[1], STDOUT_FILENO);
		(void)execlp("zstdcat", "zstdcat", "--", path, (char *)NULL);
		_exit(127);
	}
	(void)close(fds[1]);
	input->unpacker = pid;
	return fds[0];
}

static bool ends_with(const char *text, const char *end)
{
	size_t text_len = strlen(text);
	size_t end_len = strlen(end);

	return text_len >= end_len && strcmp(text + text_len - end_len, end) == 0;
}

/* Return: a descriptor to read the unpacked file from, or -errno. */
static int open_source(struct input *input, const char *path)
{
	int fd;

	if (strcmp(path, "-") == 0)
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	else
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!ends_with(path, ".zst"))
		return fd;
	(void)close(fd);
	return start_unpacker(input, path);
}

/* Return: whether the unpacker, if there is one, did its work; it is gone afterwards. */
static bool end_unpacker(struct input *input)
{
	int status = 0;

	if (!input->unpacker)
		return true;
	while (waitpid(input->unpacker, &status, 0) < 0 && errno == EINTR)
		;
	input->unpacker = 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int input_open(struct input **ret, const char *path)
{
	struct input *input = calloc(1, sizeof(*input));
	FILE *file;
	int fd;
	int r;

	if (!input)
		return -ENOMEM;
	fd = open_source(input, path);
	if (fd < 0) {
		r = fd;
		goto fail;
	}
	file = fdopen(fd, "r");
	if (!file) {
		r = -errno;
		(void)close(fd);
		goto fail;
	}
	input->pcap = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO,
							       input->error);
	if (!input->pcap) {
		(void)fclose(file);
		r = -EINVAL;
		goto fail;
	}
	*ret = input;
	return 0;
fail:
	input_close(input);
	return r;
}

struct input *input_close(struct input *input)
{
	if (!input)
		return NULL;
	if (input->pcap)
		pcap_close(input->pcap);
	(void)end_unpacker(input); /* the closed pipe ends it */
	free(input);
	return NULL;
}

int input_link_type(const struct input *input)
{
	return pcap_datalink(input->pcap);
}

int input_next(struct input *input, struct input_record *ret)
{
	struct pcap_pkthdr *header;
	const uint8_t *data;
	int r = pcap_next_ex(input->pcap, &header, &data);

	if (r == PCAP_ERROR_BREAK) { /* the end */
		if (end_unpacker(input))
			return 0;
		(void)strcpy(input->error, "zstdcat failed");
		return -EIO;
	}
	if (r < 0) {
		(void)snprintf(input->error, sizeof(input->error), "%s", pcap_geterr(input->pcap));
		return -EIO;
	}
	*ret = (struct input_record){
		.data = data,
		.caplen = header->caplen,
		.len = header->len,
		/* With this precision libpcap puts nanoseconds into tv_usec. */
		.time_ns = (uint64_t)header->ts.tv_sec * 1000000000 + (uint64_t)header->ts.tv_usec,
	};
	return 1;
}

const char *input_error(const struct input *input)
{
	return input->error;
}
