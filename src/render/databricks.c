// A bundle for Databricks. What differs between the environments lies in the targets of
// databricks.yml, everything else once in resources/.
#include "render/render.h"
#include "render/schedule.h"
#include "render/yaml.h"

#include <stdio.h>
#include <string.h>

#define WHEEL   "pawl_ingest-" PAWL_VERSION "-py3-none-manylinux_2_35_x86_64.whl"
#define RELEASE "${var.volume}/releases/${var.version}"

enum { KEY_BYTES = 256 };

// What a mode needs of the platform. Exponential backoff within a run is pawl's own; these retries
// are for what kills a run, and a new attempt goes on where the last one stopped.
typedef struct ModeSettings {
    const char *description;
    const char *workers;
    const char *availability;  // of the nodes behind the driver
    int64_t retry_interval_ms; // from start to start
    int64_t task_timeout_s, job_timeout_s, warning_s;
} ModeSettings;

static const ModeSettings mode_settings[MODE_COUNT] = {
    [MODE_HISTORIC] =
        {"A range of days, as fast as the API's rate limit allows. Started by hand; goes on where "
         "it stopped.",
         "${var.workers}", "SPOT_WITH_FALLBACK_AZURE", 900000, 86400, 345600, 172800},
    [MODE_INCREMENTAL] =
        {"From the watermark to now. The next run repairs what this one could not.", "1",
         "ON_DEMAND_AZURE", 300000, 3300, 6600, 3000},
    [MODE_REHYDRATION] = {"Closed days again, for edits and deletions that came late.",
                          "${var.workers}", "SPOT_WITH_FALLBACK_AZURE", 900000, 21600, 82800,
                          28800},
};

// New tables keep to the Delta protocol that every reader here knows, whatever the workspace turned
// on by default.
static const struct {
    const char *name, *value;
} spark_settings[] = {
    {"spark.databricks.delta.properties.defaults.checkpointPolicy", "classic"},
    {"spark.databricks.delta.properties.defaults.columnMapping.mode", "none"},
    {"spark.databricks.delta.properties.defaults.enableDeletionVectors", "false"},
    {"spark.databricks.delta.properties.defaults.enableRowTracking", "false"},
    {"spark.sql.session.timeZone", "UTC"},
};

// The name of a variable's secret: a key vault allows letters, digits and dashes, and ignores case.
static void write_secret_name(const char *variable, char name[KEY_BYTES])
{
    size_t i = 0;
    for (; i < KEY_BYTES - 1 && variable[i] != '\0'; i++) {
        const char c = variable[i];
        name[i] = c;
        if (c >= 'A' && c <= 'Z')
            name[i] = (char)(c - 'A' + 'a');
        else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')))
            name[i] = '-';
    }
    name[i] = '\0';
}

static bool check_secret_names(const DeployEnvironment *environment, Error *err)
{
    char one[KEY_BYTES];
    char other[KEY_BYTES];
    for (size_t i = 0; i < environment->variable_count; i++) {
        write_secret_name(environment->variables[i], one);
        for (size_t k = 0; k < i; k++) {
            write_secret_name(environment->variables[k], other);
            if (strcmp(one, other) == 0)
                return error_set(err, ERROR_JOB,
                                 "variables %s and %s would be the same secret '%s': rename one",
                                 environment->variables[k], environment->variables[i], one);
        }
    }
    return true;
}

static void write_secret(Yaml *yaml, const char *variable)
{
    char name[KEY_BYTES];
    write_secret_name(variable, name);
    yaml_printf(yaml, variable, "{{secrets/${var.secret_scope}/%s}}", name);
}

static bool write_schedule(Yaml *yaml, const DeployEnvironment *environment, RunMode mode)
{
    CLEANUP(buf_done) Buf quartz = {0};
    if (environment->job->modes[mode].schedule.size == 0)
        return true;
    if (!schedule_write_quartz(&environment->schedules[mode], &quartz, yaml->err))
        return error_context(yaml->err, "%s: mode %s", environment->name, run_mode_name(mode));
    yaml_open(yaml, "schedule");
    yaml_str(yaml, "quartz_cron_expression", buf_str(&quartz));
    yaml_str(yaml, "timezone_id", environment->job->timezone_name);
    yaml_text(yaml, "pause_status", "${var.schedules}");
    yaml_close(yaml);
    return true;
}

