// SPDX-License-Identifier: MIT
/*
 * judge.c: what a filter's programs say of a frame, beside libpcap's interpreter. Owned by one
 * thread.
 *
 * The programs are those of a capture, but for what they call at their end: in place of the
 * recorder, programs that return the verdict. They are run by BPF_PROG_TEST_RUN, attached to
 * nothing.
 */
#include "judge.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/errno.h"
#include "program.h"

enum { SLOT_ACCEPT, SLOT_REJECT, SLOTS };

/* What the programs in the slots return: neither is what an empty slot would give. */
enum { REJECTED = 0, ACCEPTED = 1 };

struct judge {
	const struct classic_insn *insns; /* owned */
	int programs[2];		  /* by enum translator_hook */
	int arrays[2];
};

static int load_verdict(enum translator_hook hook, int verdict)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return program_submit(hook, insns, 2, NULL, 0);
}

static int put_verdict(int array, uint32_t slot, enum translator_hook hook, int verdict)
{
	int fd = load_verdict(hook, verdict), r;

	if (fd < 0)
		return fd;
	r = bpf_map_update_elem(array, &slot, &fd, BPF_ANY);
	close(fd); /* the array holds it */
	return r;
}

static int load(struct judge *j, enum translator_hook hook, size_t count, bool ethernet,
		const struct log *log)
{
	struct translator_config config = {
		.hook = hook, .ethernet = ethernet, .accept = SLOT_ACCEPT, .reject = SLOT_REJECT};
	int r;

	j->arrays[hook] = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "retina_verdicts",
					 sizeof(uint32_t), sizeof(uint32_t), SLOTS, NULL);
	r = j->arrays[hook];
	if (r >= 0)
		r = put_verdict(j->arrays[hook], SLOT_ACCEPT, hook, ACCEPTED);
	if (r >= 0)
		r = put_verdict(j->arrays[hook], SLOT_REJECT, hook, REJECTED);
	if (r == -EPERM)
		return log_failure(log, r,
				   "the kernel refuses BPF programs (%s): run as root or with "
				   "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN",
				   strerror(-r));
	if (r < 0)
		return log_failure(log, r, "cannot load the programs that give the verdict: %s",
				   strerror(-r));
	config.programs_fd = j->arrays[hook];
	j->programs[hook] = program_load(j->insns, count, &config, log);
	return j->programs[hook] < 0 ? j->programs[hook] : 0;
}

int judge_new(struct judge **ret, const struct classic_insn *insns, size_t count, bool ethernet,
	      const struct log *log)
{
	struct judge *j = malloc(sizeof(*j));
	struct classic_insn *copy;
	int r = -ENOMEM;

	if (!j)
		return log_failure(log, r, "out of memory");
	*j = (struct judge){.programs = {-1, -1}, .arrays = {-1, -1}};
	copy = malloc(count * sizeof(*copy));
	if (!copy) {
		log_error(log, "out of memory");
		goto fail;
	}
	memcpy(copy, insns, count * sizeof(*copy));
	j->insns = copy;
	r = load(j, TRANSLATOR_XDP, count, ethernet, log);
	if (r < 0)
		goto fail;
	r = load(j, TRANSLATOR_TC, count, ethernet, log);
	if (r < 0)
		goto fail;
	*ret = j;
	return 0;
fail:
	judge_free(j);
	return r;
}

/* Runs one program; returns its verdict or -errno. */
static int run(int program, struct bpf_test_run_opts *o)
{
	if (bpf_prog_test_run_opts(program, o) < 0) {
		/* Too short, too long: the kernel has several words for it. */
		if (errno == EINVAL || errno == ENOMEM || errno == EMSGSIZE)
			return -EMSGSIZE;
		return -errno;
	}
	if (o->retval != REJECTED && o->retval != ACCEPTED)
		return -EIO; /* never: it did not reach its end */
	return (int)o->retval;
}

static int run_xdp(const struct judge *j, const void *frame, uint32_t len, uint32_t linear)
{
	struct xdp_md context = {.data_end = linear};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = len, .repeat = 1);

	if (linear && linear < len) {
		o.ctx_in = &context;
		o.ctx_size_in = sizeof(context);
	}
	return run(j->programs[TRANSLATOR_XDP], &o);
}

static int run_tc(const struct judge *j, const void *frame, uint32_t len)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = len, .repeat = 1);

	return run(j->programs[TRANSLATOR_TC], &o);
}

int judge_frame(struct judge *j, const void *frame, uint32_t len, uint32_t linear,
		struct judge_verdict *ret)
{
	int xdp, tc;

	if (len < ETH_HLEN)
		return -EMSGSIZE;
	xdp = run_xdp(j, frame, len, linear);
	if (xdp < 0)
		return xdp;
	tc = run_tc(j, frame, len);
	if (tc < 0 && tc != -EMSGSIZE)
		return tc;
	*ret = (struct judge_verdict){.xdp = xdp,
				      .tc = tc > 0,
				      .has_tc = tc >= 0,
				      .interpreter = classic_matches(j->insns, frame, len, len)};
	return 0;
}

static int measure(int program, const void *frame, uint32_t len, unsigned repeat, uint32_t *ret_ns)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = len,
		    .repeat = (int)repeat);
	int r = run(program, &o);

	if (r < 0)
		return r;
	*ret_ns = o.duration;
	return 0;
}

int judge_measure(struct judge *j, const void *frame, uint32_t len, unsigned repeat,
		  uint32_t *ret_xdp_ns, uint32_t *ret_tc_ns)
{
	int r = measure(j->programs[TRANSLATOR_XDP], frame, len, repeat, ret_xdp_ns);

	return r < 0 ? r : measure(j->programs[TRANSLATOR_TC], frame, len, repeat, ret_tc_ns);
}

struct judge *judge_free(struct judge *j)
{
	if (!j)
		return NULL;
	for (unsigned i = 0; i < 2; i++) {
		if (j->programs[i] >= 0)
			close(j->programs[i]);
		if (j->arrays[i] >= 0)
			close(j->arrays[i]);
	}
	free((void *)j->insns);
	free(j);
	return NULL;
}
