/* SPDX-License-Identifier: MIT */
/* live.h: frames made inside the kernel by BPF_PROG_TEST_RUN. */
#ifndef TRAFFIC_LIVE_H
#define TRAFFIC_LIVE_H

#include <stdatomic.h>

#include "report.h"
#include "send.h"

#define LIVE_FRAME_MAX 3400 /* bytes: a page less the kernel's frame structures, rounded down */

/** live_run() - send_run() for SEND_LIVE */
int live_run(const struct send_config *config, struct report *report, const atomic_bool *stop);

#endif
