// SPDX-License-Identifier: MIT
/*
 * stages.c: which programs a frame runs through between its hook and the ring. Part of a tap, on
 * its thread.
 *
 *   entry -> filter -> accept -> select -> record
 *                   -> reject           -> reject
 *
 * The programs are slots of program arrays (xdp/capture_abi.h). What changes while frames pass is
 * one word: first the slots that it makes reachable are filled, then it is written, and what it
 * made unreachable is taken out a grace period later. So each frame is judged by one filter, whole.
 */
#include "stages.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/errno.h"
#include "capture_abi.h"
#include "program.h"
#include "select.skel.h"
#include "tap.skel.h"

static int put_program(const struct bpf_map *array, uint32_t slot,
		       const struct bpf_program *program)
{
	int fd = bpf_program__fd(program);

	return bpf_map_update_elem(bpf_map__fd(array), &slot, &fd, BPF_ANY);
}

/* One stage's programs: each kind of hook has its own. */
struct stage {
	enum tap_program slot;
	const struct bpf_program *xdp, *ingress, *egress;
};

static int put_stage(struct stages *s, const struct stage *g)
{
	const struct bpf_map *tc = s->bpf->maps.tc_programs, *xdp = s->bpf->maps.xdp_programs;
	int r = put_program(tc, g->slot + TAP_IN, g->ingress);

	if (r == 0)
		r = put_program(tc, g->slot + TAP_OUT, g->egress);
	if (r == 0 && s->has_xdp)
		r = put_program(xdp, g->slot + TAP_IN, g->xdp);
	return r;
}

int stages_put(struct stages *s)
{
	const struct tap_bpf *b = s->bpf;
	const struct stage stages[] = {
		{TAP_ACCEPT, b->progs.accept_xdp, b->progs.accept_ingress, b->progs.accept_egress},
		{TAP_REJECT, b->progs.reject_xdp, b->progs.reject_ingress, b->progs.reject_egress},
		{TAP_RECORD, b->progs.record_xdp, b->progs.record_ingress, b->progs.record_egress},
	};
	int r = 0;

	for (unsigned i = 0; i < sizeof(stages) / sizeof(stages[0]) && r == 0; i++)
		r = put_stage(s, &stages[i]);
	return r;
}

/* When it returns, every program that was running when it began has returned. Where the kernel has
 * no such call (full dynticks), it waits far longer than a softirq lasts. */
void stages_wait(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		usleep(100000);
}

/* Loads one filter and puts it into its slot. */
static int put_filter(struct stages *s, const struct classic *c, enum translator_hook hook,
		      unsigned generation, enum tap_framing framing, enum tap_direction direction)
{
	const struct bpf_map *array =
		hook == TRANSLATOR_XDP ? s->bpf->maps.xdp_programs : s->bpf->maps.tc_programs;
	const struct translator_config config = {
		.hook = hook,
		.ethernet = framing == TAP_ETHERNET,
		.programs_fd = bpf_map__fd(array),
		.accept = TAP_ACCEPT + direction,
		.reject = TAP_REJECT + direction,
	};
	uint32_t slot = TAP_FILTER_SLOT(generation, framing, direction);
	int fd = program_load(c->insns, c->count, &config, s->log), r;

	if (fd < 0)
		return fd;
	r = bpf_map_update_elem(bpf_map__fd(array), &slot, &fd, BPF_ANY);
	close(fd); /* the array holds it */
	if (r < 0)
		log_error(s->log, "cannot install the filter: %s", strerror(-r));
	return r;
}

static int put_generation(struct stages *s, unsigned generation, const struct classic *const *c)
{
	int r = 0;

	for (unsigned framing = TAP_ETHERNET; framing <= TAP_RAW; framing++)
		for (unsigned d = TAP_IN; d <= TAP_OUT && r == 0; d++)
			r = put_filter(s, c[framing], TRANSLATOR_TC, generation,
				       (enum tap_framing)framing, (enum tap_direction)d);
	if (r == 0 && s->has_xdp)
		r = put_filter(s, c[TAP_ETHERNET], TRANSLATOR_XDP, generation, TAP_ETHERNET,
			       TAP_IN);
	return r;
}

