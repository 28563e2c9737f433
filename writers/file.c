/* SPDX-License-Identifier: MIT */
/*
 * file.c: one output, written through io_uring from a ring of staging buffers. One thread at a time
 * owns a file (see file.h); nothing here is shared, so there is no lock.
 *
 * The byte at file offset o is staged at area[o % AREA_SIZE]. The area is FILE_BUFFERS buffers; a
 * write never crosses a buffer, and a full buffer is queued at once. Four offsets say it all:
 *
 *	written <= submitted <= queued <= size
 *
 * `size` is what was appended, `queued` what shall be written (whole buffers, or all after a
 * flush), `submitted` what has been given to the kernel. A regular file's write starts at the page
 * that holds `submitted`: after a flush the few bytes in front are written again, with the same
 * content, so that each write is page aligned and may overtake the one before.
 *
 * Invariant: a buffer is filled anew only when no write of its old content is outstanding. The
 * first error stops all submitting; what is known to be in the file never passes the lowest failed
 * byte.
 *
 * Large writes go around the page cache where the file system lets them: it costs less, and the
 * cache belongs to the node. Parts, which a flush writes, go through it.
 *
 * The io_uring is a plain one, not SINGLE_ISSUER: a file is opened and closed by the control
 * thread, appended to by the writer thread. When a thread ends, the kernel cuts its unfinished
 * requests short or cancels them; whoever settles submits the rest again. Where io_uring cannot be
 * had (seccomp profiles of containers forbid it) each submit is a plain, synchronous write.
 */
#include "file.h"

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/limits.h"
#include "destination.h"

#define AREA_SIZE (FILE_BUFFERS * FILE_BUFFER_SIZE)

/* Bytes: where writes to a regular file begin, so that the page cache need not read, and direct
 * writes are possible. */
#define WRITE_ALIGN 4096u

/* Bytes of disk space taken ahead in one step: about 16 ms of writing at 1 GB/s. */
#define PREALLOCATE_STEP (16 * MIB)

/* Writes under way at once: one per buffer, and as many flushes of parts. */
#define WRITES_MAX (2 * FILE_BUFFERS)

struct write {
	uint64_t offset; /* of the first byte still to write */
	size_t len;	 /* bytes still to write; 0: this slot is free */
	uint64_t fresh;	 /* bytes below this belong to an earlier write, too */
	bool is_direct;	 /* around the page cache */
};

struct file {
	struct destination destination;
	bool aborting;	/* nothing is tried again */
	bool no_direct; /* the file system refused a direct write */

	bool uring;
	bool fixed_area; /* the area is registered buffer 0 */
	bool fixed_file; /* destination.fd is registered file 0, .direct_fd 1 */
	struct io_uring ring;

	uint8_t *area;
	uint64_t size;
	uint64_t queued;
	uint64_t submitted;
	uint64_t valid;	 /* lowest offset whose bytes are staged: where a truncate left off */
	uint64_t failed; /* lowest offset of a failed write, UINT64_MAX: none */
	int error;	 /* of the first failed write */

	uint64_t max_bytes; /* UINT64_MAX: no cap */
	uint64_t allocated; /* disk space is taken up to this offset */
	bool preallocate;

	unsigned int in_flight; /* used slots of `writes` */
	struct write writes[WRITES_MAX];
};

