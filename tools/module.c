// SPDX-License-Identifier: MIT
/*
 * module.c: parts of the tool that are loaded when they are needed. A capture is small because
 * HTTP, TLS and archive libraries, which come with many more, are linked to modules and not to the
 * tool. Modules lie beside the program (a build folder) or where they were installed.
 */
#include "module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "options.h"

static void *open_beside_program(const char *name)
{
	char path[PATH_MAX + 64];
	ssize_t len = readlink("/proc/self/exe", path, PATH_MAX);
	char *slash;

	if (len < 0)
		return NULL;
	path[len] = 0;
	slash = strrchr(path, '/');
	(void)snprintf(slash + 1, sizeof(path) - (size_t)(slash + 1 - path), "retina-%s.so", name);
	/* A file that is there but does not load shall say why. */
	return access(path, F_OK) == 0 ? dlopen(path, RTLD_NOW) : NULL;
}

module_function_fn *module_function(const char *name, const char *function)
{
	char path[PATH_MAX];
	void *module = open_beside_program(name), *symbol;

	(void)snprintf(path, sizeof(path), RETINA_MODULES "/retina-%s.so", name);
	if (!module)
		module = dlopen(path, RTLD_NOW);
	symbol = module ? dlsym(module, function) : NULL;
	if (!symbol)
		(void)usage_error("a part of the program is missing: %s", dlerror());
	return (module_function_fn *)symbol;
}
