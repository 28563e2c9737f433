/* SPDX-License-Identifier: MIT */
/* module.h: parts of the tool that are loaded when they are needed (see module.c). */
#ifndef RETINA_TOOLS_MODULE_H
#define RETINA_TOOLS_MODULE_H

typedef void module_function_fn(void);

/** module_function() - of the module NAME; NULL after a line on standard error. Any thread. */
module_function_fn *module_function(const char *name, const char *function);

#endif
