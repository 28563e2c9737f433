// SPDX-License-Identifier: MIT
/*
 * clsact.c: before 6.6 a tc program is a filter of the clsact qdisc, and such a filter outlives its
 * process. So a child process, the guard, is told of each filter before it is made; when our end of
 * its pipe closes, for whatever reason, it removes them all and ends. Control thread only.
 *
 * Invariant: a filter exists only while a living guard knows of it.
 */
#include "clsact.h"

#include <bpf/libbpf.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/errno.h"
#include "base/limits.h"

/* Filters of one capture: both directions of every interface. */
enum { FILTERS_MAX = 2 * INTERFACES_MAX };

struct filter {
	uint32_t ifindex; /* 0: forgotten */
	bool ingress;
	bool owns_qdisc; /* a capture made it: the last one to leave removes it */
};

struct clsact {
	int pipe; /* our end; its closing is the order to remove everything */
	pid_t guard;
	uint32_t handle; /* of all our filters: tells them from another capture's */
	unsigned count;
	struct filter filters[FILTERS_MAX];
};

static struct bpf_tc_hook hook_of(const struct filter *f)
{
	return (struct bpf_tc_hook){
		.sz = sizeof(struct bpf_tc_hook),
		.ifindex = (int)f->ifindex,
		.attach_point = f->ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS,
	};
}

/* Filters on one side of an interface's clsact qdisc. */
struct census {
	unsigned captures; /* made by a capture, by the name of the program */
	unsigned others;
};

static int count_filter(const struct nlmsghdr *n, void *data)
{
	const struct tcmsg *t = mnl_nlmsg_get_payload(n);
	struct census *c = data;
	struct nlattr *a, *o;
	bool is_capture = false;

	if (!t->tcm_handle)
		return MNL_CB_OK; /* the head of a chain */
	mnl_attr_for_each(a, n, sizeof(*t))
	{
		if (mnl_attr_get_type(a) != TCA_OPTIONS)
			continue;
		mnl_attr_for_each_nested(o, a)
		{
			if (mnl_attr_get_type(o) == TCA_BPF_NAME)
				is_capture = strncmp(mnl_attr_get_str(o), "tap_", 4) == 0;
		}
	}
	if (is_capture)
		c->captures++;
	else
		c->others++;
	return MNL_CB_OK;
}

static void count_side(struct census *c, uint32_t ifindex, uint32_t side)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	char buffer[32768]; /* of a netlink message at most */
	struct nlmsghdr *n = mnl_nlmsg_put_header(buffer);
	struct tcmsg *t;
	ssize_t len;
	int r = MNL_CB_OK;

	n->nlmsg_type = RTM_GETTFILTER;
	n->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	n->nlmsg_seq = 1;
	t = mnl_nlmsg_put_extra_header(n, sizeof(*t));
	t->tcm_ifindex = (int)ifindex;
	t->tcm_parent = TC_H_MAKE(TC_H_CLSACT, side);
	if (!s || mnl_socket_sendto(s, n, n->nlmsg_len) < 0)
		r = MNL_CB_ERROR;
	while (r > MNL_CB_STOP) {
		len = mnl_socket_recvfrom(s, buffer, sizeof(buffer));
		r = len < 0 ? MNL_CB_ERROR : mnl_cb_run(buffer, (size_t)len, 1, 0, count_filter, c);
	}
	if (r == MNL_CB_ERROR)
		c->others++; /* not known: as if somebody used it */
	if (s)
		mnl_socket_close(s);
}

static struct census census_of(uint32_t ifindex)
{
	struct census c = {0};

	count_side(&c, ifindex, TC_H_MIN_INGRESS);
	count_side(&c, ifindex, TC_H_MIN_EGRESS);
	return c;
}

static void filter_remove(const struct filter *f, uint32_t handle)
{
	struct bpf_tc_hook hook = hook_of(f);
	struct census left;

	if (!f->ifindex)
		return;
	/* The first priority may have been taken when the filter was made: both are tried. */
	for (uint32_t priority = 1; priority <= 49152; priority += 49151) {
		LIBBPF_OPTS(bpf_tc_opts, o, .handle = handle, .priority = priority);

		if (bpf_tc_detach(&hook, &o) == 0)
			break;
	}
	left = census_of(f->ifindex);
	if (f->owns_qdisc && !left.captures && !left.others) {
		hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
		(void)bpf_tc_hook_destroy(&hook);
	}
}

