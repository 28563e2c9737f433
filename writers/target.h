/* SPDX-License-Identifier: MIT */
/* target.h: the file or pipe that is written to, as opened by a path (see target.c). */
#ifndef RETINA_WRITERS_TARGET_H
#define RETINA_WRITERS_TARGET_H

#include <stdbool.h>

struct target {
	int fd;
	int direct_fd; /* the same file without the page cache, -1: not to be had */
	int dir_fd;    /* of the path, for unlink: the working directory may change */
	char *name;    /* in dir_fd; NULL for standard output */
	bool created;  /* by target_open() */
	bool is_pipe;  /* written in sequence */
};

/** target_init() - closed; target_close() may be called from here on */
void target_init(struct target *t);

/** target_open() - @path: "-" is standard output; Return: as file_open() */
int target_open(struct target *t, const char *path, bool overwrite);

/** target_stop_direct() - the file system refused a direct write: go on through the cache */
void target_stop_direct(struct target *t);

/** target_unlink() - if the path is still the file that target_open() created; 0 or -errno */
int target_unlink(const struct target *t);

/** target_close() - Return: 0, or the error of close(2): data may be lost */
int target_close(struct target *t);

#endif
