// SPDX-License-Identifier: MIT
/*
 * program.c: a translation's way into the kernel. Any thread; nothing is kept.
 *
 * The verifier is the judge of the translator: a refusal of its program is our bug, and is told as
 * one. There is one exception. It walks the paths that computed offsets can take, and may give up
 * on a program with very many of them; the plain translation has none.
 */
#include "program.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XDP_HAS_FRAGS (1u << 5) /* BPF_F_XDP_HAS_FRAGS; not in all headers */

enum { VERIFIER_LOG = 1 << 20, LINES_SHOWN = 12 };

int program_submit(enum translator_hook hook, const struct bpf_insn *insns, size_t count,
		   char *text, size_t size)
{
	LIBBPF_OPTS(bpf_prog_load_opts, options);

	if (hook == TRANSLATOR_XDP) {
		options.expected_attach_type = BPF_XDP;
		options.prog_flags = XDP_HAS_FRAGS;
	}
	if (text) {
		options.log_level = 1;
		options.log_buf = text;
		options.log_size = (uint32_t)size;
	}
	return bpf_prog_load(hook == TRANSLATOR_XDP ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_SCHED_CLS,
			     "retina_filter", "Dual MIT/GPL", insns, count, &options);
}

static int translate_and_load(const struct classic_insn *insns, size_t count,
			      const struct translator_config *config, char *text, size_t size)
{
	struct translation t = {0};
	int r = translate(&t, insns, count, config);

	if (r < 0)
		return r;
	r = program_submit(config->hook, t.insns, t.count, text, size);
	translation_release(&t);
	return r;
}

static void show_refusal(const struct log *log, char *text, int r)
{
	char *line = text + strlen(text);
	unsigned lines = 0;

	while (line > text && lines < LINES_SHOWN)
		if (*--line == '\n' && line[1])
			lines++;
	if (*line == '\n')
		line++;
	log_error(
		log,
		"the kernel's verifier refuses the program made of this filter (%s): this is a bug "
		"of retina-xdp; please report it with the expression and these lines:",
		strerror(-r));
	for (char *next; *line; line = next) {
		size_t len = strcspn(line, "\n");

		next = line + len + (line[len] != 0);
		log_error(log, "  %.*s", (int)len, line);
	}
}

int program_load(const struct classic_insn *insns, size_t count,
		 const struct translator_config *config, const struct log *log)
{
	struct translator_config plain = *config;
	char *text;
	int r;

	plain.plain = true;
	r = translate_and_load(insns, count, config, NULL, 0);
	if (r == -E2BIG || r == -EINVAL || r == -EACCES)
		r = translate_and_load(insns, count, &plain, NULL, 0);
	if (r >= 0)
		return r;
	if (r == -EPERM)
		return log_failure(log, r,
				   "the kernel refuses to load a filter (%s): run as root or with "
				   "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN",
				   strerror(-r));
	if (r == -ENOMEM)
		return log_failure(log, r, "no memory for the filter's program");
	text = calloc(1, VERIFIER_LOG);
	if (!text)
		return log_failure(log, -ENOMEM, "out of memory");
	/* Once more, to hear why. A log that overflows is no other reason. */
	(void)translate_and_load(insns, count, &plain, text, VERIFIER_LOG);
	show_refusal(log, text, r);
	free(text);
	return r;
}
