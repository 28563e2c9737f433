/* SPDX-License-Identifier: MIT */
/* control.h: a running capture's side of its control socket (see control.c). */
#ifndef RETINA_TOOLS_CONTROL_H
#define RETINA_TOOLS_CONTROL_H

#include <retina/capture.h>
#include <stdbool.h>

#define CONTROL_DIRECTORY "/run/retina-xdp"

struct control;

/**
 * control_start() - serves requests about a capture, on a thread of its own, until control_stop()
 * @path: of the socket; NULL: CONTROL_DIRECTORY/NAME.sock, without which a capture can do, too
 * Return: false after a line on standard error: the capture cannot be.
 */
bool control_start(struct control **ret, struct retina_capture *c, const char *path);

/** control_stop() - answers what is under way, removes the socket; takes NULL, returns NULL */
struct control *control_stop(struct control *k);

/** control_path() - the socket of a session, "" when its name is too long for one; a name with a
 * slash is a path already */
void control_path(char *ret, unsigned size, const char *name);

#endif
