// Cli: what the commands do; one function a row of commands.c.
#pragma once

#include "cli/command.h"

bool cli_run(Cli *cli, Error *err);
bool cli_check(Cli *cli, Error *err);
