// SPDX-License-Identifier: MIT
/* log.c: hands a line to the embedder's log function, or drops it when there is none. */
#include "base/log.h"

void log_line(const struct log *log, enum retina_log_level level, const char *format, ...)
{
	va_list args;

	if (!log || !log->function)
		return;
	va_start(args, format);
	log->function(log->data, level, format, args);
	va_end(args);
}