// --- resources/<job>.yml

static void write_cluster(Yaml *yaml, const Deployment *deployment, RunMode mode)
{
    const ModeSettings *settings = &mode_settings[mode];
    const DeployEnvironment *first = &deployment->environments[0];
    yaml_open(yaml, "job_clusters");
    yaml_item_open(yaml);
    yaml_text(yaml, "job_cluster_key", "main");
    yaml_open(yaml, "new_cluster");
    yaml_text(yaml, "spark_version", "${var.spark_version}");
    yaml_text(yaml, "node_type_id", "${var.node_type}");
    if (settings->workers[0] == '$')
        yaml_text(yaml, "num_workers", settings->workers);
    else
        yaml_int(yaml, "num_workers", settings->workers[0] - '0');
    yaml_text(yaml, "data_security_mode", "DATA_SECURITY_MODE_DEDICATED");
    yaml_text(yaml, "single_user_name", "${var.service_principal}");
    yaml_open(yaml, "azure_attributes");
    yaml_text(yaml, "availability", settings->availability);
    yaml_int(yaml, "first_on_demand", 1);
    yaml_close(yaml);
    yaml_open(yaml, "spark_conf");
    for (size_t i = 0; i < sizeof(spark_settings) / sizeof(spark_settings[0]); i++)
        yaml_text(yaml, spark_settings[i].name, spark_settings[i].value);
    yaml_close(yaml);
    yaml_open(yaml, "spark_env_vars");
    yaml_text(yaml, "PYSPARK_PYTHON", "/databricks/python3/bin/python3");
    for (size_t i = 0; i < first->variable_count; i++) {
        if (deployment_shares_variable(deployment, first->variables[i]))
            write_secret(yaml, first->variables[i]);
    }
    yaml_close(yaml);
    yaml_close(yaml);
    yaml_item_close(yaml);
    yaml_close(yaml);
}

static void write_task(Yaml *yaml, const Deployment *deployment, RunMode mode)
{
    const ModeSettings *settings = &mode_settings[mode];
    yaml_open(yaml, "tasks");
    yaml_item_open(yaml);
    yaml_text(yaml, "task_key", "run");
    yaml_text(yaml, "job_cluster_key", "main");
    yaml_open(yaml, "python_wheel_task");
    yaml_text(yaml, "package_name", "pawl-ingest");
    yaml_text(yaml, "entry_point", "pawl-spark");
    yaml_open(yaml, "parameters");
    yaml_item(yaml, "run");
    yaml_item_printf(yaml, RELEASE "/%s", deployment->job_path);
    yaml_item(yaml, "--mode");
    yaml_item(yaml, run_mode_name(mode));
    yaml_item(yaml, "--env");
    yaml_item(yaml, "${bundle.target}");
    yaml_item(yaml, "--lake");
    yaml_item(yaml, "${var.lake}");
    if (mode == MODE_HISTORIC) {
        yaml_item(yaml, "--from");
        yaml_item(yaml, "{{job.parameters.from}}");
        yaml_item(yaml, "--to");
        yaml_item(yaml, "{{job.parameters.to}}");
    }
    yaml_close(yaml);
    yaml_close(yaml);
    yaml_open(yaml, "libraries");
    yaml_item_open(yaml);
    yaml_text(yaml, "whl", RELEASE "/" WHEEL);
    yaml_item_close(yaml);
    yaml_close(yaml);
    yaml_int(yaml, "max_retries", 3);
    yaml_int(yaml, "min_retry_interval_millis", settings->retry_interval_ms);
    yaml_bool(yaml, "retry_on_timeout", true);
    yaml_int(yaml, "timeout_seconds", settings->task_timeout_s);
    yaml_item_close(yaml);
    yaml_close(yaml);
}

