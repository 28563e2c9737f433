/* SPDX-License-Identifier: MIT */
/* log.h: the way from any part of the library to the embedder's log function. Any thread. */
#ifndef RETINA_BASE_LOG_H
#define RETINA_BASE_LOG_H

#include "retina/log.h"

struct log {
	retina_log_fn function; /* may be NULL */
	void *data;
};

__attribute__((format(printf, 3, 4))) void log_line(const struct log *log,
						    enum retina_log_level level, const char *format,
						    ...);

#define log_error(log, ...)   log_line(log, RETINA_LOG_ERROR, __VA_ARGS__)
#define log_warning(log, ...) log_line(log, RETINA_LOG_WARNING, __VA_ARGS__)
#define log_info(log, ...)    log_line(log, RETINA_LOG_INFO, __VA_ARGS__)
#define log_debug(log, ...)   log_line(log, RETINA_LOG_DEBUG, __VA_ARGS__)

/** log_failure() - logs a line and returns r, so that a failure is one statement */
#define log_failure(log, r, ...) (log_error(log, __VA_ARGS__), (r))

#endif
