/* SPDX-License-Identifier: MIT */
/* control_server.h: the module that answers at a control socket (see control_server.c). */
#ifndef RETINA_TOOLS_CONTROL_SERVER_H
#define RETINA_TOOLS_CONTROL_SERVER_H

#include <retina/capture.h>

struct control_server;

/** control_server_start() - serves what connects to fd, which it takes over; NULL: it cannot */
struct control_server *control_server_start(struct retina_capture *c, int fd);

/** control_server_stop() - answers what is under way, closes fd */
void control_server_stop(struct control_server *k);

typedef struct control_server *control_server_start_fn(struct retina_capture *c, int fd);
typedef void control_server_stop_fn(struct control_server *k);

#endif
