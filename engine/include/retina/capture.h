/* SPDX-License-Identifier: MIT */
/*
 * retina/capture.h: record network interfaces to a file, without touching their traffic.
 *
 *   retina_capture_new()   checks, loads, opens; nothing is attached yet
 *   retina_capture_run()   records until a cap is reached, retina_capture_stop() or a failure
 *   retina_capture_summary()
 *   retina_capture_free()
 *
 * A capture belongs to one thread; retina_capture_stop() and retina_capture_status() may be called
 * from any. The process should ignore SIGPIPE when it writes to a pipe.
 */
#ifndef RETINA_CAPTURE_H
#define RETINA_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>
#include "retina/ledger.h"
#include "retina/log.h"

#ifdef __cplusplus
extern "C" {
#endif

struct retina_capture;
struct retina_status;

enum retina_direction { RETINA_INOUT, RETINA_IN, RETINA_OUT };
enum retina_hook { RETINA_HOOK_AUTO, RETINA_HOOK_XDP, RETINA_HOOK_TCX, RETINA_HOOK_CLSACT };
enum retina_format { RETINA_PCAPNG, RETINA_PCAP };
enum retina_compression { RETINA_ZSTD, RETINA_UNCOMPRESSED };

/** retina_progress_fn - called on the capture's thread, every progress_interval_ns */
typedef void (*retina_progress_fn)(void *data, const struct retina_status *status);

/* All zero is a valid configuration but for interfaces and path. Copied, strings too. */
struct retina_capture_config {
	const char *const *interfaces; /* names; "any" alone: all there are and will be */
	unsigned interface_count;
	enum retina_direction direction;
	enum retina_hook hook;
	uint32_t snaplen; /* bytes of a frame to keep, 0: 262144 */

	/* A frame is recorded when it matches no excluded target, an included one (or none is
	 * included), the filter, and is in the sample. */
	const char *filter; /* pcap-filter expression; NULL or empty: all */
	/* Targets: IP[/LEN][:PORT], [IPv6][/LEN]:PORT, *:PORT, or @FILE with one a line. */
	const char *const *include;
	unsigned include_count;
	const char *const *exclude;
	unsigned exclude_count;
	uint32_t sample;     /* one in so many; 0: all */
	bool sample_by_flow; /* all packets of one flow in so many, both directions alike */

	const char *path; /* "-": standard output */
	bool overwrite;	  /* an existing file */
	enum retina_format format;
	enum retina_compression compression;
	int level; /* of zstd, -50 .. 19; 0: adapts to the load */

	uint64_t max_packets; /* 0: no cap; so for the next two */
	uint64_t max_bytes;   /* of the file */
	uint64_t duration_ns; /* from the first hook attached */

	uint64_t ring_bytes;	    /* of each CPU, a power of two up to 256 MiB; 0: 32 MiB,
				     * less with more than two CPUs */
	uint64_t flush_interval_ns; /* until a packet is in the file at the latest; 0: 1 s */
	unsigned workers;	    /* packer threads; 0: one per CPU, at most 4 */
	const unsigned *cpus;	    /* for the packers, in turn; NULL: those we may run on */
	unsigned cpu_count;

	const char *name;	 /* of the session; NULL: made from time and process id */
	const char *comment;	 /* into the file's section header */
	const char *application; /* so; NULL: the library's name and version */

	retina_log_fn log; /* NULL: silence */
	void *log_data;
	retina_progress_fn progress; /* NULL: none */
	uint64_t progress_interval_ns;
	void *progress_data;
};

enum retina_stop_reason {
	RETINA_STOP_NONE, /* still running */
	RETINA_STOP_DURATION,
	RETINA_STOP_SIZE,
	RETINA_STOP_PACKETS,
	RETINA_STOP_SIGNAL,  /* retina_capture_stop(), because of a signal */
	RETINA_STOP_CONTROL, /* retina_capture_stop(), because somebody asked */
	RETINA_STOP_ERROR,
};

/* How a running capture stands. */
struct retina_status {
	uint64_t elapsed_ns;
	uint64_t remaining_ns; /* UINT64_MAX: no duration was given */
	struct retina_ledger totals;
	uint64_t file_packets;
	uint64_t file_bytes;
	uint64_t raw_bytes; /* the file's content before compression */
	uint64_t max_bytes; /* the caps, 0: none */
	uint64_t max_packets;
	unsigned ring_fill_percent; /* of the fullest ring */
	unsigned interfaces;	    /* recorded at this moment */
};

struct retina_interface_summary {
	const char *name;
	const char *direction; /* "in" or "out" */
	const char *hook;      /* "xdp", "tcx" or "clsact" */
	struct retina_ledger ledger;
};

struct retina_file_summary {
	const char *path;
	uint64_t bytes;
	uint64_t packets;
	uint64_t first_ns, last_ns; /* stamps of its packets, Unix time */
};

/* The strings and arrays belong to the capture. */
struct retina_summary {
	const char *name;
	enum retina_stop_reason stop_reason;
	uint64_t duration_ns;
	const struct retina_interface_summary *interfaces;
	unsigned interface_count;
	struct retina_ledger totals;
	const struct retina_file_summary *files;
	unsigned file_count;
	uint64_t cpu_user_ns, cpu_system_ns; /* of the process, since retina_capture_new() */
	bool balanced;			     /* every ledger adds up */
};

/**
 * retina_capture_new() - checks the configuration, loads the programs, opens the file
 * @ret: receives the capture on success, untouched on failure
 * Return: 0, or -errno after one line to the log: -EINVAL (configuration), -ENODEV (no such
 * interface), -EPERM (capabilities), -ENOMEM, -EEXIST (the file), or another error of open(2) or
 * bpf(2). Nothing is attached, and no new file left, after a failure.
 */
int retina_capture_new(struct retina_capture **ret, const struct retina_capture_config *config);

/**
 * retina_capture_run() - attaches, records, detaches, completes the file; once per capture
 * Return: 0 when the capture ended as asked; -errno after one line to the log when it could not
 * begin (then there is no file) or had to end early (what was recorded is in the file).
 */
int retina_capture_run(struct retina_capture *c);

/** retina_capture_name() - of the session; the capture's string */
const char *retina_capture_name(const struct retina_capture *c);

/** retina_capture_stop() - ends retina_capture_run(); may be called from a signal handler */
void retina_capture_stop(struct retina_capture *c, enum retina_stop_reason reason);

/* Bytes that hold any message of the calls below. */
#define RETINA_MESSAGE_MAX 4096

enum retina_target_set { RETINA_INCLUDE, RETINA_EXCLUDE };

/**
 * retina_capture_set_filter() - judges every frame from some moment on by a new expression, and
 * every frame before by the old one; any thread, while it runs
 * @expression: empty matches everything
 * @error:      RETINA_MESSAGE_MAX bytes; receives lines that say what is wrong
 * The file's next statistics blocks tell the moment and the expression. When it returns, no program
 * judges by the old expression any more.
 * Return: 0, -EINVAL (the expression), -ESHUTDOWN (the capture has ended), or another -errno.
 */
int retina_capture_set_filter(struct retina_capture *c, const char *expression, char *error);

/** retina_capture_filter() - a copy of the expression in use, for free(); NULL: out of memory */
char *retina_capture_filter(const struct retina_capture *c);

/**
 * retina_capture_add_targets() - any thread; from retina_capture_new() on
 * @targets: as in the configuration; all of one text take effect or none
 * Return: how many are new; -EINVAL, -ENOENT, -ENOSPC, -ESHUTDOWN or -ENOMEM with the reason in
 * @error (RETINA_MESSAGE_MAX bytes).
 */
int retina_capture_add_targets(struct retina_capture *c, enum retina_target_set set,
			       const char *const *targets, unsigned count, char *error);

/** retina_capture_remove_targets() - so; -ENOENT: one is not in the set */
int retina_capture_remove_targets(struct retina_capture *c, enum retina_target_set set,
				  const char *const *targets, unsigned count, char *error);

/** retina_capture_list_targets() - calls with the text of each; a call that returns false ends it
 */
void retina_capture_list_targets(const struct retina_capture *c, enum retina_target_set set,
				 bool (*call)(void *data, const char *target), void *data);

/** retina_capture_status() - while it runs */
void retina_capture_status(const struct retina_capture *c, struct retina_status *ret);

/** retina_capture_summary() - after retina_capture_run() */
void retina_capture_summary(const struct retina_capture *c, struct retina_summary *ret);

/** retina_capture_free() - detaches whatever is left; takes NULL, returns NULL */
struct retina_capture *retina_capture_free(struct retina_capture *c);

/** retina_stop_reason_name() - as in the JSON summary: "duration", "size", ... */
const char *retina_stop_reason_name(enum retina_stop_reason reason);

/** retina_version() - of the library, such as "0.1.0" */
const char *retina_version(void);

#ifdef __cplusplus
}
#endif

#endif
