// SPDX-License-Identifier: MIT
/* embed.c: the engine in another program: records an interface for some seconds, says what came. */
#include <inttypes.h>
#include <retina/capture.h>
#include <stdio.h>
#include <stdlib.h>

static void say(void *data, enum retina_log_level level, const char *format, va_list args)
{
	(void)data;
	if (level > RETINA_LOG_INFO)
		return;
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
}

int main(int argc, char **argv)
{
	struct retina_capture_config config = {.interface_count = 1, .log = say};
	struct retina_capture *capture;
	struct retina_summary summary;
	int r;

	if (argc != 4) {
		(void)fprintf(stderr, "usage: embed INTERFACE FILE SECONDS\n");
		return 1;
	}
	config.interfaces = (const char *const[]){argv[1]};
	config.path = argv[2];
	config.duration_ns = strtoull(argv[3], NULL, 10) * 1000000000;
	if (retina_capture_new(&capture, &config) < 0)
		return 2;
	r = retina_capture_run(capture);
	retina_capture_summary(capture, &summary);
	(void)printf("captured %" PRIu64 " lost %" PRIu64 "\n", summary.totals.captured.packets,
		     retina_ledger_lost(&summary.totals).packets);
	retina_capture_free(capture);
	return r < 0 ? 2 : 0;
}
