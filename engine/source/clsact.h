/* SPDX-License-Identifier: MIT */
/* clsact.h: tc filters for kernels without tcx, with a guard that removes them (see clsact.c). */
#ifndef RETINA_SOURCE_CLSACT_H
#define RETINA_SOURCE_CLSACT_H

#include <stdbool.h>
#include <stdint.h>

struct clsact;

/** clsact_new() - starts the guard process; Return: 0 or the error of pipe(2) or fork(2) */
int clsact_new(struct clsact **ret);

/** clsact_free() - removes all filters, ends the guard; returns NULL */
struct clsact *clsact_free(struct clsact *c);

/** clsact_attach() - Return: 0 or -errno, with no filter left behind */
int clsact_attach(struct clsact *c, uint32_t ifindex, bool ingress, int prog_fd);

/** clsact_detach() - removes the filters of an interface, which may be gone */
void clsact_detach(struct clsact *c, uint32_t ifindex);

#endif
