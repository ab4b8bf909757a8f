// Yaml: a manifest's YAML as JSON values that still know their lines.
//
// Scalars are read as PyYAML's safe_load reads them (YAML 1.1: yes/on, 0o-less octal, 1_000, 1:30,
// .inf), since that is what manifests were written against. Differences, all harmless: dates stay
// text, "=" is text, and a key that is no string becomes one as json.dumps() writes it (true, 1).
// Aliases are expanded, merge keys applied; of equal keys the last one counts, at the first one's
// place.
#pragma once

#include "base/json.h"

enum {
    YAML_BYTES_MAX = 16 * 1024 * 1024, // of a file
    YAML_DEPTH_MAX = 200,
    YAML_VALUES_MAX = 1024 * 1024, // keys and values after the expansion of aliases
};

typedef struct YamlDoc YamlDoc;

// Parses one document. `bytes` may go afterwards. ERROR_JOB "<name>:12: ..." on a fault in the
// file, ERROR_LIMIT when it is too large, too deep, or its aliases expand to too much.
bool yaml_load(Str bytes, Str name, Arena *arena, YamlDoc **ret_doc, Error *err) MUST_USE;

// Read it by yyjson's functions; it belongs to no yyjson_doc.
yyjson_val *yaml_root(const YamlDoc *doc);

// Where a value or a key of this document stands, from 1; 0 for a value of another document. What
// an alias stands for has the place of its anchor's node.
size_t yaml_line(const YamlDoc *doc, const yyjson_val *value);
size_t yaml_column(const YamlDoc *doc, const yyjson_val *value);
