// Methods of str: what the files that define them share.
#pragma once

#include "connector/template_argument.h"

typedef bool Method(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err);

// template_split.c
Method str_method_join, str_method_partition, str_method_rpartition, str_method_rsplit,
    str_method_split, str_method_splitlines;

static inline bool text_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f');
}

// The size of the run of `characters` (NULL data: white space) that `text` begins or ends with.
size_t text_edge_before(Str text, Str characters);
size_t text_edge_after(Str text, Str characters);

// The last `needle` in `text`, or SIZE_MAX.
size_t text_find_last(Str text, Str needle);