static void remove_all(struct clsact *c)
{
	for (unsigned i = 0; i < c->count; i++)
		filter_remove(&c->filters[i], c->handle);
}

/* The child: its whole life. */
static void guard(struct clsact *c, int pipe)
{
	struct filter f;
	sigset_t all;

	(void)prctl(PR_SET_NAME, "retina-guard");
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
	(void)setsid();
	(void)libbpf_set_print(NULL); /* the embedder's log function is not for this process */
	(void)dup2(pipe, 0);
	/* Nothing of the parent's may stay open here: neither its links nor its output. */
	(void)close_range(1, ~0u, 0);
	while (read(0, &f, sizeof(f)) == sizeof(f))
		c->filters[c->count++ % FILTERS_MAX] = f;
	remove_all(c);
	_exit(0);
}

int clsact_new(struct clsact **ret)
{
	struct clsact *c = calloc(1, sizeof(*c));
	int ends[2], r;

	if (!c)
		return -ENOMEM;
	/* Not the process id: in containers that share the node's network every recorder is 1. */
	r = neg_errno((int)getrandom(&c->handle, sizeof(c->handle), 0));
	if (r < 0) {
		free(c);
		return r;
	}
	c->handle |= 1; /* 0 would let the kernel choose */
	r = neg_errno(pipe2(ends, O_CLOEXEC));
	if (r < 0) {
		free(c);
		return r;
	}
	c->pipe = ends[1];
	c->guard = fork();
	if (c->guard == 0)
		guard(c, ends[0]);
	r = c->guard < 0 ? -errno : 0;
	close(ends[0]);
	if (r < 0) {
		close(c->pipe);
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

struct clsact *clsact_free(struct clsact *c)
{
	if (!c)
		return NULL;
	close(c->pipe);
	while (waitpid(c->guard, NULL, 0) < 0 && errno == EINTR)
		;
	free(c);
	return NULL;
}

/* The qdisc was there: what we said of our other filter on it holds; else other captures' filters,
 * and nothing else, show that a capture made it. */
static bool may_own_qdisc(const struct clsact *c, uint32_t ifindex)
{
	struct census there;

	for (unsigned i = 0; i < c->count; i++)
		if (c->filters[i].ifindex == ifindex)
			return c->filters[i].owns_qdisc;
	there = census_of(ifindex);
	return there.captures && !there.others;
}

int clsact_attach(struct clsact *c, uint32_t ifindex, bool ingress, int prog_fd)
{
	struct filter f = {.ifindex = ifindex, .ingress = ingress};
	struct bpf_tc_hook hook = hook_of(&f);
	int r;

	if (c->count == FILTERS_MAX)
		return -ENOSPC;
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	r = bpf_tc_hook_create(&hook);
	if (r < 0 && r != -EEXIST)
		return r;
	f.owns_qdisc = r == 0 || may_own_qdisc(c, ifindex);
	c->filters[c->count++] = f;
	r = write(c->pipe, &f, sizeof(f)) == sizeof(f) ? 0 : -EPIPE;
	if (r < 0)
		return r;
	hook = hook_of(&f);
	/* First of all on the way in; where that priority is taken, behind. */
	for (uint32_t priority = ingress ? 1 : 49152; priority <= 49152; priority += 49151) {
		LIBBPF_OPTS(bpf_tc_opts, o, .prog_fd = prog_fd, .handle = c->handle,
			    .priority = priority);

		r = bpf_tc_attach(&hook, &o);
		if (r == 0)
			return 0;
	}
	filter_remove(&f, c->handle);
	return r;
}

void clsact_detach(struct clsact *c, uint32_t ifindex)
{
	for (unsigned i = 0; i < c->count; i++)
		if (c->filters[i].ifindex == ifindex) {
			filter_remove(&c->filters[i], c->handle);
			c->filters[i].ifindex = 0;
		}
}
