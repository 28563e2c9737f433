// SPDX-License-Identifier: MIT
/*
 * config.c: the embedder's wishes, made complete. Defaults that depend on the machine are chosen
 * here; what cannot work is refused here, before anything is touched.
 */
#include "config.h"

#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/errno.h"
#include "base/limits.h"
#include "base/ring.h"

static char *copy(const char *s, int *error)
{
	char *d;

	if (!s)
		return NULL;
	d = strdup(s);
	if (!d)
		*error = -ENOMEM;
	return d;
}

/* Its strings are complete when *error stays as it was. */
static const char *const *copy_list(const char *const *list, unsigned count, int *error)
{
	char **copies = calloc(count + 1u, sizeof(*copies));

	if (!copies)
		*error = -ENOMEM;
	for (unsigned i = 0; copies && i < count; i++)
		copies[i] = copy(list[i], error);
	return (const char *const *)copies;
}

static void free_list(const char *const *list, unsigned count)
{
	for (unsigned i = 0; list && i < count; i++)
		free((void *)list[i]);
	free((void *)list);
}

static int copy_strings(struct retina_capture_config *c, const struct retina_capture_config *from)
{
	int r = 0;

	c->interfaces = copy_list(from->interfaces, from->interface_count, &r);
	c->include = copy_list(from->include, from->include_count, &r);
	c->exclude = copy_list(from->exclude, from->exclude_count, &r);
	c->filter = copy(from->filter, &r);
	c->path = copy(from->path, &r);
	c->name = copy(from->name, &r);
	c->comment = copy(from->comment, &r);
	c->application =
		copy(from->application ? from->application : "retina-xdp " RETINA_VERSION, &r);
	return r;
}

static int default_name(struct retina_capture_config *c)
{
	char name[64];
	time_t now = time(NULL);
	struct tm t;
	size_t n = strftime(name, sizeof(name), "retina-%Y%m%d-%H%M%S", gmtime_r(&now, &t));

	(void)snprintf(name + n, sizeof(name) - n, "-%d", getpid());
	c->name = strdup(name);
	return c->name ? 0 : -ENOMEM;
}

/* The CPUs that packers may use: those given, else all that we may run on. */
static int choose_cpus(struct config *c, const struct retina_capture_config *from,
		       const struct log *log)
{
	cpu_set_t allowed;
	unsigned n = 0;
	int r;

	c->cpus = calloc(from->cpu_count ? from->cpu_count : CPU_SETSIZE, sizeof(*c->cpus));
	if (!c->cpus)
		return log_failure(log, -ENOMEM, "out of memory");
	r = neg_errno(sched_getaffinity(0, sizeof(allowed), &allowed));
	if (r < 0)
		return log_failure(log, r, "cannot tell the CPUs: %s", strerror(-r));
	if (from->cpu_count) {
		memcpy(c->cpus, from->cpus, from->cpu_count * sizeof(*c->cpus));
		n = from->cpu_count;
		for (unsigned i = 0; i < n; i++)
			if (c->cpus[i] >= CPU_SETSIZE || !CPU_ISSET(c->cpus[i], &allowed))
				return log_failure(log, -EINVAL,
						   "CPU %u: this process may not run on it",
						   c->cpus[i]);
	} else {
		for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
			if (CPU_ISSET(cpu, &allowed))
				c->cpus[n++] = cpu;
	}
	c->c.cpus = c->cpus;
	c->c.cpu_count = n;
	if (!c->c.workers)
		c->c.workers = n < WORKERS_DEFAULT_MAX ? n : WORKERS_DEFAULT_MAX;
	return 0;
}

static void choose_ring(struct config *c)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN); /* rings are made for those */
	uint64_t share = RING_BUDGET_DEFAULT / (uint64_t)(cpus > 0 ? cpus : 1);

	if (!c->c.ring_bytes) {
		c->c.ring_bytes = RING_SIZE_DEFAULT;
		while (c->c.ring_bytes > share && c->c.ring_bytes > RING_SIZE_DEFAULT_MIN)
			c->c.ring_bytes /= 2;
	}
	c->segment_bytes =
		c->c.ring_bytes / 2 < SEGMENT_SIZE_MAX ? c->c.ring_bytes / 2 : SEGMENT_SIZE_MAX;
}