static void write_notifications(Yaml *yaml, RunMode mode)
{
    yaml_open(yaml, "email_notifications");
    yaml_open(yaml, "on_failure");
    yaml_item(yaml, "${var.notify}");
    yaml_close(yaml);
    yaml_open(yaml, "on_duration_warning_threshold_exceeded");
    yaml_item(yaml, "${var.notify}");
    yaml_close(yaml);
    yaml_close(yaml);
    yaml_open(yaml, "notification_settings");
    yaml_bool(yaml, "no_alert_for_canceled_runs", true);
    yaml_bool(yaml, "no_alert_for_skipped_runs", true);
    yaml_close(yaml);
    yaml_open(yaml, "health");
    yaml_open(yaml, "rules");
    yaml_item_open(yaml);
    yaml_text(yaml, "metric", "RUN_DURATION_SECONDS");
    yaml_text(yaml, "op", "GREATER_THAN");
    yaml_int(yaml, "value", mode_settings[mode].warning_s);
    yaml_item_close(yaml);
    yaml_close(yaml);
    yaml_close(yaml);
}

static void write_parameters(Yaml *yaml, const Job *job)
{
    const JobMode *historic = &job->modes[MODE_HISTORIC];
    yaml_open(yaml, "parameters");
    yaml_item_open(yaml);
    yaml_text(yaml, "name", "from");
    yaml_str(yaml, "default", historic->from);
    yaml_item_close(yaml);
    yaml_item_open(yaml);
    yaml_text(yaml, "name", "to");
    yaml_str(yaml, "default", historic->to);
    yaml_item_close(yaml);
    yaml_close(yaml);
}

static bool write_job(Yaml *yaml, const Deployment *deployment, RunMode mode, Arena *arena,
                      Error *err)
{
    const DeployEnvironment *first = &deployment->environments[0];
    const ModeSettings *settings = &mode_settings[mode];
    Str key = {0};
    TRY(arena_printf(arena, &key, err, "%s_%s", deployment->key, run_mode_name(mode)));
    yaml_blank(yaml);
    yaml_open(yaml, key.data);
    yaml_printf(yaml, "name", "pawl " STR_FMT " %s (${bundle.target})", STR_ARG(first->job->name),
                run_mode_name(mode));
    yaml_text(yaml, "description", settings->description);
    yaml_open(yaml, "tags");
    yaml_str(yaml, "pawl_job", first->job->name);
    yaml_text(yaml, "pawl_mode", run_mode_name(mode));
    yaml_close(yaml);
    // The service principal owns what it deploys: without this, nobody else sees or starts it.
    yaml_open(yaml, "permissions");
    yaml_item_open(yaml);
    yaml_text(yaml, "level", "CAN_MANAGE_RUN");
    yaml_text(yaml, "group_name", "${var.operators}");
    yaml_item_close(yaml);
    yaml_close(yaml);
    yaml_int(yaml, "max_concurrent_runs", 1);
    yaml_open(yaml, "queue");
    yaml_bool(yaml, "enabled", true);
    yaml_close(yaml);
    yaml_int(yaml, "timeout_seconds", settings->job_timeout_s);
    if (deployment_shares_schedule(deployment, mode))
        TRY(write_schedule(yaml, first, mode));
    write_notifications(yaml, mode);
    if (mode == MODE_HISTORIC)
        write_parameters(yaml, first->job);
    write_cluster(yaml, deployment, mode);
    write_task(yaml, deployment, mode);
    yaml_close(yaml);
    return yaml_done(yaml);
}

static void write_banner(Yaml *yaml, const Deployment *deployment)
{
    char text[KEY_BYTES];
    (void)snprintf(text, sizeof(text), "Made by `pawl render databricks %s`; do not edit it here.",
                   deployment->job_path);
    yaml_comment(yaml, text);
}

static bool render_resources(const Deployment *deployment, Arena *arena, Rendered *rendered,
                             Error *err)
{
    CLEANUP(buf_done) Buf text = {.limit_bytes = RENDER_FILE_BYTES_MAX};
    Yaml yaml = {.out = &text, .err = err};
    write_banner(&yaml, deployment);
    yaml_open(&yaml, "resources");
    yaml_open(&yaml, "jobs");
    for (int mode = 0; mode < MODE_COUNT; mode++) {
        if (deployment_has_mode(deployment, (RunMode)mode))
            TRY(write_job(&yaml, deployment, (RunMode)mode, arena, err));
    }
    Str path = {0};
    TRY(yaml_done(&yaml) && arena_printf(arena, &path, err, "resources/%s.yml", deployment->key));
    return rendered_add(rendered, path.data, &text, arena, err);
}

