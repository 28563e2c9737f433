// SPDX-License-Identifier: MIT
/*
 * fault.c: stands between our objects and the calls that can fail (-Wl,--wrap; meson.build has the
 * list). Calls that libraries make inside are not ours: they work. One counter for all threads, so
 * with several threads the n-th call need not be the same one in every run; that the attempts go
 * on until no call fails is what makes them complete.
 *
 * Memory is counted in blocks: the plain build replaces malloc() for the whole process, libraries
 * included; in a sanitizer's build the sanitizer counts bytes.
 */
#include "fault.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <liburing.h>
#include <libmnl/libmnl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_createThreadPool() */
#include <zstd.h>
#include <cmocka.h>
#include "interface.h"

/* Attempts at most: more means that they do not get on. */
enum { ATTEMPTS_MAX = 1000 };

/* After a join or an exit the kernel may need a moment to forget a thread; it gets this, µs. */
enum { PATIENCE_US = 2000000, PAUSE_US = 200 };

static _Atomic unsigned countdown; /* 0: not armed */
static _Atomic bool is_held;
static _Atomic(const char *) failed_call;
static _Atomic int failed_error;
static _Atomic long mappings; /* of our own, not of libraries */

/* Inside interface_offloads_read(): what it cannot learn it does without. */
static _Thread_local bool reads_offloads;

void fault_arm(unsigned n)
{
	atomic_store(&failed_call, NULL);
	atomic_store(&failed_error, 0);
	atomic_store(&countdown, n);
}

struct fault fault_disarm(void)
{
	atomic_store(&countdown, 0);
	return (struct fault){atomic_load(&failed_call), atomic_load(&failed_error)};
}

void fault_hold(bool held)
{
	atomic_store(&is_held, held);
}

/* Is it this call's turn? */
static bool fails(const char *call, int error)
{
	unsigned n = atomic_load(&is_held) ? 0 : atomic_load(&countdown);

	while (n && !atomic_compare_exchange_weak(&countdown, &n, n - 1))
		;
	if (n != 1)
		return false;
	atomic_store(&failed_error, error);
	atomic_store(&failed_call, reads_offloads ? "offloads" : call);
	errno = error;
	return true;
}

/* --- the calls --- */

