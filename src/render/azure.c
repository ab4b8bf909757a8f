// azure-pipelines.yml: build and test every change; on main build once, and promote what was built
// through the environments in their order. Who may let it pass lies on the environments (their
// approvals and checks), never in this file.
#include "render/render.h"
#include "render/yaml.h"

#include <stdio.h>
#include <string.h>

enum { LABEL_BYTES = 128 };

#define ON_MAIN "and(succeeded(), eq(variables['Build.SourceBranch'], 'refs/heads/main'))"

static void write_branches(Yaml *yaml, const char *name)
{
    yaml_open(yaml, name);
    yaml_open(yaml, "branches");
    yaml_open(yaml, "include");
    yaml_item(yaml, "*");
    yaml_close(yaml);
    yaml_close(yaml);
    yaml_close(yaml);
}

static void write_pool(Yaml *yaml)
{
    yaml_open(yaml, "pool");
    yaml_text(yaml, "vmImage", "ubuntu-24.04");
    yaml_close(yaml);
}

static void write_script(Yaml *yaml, const char *script, const char *label)
{
    yaml_item_open(yaml);
    yaml_text(yaml, "script", script);
    yaml_text(yaml, "displayName", label);
    yaml_item_close(yaml);
}

static void write_checkout(Yaml *yaml)
{
    yaml_item_open(yaml);
    yaml_text(yaml, "checkout", "self");
    yaml_text(yaml, "fetchDepth", "1");
    yaml_item_close(yaml);
}

// What deps.lock names is fetched once, not for every change.
static void write_cache(Yaml *yaml)
{
    yaml_item_open(yaml);
    yaml_text(yaml, "task", "Cache@2");
    yaml_text(yaml, "displayName", "dependencies, as deps.lock pins them");
    yaml_open(yaml, "inputs");
    yaml_text(yaml, "key", "deps | deps.lock");
    yaml_text(yaml, "path", "$(XDG_CACHE_HOME)");
    yaml_close(yaml);
    yaml_item_close(yaml);
}

static void write_build(Yaml *yaml)
{
    yaml_item_open(yaml);
    yaml_text(yaml, "stage", "Build");
    yaml_open(yaml, "jobs");

    yaml_item_open(yaml);
    yaml_text(yaml, "job", "Test");
    yaml_text(yaml, "displayName", "every test");
    write_pool(yaml);
    yaml_text(yaml, "container", "debian");
    yaml_text(yaml, "timeoutInMinutes", "60");
    yaml_open(yaml, "steps");
    write_checkout(yaml);
    write_cache(yaml);
    write_script(yaml, "./dev test", "build and test");
    yaml_close(yaml);
    yaml_item_close(yaml);

    yaml_item_open(yaml);
    yaml_text(yaml, "job", "Package");
    yaml_text(yaml, "displayName", "the one artefact that is promoted");
    yaml_text(yaml, "dependsOn", "Test");
    yaml_text(yaml, "condition", ON_MAIN);
    write_pool(yaml);
    yaml_text(yaml, "container", "debian");
    yaml_text(yaml, "timeoutInMinutes", "60");
    yaml_open(yaml, "steps");
    write_checkout(yaml);
    write_cache(yaml);
    write_script(yaml, "./dev build", "program");
    write_script(yaml, "./dev wheel", "wheel");
    write_script(yaml, "deploy/release pack \"$(Build.BuildNumber)\"", "pack, with checksums");
    yaml_item_open(yaml);
    yaml_text(yaml, "publish", "build/package");
    yaml_text(yaml, "artifact", "release");
    yaml_text(yaml, "displayName", "publish");
    yaml_item_close(yaml);
    yaml_close(yaml);
    yaml_item_close(yaml);

    yaml_close(yaml);
    yaml_item_close(yaml);
}

