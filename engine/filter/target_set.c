// SPDX-License-Identifier: MIT
/*
 * target_set.c: the targets of a capture, in two trees of the C library, and their image in the
 * kernel's maps. Owned by one thread.
 *
 * A change shows in the maps target by target, and each frame is judged by what is there at its
 * moment. target_kinds, which says what there is to look for and whether anything is included at
 * all, is written behind what comes and before what goes: so the first targets of an empty include
 * set take effect together, and no frame meets a set that is smaller than both the old and the new.
 */
#include "target_set.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include "base/limits.h"
#include "target_abi.h"

enum kind { HOST_4, HOST_6, HOST_PORT_4, HOST_PORT_6, PORT, PREFIX, PREFIX_PORT, KINDS };

struct target_sets {
	void *trees[TARGET_SIDES]; /* of struct target */
	size_t counts[TARGET_SIDES][KINDS];
	bool is_attached;
	struct target_maps maps;
};

int target_sets_new(struct target_sets **ret)
{
	struct target_sets *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*ret = s;
	return 0;
}

struct target_sets *target_sets_free(struct target_sets *s)
{
	if (!s)
		return NULL;
	for (unsigned side = 0; side < TARGET_SIDES; side++)
		tdestroy(s->trees[side], free);
	free(s);
	return NULL;
}

/* The order of the lists: by family, address, prefix, port. Padding is 0 everywhere. */
static int compare(const void *a, const void *b)
{
	const struct target *x = a, *y = b;
	int r = (int)x->family - (int)y->family;

	if (r == 0)
		r = memcmp(x->address, y->address, sizeof(x->address));
	if (r == 0)
		r = (int)x->prefix_len - (int)y->prefix_len;
	if (r == 0)
		r = (int)x->has_port - (int)y->has_port;
	return r ? r : (int)x->port - (int)y->port;
}

static enum kind kind_of(const struct target *t)
{
	if (!t->family)
		return PORT;
	if (t->prefix_len < (t->family == 4 ? 32 : 128))
		return t->has_port ? PREFIX_PORT : PREFIX;
	if (t->family == 4)
		return t->has_port ? HOST_PORT_4 : HOST_4;
	return t->has_port ? HOST_PORT_6 : HOST_6;
}

bool target_sets_is_attached(const struct target_sets *s)
{
	return s->is_attached;
}

size_t target_sets_count(const struct target_sets *s, enum target_side side)
{
	size_t n = 0;

	for (unsigned kind = 0; kind < KINDS; kind++)
		n += s->counts[side][kind];
	return n;
}

/* --- the image --- */

static void write_kinds(struct target_sets *s)
{
	static const uint32_t bits[TARGET_SIDES][KINDS] = {
		[TARGET_SIDE_INCLUDE] = {TARGET_HOST_4, TARGET_HOST_6, TARGET_HOST_PORT_4,
					 TARGET_HOST_PORT_6, TARGET_PORT, TARGET_PREFIX_INCLUDE,
					 TARGET_PREFIX_PORT_INCLUDE},
		[TARGET_SIDE_EXCLUDE] = {TARGET_HOST_4, TARGET_HOST_6, TARGET_HOST_PORT_4,
					 TARGET_HOST_PORT_6, TARGET_PORT, TARGET_PREFIX_EXCLUDE,
					 TARGET_PREFIX_PORT_EXCLUDE},
	};
	uint32_t kinds = target_sets_count(s, TARGET_SIDE_INCLUDE) ? TARGET_HAS_INCLUDE : 0;

	for (unsigned side = 0; side < TARGET_SIDES; side++)
		for (unsigned kind = 0; kind < KINDS; kind++)
			kinds |= s->counts[side][kind] ? bits[side][kind] : 0;
	if (s->is_attached)
		/* Pairs with nothing but the order of system calls: the maps' updates. */
		__atomic_store_n(s->maps.kinds, kinds, __ATOMIC_SEQ_CST);
}

static bool is_in(const struct target_sets *s, enum target_side side, const struct target *t)
{
	return tfind(t, &s->trees[side], compare) != NULL;
}

