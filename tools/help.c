// SPDX-License-Identifier: MIT
/* help.c: writes --help and the man page; both show the table that the parser reads. */
#include "help.h"

#include <retina/capture.h>
#include <stdio.h>
#include <string.h>

enum { HELP_COLUMN = 30 };

void help_print(const struct command *c)
{
	(void)printf("Usage: retina-xdpctl %s\n%s\n", c->synopsis, c->summary);
	for (const struct option_spec *o = c->options; o->name; o++) {
		int n;

		if (o->type == OPTION_SECTION) {
			(void)printf("\n%s\n", o->name);
			continue;
		}
		n = o->letter ? printf("  -%c, --%s", o->letter, o->name)
			      : printf("      --%s", o->name);
		if (o->argument)
			n += printf(" %s", o->argument);
		(void)printf("%*s%s\n", n < HELP_COLUMN ? HELP_COLUMN - n : 1, "", o->help);
	}
	(void)printf("\nExamples\n");
	for (const char *const *e = c->examples; *e; e += 2)
		(void)printf("  %s\n      %s\n", e[0], e[1]);
}

/* Text with what roff would take for its own made harmless. */
static void roff(const char *text)
{
	for (; *text; text++) {
		if (*text == '\\')
			(void)fputs("\\e", stdout);
		else if (*text == '-')
			(void)fputs("\\-", stdout);
		else
			(void)fputc(*text, stdout);
	}
}

void help_print_man(const struct command *c)
{
	(void)printf(".TH RETINA-XDPCTL-%s 8 \"\" \"retina-xdp %s\"\n", c->name, retina_version());
	(void)printf(".SH NAME\nretina\\-xdpctl\\-%s \\- ", c->name);
	roff(c->summary);
	(void)printf("\n.SH SYNOPSIS\n.nf\nretina\\-xdpctl ");
	roff(c->synopsis);
	(void)printf("\n.fi\n");
	for (const struct option_spec *o = c->options; o->name; o++) {
		if (o->type == OPTION_SECTION) {
			(void)printf(".SH \"");
			roff(o->name);
			(void)printf("\"\n");
			continue;
		}
		(void)printf(".TP\n.B ");
		if (o->letter)
			(void)printf("\\-%c, ", o->letter);
		(void)printf("\\-\\-");
		roff(o->name);
		if (o->argument) {
			(void)printf(" \\fI");
			roff(o->argument);
			(void)printf("\\fR");
		}
		(void)printf("\n");
		roff(o->help);
		(void)printf("\n");
	}
	(void)printf(".SH EXAMPLES\n");
	for (const char *const *e = c->examples; *e; e += 2) {
		(void)printf(".TP\n.B ");
		roff(e[0]);
		(void)printf("\n");
		roff(e[1]);
		(void)printf("\n");
	}
	(void)printf(
		".SH \"EXIT STATUS\"\n0: done. 1: wrong usage. 2: failed; what was recorded is in "
		"the file. 3: done, but packets were lost and \\-\\-fail\\-on\\-loss was given.\n");
}
