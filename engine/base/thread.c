// SPDX-License-Identifier: MIT
/*
 * thread.c: signals belong to the embedder, so every thread of the library is born with all of them
 * blocked; it then names and pins itself before it touches its memory.
 */
#include "base/thread.h"

#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/limits.h"

int thread_start(pthread_t *ret, void *(*run)(void *), void *data)
{
	sigset_t all, before;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(ret, NULL, run, data);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

/* linux/sched/types.h; glibc 2.36 has no wrapper. */
struct sched_request {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns, deadline_ns, period_ns;
};

/* Asks for short turns: the thread gets no more than its fair share of the CPU, but gets it soon
 * after it wakes up, which is what a ring that fills needs. Kernels before 6.12 do not know it. */
static void ask_for_short_turns(void)
{
	struct sched_request r = {.size = sizeof(r)};

	/* Policy and nice value stay as whoever started us set them. */
	if (syscall(SYS_sched_getattr, 0, &r, sizeof(r), 0) < 0 || r.policy != SCHED_OTHER)
		return;
	r.runtime_ns = SHORT_TURN_NS;
	(void)syscall(SYS_sched_setattr, 0, &r, 0);
}

void thread_settle(int cpu, const char *name, ...)
{
	char line[64];
	va_list args;

	va_start(args, name);
	(void)vsnprintf(line, sizeof(line), name, args);
	va_end(args);
	line[15] = 0; /* the kernel's limit */
	(void)pthread_setname_np(pthread_self(), line);
	ask_for_short_turns();
	if (cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((unsigned)cpu, &set);
		/* A CPU that has gone offline meanwhile is no reason to stop. */
		(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	}
}
