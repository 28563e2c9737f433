// SPDX-License-Identifier: MIT
/* words.c: a filter expression that comes as several arguments. Pure but for its complaints. */
#include "words.h"

#include <stdlib.h>
#include <string.h>
#include "options.h"

char *words_join(int count, char *const *words)
{
	size_t size = 1;
	char *text, *at;

	for (int i = 0; i < count; i++)
		size += strlen(words[i]) + 1;
	text = malloc(size);
	if (!text) {
		(void)usage_error("out of memory");
		return NULL;
	}
	at = text;
	*at = 0;
	for (int i = 0; i < count; i++) {
		if (i)
			*at++ = ' ';
		at = stpcpy(at, words[i]);
	}
	return text;
}

bool words_check_expression(const char *expression)
{
	size_t begin = strspn(expression, " \t\r\n\v\f");

	if (*expression && !expression[begin])
		return usage_error("the filter expression is blank: leave it out, or give '' to "
				   "record everything");
	if (expression[begin] == '-')
		return usage_error("%s: a filter expression cannot start with -: options stand "
				   "before it",
				   expression);
	return true;
}
