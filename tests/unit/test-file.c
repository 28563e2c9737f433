/* SPDX-License-Identifier: MIT */
/*
 * test-file.c: what is appended is what the file holds, whichever way it is written; what must be
 * refused is refused. Most tests run twice: with io_uring and with plain writes.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/limits.h"

#define CONTENT_SIZE (12 * MIB) /* every staging buffer is used three times */

struct fixture {
	char dir[32];
	char path[64];
	uint8_t *content;
	uint32_t seed;
	bool no_uring;
};

static uint32_t next_random(struct fixture *x)
{
	x->seed = x->seed * 1664525 + 1013904223;
	return x->seed >> 8;
}

static int set_up(void **state, bool no_uring)
{
	struct fixture *x = calloc(1, sizeof(*x));

	x->seed = 7;
	x->no_uring = no_uring;
	strcpy(x->dir, "/tmp/test-file.XXXXXX");
	if (!mkdtemp(x->dir))
		return -1;
	(void)snprintf(x->path, sizeof(x->path), "%s/out", x->dir);
	x->content = malloc(CONTENT_SIZE);
	for (size_t i = 0; i < CONTENT_SIZE; i += 4) {
		uint32_t v = (uint32_t)i * 2654435761u;

		memcpy(x->content + i, &v, sizeof(v));
	}
	*state = x;
	return 0;
}

static int set_up_uring(void **state)
{
	return set_up(state, false);
}

static int set_up_plain(void **state)
{
	return set_up(state, true);
}

static int tear_down(void **state)
{
	struct fixture *x = *state;
	int r;

	(void)unlink(x->path);
	r = rmdir(x->dir); /* fails if a test left anything behind */
	free(x->content);
	free(x);
	return r;
}

static int open_config(struct fixture *x, struct file **f, const char *path, bool overwrite)
{
	return file_open(f, &(struct file_config){
				    .path = path, .overwrite = overwrite, .no_uring = x->no_uring});
}

static struct file *open_new(struct fixture *x)
{
	struct file *f = NULL;

	assert_int_equal(open_config(x, &f, x->path, false), 0);
	assert_non_null(f);
	return f;
}

