// Yaml: block YAML that is written from top to bottom, two spaces a level.
//
// Text is quoted where a reader of YAML could take it for anything else. The first failure sticks;
// yaml_done() tells.
#pragma once

#include "base/buf.h"

typedef struct Yaml {
    Buf *out;
    Error *err;
    int depth;
    bool item; // the next line begins an item of a list
    bool failed;
} Yaml;

void yaml_comment(Yaml *yaml, const char *text); // "# text"
void yaml_blank(Yaml *yaml);                     // an empty line
void yaml_open(Yaml *yaml, const char *name);    // "name:", what follows lies below it
void yaml_close(Yaml *yaml);
void yaml_item_open(Yaml *yaml); // "- ", whose members follow
void yaml_item_close(Yaml *yaml);
void yaml_str(Yaml *yaml, const char *name, Str value);
void yaml_text(Yaml *yaml, const char *name, const char *value);
void yaml_printf(Yaml *yaml, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);
void yaml_int(Yaml *yaml, const char *name, int64_t value);
void yaml_bool(Yaml *yaml, const char *name, bool value);
void yaml_item(Yaml *yaml, const char *value); // "- value"
void yaml_item_printf(Yaml *yaml, const char *format, ...) PRINTF_LIKE(2, 3);
// A literal block, "name: |", of lines that each end in a newline.
void yaml_lines(Yaml *yaml, const char *name, const char *lines);
bool yaml_done(const Yaml *yaml) MUST_USE;