/* A call that fails by returning `bad`, with `code` in errno. */
#define WRAP(type, name, code, bad, parameters, arguments) \
	WRAP_AS(type, name, #name, code, bad, parameters, arguments)

/* The same, where `label` is what it is called: it tells uses apart. */
#define WRAP_AS(type, name, label, code, bad, parameters, arguments)         \
	type __real_##name parameters;                                       \
	type __wrap_##name parameters;                                       \
	type __wrap_##name parameters                                        \
	{                                                                    \
		return fails(label, code) ? (bad) : __real_##name arguments; \
	}

WRAP(void *, malloc, ENOMEM, NULL, (size_t size), (size))
WRAP(void *, calloc, ENOMEM, NULL, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, ENOMEM, NULL, (void *p, size_t size), (p, size))
WRAP(char *, strdup, ENOMEM, NULL, (const char *s), (s))
WRAP(char *, strndup, ENOMEM, NULL, (const char *s, size_t n), (s, n))

WRAP(int, open64, EMFILE, -1, (const char *path, int flags, mode_t mode), (path, flags, mode))
WRAP_AS(int, openat64, flags &O_DIRECT ? "open_direct" : "openat64", EMFILE, -1,
	(int dir, const char *path, int flags, mode_t mode), (dir, path, flags, mode))
WRAP(FILE *, fopen64, EMFILE, NULL, (const char *path, const char *mode), (path, mode))
WRAP(int, fcntl64, EMFILE, -1, (int fd, int command, long argument), (fd, command, argument))
WRAP(int, fchmod, EPERM, -1, (int fd, mode_t mode), (fd, mode))
WRAP(int, ftruncate64, EIO, -1, (int fd, off64_t len), (fd, len))
WRAP(int, fallocate64, ENOSPC, -1, (int fd, int mode, off64_t at, off64_t len), (fd, mode, at, len))
WRAP(int, eventfd, EMFILE, -1, (unsigned value, int flags), (value, flags))
WRAP(int, socket, EMFILE, -1, (int domain, int type, int protocol), (domain, type, protocol))
WRAP_AS(int, ioctl, request == SIOCETHTOOL ? "ethtool" : "ioctl", ENOBUFS, -1,
	(int fd, unsigned long request, void *p), (fd, request, p))
WRAP(int, pipe2, EMFILE, -1, (int ends[2], int flags), (ends, flags))
WRAP(pid_t, fork, EAGAIN, -1, (void), ())
WRAP(int, pthread_create, EAGAIN, EAGAIN,
     (pthread_t * ret, const pthread_attr_t *a, void *(*run)(void *), void *data),
     (ret, a, run, data))
WRAP(int, sched_getaffinity, EINVAL, -1, (pid_t pid, size_t size, cpu_set_t *set), (pid, size, set))

WRAP(int, io_uring_queue_init, EPERM, -EPERM, (unsigned n, struct io_uring *r, unsigned flags),
     (n, r, flags))
WRAP(int, io_uring_register_buffers, ENOMEM, -ENOMEM,
     (struct io_uring * r, const struct iovec *v, unsigned n), (r, v, n))
WRAP(int, io_uring_register_files, EMFILE, -EMFILE,
     (struct io_uring * r, const int *fds, unsigned n), (r, fds, n))
WRAP(int, io_uring_submit, EBADR, -EBADR, (struct io_uring * r), (r))

/* zstd's errors are sizes; ours are its callers'. */
#define ZSTD_FAILURE ((size_t)-64) /* memory_allocation */
WRAP(ZSTD_CCtx *, ZSTD_createCCtx, ENOMEM, NULL, (void), ())
WRAP(ZSTD_threadPool *, ZSTD_createThreadPool, ENOMEM, NULL, (size_t n), (n))
WRAP(size_t, ZSTD_CCtx_refThreadPool, EIO, ZSTD_FAILURE, (ZSTD_CCtx * c, ZSTD_threadPool *p),
     (c, p))
WRAP(size_t, ZSTD_CCtx_setParameter, EIO, ZSTD_FAILURE, (ZSTD_CCtx * c, ZSTD_cParameter p, int v),
     (c, p, v))
WRAP(size_t, ZSTD_CCtx_reset, EIO, ZSTD_FAILURE, (ZSTD_CCtx * c, ZSTD_ResetDirective d), (c, d))
WRAP(size_t, ZSTD_compressStream2, EIO, ZSTD_FAILURE,
     (ZSTD_CCtx * c, ZSTD_outBuffer *out, ZSTD_inBuffer *in, ZSTD_EndDirective end),
     (c, out, in, end))

WRAP(struct mnl_socket *, mnl_socket_open2, EMFILE, NULL, (int bus, int flags), (bus, flags))
WRAP(int, mnl_socket_bind, EADDRINUSE, -1, (struct mnl_socket * s, unsigned groups, pid_t pid),
     (s, groups, pid))
WRAP(ssize_t, mnl_socket_sendto, ENOBUFS, -1,
     (const struct mnl_socket *s, const void *request, size_t len), (s, request, len))

WRAP(int, bpf_object__open_skeleton, ENOMEM, -ENOMEM,
     (struct bpf_object_skeleton * s, const struct bpf_object_open_opts *o), (s, o))
WRAP(int, bpf_object__load_skeleton, ENOMEM, -ENOMEM, (struct bpf_object_skeleton * s), (s))
WRAP(int, bpf_map_update_elem, E2BIG, -E2BIG,
     (int fd, const void *key, const void *value, __u64 flags), (fd, key, value, flags))
WRAP(int, bpf_tc_hook_create, ENOBUFS, -ENOBUFS, (struct bpf_tc_hook * h), (h))
WRAP(int, bpf_tc_attach, ENOSPC, -ENOSPC, (const struct bpf_tc_hook *h, struct bpf_tc_opts *o),
     (h, o))

void *__real_mmap64(void *at, size_t len, int prot, int flags, int fd, off64_t offset);
void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off64_t offset);
void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off64_t offset)
{
	void *p = MAP_FAILED;

	if (!fails("mmap64", ENOMEM))
		p = __real_mmap64(at, len, prot, flags, fd, offset);
	mappings += p != MAP_FAILED;
	return p;
}

int __real_munmap(void *p, size_t len);
int __wrap_munmap(void *p, size_t len);
int __wrap_munmap(void *p, size_t len)
{
	mappings--;
	return __real_munmap(p, len);
}

int __real_bpf_link_create(int fd, int target, enum bpf_attach_type type,
			   const struct bpf_link_create_opts *o);
int __wrap_bpf_link_create(int fd, int target, enum bpf_attach_type type,
			   const struct bpf_link_create_opts *o);
int __wrap_bpf_link_create(int fd, int target, enum bpf_attach_type type,
			   const struct bpf_link_create_opts *o)
{
	/* Not the probe, which asks for an interface that cannot be: it lives on errors. */
	if (target != INT_MAX && fails("bpf_link_create", ENOSPC))
		return -ENOSPC;
	return __real_bpf_link_create(fd, target, type, o);
}

void __real_interface_offloads_read(struct interface_offloads *ret, const struct interface *i);
void __wrap_interface_offloads_read(struct interface_offloads *ret, const struct interface *i);
void __wrap_interface_offloads_read(struct interface_offloads *ret, const struct interface *i)
{
	reads_offloads = true;
	__real_interface_offloads_read(ret, i);
	reads_offloads = false;
}

