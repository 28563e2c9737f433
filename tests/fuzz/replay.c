// SPDX-License-Identifier: MIT
/* replay.c: a fuzzer's target over the files of a folder, in place of the fuzzer: replay FOLDER.
 * Speaks TAP; a failure aborts. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(const char *folder, const char *name)
{
	static uint8_t data[1 << 20];
	char path[4096];
	size_t size;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "re");
	if (!f)
		abort();
	size = fread(data, 1, sizeof(data), f);
	(void)fclose(f);
	(void)fprintf(stderr, "%s\n", name);
	(void)LLVMFuzzerTestOneInput(data, size);
}

int main(int argc, char **argv)
{
	struct dirent *e;
	unsigned count = 0;
	DIR *d;

	if (argc != 2)
		return 2;
	if (geteuid() != 0) {
		(void)printf("needs root\n");
		return 77; /* skipped */
	}
	d = opendir(argv[1]);
	if (!d)
		return 2;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			replay(argv[1], e->d_name);
			count++;
		}
	(void)closedir(d);
	(void)printf("%s 1 - %u inputs\n1..1\n", count ? "ok" : "not ok", count);
	return count ? 0 : 1;
}
