// Render: deployment files made from a job, the same bytes for the same input. They are committed,
// and a test holds them against what render gives.
#pragma once

#include "render/deployment.h"

enum { RENDER_FILES_MAX = 16, RENDER_FILE_BYTES_MAX = 1024 * 1024, RENDER_NOTES_MAX = 32 };

typedef struct RenderFile {
    const char *path; // below the folder that the person names
    Str text;
} RenderFile;

typedef struct Rendered {
    RenderFile files[RENDER_FILES_MAX];
    size_t count;
    Str notes[RENDER_NOTES_MAX]; // what a person should know: rendered all the same
    size_t note_count;
} Rendered;

// A Databricks bundle: databricks.yml and the jobs of the three modes (docs/databricks.md).
bool render_databricks(const Deployment *deployment, Arena *arena, Rendered *ret_rendered,
                       Error *err) MUST_USE;

// azure-pipelines.yml: build, test, and the way of one artefact through the environments, in their
// order (docs/azure.md).
bool render_azure(const Deployment *deployment, Arena *arena, Rendered *ret_rendered,
                  Error *err) MUST_USE;

// For one machine: a crontab, and systemd units, for the modes that have a schedule. Of the first
// environment; none where its name is empty. `folder`: where the release lies on that machine.
bool render_cron(const Deployment *deployment, Str folder, Arena *arena, Rendered *ret_rendered,
                 Error *err) MUST_USE;

// For the renderers: adds a file whose text is copied from `text`.
bool rendered_add(Rendered *rendered, const char *path, const Buf *text, Arena *arena,
                  Error *err) MUST_USE;
bool rendered_note(Rendered *rendered, Arena *arena, Error *err, const char *format, ...)
    PRINTF_LIKE(4, 5) MUST_USE;