static uint64_t round_down(uint64_t v, uint64_t unit)
{
	return v - v % unit;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static int area_map(struct file *f)
{
	void *area =
		mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		return -ENOMEM;
	f->area = area;
	/* A fork must not put our pinned pages out of step with the ring's. */
	(void)madvise(area, AREA_SIZE, MADV_DONTFORK);
	return 0;
}

/* Whatever is refused here (no io_uring, RLIMIT_MEMLOCK) is done without. */
static void ring_open(struct file *f)
{
	struct iovec area = {f->area, AREA_SIZE};
	const int files[] = {f->destination.fd, f->destination.direct_fd};

	f->uring = io_uring_queue_init(WRITES_MAX, &f->ring, 0) == 0;
	if (!f->uring)
		return;
	f->fixed_area = io_uring_register_buffers(&f->ring, &area, 1) == 0;
	/* A descriptor of -1 is an empty slot. */
	f->fixed_file = io_uring_register_files(&f->ring, files, 2) == 0;
}

/* The kernel takes a ring down in its own time, but unregistering waits: so the close of fd is the
 * last one (a pipe's reader sees the end), and RLIMIT_MEMLOCK has room for the next file's buffers.
 */
static void ring_close(struct file *f)
{
	if (!f->uring)
		return;
	if (f->fixed_file)
		(void)io_uring_unregister_files(&f->ring);
	if (f->fixed_area)
		(void)io_uring_unregister_buffers(&f->ring);
	io_uring_queue_exit(&f->ring);
	f->uring = false;
}

static struct file *file_free(struct file *f)
{
	if (!f)
		return NULL;
	ring_close(f);
	if (f->area)
		(void)munmap(f->area, AREA_SIZE);
	(void)destination_close(&f->destination);
	free(f);
	return NULL;
}

int file_open(struct file **ret, const struct file_config *config)
{
	struct file *f;
	int r;

	f = malloc(sizeof(*f));
	if (!f)
		return -ENOMEM;
	*f = (struct file){
		.failed = UINT64_MAX,
		.max_bytes = config->max_bytes ? config->max_bytes : UINT64_MAX,
	};
	destination_init(&f->destination); /* freeable from here on */
	r = area_map(f);		   /* first: after it only the open itself can fail */
	if (r < 0)
		goto fail;
	r = destination_open(&f->destination, config->path, config->overwrite);
	if (r < 0)
		goto fail;
	if (!config->no_uring)
		ring_open(f);
	f->preallocate = !f->destination.is_pipe;
	*ret = f;
	return 0;
fail:
	(void)file_abort(f);
	return r;
}

/* Standard output may be non-blocking, because it shares its flags with another process. */
static void wait_writable(const struct file *f)
{
	struct pollfd p = {.fd = f->destination.fd, .events = POLLOUT};

	(void)poll(&p, 1, -1);
}

static void write_failed(struct file *f, struct write *w, int error)
{
	if (!f->error)
		f->error = error;
	f->failed = min_u64(f->failed, max_u64(w->offset, w->fresh));
	w->len = 0;
	f->in_flight--;
}

/* Account for a result (bytes or -errno); true: there is a rest, submit again. */
static bool write_completed(struct file *f, struct write *w, int result)
{
	bool again = result == -EINTR || result == -EAGAIN || result == -ECANCELED;

	if (result == -EINVAL && w->is_direct) {
		/* The descriptor stays open: other writes may be under way with it. */
		f->no_direct = true;
		w->is_direct = false;
		again = true;
	}
	if (again && !f->aborting) {
		if (result == -EAGAIN && f->destination.is_pipe)
			wait_writable(f);
		return true;
	}
	if (result <= 0) {
		write_failed(f, w, result < 0 ? result : -EIO);
		return false;
	}
	w->offset += result;
	w->len -= result;
	if (w->offset % WRITE_ALIGN)
		w->is_direct = false; /* the rest of a short write */
	if (w->len > 0 && f->aborting)
		write_failed(f, w, -ECANCELED);
	else if (w->len > 0)
		return true;
	else
		f->in_flight--;
	return false;
}

static int plain_write(const struct file *f, const struct write *w)
{
	const uint8_t *data = f->area + w->offset % AREA_SIZE;

	if (f->destination.is_pipe)
		return neg_errno((int)write(f->destination.fd, data, w->len));
	return neg_errno((int)pwrite(w->is_direct ? f->destination.direct_fd : f->destination.fd,
				     data, w->len, w->offset));
}

static int ring_submit(struct file *f, struct write *w)
{
	const uint8_t *data = f->area + w->offset % AREA_SIZE;
	uint64_t offset = f->destination.is_pipe ? (uint64_t)-1
						 : w->offset; /* -1: at the file's own position */
	struct io_uring_sqe *sqe = io_uring_get_sqe(&f->ring);
	int fd = w->is_direct ? f->destination.direct_fd : f->destination.fd;
	int r;

	if (!sqe)
		return -EBUSY;
	if (f->fixed_file)
		fd = w->is_direct ? 1 : 0;
	if (f->fixed_area)
		io_uring_prep_write_fixed(sqe, fd, data, w->len, offset, 0);
	else
		io_uring_prep_write(sqe, fd, data, w->len, offset);
	if (f->fixed_file)
		sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, w);
	do
		r = io_uring_submit(&f->ring);
	while (r == -EINTR || r == -EAGAIN);
	if (r < 0) {
		/* The kernel has not read the entry; it must not act on it later. */
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data(sqe, NULL);
		return r;
	}
	return 0;
}

