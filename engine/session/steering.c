// SPDX-License-Identifier: MIT
/*
 * steering.c: filter, target sets and sampling of a capture, and the calls of the public API that
 * change them while it runs. Part of a capture.
 *
 * The tap and the target sets belong to the control thread. Whoever asks from another thread leaves
 * a request and waits until the control thread has answered it; an expression is compiled before
 * that, by who asks, for it may have to look up names.
 *
 * Invariant: every change of the filter leaves a note, and every note gets into the file (pcapng).
 */
#include "steering.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/errno.h"
#include "capture.h"
#include "expression.h"
#include "tap.h"

struct steering_request {
	int (*call)(struct retina_capture *c, void *data);
	void *data;
	int result;
	bool is_answered;
	struct steering_request *next;
};

/* 2026-11-24T08:00:00.123456789Z, a blank, 0. */
enum { DATE_SIZE = 32 };

struct steering_note {
	struct steering_note *next;
	char text[];
};

void steering_init(struct steering *s)
{
	*s = (struct steering){.control = pthread_self()};
	(void)pthread_mutex_init(&s->lock, NULL); /* cannot fail: default attributes */
	(void)pthread_cond_init(&s->answered, NULL);
}

void steering_release(struct steering *s)
{
	for (struct steering_note *n = s->notes, *next; n; n = next) {
		next = n->next;
		free(n);
	}
	target_sets_free(s->targets);
	free(s->filter);
	(void)pthread_cond_destroy(&s->answered);
	(void)pthread_mutex_destroy(&s->lock);
}

/* --- requests --- */

/* Runs a call on the control thread; returns its result, or -ESHUTDOWN. */
static int ask(struct retina_capture *c, int (*call)(struct retina_capture *c, void *data),
	       void *data)
{
	struct steering_request request = {.call = call, .data = data}, **last;
	struct steering *s = &c->steering;
	uint64_t one = 1;

	(void)pthread_mutex_lock(&s->lock);
	if (s->is_closed) {
		(void)pthread_mutex_unlock(&s->lock);
		return -ESHUTDOWN;
	}
	if (pthread_equal(pthread_self(), s->control)) {
		(void)pthread_mutex_unlock(&s->lock);
		return call(c, data);
	}
	for (last = &s->first; *last; last = &(*last)->next)
		;
	*last = &request;
	(void)!write(c->wake, &one, sizeof(one));
	while (!request.is_answered)
		(void)pthread_cond_wait(&s->answered, &s->lock);
	(void)pthread_mutex_unlock(&s->lock);
	return request.result;
}

/* The lock is held: takes the first request out, which then is nobody else's. */
static struct steering_request *take(struct steering *s)
{
	struct steering_request *request = s->first;

	if (request)
		s->first = request->next;
	return request;
}

static void answer(struct steering *s, struct steering_request *request, int result)
{
	request->result = result;
	request->is_answered = true;
	(void)pthread_cond_broadcast(&s->answered);
}

void steering_serve(struct retina_capture *c)
{
	struct steering *s = &c->steering;
	struct steering_request *request;

	(void)pthread_mutex_lock(&s->lock);
	while ((request = take(s))) {
		int r;

		(void)pthread_mutex_unlock(&s->lock);
		r = request->call(c, request->data);
		(void)pthread_mutex_lock(&s->lock);
		answer(s, request, r);
	}
	(void)pthread_mutex_unlock(&s->lock);
}

void steering_close(struct retina_capture *c)
{
	struct steering *s = &c->steering;
	struct steering_request *request;

	(void)pthread_mutex_lock(&s->lock);
	s->is_closed = true;
	while ((request = take(s)))
		answer(s, request, -ESHUTDOWN);
	(void)pthread_mutex_unlock(&s->lock);
}

/* --- notes for the file --- */

static struct steering_note *note_new(const char *what, const char *text)
{
	size_t size = DATE_SIZE + strlen(what) + strlen(text);
	struct steering_note *n = malloc(sizeof(*n) + size);

	if (!n)
		return NULL;
	n->next = NULL;
	(void)snprintf(n->text, size, "%-*s%s%s", DATE_SIZE - 1, "", what, text);
	return n;
}

/* Fills in the moment, with a blank behind it. */
static void note_date(struct steering_note *n, uint64_t ns)
{
	time_t seconds = (time_t)(ns / NS_PER_S);
	char date[DATE_SIZE + 8];
	struct tm tm;
	size_t len = strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));

	(void)snprintf(date + len, sizeof(date) - len, ".%09lluZ ",
		       (unsigned long long)(ns % NS_PER_S));
	memcpy(n->text, date, DATE_SIZE - 1);
}

static void note(struct steering *s, struct steering_note *n)
{
	struct steering_note **last;

	(void)pthread_mutex_lock(&s->lock);
	for (last = &s->notes; *last; last = &(*last)->next)
		;
	*last = n;
	atomic_store(&s->has_notes, true);
	(void)pthread_mutex_unlock(&s->lock);
}

