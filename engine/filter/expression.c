// SPDX-License-Identifier: MIT
/*
 * expression.c: pcap-filter text to classic BPF, and where in the text an error is. Any thread.
 *
 * libpcap says what is wrong, but not where. The place is found by compiling the words before it:
 * a prefix that is only incomplete compiles with one of a few endings; the first word with which
 * none of them helps, or which brings the same message that the whole text has, is the place.
 */
#include "expression.h"

#include <ctype.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SKF_AD_OFF of linux/filter.h: offsets from here on are no offsets. */
#define KERNEL_DATA 0xfffff000u

enum { SNAPLEN = 262144, SHOWN_MAX = 76, PREFIX_MAX = 4096 };

/* What compiles, or why not. */
struct attempt {
	bool ok;
	char message[PCAP_ERRBUF_SIZE];
};

static int dlt_of(uint16_t link_type)
{
	return link_type == 101 ? DLT_RAW : link_type; /* the one that differs */
}

static void attempt(struct attempt *a, struct bpf_program *p, const char *text, uint16_t link_type)
{
	pcap_t *dead = pcap_open_dead(dlt_of(link_type), SNAPLEN);

	*a = (struct attempt){.ok = false};
	if (!dead) {
		(void)snprintf(a->message, sizeof(a->message), "out of memory");
		return;
	}
	a->ok = pcap_compile(dead, p, text, 1, PCAP_NETMASK_UNKNOWN) == 0;
	if (!a->ok)
		(void)snprintf(a->message, sizeof(a->message), "%s", pcap_geterr(dead));
	pcap_close(dead);
}

static bool is_syntax(const char *message)
{
	return strstr(message, "syntax error") != NULL;
}

/* Words end at blanks; brackets, operators and the like are words of their own. */
static size_t word_end(const char *text, size_t at)
{
	if (!isalnum((unsigned char)text[at]) && !strchr("_.:\\", text[at]))
		return at + 1;
	while (isalnum((unsigned char)text[at]) || (text[at] && strchr("_.:-\\/", text[at])))
		at++;
	return at;
}

static size_t skip_blanks(const char *text, size_t at)
{
	while (isspace((unsigned char)text[at]))
		at++;
	return at;
}

/* Whether the first `end` bytes can be the begin of an expression. */
static bool is_viable(const char *text, size_t end, uint16_t link_type, const char *message)
{
	static const char *const endings[] = {
		"",	    " 1",     " 1.2.3.4",	 " host 1.2.3.4",
		" 0 = 0",   "] = 0",  "1] = 0",		 "0:1] = 0",
		" ip",	    " 1 = 0", " 1:2:3:4:5:6",	 " port 1",
		" proto 1", " = 0",   " net 10.0.0.0/8", " 1-2",
		" lo",
	};
	char closers[64] = "", prefix[PREFIX_MAX + 128];
	unsigned open = 0;

	for (size_t i = 0; i < end; i++)
		open += text[i] == '(' ? 1u : text[i] == ')' && open ? -1u : 0u;
	memset(closers, ')', open < sizeof(closers) ? open : sizeof(closers) - 1);
	for (unsigned i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		struct bpf_program p;
		struct attempt a;

		(void)snprintf(prefix, sizeof(prefix), "%.*s%s%s", (int)end, text, endings[i],
			       closers);
		attempt(&a, &p, prefix, link_type);
		if (a.ok)
			pcap_freecode(&p);
		if (a.ok)
			return true;
		/* The same complaint as the whole text: this word brought it. */
		if (!is_syntax(message) && strcmp(a.message, message) == 0)
			return false;
		/* Something else is wrong with the ending only. */
		if (is_syntax(message) && !is_syntax(a.message))
			return true;
	}
	return !is_syntax(message);
}

/* The word that the message quotes, for names that were looked up in vain: asking again for each
 * prefix would ask the name server again. */
static bool find_quoted(const char *text, const char *message, size_t *ret)
{
	const char *open = strpbrk(message, "'\""), *close, *at;
	char word[128];

	if (!open)
		return false;
	close = strchr(open + 1, *open);
	if (!close || close == open + 1 || (size_t)(close - open) >= sizeof(word))
		return false;
	(void)snprintf(word, sizeof(word), "%.*s", (int)(close - open - 1), open + 1);
	at = strstr(text, word);
	if (!at)
		return false;
	*ret = (size_t)(at - text);
	return true;
}