// A step as the environment's own identity: a service connection by workload-identity federation.
static void write_step(Yaml *yaml, const char *environment, const char *word, const char *label)
{
    char script[LABEL_BYTES];
    (void)snprintf(script, sizeof(script),
                   "sh \"$(Pipeline.Workspace)/release/deploy/release\" %s %s\n", word,
                   environment);
    yaml_item_open(yaml);
    yaml_text(yaml, "task", "AzureCLI@2");
    yaml_text(yaml, "displayName", label);
    // The token of a step lives for an hour, and after ten minutes the login gives no other one. A
    // step that runs out of time has failed, so the release is rolled back; a job would be
    // canceled.
    yaml_int(yaml, "timeoutInMinutes", 55);
    yaml_open(yaml, "inputs");
    yaml_printf(yaml, "azureSubscription", "pawl-%s", environment);
    yaml_text(yaml, "scriptType", "bash");
    yaml_text(yaml, "scriptLocation", "inlineScript");
    yaml_lines(yaml, "inlineScript", script);
    yaml_close(yaml);
    yaml_open(yaml, "env");
    yaml_text(yaml, "DATABRICKS_AUTH_TYPE", "azure-cli");
    yaml_text(yaml, "DATABRICKS_HOST", "$(DATABRICKS_HOST)");
    yaml_text(yaml, "BUNDLE_VAR_volume", "$(PAWL_VOLUME)");
    yaml_text(yaml, "BUNDLE_VAR_lake", "$(PAWL_LAKE)");
    yaml_text(yaml, "BUNDLE_VAR_service_principal", "$(PAWL_SERVICE_PRINCIPAL)");
    yaml_text(yaml, "BUNDLE_VAR_notify", "$(PAWL_NOTIFY)");
    yaml_text(yaml, "BUNDLE_VAR_operators", "$(PAWL_OPERATORS)");
    yaml_close(yaml);
    yaml_item_close(yaml);
}

// Every hook is a job of its own on a fresh machine.
static void write_preparation(Yaml *yaml, const char *environment)
{
    char script[LABEL_BYTES];
    yaml_item_open(yaml);
    yaml_text(yaml, "download", "current");
    yaml_text(yaml, "artifact", "release");
    yaml_text(yaml, "displayName", "what Build published");
    yaml_item_close(yaml);
    (void)snprintf(script, sizeof(script),
                   "sh \"$(Pipeline.Workspace)/release/deploy/release\" verify %s", environment);
    write_script(yaml, script, "it is what was packed");
    (void)snprintf(script, sizeof(script),
                   "sh \"$(Pipeline.Workspace)/release/deploy/release\" tools %s", environment);
    yaml_item_open(yaml);
    yaml_text(yaml, "script", script);
    yaml_text(yaml, "displayName", "Databricks CLI");
    yaml_open(yaml, "env");
    yaml_text(yaml, "DATABRICKS_CLI_VERSION", "$(DATABRICKS_CLI_VERSION)");
    yaml_text(yaml, "DATABRICKS_CLI_SHA256", "$(DATABRICKS_CLI_SHA256)");
    yaml_close(yaml);
    yaml_item_close(yaml);
}

// "staging" -> "Staging"; names of stages hold letters, digits and _.
static void write_stage_name(const char *environment, char name[LABEL_BYTES])
{
    (void)snprintf(name, LABEL_BYTES, "%s", environment);
    for (char *c = name; *c != '\0'; c++) {
        if (*c == '-' || *c == '.')
            *c = '_';
    }
    if (name[0] >= 'a' && name[0] <= 'z')
        name[0] = (char)(name[0] - 'a' + 'A');
}

