// SPDX-License-Identifier: MIT
/* filter.c: a filter without a capture, the public API of retina/filter.h. Owned by one thread. */
#include "retina/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "expression.h"
#include "judge.h"
#include "listing.h"
#include "translator.h"

enum { MESSAGE_MAX = 4096, MEASURE_REPEAT = 20000 };

struct retina_filter {
	struct log log;
	bool ethernet;
	struct classic classic;
	struct translation hooks[2]; /* by enum translator_hook; their map is none */
	struct judge *judge;	     /* NULL until it is needed */
};

/* The program of no expression. */
static int match_all(struct classic *ret)
{
	struct classic_insn *insns = malloc(sizeof(*insns));

	if (!insns)
		return -ENOMEM;
	*insns = (struct classic_insn){.code = BPF_RET | BPF_K, .k = UINT32_MAX};
	*ret = (struct classic){insns, 1};
	return 0;
}

static int translate_for(struct retina_filter *f, enum translator_hook hook)
{
	const struct translator_config config = {
		.hook = hook, .ethernet = f->ethernet, .accept = 0, .reject = 1};

	return translate(&f->hooks[hook], f->classic.insns, f->classic.count, &config);
}

int retina_filter_new(struct retina_filter **ret, const char *expression,
		      enum retina_link_type link_type, retina_log_fn log, void *log_data)
{
	struct retina_filter *f = calloc(1, sizeof(*f));
	const struct log to = {log, log_data};
	char error[MESSAGE_MAX] = "out of memory";
	int r = -ENOMEM;

	if (!f)
		return log_failure(&to, r, "%s", error);
	f->log = to;
	f->ethernet = link_type == RETINA_ETHERNET;
	r = *expression ? expression_compile(&f->classic, expression, (uint16_t)link_type, error,
					     sizeof(error))
			: match_all(&f->classic);
	if (r < 0) {
		log_error(&to, "%s", error);
		goto fail;
	}
	r = translate_for(f, TRANSLATOR_XDP);
	if (r == 0)
		r = translate_for(f, TRANSLATOR_TC);
	if (r < 0) {
		log_error(&to, "the filter cannot be translated: %s", strerror(-r));
		goto fail;
	}
	*ret = f;
	return 0;
fail:
	retina_filter_free(f);
	return r;
}

/* Classic jumps go forwards, but for unconditional ones. */
static unsigned longest_classic(const struct classic *c)
{
	unsigned *longest = calloc(c->count + 1, sizeof(*longest)), result;

	if (!longest)
		return 0;
	for (size_t at = c->count; at-- > 0;) {
		const struct classic_insn *i = &c->insns[at];
		unsigned next = longest[at + 1], other = 0;

		if (BPF_CLASS(i->code) == BPF_RET) {
			next = 0;
		} else if (i->code == (BPF_JMP | BPF_JA)) {
			next = i->k < c->count - at ? longest[at + 1 + i->k] : 0;
		} else if (BPF_CLASS(i->code) == BPF_JMP) {
			next = longest[at + 1 + i->jt];
			other = longest[at + 1 + i->jf];
		}
		longest[at] = (next > other ? next : other) + 1;
	}
	result = longest[0];
	free(longest);
	return result;
}

struct retina_filter_size retina_filter_size(const struct retina_filter *f,
					     enum retina_filter_form form)
{
	const struct translation *t =
		&f->hooks[form == RETINA_FILTER_TC ? TRANSLATOR_TC : TRANSLATOR_XDP];

	if (form == RETINA_FILTER_CLASSIC)
		return (struct retina_filter_size){(unsigned)f->classic.count,
						   longest_classic(&f->classic)};
	return (struct retina_filter_size){(unsigned)t->count,
					   (unsigned)listing_longest_path(t->insns, t->count)};
}

int retina_filter_print(const struct retina_filter *f, enum retina_filter_form form, FILE *to)
{
	const struct translation *t =
		&f->hooks[form == RETINA_FILTER_TC ? TRANSLATOR_TC : TRANSLATOR_XDP];

	if (form == RETINA_FILTER_CLASSIC)
		return classic_print(&f->classic, to);
	return listing_print(t->insns, t->count, to);
}

static int need_judge(struct retina_filter *f)
{
	if (f->judge)
		return 0;
	return judge_new(&f->judge, f->classic.insns, f->classic.count, f->ethernet, &f->log);
}

int retina_filter_judge(struct retina_filter *f, const void *frame, uint32_t len,
			struct retina_verdict *ret)
{
	struct judge_verdict v;
	int r = need_judge(f);

	if (r < 0)
		return r;
	r = judge_frame(f->judge, frame, len, 0, &v);
	if (r == 0 && !v.has_tc)
		return -EMSGSIZE;
	if (r == 0)
		*ret = (struct retina_verdict){v.xdp, v.tc, v.interpreter};
	else if (r != -EMSGSIZE)
		log_error(&f->log, "the kernel cannot run the filter on a frame: %s", strerror(-r));
	return r;
}

int retina_filter_measure(struct retina_filter *f, const void *frame, uint32_t len,
			  uint32_t *ret_xdp_ns, uint32_t *ret_tc_ns)
{
	int r = need_judge(f);

	return r < 0 ? r
		     : judge_measure(f->judge, frame, len, MEASURE_REPEAT, ret_xdp_ns, ret_tc_ns);
}

bool retina_filter_uses_length(const struct retina_filter *f)
{
	for (size_t i = 0; i < f->classic.count; i++) {
		uint16_t code = f->classic.insns[i].code;

		if (code == (BPF_LD | BPF_W | BPF_LEN) || code == (BPF_LDX | BPF_W | BPF_LEN))
			return true;
	}
	return false;
}

struct retina_filter *retina_filter_free(struct retina_filter *f)
{
	if (!f)
		return NULL;
	judge_free(f->judge);
	translation_release(&f->hooks[0]);
	translation_release(&f->hooks[1]);
	classic_release(&f->classic);
	free(f);
	return NULL;
}