/* --- memory --- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
size_t __sanitizer_get_current_allocated_bytes(void);

static long memory(void)
{
	return (long)__sanitizer_get_current_allocated_bytes();
}
#else
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

static _Atomic long blocks;

static long memory(void)
{
	return atomic_load(&blocks);
}

static void *counted(void *p)
{
	blocks += p != NULL;
	return p;
}

/* Whose references are wrapped, libraries': all end here. */
void *malloc(size_t size)
{
	return counted(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
	return counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t size)
{
	void *to = __libc_realloc(p, size);

	if (!p)
		return counted(to);
	blocks -= !to && !size;
	return to;
}

void *memalign(size_t alignment, size_t size)
{
	return counted(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return counted(__libc_memalign(alignment, size));
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	*ret = counted(__libc_memalign(alignment, size));
	return *ret ? 0 : ENOMEM;
}

void free(void *p)
{
	blocks -= p != NULL;
	__libc_free(p);
}
#endif

/* --- what a process holds --- */

struct holdings {
	long descriptors, threads, mappings, memory;
};

static long count_entries(const char *path)
{
	DIR *d = opendir(path);
	long n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static struct holdings holdings(void)
{
	return (struct holdings){
		.descriptors = count_entries("/proc/self/fd"),
		.threads = count_entries("/proc/self/task"),
		.mappings = atomic_load(&mappings),
		.memory = memory(),
	};
}

static bool is_more(const struct holdings *a, const struct holdings *b)
{
	return a->descriptors > b->descriptors || a->threads > b->threads ||
	       a->mappings > b->mappings || a->memory > b->memory;
}

static void assert_nothing_left(const struct holdings *before, unsigned n, struct fault f)
{
	struct holdings after = holdings();

	for (int us = 0; is_more(&after, before) && us < PATIENCE_US; us += PAUSE_US) {
		(void)usleep(PAUSE_US);
		after = holdings();
	}
	if (is_more(&after, before))
		fail_msg("%u, %s: left: %ld descriptors, %ld threads, %ld mappings, %ld of memory",
			 n, f.call ? f.call : "no fault", after.descriptors - before->descriptors,
			 after.threads - before->threads, after.mappings - before->mappings,
			 after.memory - before->memory);
	if (waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD)
		fail_msg("%u, %s: a child is left", n, f.call ? f.call : "no fault");
}

/* --- the log --- */

static _Atomic unsigned error_lines;
static char last_line[512]; /* for messages: torn if two threads log */

static void count_line(void *data, enum retina_log_level level, const char *format, va_list args)
{
	(void)data;
	if (level != RETINA_LOG_ERROR)
		return;
	(void)vsnprintf(last_line, sizeof(last_line), format, args);
	error_lines++;
}

const struct log fault_log = {count_line, NULL};

/* --- attempts --- */

static bool is_made_up_for(const struct fault_trial *t, const char *call)
{
	char name[64];

	(void)snprintf(name, sizeof(name), " %s ", call);
	return t->made_up_for && strstr(t->made_up_for, name);
}

static void assert_result(const struct fault_trial *t, unsigned n, struct fault f, int r)
{
	unsigned lines = atomic_load(&error_lines);

	if (!f.call && r < 0)
		fail_msg("%u: no call fails, but the attempt: %s: %s", n, strerror(-r), last_line);
	if (r == 0 && f.call && !is_made_up_for(t, f.call))
		fail_msg("%u, %s: the failure is not noticed", n, f.call);
	if (r < 0 && r != -f.error)
		fail_msg("%u, %s: it said %s, the attempt says %s", n, f.call, strerror(f.error),
			 strerror(-r));
	if (t->logs && lines != (r < 0))
		fail_msg("%u, %s: %u lines in the log: %s", n, f.call ? f.call : "no fault", lines,
			 lines ? last_line : "none");
}

unsigned fault_each(const struct fault_trial *t)
{
	struct holdings before = holdings();
	unsigned n = 0;
	struct fault f;

	/* Memory that libraries keep for ever is not a leak. */
	before.memory = LONG_MAX;
	assert_int_equal(t->attempt(t->data), 0);
	assert_nothing_left(&before, 0, (struct fault){0});
	do {
		int r;

		if (++n == ATTEMPTS_MAX)
			fail_msg("still failing after %u attempts", n);
		error_lines = 0;
		before.memory = memory();
		fault_arm(n);
		r = t->attempt(t->data);
		f = fault_disarm();
		if (getenv("FAULT_VERBOSE"))
			print_message("# %u %s: %d, %u lines: %s\n", n, f.call ? f.call : "-", r,
				      atomic_load(&error_lines),
				      atomic_load(&error_lines) ? last_line : "");
		assert_result(t, n, f, r);
		assert_nothing_left(&before, n, f);
	} while (f.call);
	return n - 1;
}
