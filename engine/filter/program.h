/* SPDX-License-Identifier: MIT */
/* program.h: a classic program, loaded into the kernel for one hook (see program.c). */
#ifndef RETINA_FILTER_PROGRAM_H
#define RETINA_FILTER_PROGRAM_H

#include "base/log.h"
#include "translator.h"

/**
 * program_load() - translates and loads; tries again with `plain` when the verifier gives up
 * @insns: checked
 * A refusal is a bug of the translator: it is logged as such, with the verifier's last lines.
 * Return: a file descriptor, or -errno after a line in the log.
 */
int program_load(const struct classic_insn *insns, size_t count,
		 const struct translator_config *config, const struct log *log);

/**
 * program_submit() - loads instructions as they are
 * @text: receives the verifier's log; NULL: none is wanted
 * Return: a file descriptor or -errno; logs nothing.
 */
int program_submit(enum translator_hook hook, const struct bpf_insn *insns, size_t count,
		   char *text, size_t size);

#endif
