// SPDX-License-Identifier: MIT
/*
 * tap.c: loads the programs of xdp/tap.bpf.c, maps what they share with us and attaches them.
 *
 * The tap belongs to the session's control thread; only tap_read() and the rings are used by
 * others. Links are held as file descriptors and nowhere pinned, so the kernel detaches everything
 * when the process dies. clsact filters have no such owner: clsact.c guards them.
 */
#include "tap.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/errno.h"
#include "base/limits.h"
#include "clsact.h"
#include "stages.h"
#include "tap.skel.h"

/* Attach types of tcx, newer than Debian 12's libbpf. */
#define ATTACH_TCX_INGRESS ((enum bpf_attach_type)46)
#define ATTACH_TCX_EGRESS  ((enum bpf_attach_type)47)
#define TCX_BEFORE	   (1u << 3) /* BPF_F_BEFORE without a partner: the first of all */

struct tap_hooks_held {
	uint32_t ifindex;    /* 0: the slot is free */
	int ingress, egress; /* links, -1: none */
};

struct tap {
	const struct log *log;
	struct tap_config config;
	bool has_tcx, has_xdp, clock_is_tai;
	struct stages stages;
	struct tap_bpf *bpf;
	struct clsact *clsact; /* NULL until the first filter */

	unsigned cpus; /* above the highest possible one */
	unsigned ring_count;
	struct ring *rings;
	uint8_t *ring_memory, *control_memory, *counter_memory;
	size_t ring_memory_size, control_memory_size, counter_memory_size;

	struct tap_hooks_held *held; /* interface_max of them */
};

/* libbpf's print function has no user data; it is ours only while a call of ours runs. */
static _Thread_local const struct log *libbpf_log;

static int libbpf_line(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level != LIBBPF_DEBUG && libbpf_log && libbpf_log->function)
		libbpf_log->function(libbpf_log->data, RETINA_LOG_DEBUG, format, args);
	return 0;
}

static libbpf_print_fn_t libbpf_listen(const struct log *log)
{
	libbpf_log = log;
	return libbpf_set_print(libbpf_line);
}

static void libbpf_unlisten(libbpf_print_fn_t before)
{
	libbpf_log = NULL;
	(void)libbpf_set_print(before);
}

/* The highest CPU of a list such as 0-3,5; it may have holes. */
static unsigned highest_cpu(const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned highest = 0, n;

	if (!f)
		return (unsigned)sysconf(_SC_NPROCESSORS_CONF) - 1;
	while (fscanf(f, "%u", &n) == 1) {
		highest = n;
		if (fgetc(f) == EOF)
			break;
	}
	(void)fclose(f);
	return highest;
}

static unsigned log2_of(uint64_t v)
{
	return (unsigned)__builtin_ctzll(v);
}

/* A kernel without tcx does not know the attach type, one with it misses the interface. */
static bool probe_tcx(int prog_fd)
{
	int fd = bpf_link_create(prog_fd, 0x7fffffff, ATTACH_TCX_INGRESS, NULL);

	if (fd >= 0)
		close(fd);
	return fd == -ENODEV;
}

static void tap_configure(struct tap *t)
{
	const struct tap_config *c = &t->config;
	struct tap_bpf *b = t->bpf;
	unsigned element = (unsigned)ring_element_size(c->ring_size, c->segment_size);

	b->rodata->ring_mask = c->ring_size - 1;
	b->rodata->segment_mask = c->segment_size - 1;
	b->rodata->segment_shift = log2_of(c->segment_size);
	b->rodata->snaplen = c->snaplen;
	b->rodata->interface_max = c->interface_max;
	b->rodata->one_interface = c->one_interface;
	b->rodata->one_is_ethernet = c->one_is_ethernet;
	b->rodata->clock_is_tai = t->clock_is_tai;
	b->bss->clock_offset_ns = clock_offset_ns(t->clock_is_tai);

	(void)bpf_map__set_value_size(b->maps.rings, element);
	(void)bpf_map__set_max_entries(b->maps.rings, t->ring_count);
	(void)bpf_map__set_max_entries(b->maps.controls, t->cpus);
	(void)bpf_map__set_max_entries(b->maps.counters,
				       t->cpus * c->interface_max * TAP_DIRECTIONS);
	(void)bpf_map__set_max_entries(b->maps.interfaces, c->interface_max);
	t->has_xdp = t->has_xdp && c->hook != HOOK_TCX && c->hook != HOOK_CLSACT;
	(void)bpf_program__set_autoload(b->progs.tap_xdp, t->has_xdp);
	(void)bpf_program__set_autoload(b->progs.accept_xdp, t->has_xdp);
	(void)bpf_program__set_autoload(b->progs.reject_xdp, t->has_xdp);
	(void)bpf_program__set_autoload(b->progs.record_xdp, t->has_xdp);
}

