// SPDX-License-Identifier: MIT
/*
 * control.c: the control socket of a capture, until the first connection: then the module `control`
 * (control_server.c) takes it over. Owned by the main thread; one more thread waits.
 */
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "control_server.h"
#include "module.h"
#include "options.h"

enum { BACKLOG = 32 };

struct control {
	struct retina_capture *capture;
	struct sockaddr_un address;
	bool is_bound;
	int stop; /* eventfd */
	pthread_t thread;
	bool has_thread;

	/* The waiting thread's, until it is joined. */
	int fd;
	struct control_server *server; /* NULL: nobody has connected yet */
};

void control_path(char *ret, unsigned size, const char *name)
{
	int n;

	if (strchr(name, '/'))
		n = snprintf(ret, size, "%s", name);
	else
		n = snprintf(ret, size, CONTROL_DIRECTORY "/%s.sock", name);
	if (n < 0 || (unsigned)n >= size)
		*ret = 0;
}

/* --- the socket --- */

/* A socket on which nobody listens is left from a capture that was killed. */
static bool is_stale(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool stale = fd >= 0 &&
		     connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
		     errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return stale;
}

static int bind_privately(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0177);
	int r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

	(void)umask(before);
	return r;
}

static int listen_at(struct control *k)
{
	int r;

	k->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (k->fd < 0)
		return -errno;
	r = bind_privately(k->fd, &k->address);
	if (r == -EADDRINUSE && is_stale(&k->address) && unlink(k->address.sun_path) == 0)
		r = bind_privately(k->fd, &k->address);
	if (r < 0)
		return r;
	k->is_bound = true;
	return listen(k->fd, BACKLOG) < 0 ? -errno : 0;
}

/* Until somebody connects there is nothing to serve with; the first finds the server within some
 * milliseconds. */
static void *wait_for_the_first(void *data)
{
	struct control *k = data;
	struct pollfd fds[] = {{.fd = k->fd, .events = POLLIN}, {.fd = k->stop, .events = POLLIN}};
	control_server_start_fn *start;

	(void)pthread_setname_np(pthread_self(), "retina-control");
	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	if (fds[1].revents)
		return NULL;
	start = (control_server_start_fn *)module_function("control", "control_server_start");
	k->server = start ? start(k->capture, k->fd) : NULL;
	if (k->server)
		k->fd = -1; /* the server closes it */
	return NULL;
}

/* Signals are the main thread's. */
static int start_waiting(struct control *k)
{
	sigset_t all, before;
	int r;

	k->stop = eventfd(0, EFD_CLOEXEC);
	if (k->stop < 0)
		return -errno;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&k->thread, NULL, wait_for_the_first, k);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	k->has_thread = r == 0;
	return r;
}

bool control_start(struct control **ret, struct retina_capture *c, const char *path)
{
	struct control *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return usage_error("out of memory");
	*k = (struct control){.capture = c, .fd = -1, .stop = -1, .address.sun_family = AF_UNIX};
	if (!path)
		(void)mkdir(CONTROL_DIRECTORY, 0755); /* bind(2) will tell */
	control_path(k->address.sun_path, sizeof(k->address.sun_path),
		     path ? path : retina_capture_name(c));
	r = *k->address.sun_path ? listen_at(k) : -ENAMETOOLONG;
	if (r == 0)
		r = start_waiting(k);
	if (r == 0) {
		*ret = k;
		return true;
	}
	if (r == -EADDRINUSE)
		(void)usage_error("%s: a capture of this name is running, or the file is no "
				  "socket: use another --name or --control",
				  k->address.sun_path);
	else if (path)
		(void)usage_error("--control %s: %s", path, strerror(-r));
	else
		(void)fprintf(stderr,
			      "retina-xdpctl: warning: %s: %s: the capture cannot be steered\n",
			      k->address.sun_path, strerror(-r));
	control_stop(k);
	*ret = NULL;
	return r != -EADDRINUSE && !path;
}

struct control *control_stop(struct control *k)
{
	uint64_t one = 1;

	if (!k)
		return NULL;
	/* Nobody new finds it; then whoever is under way is answered. */
	if (k->is_bound)
		(void)unlink(k->address.sun_path);
	if (k->has_thread) {
		(void)!write(k->stop, &one, sizeof(one));
		(void)pthread_join(k->thread, NULL);
	}
	if (k->server)
		((control_server_stop_fn *)module_function("control", "control_server_stop"))(
			k->server);
	if (k->fd >= 0)
		close(k->fd);
	if (k->stop >= 0)
		close(k->stop);
	free(k);
	return NULL;
}