int steering_notes(struct retina_capture *c, int (*call)(void *data, const char *text), void *data)
{
	struct steering *s = &c->steering;
	struct steering_note *n;
	int r = 0;

	if (!atomic_load(&s->has_notes))
		return 0;
	(void)pthread_mutex_lock(&s->lock);
	while ((n = s->notes)) {
		r = call(data, n->text);
		if (r < 0)
			break;
		s->notes = n->next;
		free(n);
	}
	atomic_store(&s->has_notes, s->notes != NULL);
	(void)pthread_mutex_unlock(&s->lock);
	return r;
}

/* --- the filter --- */

/* A program for each framing; without instructions: everything matches. */
struct filter {
	const char *expression;
	struct classic framing[TAP_RAW + 1];
};

static void filter_release(struct filter *f)
{
	classic_release(&f->framing[TAP_ETHERNET]);
	classic_release(&f->framing[TAP_RAW]);
}

static bool is_needed(const struct retina_capture *c, enum tap_framing framing)
{
	for (unsigned i = 0; i < roster_count(&c->roster); i++)
		if ((c->roster.members[i].interface.link_type == LINK_TYPE_ETHERNET) ==
		    (framing == TAP_ETHERNET))
			return true;
	return false;
}

/* An expression that means nothing for a framing (ether host on a tunnel) matches none of its
 * frames. */
static int nothing(struct classic *ret)
{
	static const struct classic_insn reject = {.code = 0x06}; /* BPF_RET | BPF_K, 0 */

	ret->insns = malloc(sizeof(reject));
	if (!ret->insns)
		return -ENOMEM;
	*ret->insns = reject;
	ret->count = 1;
	return 0;
}

/* Named interfaces must all be able to match; with "any" one kind is enough. */
static int compile(struct filter *f, const struct retina_capture *c, const char *expression,
		   char *error)
{
	static const uint16_t link_types[] = {
		[TAP_ETHERNET] = LINK_TYPE_ETHERNET, [TAP_RAW] = LINK_TYPE_RAW};
	char other_error[RETINA_MESSAGE_MAX];
	unsigned failures = 0;
	int r = 0;

	*f = (struct filter){.expression = expression};
	if (!*expression)
		return 0;
	for (unsigned i = 0; i <= TAP_RAW && r == 0; i++) {
		r = expression_compile(&f->framing[i], expression, link_types[i],
				       failures ? other_error : error, RETINA_MESSAGE_MAX);
		if (r != -EINVAL)
			continue;
		failures++;
		if (failures <= TAP_RAW &&
		    !(is_needed(c, (enum tap_framing)i) && !c->config.is_any))
			r = nothing(&f->framing[i]);
	}
	if (r < 0)
		filter_release(f);
	return r;
}

/* Control thread. */
static int install(struct retina_capture *c, void *data)
{
	const struct filter *f = data;
	bool is_first = !c->steering.filter;
	char *expression = strdup(f->expression), *before;
	struct steering_note *n = NULL;
	uint64_t moment_ns;
	int r = -ENOMEM;

	if (!expression)
		return log_failure(&c->log, r, "out of memory");
	if (!is_first)
		n = note_new(*expression ? "filter changed to: " : "filter removed", expression);
	if (!is_first && !n) {
		log_error(&c->log, "out of memory");
		goto fail;
	}
	r = *expression ? tap_set_filter(c->tap, &f->framing[TAP_ETHERNET], &f->framing[TAP_RAW],
					 &moment_ns)
			: tap_set_filter(c->tap, NULL, NULL, &moment_ns);
	if (r < 0)
		goto fail;
	(void)pthread_mutex_lock(&c->steering.lock);
	before = c->steering.filter;
	c->steering.filter = expression;
	(void)pthread_mutex_unlock(&c->steering.lock);
	free(before);
	if (n) {
		note_date(n, moment_ns);
		note(&c->steering, n);
	}
	return 0;
fail:
	free(expression);
	free(n);
	return r;
}

int retina_capture_set_filter(struct retina_capture *c, const char *expression, char *error)
{
	struct filter f;
	int r;

	*error = 0;
	r = compile(&f, c, expression, error);
	if (r < 0)
		return r;
	r = ask(c, install, &f);
	filter_release(&f);
	if (r == -ESHUTDOWN)
		(void)snprintf(error, RETINA_MESSAGE_MAX, "the capture has ended");
	else if (r < 0)
		(void)snprintf(
			error, RETINA_MESSAGE_MAX,
			"the filter could not be installed (%s): the capture's log says more",
			strerror(-r));
	return r;
}

char *retina_capture_filter(const struct retina_capture *c)
{
	struct steering *s = (struct steering *)&c->steering; /* the lock is no part of its value */
	char *copy;

	(void)pthread_mutex_lock(&s->lock);
	copy = strdup(s->filter ? s->filter : "");
	(void)pthread_mutex_unlock(&s->lock);
	return copy;
}

/* --- targets --- */

struct change {
	enum target_side side;
	bool add;
	const char *const *texts;
	unsigned count;
	char *error;
};

