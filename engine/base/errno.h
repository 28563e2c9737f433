/* SPDX-License-Identifier: MIT */
/* errno.h: the one place where errno becomes a return value. */
#ifndef RETINA_BASE_ERRNO_H
#define RETINA_BASE_ERRNO_H

#include <errno.h>

/** neg_errno() - the result of a call that sets errno, as 0..n or -errno; for the line of the call
 */
static inline int neg_errno(int r)
{
	return r < 0 ? -errno : r;
}

#endif