static int load_failure(const struct tap *t, int r)
{
	if (r == -EPERM || r == -EACCES)
		return log_failure(
			t->log, r,
			"the kernel refuses to load BPF programs (%s): run as root or with "
			"CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN",
			strerror(-r));
	if (r == -ENOMEM || r == -E2BIG)
		return log_failure(
			t->log, r,
			"no memory for %u rings of %llu KiB: ask for a smaller --ring-size",
			t->ring_count, (unsigned long long)(t->config.ring_size / KIB));
	/* -EINVAL would say that our caller's configuration is at fault. */
	return log_failure(t->log, r == -EINVAL ? -EOPNOTSUPP : r,
			   "cannot load the BPF programs: %s", strerror(-r));
}

static int load_programs(struct tap *t)
{
	int r;

	t->bpf = tap_bpf__open();
	if (!t->bpf)
		return -errno;
	tap_configure(t);
	r = tap_bpf__load(t->bpf);
	if (r < 0)
		return r;
	t->stages = (struct stages){.log = t->log,
				    .bpf = t->bpf,
				    .has_xdp = t->has_xdp,
				    .sample = t->config.sample,
				    .sample_by_flow = t->config.sample_by_flow};
	return stages_put(&t->stages);
}

static int tap_load(struct tap *t)
{
	int r;

	/* Each probe loads a program of two instructions. */
	r = libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_skb_load_bytes, NULL);
	if (r < 0)
		return load_failure(t, r);
	if (r == 0) /* it exists since 4.5: what fails is bpf(2) itself */
		return load_failure(t, -EPERM);
	t->clock_is_tai = libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS,
						  BPF_FUNC_ktime_get_tai_ns, NULL) == 1;
	t->has_xdp = libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_xdp_load_bytes, NULL) == 1;

	r = load_programs(t);
	if (r == -E2BIG && t->config.ring_size > RING_SIZE_OLD_KERNELS) {
		log_warning(t->log, "this kernel takes no rings of %llu KiB: using %llu KiB",
			    (unsigned long long)(t->config.ring_size / KIB),
			    (unsigned long long)(RING_SIZE_OLD_KERNELS / KIB));
		t->config.ring_size = RING_SIZE_OLD_KERNELS;
		t->config.segment_size = RING_SIZE_OLD_KERNELS / 2;
		tap_bpf__destroy(t->bpf);
		r = load_programs(t);
	}
	if (r < 0)
		return load_failure(t, r);
	t->has_tcx = probe_tcx(bpf_program__fd(t->bpf->progs.tap_ingress));
	return 0;
}

static int map_memory(uint8_t **ret, size_t *ret_size, const struct bpf_map *map, size_t element)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (element * bpf_map__max_entries(map) + page - 1) & ~(page - 1);
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	*ret_size = size;
	return 0;
}

static int tap_map(struct tap *t)
{
	const struct tap_config *c = &t->config;
	size_t element = ring_element_size(c->ring_size, c->segment_size);
	int r;

	r = map_memory(&t->ring_memory, &t->ring_memory_size, t->bpf->maps.rings, element);
	if (r < 0)
		return r;
	r = map_memory(&t->control_memory, &t->control_memory_size, t->bpf->maps.controls,
		       sizeof(struct ring_control));
	if (r < 0)
		return r;
	r = map_memory(&t->counter_memory, &t->counter_memory_size, t->bpf->maps.counters,
		       sizeof(struct tap_counters));
	if (r < 0)
		return r;
	for (unsigned i = 0; i < t->ring_count; i++)
		ring_init(&t->rings[i], t->ring_memory + i * element,
			  (struct ring_control *)t->control_memory + i, c->ring_size,
			  c->segment_size);
	return 0;
}