/* From here on the sets decide. */
static int attach_targets(struct retina_capture *c)
{
	struct target_maps maps;
	int r = tap_select(c->tap, &maps);

	if (r < 0)
		return r;
	r = target_sets_attach(c->steering.targets, &maps);
	if (r < 0)
		return log_failure(&c->log, r, "cannot write the targets to the kernel: %s",
				   strerror(-r));
	return 0;
}

/* Control thread; also before there is a tap. */
static int change_targets(struct retina_capture *c, void *data)
{
	const struct change *k = data;
	int changed = 0;

	if (c->tap && !target_sets_is_attached(c->steering.targets)) {
		int r = attach_targets(c);

		if (r < 0) {
			(void)snprintf(k->error, RETINA_MESSAGE_MAX,
				       "targets could not be loaded (%s): the capture's log says "
				       "more",
				       strerror(-r));
			return r;
		}
	}
	for (unsigned i = 0; i < k->count; i++) {
		int r = (k->add ? target_sets_add : target_sets_remove)(
			c->steering.targets, k->side, k->texts[i], k->error, RETINA_MESSAGE_MAX);

		if (r < 0)
			return r;
		changed += r;
	}
	return changed;
}

static int ask_for_change(struct retina_capture *c, struct change *k)
{
	int r;

	*k->error = 0;
	r = ask(c, change_targets, k);
	if (r == -ESHUTDOWN)
		(void)snprintf(k->error, RETINA_MESSAGE_MAX, "the capture has ended");
	return r;
}

int retina_capture_add_targets(struct retina_capture *c, enum retina_target_set set,
			       const char *const *targets, unsigned count, char *error)
{
	struct change k = {(enum target_side)set, true, targets, count, error};

	return ask_for_change(c, &k);
}

int retina_capture_remove_targets(struct retina_capture *c, enum retina_target_set set,
				  const char *const *targets, unsigned count, char *error)
{
	struct change k = {(enum target_side)set, false, targets, count, error};

	return ask_for_change(c, &k);
}

struct listing {
	enum target_side side;
	bool (*call)(void *data, const char *target);
	void *data;
};

static bool list_one(void *data, const struct target *t)
{
	const struct listing *l = data;
	char text[TARGET_TEXT_MAX];

	target_format(t, text);
	return l->call(l->data, text);
}

/* Control thread. */
static int list_targets(struct retina_capture *c, void *data)
{
	struct listing *l = data;

	target_sets_each(c->steering.targets, l->side, list_one, l);
	return 0;
}

void retina_capture_list_targets(const struct retina_capture *c, enum retina_target_set set,
				 bool (*call)(void *data, const char *target), void *data)
{
	struct listing l = {(enum target_side)set, call, data};

	/* Only the queue of requests changes. */
	(void)ask((struct retina_capture *)c, list_targets, &l);
}

/* --- the configuration's --- */

static int add_configured(struct retina_capture *c, enum target_side side, const char *const *texts,
			  unsigned count)
{
	static const char *const options[] = {"include", "exclude"};
	char error[RETINA_MESSAGE_MAX];
	struct change k = {side, true, texts, count, error};
	int r = change_targets(c, &k);

	return r < 0 ? log_failure(&c->log, r, "--%s: %s", options[side], error) : 0;
}

int steering_prepare(struct retina_capture *c)
{
	const struct retina_capture_config *k = &c->config.c;
	int r = target_sets_new(&c->steering.targets);

	if (r < 0)
		return log_failure(&c->log, r, "out of memory");
	r = add_configured(c, TARGET_SIDE_INCLUDE, k->include, k->include_count);
	if (r < 0)
		return r;
	return add_configured(c, TARGET_SIDE_EXCLUDE, k->exclude, k->exclude_count);
}

int steering_install(struct retina_capture *c)
{
	bool selects = target_sets_count(c->steering.targets, TARGET_SIDE_INCLUDE) ||
		       target_sets_count(c->steering.targets, TARGET_SIDE_EXCLUDE) ||
		       c->config.c.sample > 1;
	char error[RETINA_MESSAGE_MAX];
	struct filter f;
	int r = selects ? attach_targets(c) : 0;

	if (r < 0)
		return r;
	r = compile(&f, c, c->config.c.filter ? c->config.c.filter : "", error);
	if (r < 0)
		return log_failure(&c->log, r, "%s", error);
	r = install(c, &f);
	filter_release(&f);
	return r;
}

void steering_describe(struct retina_capture *c, char *text, size_t size)
{
	const struct retina_capture_config *k = &c->config.c;
	size_t include = target_sets_count(c->steering.targets, TARGET_SIDE_INCLUDE);
	size_t exclude = target_sets_count(c->steering.targets, TARGET_SIDE_EXCLUDE);
	int n = 0;

	*text = 0;
	if (include || exclude)
		n = snprintf(text, size, "; targets: %zu included, %zu excluded", include, exclude);
	if (k->sample && n >= 0 && (size_t)n < size)
		(void)snprintf(text + n, size - (size_t)n, "; sample: 1/%" PRIu32 " of the %s",
			       k->sample, k->sample_by_flow ? "flows" : "packets");
}
