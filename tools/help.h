/* SPDX-License-Identifier: MIT */
/* help.h: --help and the man page of a command, from its option table. */
#ifndef RETINA_TOOLS_HELP_H
#define RETINA_TOOLS_HELP_H

#include "options.h"

void help_print(const struct command *c);

/** help_print_man() - roff for man(7) */
void help_print_man(const struct command *c);

#endif