static void write_deployment(Yaml *yaml, const char *environment)
{
    yaml_open(yaml, "jobs");
    yaml_item_open(yaml);
    yaml_text(yaml, "deployment", "Deploy");
    yaml_printf(yaml, "environment", "pawl-%s", environment);
    write_pool(yaml);
    yaml_text(yaml, "timeoutInMinutes", "180");
    yaml_open(yaml, "strategy");
    yaml_open(yaml, "runOnce");
    yaml_open(yaml, "deploy");
    yaml_open(yaml, "steps");
    write_preparation(yaml, environment);
    write_step(yaml, environment, "install", "install");
    write_step(yaml, environment, "smoke", "smoke run: one incremental run, to its end");
    write_step(yaml, environment, "keep", "this is the release to go back to");
    yaml_close(yaml);
    yaml_close(yaml);
    yaml_open(yaml, "on");
    yaml_open(yaml, "failure");
    yaml_open(yaml, "steps");
    write_preparation(yaml, environment);
    write_step(yaml, environment, "rollback", "back to the release before");
    yaml_close(yaml);
    yaml_close(yaml);
    yaml_close(yaml);
    yaml_close(yaml);
    yaml_close(yaml);
    yaml_item_close(yaml);
    yaml_close(yaml);
}

static void write_stage(Yaml *yaml, const char *environment, const char *after)
{
    char name[LABEL_BYTES];
    write_stage_name(environment, name);
    yaml_blank(yaml);
    yaml_item_open(yaml);
    yaml_text(yaml, "stage", name);
    yaml_text(yaml, "dependsOn", after);
    yaml_text(yaml, "condition", ON_MAIN);
    yaml_text(yaml, "lockBehavior", "sequential");
    yaml_open(yaml, "variables");
    yaml_item_open(yaml);
    yaml_printf(yaml, "group", "pawl-%s", environment);
    yaml_item_close(yaml);
    yaml_close(yaml);
    write_deployment(yaml, environment);
    yaml_item_close(yaml);
}

static void write_head(Yaml *yaml, const Deployment *deployment)
{
    char text[512];
    (void)snprintf(text, sizeof(text), "Made by `pawl render azure %s`; do not edit it here.",
                   deployment->job_path);
    yaml_comment(yaml, text);
    yaml_comment(yaml, "Who may let a release pass is a check on each environment (pawl-...), and "
                       "no key is in here: docs/azure.md.");
    yaml_text(yaml, "name", PAWL_VERSION "-$(Date:yyyyMMdd)$(Rev:.r)");
    write_branches(yaml, "trigger");
    write_branches(yaml, "pr");
    yaml_blank(yaml);
    yaml_open(yaml, "resources");
    yaml_open(yaml, "containers");
    yaml_item_open(yaml);
    yaml_text(yaml, "container", "debian");
    yaml_text(yaml, "image", "debian:12");
    yaml_text(yaml, "options", "--user 0");
    yaml_item_close(yaml);
    yaml_close(yaml);
    yaml_close(yaml);
    yaml_blank(yaml);
    yaml_open(yaml, "variables");
    yaml_item_open(yaml);
    yaml_text(yaml, "name", "XDG_CACHE_HOME");
    yaml_text(yaml, "value", "$(Pipeline.Workspace)/cache");
    yaml_item_close(yaml);
    yaml_item_open(yaml);
    yaml_text(yaml, "name", "PAWL_JOB_KEY");
    yaml_text(yaml, "value", deployment->key);
    yaml_item_close(yaml);
    yaml_close(yaml);
    yaml_blank(yaml);
}

bool render_azure(const Deployment *deployment, Arena *arena, Rendered *ret_rendered, Error *err)
{
    CLEANUP(buf_done) Buf text = {.limit_bytes = RENDER_FILE_BYTES_MAX};
    Yaml yaml = {.out = &text, .err = err};
    Rendered rendered = {0};
    char after[LABEL_BYTES] = "Build";
    write_head(&yaml, deployment);
    yaml_open(&yaml, "stages");
    write_build(&yaml);
    for (size_t i = 0; i < deployment->environment_count; i++) {
        write_stage(&yaml, deployment->environments[i].name, after);
        write_stage_name(deployment->environments[i].name, after);
    }
    TRY(yaml_done(&yaml) && rendered_add(&rendered, "azure-pipelines.yml", &text, arena, err));
    *ret_rendered = rendered;
    return true;
}
