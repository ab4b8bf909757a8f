// For one machine that runs pawl by itself: a crontab, or systemd units, whichever is liked.
#include "render/render.h"
#include "render/schedule.h"

// The words of a run, from the release's folder.
static bool write_command(const Deployment *deployment, RunMode mode, Str folder, Buf *out,
                          Error *err)
{
    const char *environment = deployment->environments[0].name;
    TRY(buf_printf(out, err, STR_FMT "/bin/pawl run %s --mode %s", STR_ARG(folder),
                   deployment->job_path, run_mode_name(mode)));
    return environment[0] == '\0' || buf_printf(out, err, " --env %s", environment);
}

static bool write_banner(const Deployment *deployment, Buf *out, Error *err)
{
    return buf_printf(out, err, "# Made by `pawl render cron %s`; do not edit it here.\n",
                      deployment->job_path);
}

static bool render_crontab(const Deployment *deployment, Str folder, Arena *arena,
                           Rendered *rendered, Error *err)
{
    CLEANUP(buf_done) Buf out = {.limit_bytes = RENDER_FILE_BYTES_MAX};
    const Job *job = deployment->environments[0].job;
    Str path = {0};
    TRY(write_banner(deployment, &out, err));
    TRY(buf_printf(&out, err,
                   "# /etc/pawl/%s.env holds the job's variables, as NAME=value lines.\n"
                   "CRON_TZ=" STR_FMT "\n",
                   deployment->key, STR_ARG(job->timezone_name)));
    for (int mode = 0; mode < MODE_COUNT; mode++) {
        if (job->modes[mode].schedule.size == 0)
            continue;
        TRY(buf_printf(&out, err,
                       STR_FMT " cd " STR_FMT " && set -a && . /etc/pawl/%s.env && exec ",
                       STR_ARG(job->modes[mode].schedule), STR_ARG(folder), deployment->key) &&
            write_command(deployment, (RunMode)mode, folder, &out, err) &&
            buf_append_char(&out, '\n', err));
    }
    TRY(arena_printf(arena, &path, err, "pawl-%s.crontab", deployment->key));
    return rendered_add(rendered, path.data, &out, arena, err);
}

static bool render_service(const Deployment *deployment, RunMode mode, Str folder, Arena *arena,
                           Rendered *rendered, Error *err)
{
    CLEANUP(buf_done) Buf out = {.limit_bytes = RENDER_FILE_BYTES_MAX};
    Str path = {0};
    TRY(write_banner(deployment, &out, err));
    TRY(buf_printf(&out, err,
                   "[Unit]\n"
                   "Description=pawl " STR_FMT " %s\n"
                   "Wants=network-online.target\n"
                   "After=network-online.target\n"
                   "StartLimitIntervalSec=1h\n"
                   "StartLimitBurst=4\n"
                   "\n"
                   "[Service]\n"
                   "Type=oneshot\n"
                   "User=pawl\n"
                   "WorkingDirectory=" STR_FMT "\n"
                   "EnvironmentFile=/etc/pawl/%s.env\n",
                   STR_ARG(deployment->environments[0].job->name), run_mode_name(mode),
                   STR_ARG(folder), deployment->key));
    TRY(buf_append(&out, STR("ExecStart="), err) &&
        write_command(deployment, mode, folder, &out, err));
    // A run that ended on a wrong job file (2) or a refused credential (4) would end so again.
    TRY(buf_append(&out,
                   STR("\nRestart=on-failure\n"
                       "RestartSec=5min\n"
                       "RestartPreventExitStatus=2 4\n"
                       "NoNewPrivileges=yes\n"
                       "PrivateTmp=yes\n"),
                   err));
    TRY(arena_printf(arena, &path, err, "pawl-%s-%s.service", deployment->key,
                     run_mode_name(mode)));
    return rendered_add(rendered, path.data, &out, arena, err);
}

static bool render_timer(const Deployment *deployment, RunMode mode, Arena *arena,
                         Rendered *rendered, Error *err)
{
    CLEANUP(buf_done) Buf out = {.limit_bytes = RENDER_FILE_BYTES_MAX};
    const DeployEnvironment *environment = &deployment->environments[0];
    Str path = {0};
    TRY(write_banner(deployment, &out, err));
    TRY(buf_printf(&out, err, "[Unit]\nDescription=pawl " STR_FMT " %s, on schedule\n\n[Timer]\n",
                   STR_ARG(environment->job->name), run_mode_name(mode)));
    TRY(schedule_write_calendar(&environment->schedules[mode], environment->job->timezone_name,
                                &out, err));
    TRY(buf_append(&out, STR("Persistent=true\n\n[Install]\nWantedBy=timers.target\n"), err));
    TRY(arena_printf(arena, &path, err, "pawl-%s-%s.timer", deployment->key, run_mode_name(mode)));
    return rendered_add(rendered, path.data, &out, arena, err);
}

bool render_cron(const Deployment *deployment, Str folder, Arena *arena, Rendered *ret_rendered,
                 Error *err)
{
    Rendered rendered = {0};
    const Job *job = deployment->environments[0].job;
    TRY(render_crontab(deployment, folder, arena, &rendered, err));
    for (int mode = 0; mode < MODE_COUNT; mode++) {
        if (job->modes[mode].schedule.size == 0)
            continue;
        TRY(render_service(deployment, (RunMode)mode, folder, arena, &rendered, err) &&
            render_timer(deployment, (RunMode)mode, arena, &rendered, err));
    }
    *ret_rendered = rendered;
    return true;
}