// --- databricks.yml

static void write_variable(Yaml *yaml, const char *name, const char *description,
                           const char *fallback)
{
    yaml_open(yaml, name);
    yaml_text(yaml, "description", description);
    if (fallback != NULL)
        yaml_text(yaml, "default", fallback);
    yaml_close(yaml);
}

static void write_variables(Yaml *yaml)
{
    yaml_open(yaml, "variables");
    write_variable(
        yaml, "volume",
        "folder of a Unity Catalog volume that holds the releases, /Volumes/CATALOG/SCHEMA/VOLUME",
        NULL);
    write_variable(yaml, "lake", "CATALOG.SCHEMA of the Delta tables", NULL);
    write_variable(yaml, "version", "the release in it", NULL);
    write_variable(yaml, "service_principal",
                   "application id of the service principal that the jobs run as", NULL);
    write_variable(yaml, "notify", "mail address that hears of failures", NULL);
    write_variable(yaml, "operators", "group whose members may see, start and cancel the jobs",
                   NULL);
    write_variable(yaml, "secret_scope", "secret scope, backed by the key vault", "pawl");
    write_variable(yaml, "schedules",
                   "UNPAUSED, or PAUSED: jobs run only when somebody starts them", "UNPAUSED");
    write_variable(yaml, "spark_version", "runtime: 17.3 or 16.4, both LTS", "17.3.x-scala2.13");
    write_variable(yaml, "node_type", "of driver and workers", "Standard_D4ds_v5");
    yaml_open(yaml, "workers");
    yaml_text(yaml, "description", "of the historic and rehydration jobs (docs/scale.md)");
    yaml_int(yaml, "default", 2);
    yaml_close(yaml);
    yaml_close(yaml);
}

static bool differs(const Deployment *deployment, const DeployEnvironment *environment,
                    RunMode mode)
{
    if (!deployment_has_mode(deployment, mode))
        return false;
    for (size_t i = 0; i < environment->variable_count; i++) {
        if (!deployment_shares_variable(deployment, environment->variables[i]))
            return true;
    }
    return !deployment_shares_schedule(deployment, mode) &&
           environment->job->modes[mode].schedule.size > 0;
}

// What only this environment has of a job: Databricks lays it over the job's resource.
static bool write_difference(Yaml *yaml, const Deployment *deployment,
                             const DeployEnvironment *environment, RunMode mode)
{
    char key[KEY_BYTES];
    (void)snprintf(key, sizeof(key), "%s_%s", deployment->key, run_mode_name(mode));
    yaml_open(yaml, key);
    if (!deployment_shares_schedule(deployment, mode))
        TRY(write_schedule(yaml, environment, mode));
    bool opened = false;
    for (size_t i = 0; i < environment->variable_count; i++) {
        if (deployment_shares_variable(deployment, environment->variables[i]))
            continue;
        if (!opened) {
            yaml_open(yaml, "job_clusters");
            yaml_item_open(yaml);
            yaml_text(yaml, "job_cluster_key", "main");
            yaml_open(yaml, "new_cluster");
            yaml_open(yaml, "spark_env_vars");
        }
        opened = true;
        write_secret(yaml, environment->variables[i]);
    }
    if (opened) {
        yaml_close(yaml);
        yaml_close(yaml);
        yaml_item_close(yaml);
        yaml_close(yaml);
    }
    yaml_close(yaml);
    return yaml_done(yaml);
}