int tap_new(struct tap **ret, const struct tap_config *config, const struct log *log)
{
	struct tap *t = calloc(1, sizeof(*t));
	libbpf_print_fn_t before;
	int r;

	if (!t)
		return log_failure(log, -ENOMEM, "out of memory");
	t->log = log;
	t->config = *config;
	before = libbpf_listen(log);
	t->cpus = highest_cpu("/sys/devices/system/cpu/possible") + 1;
	t->ring_count = highest_cpu("/sys/devices/system/cpu/online") + 1;
	t->rings = calloc(t->ring_count, sizeof(*t->rings));
	t->held = calloc(config->interface_max, sizeof(*t->held));
	if (!t->rings || !t->held) {
		r = log_failure(log, -ENOMEM, "out of memory");
		goto fail;
	}
	r = tap_load(t);
	if (r < 0)
		goto fail;
	r = tap_map(t);
	if (r < 0) {
		log_error(log, "cannot map the rings: %s", strerror(-r));
		goto fail;
	}
	libbpf_unlisten(before);
	*ret = t;
	return 0;
fail:
	tap_free(t);
	libbpf_unlisten(before);
	return r;
}

struct tap *tap_free(struct tap *t)
{
	if (!t)
		return NULL;
	if (t->held)
		tap_detach_all(t);
	if (t->ring_memory)
		munmap(t->ring_memory, t->ring_memory_size);
	if (t->control_memory)
		munmap(t->control_memory, t->control_memory_size);
	if (t->counter_memory)
		munmap(t->counter_memory, t->counter_memory_size);
	stages_release(&t->stages);
	tap_bpf__destroy(t->bpf);
	free(t->rings);
	free(t->held);
	free(t);
	return NULL;
}

struct hook_choice tap_hooks(const struct tap *t, const struct interface *i)
{
	struct interface_offloads o;

	interface_offloads_read(&o, i);
	return hook_choose(t->config.hook, i, &o, t->has_tcx, t->has_xdp);
}

static int attach_xdp(struct tap *t, const struct interface *i)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
	int fd;

	if (i->link_type != LINK_TYPE_ETHERNET)
		return log_failure(t->log, -EOPNOTSUPP,
				   "%s: XDP sees no frames without an Ethernet header: use "
				   "--hook tcx",
				   i->name);
	if (!t->has_xdp)
		return log_failure(
			t->log, -EOPNOTSUPP,
			"%s: this kernel's XDP is too old (5.18 is needed): use --hook tcx",
			i->name);
	fd = bpf_link_create(bpf_program__fd(t->bpf->progs.tap_xdp), (int)i->ifindex, BPF_XDP,
			     &options);
	if (fd == -EBUSY || fd == -EEXIST)
		return log_failure(t->log, fd,
				   "%s: another XDP program is attached: use --hook tcx", i->name);
	if (fd < 0)
		return log_failure(t->log, fd,
				   "%s: cannot attach natively to XDP (%s): use --hook tcx",
				   i->name, strerror(-fd));
	return fd;
}

static int attach_tcx(struct tap *t, const struct interface *i, const struct bpf_program *program,
		      enum bpf_attach_type type)
{
	/* First on the way in: we see what arrived, before others drop or redirect it. Last on the
	 * way out: we see what leaves. */
	LIBBPF_OPTS(bpf_link_create_opts, options,
		    .flags = type == ATTACH_TCX_INGRESS ? TCX_BEFORE : 0);
	int fd = -EOPNOTSUPP;

	if (t->has_tcx)
		fd = bpf_link_create(bpf_program__fd(program), (int)i->ifindex, type, &options);
	if (fd < 0)
		log_error(t->log, "%s: cannot attach to tcx: %s", i->name, strerror(-fd));
	return fd;
}

static int attach_clsact(struct tap *t, const struct interface *i,
			 const struct bpf_program *program, bool ingress)
{
	int r = 0;

	if (!t->clsact)
		r = clsact_new(&t->clsact);
	if (r == 0)
		r = clsact_attach(t->clsact, i->ifindex, ingress, bpf_program__fd(program));
	if (r < 0)
		log_error(t->log, "%s: cannot attach to clsact: %s", i->name, strerror(-r));
	return r;
}

static const struct bpf_program *tc_program(const struct tap *t, bool ethernet, bool ingress)
{
	if (ethernet)
		return ingress ? t->bpf->progs.tap_ingress : t->bpf->progs.tap_egress;
	return ingress ? t->bpf->progs.tap_ingress_raw : t->bpf->progs.tap_egress_raw;
}

