/* SPDX-License-Identifier: MIT */
/* roster.h: the interfaces of one capture, and the blocks that describe them (see roster.c). */
#ifndef RETINA_SESSION_ROSTER_H
#define RETINA_SESSION_ROSTER_H

#include <stdbool.h>
#include <stdint.h>
#include "buffer.h"
#include "hook.h"
#include "interface.h"
#include "retina/ledger.h"

/* Bytes of one interface's statistics block at most. */
#define STATISTICS_ROOM 768u

/* One interface; its index in the roster is its id in the file. */
struct member {
	struct interface interface; /* set before it is published, like the hooks */
	struct hook_choice hooks;
	_Atomic uint64_t start_ns; /* Unix time; 0: never attached */
	_Atomic uint64_t end_ns;   /* 0: still attached, or never was */
	bool is_listed;		   /* control thread: by the listing under way */
};

/* What the statistics of one interface say. */
struct member_ledgers {
	struct retina_ledger in, out;
};

struct roster {
	unsigned max;
	_Atomic unsigned count; /* control thread; members below it are complete */
	unsigned described;	/* cutter: of those, the ones whose description is in the stream */
	uint32_t snaplen;
	const char *clock_source;
	struct member *members;
};

int roster_init(struct roster *r, unsigned max, uint32_t snaplen, const char *clock_source);
void roster_release(struct roster *r);

/** roster_add() - control thread; Return: the member, whose id is count - 1, or NULL when full */
struct member *roster_add(struct roster *r, const struct interface *i,
			  const struct hook_choice *hooks);

/** roster_publish() - control thread: the member that was added may be described */
void roster_publish(struct roster *r);

unsigned roster_count(const struct roster *r);

/** roster_find() - control thread: the member with this ifindex that is not gone, or NULL */
struct member *roster_find(struct roster *r, uint32_t ifindex);

/* What decides which frames are recorded, for the descriptions. */
struct roster_selection {
	char *filter;		 /* the expression, "": none */
	const char *description; /* of the rest, "" or a text that starts with "; " */
};

/** roster_describe() - appends the descriptions that have not been; the cutter's after the start */
int roster_describe(struct roster *r, const struct roster_selection *s, struct buffer *b);

/** roster_statistics() - appends the statistics of one member
 * @note: leads the comment; NULL: none */
int roster_statistics(const struct roster *r, unsigned id, const struct member_ledgers *l,
		      uint64_t now_ns, const char *note, struct buffer *b);

/** section_header() - appends the file's first block; strings may be NULL */
int section_header(struct buffer *b, const char *application, const char *comment);

#endif