/* Offset of the word at which the error stands. */
static size_t find_place(const char *text, uint16_t link_type, const char *message)
{
	size_t at = skip_blanks(text, 0), last = at;

	if (!is_syntax(message) && find_quoted(text, message, &at))
		return at;
	while (text[at]) {
		size_t end = word_end(text, at);

		if (end > PREFIX_MAX)
			return at;
		if (!is_viable(text, end, link_type, message))
			return at;
		last = at;
		at = skip_blanks(text, end);
	}
	/* Every word can stand where it is: something is missing at the end, or the last is wrong.
	 */
	return is_syntax(message) ? strlen(text) : last;
}

/* Message, the text or what surrounds the place, a caret. */
static void show(char *error, size_t size, const char *message, const char *text, size_t place)
{
	size_t from = place > SHOWN_MAX / 2 && strlen(text) > SHOWN_MAX ? place - SHOWN_MAX / 2 : 0;
	const char *head = from ? "..." : "", *tail = "";
	int shown = (int)strlen(text + from);
	char *line;
	int n;

	if (shown > SHOWN_MAX) {
		shown = SHOWN_MAX;
		tail = "...";
	}
	n = snprintf(error, size, "%s\n", message);
	if (n < 0 || (size_t)n >= size)
		return;
	line = error + n;
	(void)snprintf(line, size - (size_t)n, "%s%.*s%s\n%*s^", head, shown, text + from, tail,
		       (int)(strlen(head) + place - from), "");
	for (int i = 0; i < shown; i++)
		if (line[strlen(head) + (size_t)i] == '\n' ||
		    line[strlen(head) + (size_t)i] == '\t')
			line[strlen(head) + (size_t)i] = ' ';
}

static int copy_program(struct classic *ret, const struct bpf_program *p)
{
	size_t size = p->bf_len * sizeof(struct classic_insn);
	struct classic_insn *insns = malloc(size);

	if (!insns)
		return -ENOMEM;
	memcpy(insns, p->bf_insns, size);
	*ret = (struct classic){insns, p->bf_len};
	return 0;
}

/* libpcap takes `inbound` and `ifindex 3` for live captures, as loads from the kernel's own data
 * about a packet; neither the frame nor bpf_filter() has that. */
static bool asks_the_kernel(const struct classic *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (BPF_CLASS(c->insns[i].code) == BPF_LD &&
		    BPF_MODE(c->insns[i].code) == BPF_ABS && c->insns[i].k >= KERNEL_DATA)
			return true;
	return false;
}

int expression_compile(struct classic *ret, const char *text, uint16_t link_type, char *error,
		       size_t error_size)
{
	size_t begin = skip_blanks(text, 0);
	struct bpf_program p;
	struct attempt a;
	int r;

	if (!text[begin]) {
		(void)snprintf(error, error_size, "the filter expression is blank");
		return -EINVAL;
	}
	if (text[begin] == '-') {
		show(error, error_size, "a filter expression cannot start with -", text, begin);
		return -EINVAL;
	}
	attempt(&a, &p, text, link_type);
	if (!a.ok) {
		show(error, error_size, a.message, text, find_place(text, link_type, a.message));
		return -EINVAL;
	}
	r = copy_program(ret, &p);
	pcap_freecode(&p);
	if (r == 0 && ret->count > CLASSIC_MAX) {
		(void)snprintf(
			error, error_size,
			"the filter expression is too long: it compiles to %zu instructions, "
			"at most %u can be used: see --include for long lists of addresses",
			ret->count, CLASSIC_MAX);
		classic_release(ret);
		r = -EINVAL;
	}
	if (r == 0 && asks_the_kernel(ret)) {
		(void)snprintf(error, error_size,
			       "inbound, outbound and ifindex cannot be judged by a frame's bytes: "
			       "use -Q in, -Q out or -i");
		classic_release(ret);
		r = -EINVAL;
	}
	return r;
}
