/* SPDX-License-Identifier: MIT */
/* words.h: a filter expression that comes as several arguments. */
#ifndef RETINA_TOOLS_WORDS_H
#define RETINA_TOOLS_WORDS_H

#include <stdbool.h>

/** words_join() - the words with blanks between them, for free(); NULL after a line on stderr */
char *words_join(int count, char *const *words);

/** words_check_expression() - refuses, with a line on stderr, what is blank but not empty, and what
 * starts with a dash: most likely a misplaced option */
bool words_check_expression(const char *expression);

#endif