static int attach(struct tap *t, const struct interface *i, enum hook hook, bool ingress, int *link)
{
	const struct bpf_program *program =
		tc_program(t, i->link_type == LINK_TYPE_ETHERNET, ingress);
	int r;

	if (hook == HOOK_CLSACT)
		return attach_clsact(t, i, program, ingress); /* the guard holds it */
	if (hook == HOOK_XDP)
		r = attach_xdp(t, i);
	else
		r = attach_tcx(t, i, program, ingress ? ATTACH_TCX_INGRESS : ATTACH_TCX_EGRESS);
	if (r < 0)
		return r;
	*link = r;
	return 0;
}

int tap_attach(struct tap *t, const struct interface *i, uint32_t id, bool in, bool out,
	       const struct hook_choice *hooks)
{
	struct tap_interface value = {.id = id, .ethernet = i->link_type == LINK_TYPE_ETHERNET};
	struct tap_hooks_held *h = &t->held[id];
	libbpf_print_fn_t before;
	int r;

	*h = (struct tap_hooks_held){.ifindex = i->ifindex, .ingress = -1, .egress = -1};
	before = libbpf_listen(t->log);
	r = bpf_map_update_elem(bpf_map__fd(t->bpf->maps.interfaces), &i->ifindex, &value, BPF_ANY);
	if (r < 0) {
		log_error(t->log, "%s: cannot register the interface: %s", i->name, strerror(-r));
		goto done;
	}
	if (in)
		r = attach(t, i, hooks->ingress, true, &h->ingress);
	if (out && r == 0)
		r = attach(t, i, hooks->egress, false, &h->egress);
done:
	libbpf_unlisten(before);
	if (r < 0)
		tap_detach(t, id);
	return r;
}

void tap_detach(struct tap *t, uint32_t id)
{
	struct tap_hooks_held *h = &t->held[id];
	libbpf_print_fn_t before;

	if (!h->ifindex)
		return;
	before = libbpf_listen(t->log);
	if (h->ingress >= 0)
		close(h->ingress);
	if (h->egress >= 0)
		close(h->egress);
	if (t->clsact)
		clsact_detach(t->clsact, h->ifindex);
	(void)bpf_map_delete_elem(bpf_map__fd(t->bpf->maps.interfaces), &h->ifindex);
	h->ifindex = 0;
	libbpf_unlisten(before);
}

void tap_detach_all(struct tap *t)
{
	bool any = false;

	for (unsigned id = 0; id < t->config.interface_max; id++) {
		any = any || t->held[id].ifindex;
		tap_detach(t, id);
	}
	t->clsact = clsact_free(t->clsact);
	if (!any)
		return;
	stages_wait();
}

int tap_set_filter(struct tap *t, const struct classic *ethernet, const struct classic *raw,
		   uint64_t *ret_moment_ns)
{
	libbpf_print_fn_t before = libbpf_listen(t->log);
	int r = stages_set_filter(&t->stages, ethernet, raw, ret_moment_ns);

	libbpf_unlisten(before);
	return r;
}

int tap_select(struct tap *t, struct target_maps *ret)
{
	libbpf_print_fn_t before = libbpf_listen(t->log);
	int r = stages_select(&t->stages, ret);

	libbpf_unlisten(before);
	return r;
}

unsigned tap_ring_count(const struct tap *t)
{
	return t->ring_count;
}

struct ring *tap_ring(struct tap *t, unsigned index)
{
	return &t->rings[index];
}

void tap_read(const struct tap *t, uint32_t id, unsigned direction, struct tap_counters *ret)
{
	const struct tap_counters *all = (const void *)t->counter_memory;

	*ret = (struct tap_counters){0};
	for (unsigned cpu = 0; cpu < t->cpus; cpu++) {
		const struct tap_counters *c =
			&all[(cpu * t->config.interface_max + id) * TAP_DIRECTIONS + direction];

		for (unsigned slot = 0; slot < TAP_SLOTS; slot++) {
			/* Relaxed: counters that are read while they run may be a packet apart. */
			ret->slot[slot].packets +=
				__atomic_load_n(&c->slot[slot].packets, __ATOMIC_RELAXED);
			ret->slot[slot].bytes +=
				__atomic_load_n(&c->slot[slot].bytes, __ATOMIC_RELAXED);
		}
	}
}

bool tap_clock_is_tai(const struct tap *t)
{
	return t->clock_is_tai;
}

void tap_set_clock_offset(struct tap *t, uint64_t offset_ns)
{
	/* Relaxed: the program may stamp some more packets with the old one. */
	__atomic_store_n(&t->bpf->bss->clock_offset_ns, offset_ns, __ATOMIC_RELAXED);
}
