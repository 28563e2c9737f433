/* SPDX-License-Identifier: MIT */
/* report.h: what a capture has to say at its end. */
#ifndef RETINA_TOOLS_REPORT_H
#define RETINA_TOOLS_REPORT_H

#include <retina/capture.h>

/** report_text() - for people, on standard error; a loss is the last line */
void report_text(const struct retina_summary *s);

/** report_json() - one object on standard output; false if it could not be written */
bool report_json(const struct retina_summary *s);

#endif