static int check_interfaces(const struct config *c, const struct log *log)
{
	const struct retina_capture_config *k = &c->c;

	if (!k->interface_count)
		return log_failure(log, -EINVAL, "no interface was given");
	if (k->interface_count > INTERFACES_MAX)
		return log_failure(log, -EINVAL, "%u interfaces: at most %u can be named",
				   k->interface_count, INTERFACES_MAX);
	for (unsigned i = 0; i < k->interface_count; i++) {
		const char *name = k->interfaces[i];

		if (!*name || strlen(name) >= IF_NAMESIZE || strchr(name, '/'))
			return log_failure(log, -EINVAL, "%s: not the name of an interface", name);
		if (strcmp(name, "any") == 0 && k->interface_count > 1)
			return log_failure(
				log, -EINVAL,
				"any: it includes all interfaces, name no other beside it");
		for (unsigned j = 0; j < i; j++)
			if (strcmp(name, k->interfaces[j]) == 0)
				return log_failure(log, -EINVAL, "%s: the interface is named twice",
						   name);
	}
	return 0;
}

static int check(const struct config *c, const struct log *log)
{
	const struct retina_capture_config *k = &c->c;
	int r = check_interfaces(c, log);

	if (r < 0)
		return r;
	if (!k->path || !*k->path)
		return log_failure(log, -EINVAL, "no file was given");
	if (!*k->name || strchr(k->name, '/') || strcmp(k->name, ".") == 0 ||
	    strcmp(k->name, "..") == 0)
		return log_failure(log, -EINVAL, "%s: not a name for a session", k->name);
	if (k->snaplen > RECORD_SNAPLEN_MAX)
		return log_failure(log, -EINVAL, "snap length %u: at most %u bytes can be kept",
				   k->snaplen, RECORD_SNAPLEN_MAX);
	if (k->level < -50 || k->level > 19)
		return log_failure(log, -EINVAL, "level %d: zstd has -50 to 19", k->level);
	if (k->workers > PACKERS_MAX)
		return log_failure(log, -EINVAL, "%u workers: at most %u", k->workers, PACKERS_MAX);
	if (ring_geometry_check(k->ring_bytes, c->segment_bytes, k->snaplen) < 0)
		return log_failure(
			log, -EINVAL,
			"ring of %llu bytes: it must be a power of two up to 256 MiB, and "
			"half of it must hold a frame of %u bytes (--snaplen)",
			(unsigned long long)k->ring_bytes, k->snaplen);
	return 0;
}

int config_init(struct config *ret, const struct retina_capture_config *from, const struct log *log)
{
	struct config *c = ret;
	int r;

	*c = (struct config){.c = *from};
	r = copy_strings(&c->c, from);
	if (r == 0 && !c->c.name)
		r = default_name(&c->c);
	if (r < 0) {
		log_error(log, "out of memory");
		goto fail;
	}
	r = choose_cpus(c, from, log);
	if (r < 0)
		goto fail;
	if (!c->c.snaplen)
		c->c.snaplen = RECORD_SNAPLEN_MAX;
	if (!c->c.flush_interval_ns)
		c->c.flush_interval_ns = NS_PER_S;
	c->is_any = from->interface_count == 1 && strcmp(from->interfaces[0], "any") == 0;
	choose_ring(c);
	r = check(c, log);
	if (r < 0)
		goto fail;
	return 0;
fail:
	config_release(c);
	return r;
}

void config_release(struct config *c)
{
	free_list(c->c.interfaces, c->c.interface_count);
	free_list(c->c.include, c->c.include_count);
	free_list(c->c.exclude, c->c.exclude_count);
	free((void *)c->c.filter);
	free((void *)c->c.path);
	free((void *)c->c.name);
	free((void *)c->c.comment);
	free((void *)c->c.application);
	free(c->cpus);
	*c = (struct config){0};
}
