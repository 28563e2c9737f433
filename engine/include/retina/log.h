/* SPDX-License-Identifier: MIT */
/* retina/log.h: what the library tells its embedder. It prints nothing itself. */
#ifndef RETINA_LOG_H
#define RETINA_LOG_H

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

enum retina_log_level {
	RETINA_LOG_ERROR,   /* why a call failed: one line per failure */
	RETINA_LOG_WARNING, /* the capture goes on, something is worse than asked for */
	RETINA_LOG_INFO,    /* what was chosen and why */
	RETINA_LOG_DEBUG,
};

/**
 * retina_log_fn - receives one line, without a newline
 * @data: the pointer given beside the function
 * May be called from any of the library's threads, several at once.
 */
typedef void (*retina_log_fn)(void *data, enum retina_log_level level, const char *format,
			      va_list args);

#ifdef __cplusplus
}
#endif

#endif
