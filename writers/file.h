/* SPDX-License-Identifier: MIT */
/* file.h: one output file or pipe, written through io_uring. */
#ifndef RETINA_WRITERS_FILE_H
#define RETINA_WRITERS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** struct file_config - what to write to; read by file_open() only */
struct file_config {
	const char *path;   /* "-": standard output (a duplicate: the process keeps its own) */
	bool overwrite;	    /* else an existing regular file is -EEXIST; it keeps its content
			     * until file_truncate() or file_close() */
	uint64_t max_bytes; /* disk space is never taken ahead beyond this; 0 = no cap */
	bool no_uring;	    /* plain write(2) and pwrite(2): for tests and for finding faults */
};

/*
 * One thread at a time uses a file; a hand-over needs a happens-before, such as a join or a mutex.
 * The process should ignore SIGPIPE: a pipe whose reader has gone raises it in the writing thread,
 * and only then can it be reported as -EPIPE. A forked child must not use a file of its parent.
 */
struct file;

/**
 * file_open() - open or create the output, take all memory it will need
 * A regular file is mode 0600 whatever the umask. A FIFO, a character device and standard output
 * are treated as a pipe: written in sequence, one write at a time. Opening a FIFO waits for its
 * reader. Return: 0, -EEXIST (a file, and no overwrite), -EPERM (overwrite, and the file is not
 * ours), -ELOOP (a symlink), -EISDIR, -ENOTBLK (a block device), -ENXIO (a socket), -ENOMEM, the
 * error of open(2).
 */
int file_open(struct file **ret, const struct file_config *config);

/**
 * file_append() - copy bytes to the end of the file
 * Blocks only while all FILE_BUFFERS buffers are under way.
 * Return: 0, or the first error any write has met (kept until file_truncate()).
 */
int file_append(struct file *f, const void *data, size_t len);

/**
 * file_flush() - put all appended bytes on their way to the file
 * On a pipe this waits until the bytes before the last buffer have been taken by the reader.
 * Return: as file_append().
 */
int file_flush(struct file *f);

/** file_settle() - wait until all submitted writes are complete; returns as file_append() */
int file_settle(struct file *f);

/** file_size() - bytes appended so far */
uint64_t file_size(const struct file *f);

/** file_written() - all bytes below this offset were written, as of the last call above */
uint64_t file_written(const struct file *f);

bool file_is_pipe(const struct file *f);

/** file_uses_uring() - false: io_uring is forbidden or missing here, plain writes do the work */
bool file_uses_uring(const struct file *f);

/**
 * file_truncate() - cut the file to `len` bytes and forget a write error, so that appending may be
 * tried again; settles first
 * @len: at most file_written()
 * Return: 0, -ESPIPE (a pipe), -EINVAL (len), the error of ftruncate(2).
 */
int file_truncate(struct file *f, uint64_t len);

/**
 * file_close() - write what is left, give back the space taken ahead, close, free
 * After a write error the file is cut to file_written(), so that it has no holes. Takes NULL.
 * Return: as file_append(), or the error of ftruncate(2) or close(2); `f` is gone in any case.
 */
int file_close(struct file *f);

/**
 * file_abort() - close at once, and unlink the path if file_open() created it; frees. Takes NULL.
 * Return: 0 or the error of unlink(2).
 */
int file_abort(struct file *f);

#endif