static void write_start(struct file *f, struct write *w)
{
	int r;

	if (f->uring) {
		r = ring_submit(f, w);
		if (r < 0)
			write_failed(f, w, r);
		return;
	}
	while (write_completed(f, w, plain_write(f, w)))
		;
}

static void fail_all(struct file *f, int error)
{
	for (unsigned int i = 0; i < WRITES_MAX; i++)
		if (f->writes[i].len > 0)
			write_failed(f, &f->writes[i], error);
}

/* Take completions; if `wait`, not without at least one write having ended. */
static void reap(struct file *f, bool wait)
{
	while (f->in_flight > 0) {
		struct io_uring_cqe *cqe;
		struct write *w;
		int r;

		r = wait ? io_uring_wait_cqe(&f->ring, &cqe) : io_uring_peek_cqe(&f->ring, &cqe);
		if (r == -EINTR)
			continue;
		if (r < 0) {
			if (wait)
				fail_all(f, r); /* never seen: the ring itself is broken */
			return;
		}
		w = io_uring_cqe_get_data(cqe);
		r = cqe->res;
		io_uring_cqe_seen(&f->ring, cqe);
		if (!w)
			continue;
		if (r == -EFAULT && !f->aborting)
			r = plain_write(f, w); /* older kernels' word for "its thread has ended" */
		if (write_completed(f, w, r))
			write_start(f, w);
		else
			wait = false;
	}
}

static void preallocate(struct file *f, uint64_t end)
{
	uint64_t target;

	if (!f->preallocate || end <= f->allocated)
		return;
	target = min_u64(round_down(end, PREALLOCATE_STEP) + PREALLOCATE_STEP, f->max_bytes);
	if (target > f->allocated && fallocate(f->destination.fd, FALLOC_FL_KEEP_SIZE, f->allocated,
					       target - f->allocated) < 0)
		f->preallocate = false; /* not supported, or full: the writes will tell */
	f->allocated = max_u64(target, end);
}

static struct write *write_slot(struct file *f)
{
	if (f->destination.is_pipe && f->in_flight > 0)
		return NULL; /* their order is that of the bytes */
	for (unsigned int i = 0; i < WRITES_MAX; i++)
		if (f->writes[i].len == 0)
			return &f->writes[i];
	return NULL;
}

static bool can_be_direct(const struct file *f, uint64_t start, uint64_t end)
{
	return f->destination.direct_fd >= 0 && !f->no_direct && start % WRITE_ALIGN == 0 &&
	       end % WRITE_ALIGN == 0;
}

static bool has_cached_write(const struct file *f)
{
	for (unsigned int i = 0; i < WRITES_MAX; i++)
		if (f->writes[i].len > 0 && !f->writes[i].is_direct)
			return true;
	return false;
}

/* Submit what is queued, as far as slots reach. */
static void pump(struct file *f)
{
	while (f->submitted < f->queued && !f->error) {
		struct write *w = write_slot(f);
		uint64_t start = f->submitted;
		uint64_t end =
			min_u64(f->queued, round_down(start, FILE_BUFFER_SIZE) + FILE_BUFFER_SIZE);

		bool is_direct;

		if (!w)
			return;
		if (!f->destination.is_pipe)
			start = max_u64(round_down(start, WRITE_ALIGN), f->valid);
		is_direct = can_be_direct(f, start, end);
		/* A cached page of an older write, put on disk later, would undo a direct one. */
		if (is_direct && has_cached_write(f))
			return;
		*w = (struct write){.offset = start,
				    .len = end - start,
				    .fresh = f->submitted,
				    .is_direct = is_direct};
		f->in_flight++;
		f->submitted = end;
		preallocate(f, end);
		write_start(f, w);
	}
}