static void make_file(const char *path, const char *content)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(content, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void assert_file_holds(const char *path, const uint8_t *data, size_t len)
{
	uint8_t *got = malloc(len + 1);
	size_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_non_null(got);
	assert_true(fd >= 0);
	for (ssize_t r = 1; r > 0 && n <= len; n += r) {
		r = read(fd, got + n, len + 1 - n);
		assert_true(r >= 0);
	}
	assert_int_equal(n, len);
	assert_true(memcmp(got, data, len) == 0);
	assert_int_equal(close(fd), 0);
	free(got);
}

/* Appends content[at..CONTENT_SIZE) in pieces of any size, with flushes and settles between. */
static void append_randomly(struct fixture *x, struct file *f, size_t at)
{
	while (at < CONTENT_SIZE) {
		uint32_t r = next_random(x);
		size_t n = r % 8 == 0 ? r % (3 * MIB) : r % 40000;

		if (n > CONTENT_SIZE - at)
			n = CONTENT_SIZE - at;
		assert_int_equal(file_append(f, x->content + at, n), 0);
		at += n;
		assert_int_equal(file_size(f), at);
		assert_true(file_written(f) <= at);
		r = next_random(x);
		if (r % 3 == 0)
			assert_int_equal(file_flush(f), 0);
		if (r % 31 == 0) {
			assert_int_equal(file_flush(f), 0);
			assert_int_equal(file_settle(f), 0);
			assert_int_equal(file_written(f), at);
		}
	}
}

static void file_holds_what_was_appended(void **state)
{
	struct fixture *x = *state;
	struct file *f = open_new(x);

	assert_false(file_is_pipe(f));
	append_randomly(x, f, 0);
	assert_int_equal(file_close(f), 0);
	assert_file_holds(x->path, x->content, CONTENT_SIZE);
}

static void file_takes_a_lot_in_one_append(void **state)
{
	struct fixture *x = *state;
	struct file *f = open_new(x);

	assert_int_equal(file_append(f, x->content, CONTENT_SIZE), 0);
	assert_int_equal(file_close(f), 0);
	assert_file_holds(x->path, x->content, CONTENT_SIZE);
}

static void file_may_stay_empty(void **state)
{
	struct fixture *x = *state;
	struct file *f = open_new(x);

	assert_int_equal(file_flush(f), 0);
	assert_int_equal(file_settle(f), 0);
	assert_int_equal(file_close(f), 0);
	assert_file_holds(x->path, x->content, 0);
	assert_int_equal(file_close(NULL), 0);
	assert_int_equal(file_abort(NULL), 0);
}

static void flushed_bytes_can_be_read_at_once(void **state)
{
	struct fixture *x = *state;
	struct file *f = open_new(x);

	for (size_t at = 0; at < 300000; at += 10007) {
		assert_int_equal(file_append(f, x->content + at, 10007), 0);
		assert_int_equal(file_flush(f), 0);
		assert_int_equal(file_settle(f), 0);
		assert_int_equal(file_written(f), at + 10007);
		assert_file_holds(x->path, x->content, at + 10007);
	}
	assert_int_equal(file_close(f), 0);
}

static void file_uses_io_uring_only_if_allowed(void **state)
{
	struct fixture *x = *state;
	struct file *f = open_new(x);

	if (x->no_uring)
		assert_false(file_uses_uring(f));
	else if (!file_uses_uring(f))
		print_message("no io_uring here: only plain writes are tested\n");
	assert_int_equal(file_close(f), 0);
}

static void file_does_without_registered_buffers(void **state)
{
	struct fixture *x = *state;
	struct rlimit old, none;
	struct file *f;

	/* Root's CAP_IPC_LOCK, where it exists, overrides the limit: then this is one more plain
	 * run. */
	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	none = (struct rlimit){MIB, old.rlim_max}; /* enough for a ring */
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	f = open_new(x);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &old), 0);
	append_randomly(x, f, 0);
	assert_int_equal(file_close(f), 0);
	assert_file_holds(x->path, x->content, CONTENT_SIZE);
}

struct appender {
	struct fixture *x;
	struct file *f;
};

static void *append_and_leave(void *arg)
{
	struct appender *a = arg;

	append_randomly(a->x, a->f, 0);
	assert_int_equal(file_flush(a->f), 0);
	return NULL;
}

/* The kernel cancels what an ending thread has under way. */
static void file_outlives_the_thread_that_wrote(void **state)
{
	struct fixture *x = *state;
	struct appender a = {x, open_new(x)};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, append_and_leave, &a), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(file_close(a.f), 0);
	assert_file_holds(x->path, x->content, CONTENT_SIZE);
}

struct reader {
	int fd;
	size_t len;
	uint8_t *data;
};

static void *read_slowly(void *arg)
{
	struct reader *r = arg;
	ssize_t n = 1;

	for (unsigned int i = 0; n > 0; i++) {
		if (i % 64 == 0)
			usleep(300);
		n = read(r->fd, r->data + r->len,
			 CONTENT_SIZE - r->len < 30011 ? CONTENT_SIZE - r->len + 1 : 30011);
		if (n > 0)
			r->len += n;
	}
	return NULL;
}

static struct file *open_fifo(struct fixture *x, int *reader)
{
	struct file *f = NULL;

	assert_int_equal(mkfifo(x->path, 0600), 0);
	*reader = open(x->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(*reader >= 0);
	assert_int_equal(open_config(x, &f, x->path, false), 0);
	assert_true(file_is_pipe(f));
	assert_int_equal(fcntl(*reader, F_SETFL, 0), 0);
	return f;
}

static void pipe_keeps_the_order_with_a_slow_reader(void **state)
{
	struct fixture *x = *state;
	struct reader r = {.data = malloc(CONTENT_SIZE + 1)};
	struct file *f = open_fifo(x, &r.fd);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, read_slowly, &r), 0);
	append_randomly(x, f, 0);
	assert_int_equal(file_truncate(f, 0), -ESPIPE);
	assert_int_equal(file_close(f), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(r.len, CONTENT_SIZE);
	assert_true(memcmp(r.data, x->content, CONTENT_SIZE) == 0);
	assert_int_equal(close(r.fd), 0);
	free(r.data);
}

