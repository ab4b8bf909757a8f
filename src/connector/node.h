// Node: a manifest's tree that knows its lines, and the two steps that make it whole: references
// are resolved, then types and $parameters go down (the reference does it in the same order).
//
// Nodes are immutable once manifest_load() returned and may be shared between places of the
// tree.
#pragma once

#include "base/findings.h"
#include "connector/value.h"
#include "connector/yaml.h"

enum {
    NODE_DEPTH_MAX = 200,
    NODE_COUNT_MAX = 4 * 1024 * 1024, // after references were resolved and parameters went down
};

typedef enum NodeKind { NODE_SCALAR, NODE_LIST, NODE_MAP } NodeKind;

typedef struct Node Node;

typedef struct NodeMember {
    Str key;
    const Node *node;
} NodeMember;

struct Node {
    NodeKind kind;
    uint32_t line;
    size_t count;
    union {
        Value scalar; // none, bool, int, bigint, float or str
        const Node **items;
        NodeMember *members;
    };
    const Node *resolved; // private to the loader
    bool resolving;
};

// Loads the manifest's text and prepares it: references, default types, parameters, and the check
// of every typed component against the table of component.h. Faults of the file go to `findings`;
// false only when nothing can be said about the rest (no YAML, out of memory).
bool manifest_load(Str bytes, Str name, Arena *arena, Findings *findings, const Node **ret_root,
                   Error *err) MUST_USE;

const Node *node_get(const Node *map, Str key); // NULL when missing or not a map
Str node_text(const Node *node);                // of a text scalar; {NULL, 0} otherwise
Str node_type(const Node *map);                 // its "type", or {NULL, 0}
bool node_is_null(const Node *node);            // missing or null
bool node_is_true(const Node *node);            // Python's truth of it

// The node as a value, deep; texts are not copied.
bool node_value(const Node *node, Arena *arena, Value *ret_value, Error *err) MUST_USE;