/* No write of bytes below this offset is outstanding, or still to come. */
static uint64_t oldest_needed(const struct file *f)
{
	uint64_t oldest = f->submitted;

	for (unsigned int i = 0; i < WRITES_MAX; i++)
		if (f->writes[i].len > 0)
			oldest = min_u64(oldest, f->writes[i].offset);
	return oldest;
}

/* May the buffer at the end of the file be filled? */
static bool has_room(const struct file *f)
{
	uint64_t end = round_down(f->size, FILE_BUFFER_SIZE) + FILE_BUFFER_SIZE;

	return end <= oldest_needed(f) + AREA_SIZE;
}

int file_append(struct file *f, const void *data, size_t len)
{
	const uint8_t *from = data;

	reap(f, false);
	pump(f);
	while (len > 0 && !f->error) {
		size_t at = f->size % FILE_BUFFER_SIZE, n = FILE_BUFFER_SIZE - at;

		if (!has_room(f)) {
			reap(f, true);
			pump(f);
			continue;
		}
		if (n > len)
			n = len;
		memcpy(f->area + f->size % AREA_SIZE, from, n);
		f->size += n;
		from += n;
		len -= n;
		if (at + n == FILE_BUFFER_SIZE) {
			f->queued = f->size;
			pump(f);
		}
	}
	return f->error;
}

int file_flush(struct file *f)
{
	f->queued = f->size;
	reap(f, false);
	pump(f);
	while (f->submitted < f->queued && !f->error) {
		reap(f, true);
		pump(f);
	}
	return f->error;
}

int file_settle(struct file *f)
{
	pump(f);
	while (f->in_flight > 0) {
		reap(f, true);
		pump(f);
	}
	return f->error;
}

uint64_t file_size(const struct file *f)
{
	return f->size;
}

uint64_t file_written(const struct file *f)
{
	uint64_t written = min_u64(f->submitted, f->failed);

	for (unsigned int i = 0; i < WRITES_MAX; i++)
		if (f->writes[i].len > 0)
			written =
				min_u64(written, max_u64(f->writes[i].offset, f->writes[i].fresh));
	return written;
}

bool file_is_pipe(const struct file *f)
{
	return f->destination.is_pipe;
}

bool file_uses_uring(const struct file *f)
{
	return f->uring;
}

int file_truncate(struct file *f, uint64_t len)
{
	int r;

	if (f->destination.is_pipe)
		return -ESPIPE;
	(void)file_flush(f); /* the error is what the caller wants to get over */
	(void)file_settle(f);
	if (len > file_written(f))
		return -EINVAL;
	r = neg_errno(ftruncate(f->destination.fd, len));
	if (r < 0)
		return r;
	f->size = len;
	f->queued = len;
	f->submitted = len;
	f->valid = len;
	f->allocated = len; /* what was taken beyond is given back */
	f->failed = UINT64_MAX;
	f->error = 0;
	return 0;
}

int file_close(struct file *f)
{
	int r, error;

	if (!f)
		return 0;
	(void)file_flush(f);
	error = file_settle(f);
	if (!f->destination.is_pipe) {
		r = neg_errno(ftruncate(f->destination.fd, file_written(f)));
		if (!error)
			error = r;
	}
	ring_close(f);
	r = destination_close(&f->destination);
	if (!error)
		error = r;
	file_free(f);
	return error;
}

/* A reader that does not read would keep its write for ever; a disk's ends by itself. */
static void cancel(struct file *f)
{
	f->aborting = true;
	for (unsigned int i = 0; i < WRITES_MAX; i++) {
		struct io_uring_sqe *sqe;

		if (f->writes[i].len == 0)
			continue;
		sqe = io_uring_get_sqe(&f->ring);
		if (!sqe)
			break;
		io_uring_prep_cancel(sqe, &f->writes[i], 0);
		io_uring_sqe_set_data(sqe, NULL);
	}
	(void)io_uring_submit(&f->ring);
}

int file_abort(struct file *f)
{
	int r = 0;

	if (!f)
		return 0;
	if (f->destination.is_pipe && f->in_flight > 0)
		cancel(f);
	while (f->in_flight > 0)
		reap(f, true);
	r = destination_unlink(&f->destination);
	file_free(f);
	return r;
}
