/* SPDX-License-Identifier: MIT */
/* destination.h: the file or pipe that is written to, as opened by a path (see destination.c). */
#ifndef RETINA_WRITERS_DESTINATION_H
#define RETINA_WRITERS_DESTINATION_H

#include <stdbool.h>

struct destination {
	int fd;
	int direct_fd; /* the same file without the page cache, -1: not to be had */
	int dir_fd;    /* of the path, for unlink: the working directory may change */
	char *name;    /* in dir_fd; NULL for standard output */
	bool created;  /* by destination_open() */
	bool is_pipe;  /* written in sequence */
};

/** destination_init() - closed; destination_close() may be called from here on */
void destination_init(struct destination *t);

/** destination_open() - @path: "-" is standard output; Return: as file_open() */
int destination_open(struct destination *t, const char *path, bool overwrite);

/** destination_stop_direct() - the file system refused a direct write: go on through the cache */
void destination_stop_direct(struct destination *t);

/** destination_unlink() - if the path is still the file that destination_open() created; 0 or
 * -errno */
int destination_unlink(const struct destination *t);

/** destination_close() - Return: 0, or the error of close(2): data may be lost */
int destination_close(struct destination *t);

#endif
