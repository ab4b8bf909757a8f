// Cli: what the commands do; one function a row of commands.c.
#pragma once

#include "cli/command.h"
#include "run/run.h"

bool cli_run(Cli *cli, Error *err);
bool cli_plan(Cli *cli, Error *err);
bool cli_query(Cli *cli, Error *err);
bool cli_check(Cli *cli, Error *err);
bool cli_source_check(Cli *cli, Error *err);
bool cli_source_discover(Cli *cli, Error *err);
bool cli_source_read(Cli *cli, Error *err);
bool cli_source_spec(Cli *cli, Error *err);
bool cli_render_databricks(Cli *cli, Error *err);
bool cli_render_azure(Cli *cli, Error *err);
bool cli_render_cron(Cli *cli, Error *err);
bool cli_status(Cli *cli, Error *err);
bool cli_state_show(Cli *cli, Error *err);
bool cli_state_rewind(Cli *cli, Error *err);
bool cli_replay(Cli *cli, Error *err);
bool cli_adopt(Cli *cli, Error *err);
bool cli_audit(Cli *cli, Error *err);
bool cli_forget(Cli *cli, Error *err);
bool cli_discover(Cli *cli, Error *err);
bool cli_contract_promote(Cli *cli, Error *err);
bool cli_help_drivers(Cli *cli, Error *err);
bool cli_help_stores(Cli *cli, Error *err);
bool cli_help_man(Cli *cli, Error *err);
bool cli_completion(Cli *cli, Error *err);
bool cli_schema(Cli *cli, Error *err);

// --mode, --from, --to, --stream, --account and what goes with them: shared by run and plan.
bool cli_read_run_options(const Cli *cli, RunOptions *options, Error *err);