static void *append_to_a_full_pipe(void *arg)
{
	struct appender *a = arg;

	assert_int_equal(file_append(a->f, a->x->content, 3 * MIB), 0);
	return NULL;
}

/* Its write waits for the reader when the thread ends: that one is surely cancelled. */
static void pipe_outlives_the_thread_that_wrote(void **state)
{
	struct fixture *x = *state;
	struct reader r = {.data = malloc(CONTENT_SIZE + 1)};
	struct appender a = {x, open_fifo(x, &r.fd)};
	pthread_t thread;

	if (!file_uses_uring(a.f)) {
		assert_int_equal(file_abort(a.f), 0);
		assert_int_equal(close(r.fd), 0);
		free(r.data);
		print_message("io_uring is not to be had here\n");
		skip();
	}
	assert_int_equal(pthread_create(&thread, NULL, append_to_a_full_pipe, &a), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, read_slowly, &r), 0);
	assert_int_equal(file_close(a.f), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(r.len, 3 * MIB);
	assert_true(memcmp(r.data, x->content, r.len) == 0);
	assert_int_equal(close(r.fd), 0);
	free(r.data);
}

static void pipe_without_a_reader_is_an_error(void **state)
{
	struct fixture *x = *state;
	int reader;
	struct file *f = open_fifo(x, &reader);

	assert_int_equal(close(reader), 0);
	(void)file_append(f, x->content, 100);
	(void)file_flush(f);
	assert_int_equal(file_settle(f), -EPIPE);
	assert_int_equal(file_append(f, x->content, 100), -EPIPE);
	assert_int_equal(file_size(f), 100);
	assert_int_equal(file_written(f), 0);
	assert_int_equal(file_close(f), -EPIPE);
}

static void abort_does_not_wait_for_a_reader(void **state)
{
	struct fixture *x = *state;
	int reader;
	struct file *f;

	f = open_fifo(x, &reader);
	if (!file_uses_uring(f)) {
		assert_int_equal(file_abort(f), 0);
		assert_int_equal(close(reader), 0);
		print_message("io_uring is not to be had here\n");
		skip();
	}
	assert_int_equal(file_append(f, x->content, 3 * MIB), 0); /* a pipe holds 64 KiB */
	assert_int_equal(file_abort(f), 0);
	assert_int_equal(close(reader), 0);
	assert_int_equal(access(x->path, F_OK), 0); /* we had not created the FIFO */
}

