/* SPDX-License-Identifier: MIT */
/*
 * destination.c: opens what is to be written, so that no file is overwritten unasked, no symbolic
 * link followed, and nobody else can read the result. Any thread; belongs to a file.
 *
 * A regular file is opened twice: the second time without the page cache, for large aligned
 * writes. They cost less, and leave the node's cache to the node.
 */
#include "destination.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/errno.h"

#define FILE_MODE 0600

/* Keep the path's directory open, and the last component's name. */
static int path_split(struct destination *t, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir;

	t->name = strdup(slash ? slash + 1 : path);
	dir = slash ? strndup(path, slash - path + 1) : strdup(".");
	if (!t->name || !dir) {
		free(dir);
		return -ENOMEM;
	}
	t->dir_fd = neg_errno(open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC));
	free(dir);
	if (t->dir_fd < 0)
		return t->dir_fd;
	if (!*path)
		return -ENOENT;
	return *t->name ? 0 : -EISDIR;
}

/* May what stands at the path be written to? Sets t->is_pipe. */
static int check(struct destination *t, const struct stat *st, bool overwrite)
{
	switch (st->st_mode & S_IFMT) {
	case S_IFREG:
		if (!overwrite)
			return -EEXIST;
		return st->st_uid == geteuid() ? 0 : -EPERM;
	case S_IFIFO:
	case S_IFCHR:
		t->is_pipe = true;
		return 0;
	case S_IFLNK:
		return -ELOOP;
	case S_IFDIR:
		return -EISDIR;
	case S_IFBLK:
		return -ENOTBLK;
	default:
		return -ENXIO;
	}
}

/* Look first, without opening (that alone would act on a FIFO or a device), then open, then make
 * sure that it is what we looked at. */
static int open_existing(struct destination *t, bool overwrite)
{
	struct stat seen, st;
	int r;

	r = neg_errno(fstatat(t->dir_fd, t->name, &seen, AT_SYMLINK_NOFOLLOW));
	if (r < 0)
		return r;
	r = check(t, &seen, overwrite);
	if (r < 0)
		return r;
	t->fd = neg_errno(openat(t->dir_fd, t->name, O_WRONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC));
	if (t->fd < 0)
		return t->fd;
	r = neg_errno(fstat(t->fd, &st));
	if (r < 0)
		return r;
	if (st.st_dev != seen.st_dev || st.st_ino != seen.st_ino)
		return -ESTALE;
	return 0;
}

static int open_path(struct destination *t, const char *path, bool overwrite)
{
	int r;

	r = path_split(t, path);
	if (r < 0)
		return r;
	/* With O_EXCL a symlink at the path, dangling or not, counts as existing. */
	r = neg_errno(openat(t->dir_fd, t->name,
			     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE));
	if (r >= 0) {
		t->fd = r;
		t->created = true;
	} else if (r == -EEXIST) {
		r = open_existing(t, overwrite);
	}
	if (r < 0)
		return r;
	return t->is_pipe ? 0 : neg_errno(fchmod(t->fd, FILE_MODE)); /* against the umask */
}

/* Standard output may be in the middle of a file, or append: always in sequence. */
static int open_stdout(struct destination *t)
{
	t->is_pipe = true;
	t->fd = neg_errno(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
	return t->fd < 0 ? t->fd : 0;
}

static bool is_same(int a, int b)
{
	struct stat first, second;

	return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

/* Not every file system has direct writes: then there is no second descriptor. */
static void open_direct(struct destination *t)
{
	t->direct_fd = openat(t->dir_fd, t->name, O_WRONLY | O_DIRECT | O_NOFOLLOW | O_CLOEXEC);
	if (t->direct_fd >= 0 && !is_same(t->fd, t->direct_fd))
		destination_stop_direct(t);
}

void destination_init(struct destination *t)
{
	*t = (struct destination){.fd = -1, .direct_fd = -1, .dir_fd = -1};
}

int destination_open(struct destination *t, const char *path, bool overwrite)
{
	int r = strcmp(path, "-") == 0 ? open_stdout(t) : open_path(t, path, overwrite);

	if (r == 0 && !t->is_pipe)
		open_direct(t);
	return r;
}

void destination_stop_direct(struct destination *t)
{
	if (t->direct_fd >= 0)
		(void)close(t->direct_fd);
	t->direct_fd = -1;
}

int destination_unlink(const struct destination *t)
{
	struct stat path, st;

	if (!t->created || fstatat(t->dir_fd, t->name, &path, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstat(t->fd, &st) < 0 || path.st_dev != st.st_dev || path.st_ino != st.st_ino)
		return 0;
	return neg_errno(unlinkat(t->dir_fd, t->name, 0));
}

int destination_close(struct destination *t)
{
	int r = 0;

	destination_stop_direct(t);
	if (t->fd >= 0)
		r = neg_errno(close(t->fd));
	if (t->dir_fd >= 0)
		(void)close(t->dir_fd);
	free(t->name);
	destination_init(t);
	return r == -EINTR ? 0 : r; /* Linux has closed it all the same */
}
