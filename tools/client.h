/* SPDX-License-Identifier: MIT */
/* client.h: a command's side of the control socket of a running capture (see client.c). */
#ifndef RETINA_TOOLS_CLIENT_H
#define RETINA_TOOLS_CLIENT_H

#include <jansson.h>

/**
 * client_call() - one request
 * @name: of the session, or the path of a socket
 * @body: NULL: none; otherwise taken over
 * Return: the answer, for json_decref(); NULL after lines on standard error.
 */
json_t *client_call(const char *name, const char *method, const char *path, json_t *body);

#endif