static void dash_is_standard_output(void **state)
{
	struct fixture *x = *state;
	struct file *f = NULL;
	int saved = dup(STDOUT_FILENO), out, r;

	/* In the middle of a file, and appending, as in `{ echo x; retina-xdpctl; } >>FILE`. */
	make_file(x->path, "x");
	out = open(x->path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(out >= 0 && saved >= 0);
	assert_int_equal(dup2(out, STDOUT_FILENO), STDOUT_FILENO);
	r = open_config(x, &f, "-", false);
	if (r == 0) {
		r = file_append(f, x->content, 2 * MIB);
		if (r == 0)
			r = file_flush(f);
		if (r == 0)
			r = file_append(f, x->content, 3);
		if (!file_is_pipe(f))
			r = -EINVAL;
		if (r == 0)
			r = file_close(f);
	}
	out = fcntl(STDOUT_FILENO, F_GETFD) >= 0 ? out : -1;
	assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
	assert_int_equal(r, 0);
	assert_true(out >= 0); /* closing the file left standard output open */
	assert_int_equal(close(out), 0);
	assert_int_equal(close(saved), 0);
	memmove(x->content + 1, x->content, 2 * MIB);
	x->content[0] = 'x';
	memcpy(x->content + 2 * MIB + 1, x->content + 1, 3);
	assert_file_holds(x->path, x->content, 2 * MIB + 4);
}

static void non_blocking_pipe_is_waited_for(void **state)
{
	struct fixture *x = *state;
	struct reader r = {.data = malloc(CONTENT_SIZE + 1)};
	int saved = dup(STDOUT_FILENO), ends[2];
	struct file *f = NULL;
	pthread_t thread;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
	assert_int_equal(open_config(x, &f, "-", false), 0);
	assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
	assert_int_equal(close(saved), 0);
	assert_int_equal(close(ends[1]), 0);
	r.fd = ends[0];
	assert_int_equal(pthread_create(&thread, NULL, read_slowly, &r), 0);
	append_randomly(x, f, 0);
	assert_int_equal(file_close(f), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(r.len, CONTENT_SIZE);
	assert_true(memcmp(r.data, x->content, CONTENT_SIZE) == 0);
	assert_int_equal(close(ends[0]), 0);
	free(r.data);
}

static void file_is_private_whatever_the_umask(void **state)
{
	struct fixture *x = *state;
	static const mode_t masks[] = {0, 022, 0777};

	for (unsigned int i = 0; i < 3; i++) {
		mode_t old = umask(masks[i]);
		struct file *f = open_new(x);
		struct stat st;

		(void)umask(old);
		assert_int_equal(stat(x->path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(file_abort(f), 0);
	}
}

static void file_refuses_to_follow_a_symlink(void **state)
{
	struct fixture *x = *state;
	struct file *f = NULL;
	char target[80];

	(void)snprintf(target, sizeof(target), "%s/target", x->dir);
	assert_int_equal(symlink(target, x->path), 0);
	assert_int_equal(open_config(x, &f, x->path, false), -ELOOP); /* dangling */
	assert_int_equal(open_config(x, &f, x->path, true), -ELOOP);
	assert_int_equal(access(target, F_OK), -1);
	make_file(target, "precious");
	assert_int_equal(open_config(x, &f, x->path, false), -ELOOP);
	assert_int_equal(open_config(x, &f, x->path, true), -ELOOP);
	assert_null(f);
	assert_file_holds(target, (const uint8_t *)"precious", 8);
	assert_int_equal(unlink(target), 0);
}

static void existing_file_is_kept_without_overwrite(void **state)
{
	struct fixture *x = *state;
	struct file *f = NULL;

	make_file(x->path, "precious");
	assert_int_equal(open_config(x, &f, x->path, false), -EEXIST);
	assert_null(f);
	assert_file_holds(x->path, (const uint8_t *)"precious", 8);
}

static void overwrite_replaces_content_and_mode(void **state)
{
	struct fixture *x = *state;
	struct file *f = NULL;
	struct stat st;

	make_file(x->path, "old and longer than the new");
	assert_int_equal(chmod(x->path, 0644), 0);
	assert_int_equal(open_config(x, &f, x->path, true), 0);
	assert_int_equal(file_append(f, "new", 3), 0);
	assert_int_equal(file_close(f), 0);
	assert_int_equal(stat(x->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_file_holds(x->path, (const uint8_t *)"new", 3);
}

static void overwrite_refuses_the_file_of_another(void **state)
{
	struct fixture *x = *state;
	struct file *f = NULL;

	if (geteuid() != 0) {
		print_message("needs root\n");
		skip();
	}
	make_file(x->path, "precious");
	assert_int_equal(chown(x->path, 65534, 65534), 0);
	assert_int_equal(open_config(x, &f, x->path, true), -EPERM);
	assert_file_holds(x->path, (const uint8_t *)"precious", 8);
}

static void places_that_are_no_files_are_refused(void **state)
{
	struct fixture *x = *state;
	struct file *f = NULL;
	char path[80];

	assert_int_equal(open_config(x, &f, x->dir, false), -EISDIR);
	assert_int_equal(open_config(x, &f, x->dir, true), -EISDIR);
	(void)snprintf(path, sizeof(path), "%s/", x->dir);
	assert_int_equal(open_config(x, &f, path, true), -EISDIR);
	(void)snprintf(path, sizeof(path), "%s/missing/file", x->dir);
	assert_int_equal(open_config(x, &f, path, true), -ENOENT);
	assert_int_equal(open_config(x, &f, "", true), -ENOENT);
	assert_null(f);
	if (geteuid() != 0)
		return;
	/* A device number that has no driver: looking at it must suffice. */
	if (mknod(x->path, S_IFBLK | 0600, makedev(240, 77)) == 0)
		assert_int_equal(open_config(x, &f, x->path, true), -ENOTBLK);
}

static void character_device_is_a_pipe(void **state)
{
	struct fixture *x = *state;
	struct file *f = NULL;

	assert_int_equal(open_config(x, &f, "/dev/null", false), 0);
	assert_true(file_is_pipe(f));
	append_randomly(x, f, 0);
	assert_int_equal(file_abort(f), 0);
	assert_int_equal(access("/dev/null", F_OK), 0);
	assert_int_equal(open_config(x, &f, "/dev/full", false), 0);
	(void)file_append(f, x->content, CONTENT_SIZE);
	assert_int_equal(file_append(f, "", 0), -ENOSPC);
	assert_int_equal(file_written(f), 0);
	assert_int_equal(file_close(f), -ENOSPC);
}

static void abort_removes_only_what_it_created(void **state)
{
	struct fixture *x = *state;
	struct file *f = open_new(x);
	int cwd;

	assert_int_equal(file_append(f, x->content, 3 * MIB), 0);
	assert_int_equal(file_abort(f), 0);
	assert_int_equal(access(x->path, F_OK), -1);

	make_file(x->path, "mine");
	assert_int_equal(open_config(x, &f, x->path, true), 0);
	assert_int_equal(file_abort(f), 0);
	assert_int_equal(access(x->path, F_OK), 0);
	assert_int_equal(unlink(x->path), 0);

	f = open_new(x); /* someone puts another file in its place */
	assert_int_equal(unlink(x->path), 0);
	make_file(x->path, "theirs");
	assert_int_equal(file_abort(f), 0);
	assert_file_holds(x->path, (const uint8_t *)"theirs", 6);
	assert_int_equal(unlink(x->path), 0);

	cwd = open(".", O_PATH | O_CLOEXEC); /* a daemon changes its working directory */
	assert_int_equal(chdir(x->dir), 0);
	assert_int_equal(open_config(x, &f, "out", false), 0);
	assert_int_equal(fchdir(cwd), 0);
	assert_int_equal(close(cwd), 0);
	assert_int_equal(file_abort(f), 0);
	assert_int_equal(access(x->path, F_OK), -1);
}

static uint64_t disk_bytes(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void space_taken_ahead_is_capped_and_given_back(void **state)
{
	struct fixture *x = *state;
	struct file *f = NULL;
	struct stat st;

	assert_int_equal(file_open(&f, &(struct file_config){.path = x->path,
							     .max_bytes = 2 * MIB,
							     .no_uring = x->no_uring}),
			 0);
	assert_int_equal(file_append(f, x->content, 100000), 0);
	assert_int_equal(file_flush(f), 0);
	assert_int_equal(file_settle(f), 0);
	assert_true(disk_bytes(x->path) <= 2 * MIB + 64 * KIB);
	assert_int_equal(stat(x->path, &st), 0);
	assert_int_equal(st.st_size, 100000); /* the size is never taken ahead */
	assert_int_equal(file_close(f), 0);
	assert_true(disk_bytes(x->path) <= 100000 + 64 * KIB);
	assert_file_holds(x->path, x->content, 100000);
	assert_int_equal(unlink(x->path), 0);

	f = open_new(x); /* no cap */
	assert_int_equal(file_append(f, x->content, 100000), 0);
	assert_int_equal(file_close(f), 0);
	assert_true(disk_bytes(x->path) <= 100000 + 64 * KIB);
}

static void file_goes_on_after_a_truncate(void **state)
{
	struct fixture *x = *state;

	static const size_t cuts[] = {0, 1, 4095, 4096, 5000, MIB, MIB + 1, 5 * MIB - 1, 6 * MIB};

	for (unsigned int i = 0; i < sizeof(cuts) / sizeof(*cuts); i++) {
		struct file *f = open_new(x);

		assert_int_equal(file_append(f, x->content, 6 * MIB), 0);
		assert_int_equal(file_truncate(f, 6 * MIB + 1), -EINVAL);
		assert_int_equal(file_truncate(f, cuts[i]), 0);
		assert_int_equal(file_size(f), cuts[i]);
		assert_int_equal(file_written(f), cuts[i]);
		if (i % 2)
			assert_int_equal(file_flush(f), 0);
		append_randomly(x, f, cuts[i]);
		assert_int_equal(file_close(f), 0);
		assert_file_holds(x->path, x->content, CONTENT_SIZE);
		assert_int_equal(unlink(x->path), 0);
	}
}

static void full_disk_is_survived(void **state)
{
	struct fixture *x = *state;
	struct file *f = NULL;
	struct stat st;
	uint64_t good;
	char path[80];
	int r = 0;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("tmpfs", x->dir, "tmpfs", 0, "size=3m") != 0)
		skip();
	(void)snprintf(path, sizeof(path), "%s/capture", x->dir);
	assert_int_equal(open_config(x, &f, path, false), 0);
	for (size_t at = 0; at < CONTENT_SIZE && r == 0; at += 50000) {
		r = file_append(f, x->content + at, 50000);
		if (r == 0)
			r = file_flush(f);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(file_settle(f), -ENOSPC);
	assert_int_equal(file_append(f, "more", 4), -ENOSPC);
	good = file_written(f);
	assert_true(good > 2 * MIB && good <= 3 * MIB);
	assert_int_equal(file_truncate(f, good + 1), -EINVAL);
	good -= good % 50000; /* the last whole piece */
	assert_int_equal(file_truncate(f, good), 0);
	assert_int_equal(file_append(f, x->content + good, 1000), 0);
	assert_int_equal(file_flush(f), 0);
	assert_int_equal(file_settle(f), 0);
	assert_file_holds(path, x->content, good + 1000);

	(void)file_append(f, x->content + good + 1000, 4 * MIB); /* and full again, to the end */
	good = file_size(f);
	assert_int_equal(file_close(f), -ENOSPC);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 2 * (off_t)MIB && (uint64_t)st.st_size < good);
	assert_file_holds(path, x->content, st.st_size); /* no hole, nothing strange */
	assert_int_equal(umount(x->dir), 0);
}

#define both_ways(test)                                               \
	{#test, test, set_up_uring, tear_down, NULL},                 \
	{                                                             \
#test " (plain)", test, set_up_plain, tear_down, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		both_ways(file_holds_what_was_appended),
		both_ways(file_takes_a_lot_in_one_append),
		both_ways(file_may_stay_empty),
		both_ways(flushed_bytes_can_be_read_at_once),
		both_ways(file_uses_io_uring_only_if_allowed),
		both_ways(file_does_without_registered_buffers),
		both_ways(file_outlives_the_thread_that_wrote),
		both_ways(pipe_keeps_the_order_with_a_slow_reader),
		/* With plain writes the thread would not end before its write: io_uring only. */
		cmocka_unit_test_setup_teardown(pipe_outlives_the_thread_that_wrote, set_up_uring,
						tear_down),
		both_ways(pipe_without_a_reader_is_an_error),
		cmocka_unit_test_setup_teardown(abort_does_not_wait_for_a_reader, set_up_uring,
						tear_down),
		both_ways(dash_is_standard_output),
		both_ways(non_blocking_pipe_is_waited_for),
		both_ways(file_is_private_whatever_the_umask),
		both_ways(file_refuses_to_follow_a_symlink),
		both_ways(existing_file_is_kept_without_overwrite),
		both_ways(overwrite_replaces_content_and_mode),
		both_ways(overwrite_refuses_the_file_of_another),
		both_ways(places_that_are_no_files_are_refused),
		both_ways(character_device_is_a_pipe),
		both_ways(abort_removes_only_what_it_created),
		both_ways(space_taken_ahead_is_capped_and_given_back),
		both_ways(file_goes_on_after_a_truncate),
		both_ways(full_disk_is_survived),
	};

	(void)signal(SIGPIPE, SIG_IGN); /* as the process that writes to a pipe should */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