static void remove_generation(struct stages *s, unsigned generation)
{
	for (unsigned i = 0; i < 4; i++) {
		uint32_t slot = TAP_FILTER_SLOT(generation, i / 2, i % 2);

		(void)bpf_map_delete_elem(bpf_map__fd(s->bpf->maps.tc_programs), &slot);
		(void)bpf_map_delete_elem(bpf_map__fd(s->bpf->maps.xdp_programs), &slot);
	}
}

int stages_set_filter(struct stages *s, const struct classic *ethernet, const struct classic *raw,
		      uint64_t *ret_moment_ns)
{
	const struct classic *const c[] = {[TAP_ETHERNET] = ethernet, [TAP_RAW] = raw};
	unsigned before = s->generation, next = 0;
	int r = 0;

	if (ethernet) {
		next = before % TAP_GENERATIONS + 1;
		r = put_generation(s, next, c);
	}
	if (r < 0) {
		remove_generation(s, next);
	} else {
		*ret_moment_ns = clock_unix_ns();
		/* One store for all hooks; the slots were filled before, by system calls. */
		__atomic_store_n(&s->bpf->bss->filter_generation, next, __ATOMIC_RELEASE);
		s->generation = next;
		if (before) {
			stages_wait();
			remove_generation(s, before);
		}
	}
	return r;
}

/* --- targets and sampling --- */

/* Both objects use one interface table and the same program arrays. */
static int share_maps(struct stages *s)
{
	const struct tap_bpf *b = s->bpf;
	int r;

	r = bpf_map__reuse_fd(s->select->maps.interfaces, bpf_map__fd(b->maps.interfaces));
	if (r == 0)
		r = bpf_map__reuse_fd(s->select->maps.tc_programs,
				      bpf_map__fd(b->maps.tc_programs));
	if (r == 0)
		r = bpf_map__reuse_fd(s->select->maps.xdp_programs,
				      bpf_map__fd(b->maps.xdp_programs));
	return r;
}

static int load_select(struct stages *s)
{
	int r;

	s->select = select_bpf__open();
	if (!s->select)
		return -errno;
	s->select->rodata->sample_n = s->sample;
	s->select->rodata->sample_by_flow = s->sample_by_flow;
	s->select->rodata->sample_seed = (uint32_t)clock_unix_ns();
	(void)bpf_program__set_autoload(s->select->progs.select_xdp, s->has_xdp);
	r = share_maps(s);
	return r < 0 ? r : select_bpf__load(s->select);
}

int stages_select(struct stages *s, struct target_maps *ret)
{
	int r = 0;

	if (!s->select) {
		r = load_select(s);
		if (r == 0)
			r = put_stage(s, &(struct stage){TAP_SELECT, s->select->progs.select_xdp,
							 s->select->progs.select_ingress,
							 s->select->progs.select_egress});
		if (r < 0) {
			select_bpf__destroy(s->select);
			s->select = NULL;
			return log_failure(s->log, r,
					   "cannot load the programs for targets and samples: %s",
					   strerror(-r));
		}
		/* The slots were filled before, by system calls. */
		__atomic_store_n(&s->bpf->bss->is_selecting, 1, __ATOMIC_RELEASE);
	}
	*ret = (struct target_maps){
		.hosts_fd = bpf_map__fd(s->select->maps.target_hosts),
		.prefixes_fd = bpf_map__fd(s->select->maps.target_prefixes),
		.kinds = &s->select->bss->target_kinds,
	};
	return 0;
}

void stages_release(struct stages *s)
{
	select_bpf__destroy(s->select);
}
