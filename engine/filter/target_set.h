/* SPDX-License-Identifier: MIT */
/*
 * target_set.h: the include and exclude sets of a capture: what is in them, and their image in the
 * kernel's maps (see target_set.c). Its owner serialises the calls.
 */
#ifndef RETINA_FILTER_TARGET_SET_H
#define RETINA_FILTER_TARGET_SET_H

#include <stddef.h>
#include "target.h"

struct target_sets;

/* Where the image is; borrowed. */
struct target_maps {
	int hosts_fd;	 /* xdp/select.h: map target_hosts */
	int prefixes_fd; /* target_prefixes */
	uint32_t *kinds; /* target_kinds, in the programs' mapped globals */
};

enum target_side { TARGET_SIDE_INCLUDE, TARGET_SIDE_EXCLUDE, TARGET_SIDES };

int target_sets_new(struct target_sets **ret);
struct target_sets *target_sets_free(struct target_sets *s);

/**
 * target_sets_add() - adds one or, with a text that starts with @, a file's lines (blanks, empty
 * lines and what follows # are skipped); all or none
 * @error: receives what is wrong with which text (of a file: which line)
 * Return: how many are new, -EINVAL, -ENOENT and others of open(2), -ENOSPC (TARGETS_MAX), -ENOMEM.
 */
int target_sets_add(struct target_sets *s, enum target_side side, const char *text, char *error,
		    size_t error_size);

/** target_sets_remove() - so; -ENOENT when one is not in the set (then none is removed) */
int target_sets_remove(struct target_sets *s, enum target_side side, const char *text, char *error,
		       size_t error_size);

/** target_sets_attach() - writes all to the maps, and from now on every change; 0 or -errno */
int target_sets_attach(struct target_sets *s, const struct target_maps *maps);

bool target_sets_is_attached(const struct target_sets *s);

size_t target_sets_count(const struct target_sets *s, enum target_side side);

/** target_sets_each() - calls for each target of a set, in a stable order; a call that returns
 * false ends it */
void target_sets_each(const struct target_sets *s, enum target_side side,
		      bool (*call)(void *data, const struct target *t), void *data);

#endif