static bool write_target(Yaml *yaml, const Deployment *deployment, size_t index)
{
    const DeployEnvironment *environment = &deployment->environments[index];
    // The first is for trying things out: its schedules rest, names carry the deployer's.
    const bool development = index == 0 && deployment->environment_count > 1;
    yaml_open(yaml, environment->name);
    yaml_text(yaml, "mode", development ? "development" : "production");
    if (index == 0)
        yaml_bool(yaml, "default", true);
    if (development) {
        // A status that a job states itself outweighs what the mode does to schedules.
        yaml_open(yaml, "variables");
        yaml_text(yaml, "schedules", "PAUSED");
        yaml_close(yaml);
    }
    if (!development) {
        yaml_open(yaml, "workspace");
        yaml_text(
            yaml, "root_path",
            "/Workspace/Users/${var.service_principal}/.bundle/${bundle.name}/${bundle.target}");
        yaml_close(yaml);
    }
    bool opened = false;
    for (int mode = 0; mode < MODE_COUNT; mode++) {
        if (!differs(deployment, environment, (RunMode)mode))
            continue;
        if (!opened) {
            yaml_open(yaml, "resources");
            yaml_open(yaml, "jobs");
        }
        opened = true;
        TRY(write_difference(yaml, deployment, environment, (RunMode)mode));
    }
    if (opened) {
        yaml_close(yaml);
        yaml_close(yaml);
    }
    yaml_close(yaml);
    return yaml_done(yaml);
}

static bool render_bundle(const Deployment *deployment, Arena *arena, Rendered *rendered,
                          Error *err)
{
    CLEANUP(buf_done) Buf text = {.limit_bytes = RENDER_FILE_BYTES_MAX};
    Yaml yaml = {.out = &text, .err = err};
    write_banner(&yaml, deployment);
    yaml_comment(&yaml, "docs/databricks.md tells what must stand before it is deployed, and what "
                        "each variable is.");
    yaml_open(&yaml, "bundle");
    yaml_printf(&yaml, "name", "pawl-%s", deployment->key);
    yaml_close(&yaml);
    yaml_blank(&yaml);
    yaml_open(&yaml, "include");
    yaml_item(&yaml, "resources/*.yml");
    yaml_close(&yaml);
    yaml_blank(&yaml);
    write_variables(&yaml);
    yaml_blank(&yaml);
    yaml_open(&yaml, "run_as");
    yaml_text(&yaml, "service_principal_name", "${var.service_principal}");
    yaml_close(&yaml);
    yaml_blank(&yaml);
    yaml_open(&yaml, "targets");
    for (size_t i = 0; i < deployment->environment_count; i++)
        TRY(write_target(&yaml, deployment, i));
    TRY(yaml_done(&yaml));
    return rendered_add(rendered, "databricks.yml", &text, arena, err);
}

// What a person should change in the environment; a cluster's disk goes with the cluster.
static bool note_what_does_not_fit(const DeployEnvironment *environment, Arena *arena,
                                   Rendered *rendered, Error *err)
{
    const Job *job = environment->job;
    if (str_equal(job->landing_store, STR("local")))
        TRY(rendered_note(rendered, arena, err,
                          "environment %s: landing.store is 'local', which goes with the cluster: "
                          "pages would be fetched again; use adls",
                          environment->name));
    if (str_equal(job->warehouse_driver, STR("duckdb")))
        TRY(rendered_note(rendered, arena, err,
                          "environment %s: warehouse.driver is 'duckdb', a file that goes with the "
                          "cluster; use snowflake or postgres",
                          environment->name));
    if (job->lake_store.size > 0)
        TRY(rendered_note(rendered, arena, err,
                          "environment %s: the job has a lake of its own, and on Spark the tables "
                          "are the engine's: set \"lake\": null there",
                          environment->name));
    return true;
}

bool render_databricks(const Deployment *deployment, Arena *arena, Rendered *ret_rendered,
                       Error *err)
{
    Rendered rendered = {0};
    for (size_t i = 0; i < deployment->environment_count; i++) {
        TRY(check_secret_names(&deployment->environments[i], err));
        TRY(note_what_does_not_fit(&deployment->environments[i], arena, &rendered, err));
    }
    TRY(render_bundle(deployment, arena, &rendered, err));
    TRY(render_resources(deployment, arena, &rendered, err));
    *ret_rendered = rendered;
    return true;
}