static int write_host(const struct target_sets *s, const struct target *t)
{
	struct target_host key = {.family = t->family, .port = htons(t->port)};
	uint8_t sets = (is_in(s, TARGET_SIDE_INCLUDE, t) ? TARGET_INCLUDE : 0) |
		       (is_in(s, TARGET_SIDE_EXCLUDE, t) ? TARGET_EXCLUDE : 0);

	memcpy(key.address, t->address, sizeof(key.address));
	if (!sets)
		return bpf_map_delete_elem(s->maps.hosts_fd, &key);
	return bpf_map_update_elem(s->maps.hosts_fd, &key, &sets, BPF_ANY);
}

static int write_prefix(const struct target_sets *s, enum target_side side, const struct target *t)
{
	struct target_prefix key = {
		.len = TARGET_PREFIX_BITS + t->prefix_len,
		.set = side == TARGET_SIDE_INCLUDE ? TARGET_INCLUDE : TARGET_EXCLUDE,
		.family = t->family,
		.port = htons(t->port),
	};
	uint8_t value = 1;

	memcpy(key.address, t->address, sizeof(key.address));
	if (!is_in(s, side, t))
		return bpf_map_delete_elem(s->maps.prefixes_fd, &key);
	return bpf_map_update_elem(s->maps.prefixes_fd, &key, &value, BPF_ANY);
}

/* Makes the maps say of one target what the trees say. */
static int write_image(const struct target_sets *s, enum target_side side, const struct target *t)
{
	enum kind kind = kind_of(t);

	if (!s->is_attached)
		return 0;
	return kind == PREFIX || kind == PREFIX_PORT ? write_prefix(s, side, t) : write_host(s, t);
}

/* --- one target --- */

