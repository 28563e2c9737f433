// SPDX-License-Identifier: MIT
/* target.c: the text of a target, read and written. Pure functions. */
#include "target.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A decimal number of at most `max`, and nothing else. */
static bool parse_number(unsigned *ret, const char *text, unsigned max)
{
	unsigned n = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (unsigned)(*text - '0');
		if (n > max)
			return false;
	}
	*ret = n;
	return true;
}

/* Bits behind the prefix are dropped: 10.0.0.5/24 is the network of 10.0.0.5. */
static void mask(struct target *t)
{
	for (unsigned i = 0; i < sizeof(t->address); i++) {
		unsigned bits = t->prefix_len > 8 * i ? t->prefix_len - 8 * i : 0;

		if (bits < 8)
			t->address[i] &= (uint8_t)(0xff00u >> bits);
	}
}

static const char *parse_port(struct target *t, const char *text)
{
	unsigned port;

	if (!parse_number(&port, text, 65535) || !port)
		return "a port is 1 to 65535";
	t->has_port = true;
	t->port = (uint16_t)port;
	return NULL;
}

/* ADDRESS[/LEN]; the text is the caller's to change. */
static const char *parse_network(struct target *t, char *text)
{
	char *slash = strchr(text, '/');
	unsigned len, max;

	if (slash)
		*slash++ = 0;
	if (inet_pton(AF_INET, text, t->address) == 1)
		t->family = 4;
	else if (inet_pton(AF_INET6, text, t->address) == 1)
		t->family = 6;
	else
		return "not an IP address: IP[/LEN][:PORT], [IPv6][/LEN]:PORT or *:PORT";
	max = t->family == 4 ? 32 : 128;
	if (slash && !parse_number(&len, slash, max))
		return t->family == 4 ? "a prefix length is 0 to 32"
				      : "a prefix length is 0 to 128";
	t->prefix_len = (uint8_t)(slash ? len : max);
	mask(t);
	return NULL;
}

/* [IPv6]:PORT, [IPv6/LEN]:PORT or [IPv6]/LEN:PORT; the port may be missing. */
static const char *parse_bracketed(struct target *t, char *text)
{
	char *close = strchr(text, ']'), *rest, *colon, network[TARGET_TEXT_MAX];
	const char *wrong;

	if (!close)
		return "a bracket is open";
	*close = 0;
	rest = close + 1;
	colon = strchr(rest, ':');
	if (colon)
		*colon++ = 0;
	if (*rest && *rest != '/')
		return "behind the bracket stands /LEN or :PORT";
	(void)snprintf(network, sizeof(network), "%s%s", text + 1, rest);
	wrong = parse_network(t, network);
	if (!wrong && t->family != 6)
		wrong = "brackets are for IPv6";
	return wrong || !colon ? wrong : parse_port(t, colon);
}

const char *target_parse(struct target *ret, const char *text)
{
	struct target t = {0};
	char copy[TARGET_TEXT_MAX], *colon;
	const char *wrong;

	if (strlen(text) >= sizeof(copy))
		return "too long for an address";
	(void)snprintf(copy, sizeof(copy), "%s", text);
	colon = strchr(copy, ':');
	if (strncmp(copy, "*:", 2) == 0) {
		wrong = parse_port(&t, copy + 2);
	} else if (*copy == '[') {
		wrong = parse_bracketed(&t, copy);
	} else if (colon && !strchr(colon + 1, ':')) {
		/* One colon: IPv6 has two at least. */
		*colon = 0;
		wrong = parse_network(&t, copy);
		if (!wrong)
			wrong = parse_port(&t, colon + 1);
	} else {
		wrong = parse_network(&t, copy);
	}
	if (!wrong)
		*ret = t;
	return wrong;
}

void target_format(const struct target *t, char text[static TARGET_TEXT_MAX])
{
	bool is_host = t->prefix_len == (t->family == 4 ? 32 : 128);
	char address[INET6_ADDRSTRLEN], prefix[8] = "", port[8] = "";
	bool needs_brackets = t->family == 6 && t->has_port;

	if (t->has_port)
		(void)snprintf(port, sizeof(port), ":%u", t->port);
	if (!t->family) {
		(void)snprintf(text, TARGET_TEXT_MAX, "*%s", port);
		return;
	}
	if (!is_host)
		(void)snprintf(prefix, sizeof(prefix), "/%u", t->prefix_len);
	(void)inet_ntop(t->family == 4 ? AF_INET : AF_INET6, t->address, address, sizeof(address));
	(void)snprintf(text, TARGET_TEXT_MAX, "%s%s%s%s%s", needs_brackets ? "[" : "", address,
		       needs_brackets ? "]" : "", prefix, port);
}
