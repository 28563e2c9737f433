// SPDX-License-Identifier: MIT
/*
 * linkwatch.c: follows the kernel's list of interfaces through rtnetlink (libmnl). Owned and used
 * by the control thread. Messages that the kernel had to drop are made up for by a new listing.
 */
#include "linkwatch.h"

#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include "base/errno.h"

struct linkwatch {
	struct linkwatch_events events;
	struct mnl_socket *socket;
	uint32_t sequence; /* of the listing under way */
	bool is_torn;	   /* the kernel's list changed meanwhile: somebody may be missing */
};

int linkwatch_new(struct linkwatch **ret, const struct linkwatch_events *events)
{
	struct linkwatch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->events = *events;
	w->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!w->socket || mnl_socket_bind(w->socket, RTMGRP_LINK, MNL_SOCKET_AUTOPID) < 0) {
		r = -errno;
		linkwatch_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

struct linkwatch *linkwatch_free(struct linkwatch *w)
{
	if (!w)
		return NULL;
	if (w->socket)
		mnl_socket_close(w->socket);
	free(w);
	return NULL;
}

int linkwatch_fd(const struct linkwatch *w)
{
	return mnl_socket_get_fd(w->socket);
}

int linkwatch_list(struct linkwatch *w)
{
	char buffer[256];
	struct nlmsghdr *n = mnl_nlmsg_put_header(buffer);

	n->nlmsg_type = RTM_GETLINK;
	n->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	n->nlmsg_seq = ++w->sequence;
	w->is_torn = false;
	mnl_nlmsg_put_extra_header(n, sizeof(struct ifinfomsg));
	return mnl_socket_sendto(w->socket, n, n->nlmsg_len) < 0 ? -errno : 0;
}

static void handle(struct linkwatch *w, const struct nlmsghdr *n)
{
	const struct ifinfomsg *link = mnl_nlmsg_get_payload(n);

	w->is_torn |= !!(n->nlmsg_flags & NLM_F_DUMP_INTR);
	if (n->nlmsg_type == NLMSG_DONE) {
		if (w->is_torn)
			(void)linkwatch_list(w);
		else
			w->events.resync_done(w->events.data);
		return;
	}
	/* Bridges send news of their ports in the same types, for another family. */
	if (n->nlmsg_len < NLMSG_LENGTH(sizeof(*link)) || link->ifi_family != AF_UNSPEC)
		return;
	if (n->nlmsg_type == RTM_NEWLINK)
		w->events.appeared(w->events.data, (uint32_t)link->ifi_index);
	else if (n->nlmsg_type == RTM_DELLINK)
		w->events.vanished(w->events.data, (uint32_t)link->ifi_index);
}

int linkwatch_process(struct linkwatch *w)
{
	char buffer[65536];

	for (;;) {
		ssize_t len = mnl_socket_recvfrom(w->socket, buffer, sizeof(buffer));
		int left = (int)len;

		if (len < 0 && errno == ENOBUFS) {
			(void)linkwatch_list(w);
			continue;
		}
		if (len < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		for (struct nlmsghdr *n = (struct nlmsghdr *)buffer; mnl_nlmsg_ok(n, left);
		     n = mnl_nlmsg_next(n, &left))
			handle(w, n);
	}
}