/* The target goes into the tree as it is. Return: 1 when it is new, 0, -ENOMEM or the map's. */
static int insert(struct target_sets *s, enum target_side side, const struct target *t)
{
	struct target *copy;
	int r;

	if (is_in(s, side, t))
		return 0;
	copy = malloc(sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	*copy = *t;
	if (!tsearch(copy, &s->trees[side], compare)) {
		free(copy);
		return -ENOMEM;
	}
	r = write_image(s, side, t);
	if (r < 0) {
		(void)tdelete(t, &s->trees[side], compare);
		free(copy);
		return r;
	}
	s->counts[side][kind_of(t)]++;
	return 1;
}

/* It is there. The maps can always let go of an element. */
static void take_out(struct target_sets *s, enum target_side side, const struct target *t)
{
	struct target *held = *(struct target **)tfind(t, &s->trees[side], compare);

	s->counts[side][kind_of(t)]--;
	if (!s->counts[side][kind_of(t)])
		write_kinds(s);
	(void)tdelete(t, &s->trees[side], compare);
	(void)write_image(s, side, t);
	free(held);
}

/* --- texts and files --- */

struct list {
	struct target *targets;
	size_t count, room;
};

static int append(struct list *l, const struct target *t)
{
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		struct target *more = realloc(l->targets, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->targets = more;
		l->room = room;
	}
	l->targets[l->count++] = *t;
	return 0;
}

/* Cuts a comment and the blanks around; returns the begin. */
static char *trim(char *line)
{
	size_t len;

	line[strcspn(line, "#")] = 0;
	line += strspn(line, " \t\r\n");
	len = strlen(line);
	while (len && strchr(" \t\r\n", line[len - 1]))
		line[--len] = 0;
	return line;
}

static int read_file(struct list *l, const char *path, char *error, size_t error_size)
{
	FILE *f = fopen(path, "re");
	size_t size = 0, number = 0;
	char *line = NULL;
	int r = 0;

	if (!f) {
		r = -errno;
		(void)snprintf(error, error_size, "%s: %s", path, strerror(-r));
		return r;
	}
	while (r == 0 && getline(&line, &size, f) >= 0) {
		const char *text = trim(line), *wrong;
		struct target t;

		number++;
		if (!*text)
			continue;
		wrong = target_parse(&t, text);
		if (wrong) {
			(void)snprintf(error, error_size, "%s:%zu: %.64s: %s", path, number, text,
				       wrong);
			r = -EINVAL;
		} else {
			r = append(l, &t);
		}
	}
	if (r == 0 && ferror(f)) {
		r = -EIO;
		(void)snprintf(error, error_size, "%s: cannot read", path);
	}
	free(line);
	(void)fclose(f);
	return r;
}

static int read_targets(struct list *l, const char *text, char *error, size_t error_size)
{
	const char *wrong;
	struct target t;

	*l = (struct list){0};
	if (*text == '@')
		return read_file(l, text + 1, error, error_size);
	wrong = target_parse(&t, text);
	if (!wrong)
		return append(l, &t);
	(void)snprintf(error, error_size, "%.64s: %s", text, wrong);
	return -EINVAL;
}

static bool has_room(const struct target_sets *s, size_t more)
{
	return target_sets_count(s, TARGET_SIDE_INCLUDE) +
		       target_sets_count(s, TARGET_SIDE_EXCLUDE) + more <=
	       TARGETS_MAX;
}

/* Compacts the list to those that were new. */
static int insert_all(struct target_sets *s, enum target_side side, struct list *l)
{
	size_t added = 0;
	int r = 0;

	for (size_t i = 0; i < l->count && r >= 0; i++) {
		r = insert(s, side, &l->targets[i]);
		if (r == 1)
			l->targets[added++] = l->targets[i];
	}
	if (r < 0)
		while (added)
			take_out(s, side, &l->targets[--added]);
	write_kinds(s);
	return r < 0 ? r : (int)added;
}

int target_sets_add(struct target_sets *s, enum target_side side, const char *text, char *error,
		    size_t error_size)
{
	struct list l;
	int r;

	*error = 0;
	r = read_targets(&l, text, error, error_size);
	if (r == 0 && !has_room(s, l.count)) {
		r = -ENOSPC;
		(void)snprintf(error, error_size, "%.64s: more than %u targets", text, TARGETS_MAX);
	}
	if (r == 0)
		r = insert_all(s, side, &l);
	if (r < 0 && !*error)
		(void)snprintf(error, error_size, "%.64s: %s", text, strerror(-r));
	free(l.targets);
	return r;
}

static int remove_all(struct target_sets *s, enum target_side side, const struct list *l)
{
	int removed = 0;

	for (size_t i = 0; i < l->count; i++)
		if (is_in(s, side, &l->targets[i])) { /* a file may name one twice */
			take_out(s, side, &l->targets[i]);
			removed++;
		}
	return removed;
}

int target_sets_remove(struct target_sets *s, enum target_side side, const char *text, char *error,
		       size_t error_size)
{
	struct list l;
	int r;

	*error = 0;
	r = read_targets(&l, text, error, error_size);
	for (size_t i = 0; i < l.count && r == 0; i++)
		if (!is_in(s, side, &l.targets[i])) {
			char missing[TARGET_TEXT_MAX];

			r = -ENOENT;
			target_format(&l.targets[i], missing);
			(void)snprintf(error, error_size, "%s is not in the set", missing);
		}
	if (r == 0)
		r = remove_all(s, side, &l);
	if (r < 0 && !*error)
		(void)snprintf(error, error_size, "%.64s: %s", text, strerror(-r));
	free(l.targets);
	return r;
}

/* --- over all --- */

struct walk {
	bool (*call)(void *data, const struct target *t);
	void *data;
	bool has_ended;
};

static void visit(const void *node, VISIT which, void *data)
{
	struct walk *w = data;

	if ((which == postorder || which == leaf) && !w->has_ended)
		w->has_ended = !w->call(w->data, *(const struct target *const *)node);
}

void target_sets_each(const struct target_sets *s, enum target_side side,
		      bool (*call)(void *data, const struct target *t), void *data)
{
	struct walk w = {.call = call, .data = data};

	twalk_r(s->trees[side], visit, &w);
}

struct attachment {
	const struct target_sets *s;
	enum target_side side;
	int error;
};

static bool attach_one(void *data, const struct target *t)
{
	struct attachment *a = data;

	a->error = write_image(a->s, a->side, t);
	return a->error == 0;
}

int target_sets_attach(struct target_sets *s, const struct target_maps *maps)
{
	s->maps = *maps;
	s->is_attached = true;
	for (unsigned side = 0; side < TARGET_SIDES; side++) {
		struct attachment a = {.s = s, .side = (enum target_side)side};

		target_sets_each(s, a.side, attach_one, &a);
		if (a.error < 0)
			return a.error;
	}
	write_kinds(s);
	return 0;
}
