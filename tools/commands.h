/* SPDX-License-Identifier: MIT */
/* commands.h: the subcommands of retina-xdpctl, one file each. */
#ifndef RETINA_TOOLS_COMMANDS_H
#define RETINA_TOOLS_COMMANDS_H

enum { EXIT_DONE, EXIT_USAGE, EXIT_FAILED, EXIT_LOSS };

/** cmd_capture() - argv[0] is "capture"; Return: the exit status */
int cmd_capture(int argc, char **argv);

/** cmd_filter() - argv[0] is "filter"; so for the others */
int cmd_filter(int argc, char **argv);

int cmd_target(int argc, char **argv);

#endif
