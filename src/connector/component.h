// Component: the words of the manifest language: every type, its fields, and which of them it
// needs.
//
// One table serves the check of a manifest, the messages about slips of the hand, and the types
// that a manifest may leave out. What pawl does with a type is the business of the module that
// builds it.
#pragma once

#include "connector/node.h"

// The type that a component without one has at `place` ("HttpRequester.error_handler"), or {NULL,
// 0}.
Str component_default_type(Str place, bool custom);

bool component_is_known(Str type);

// The known type nearest to `type`, or {NULL, 0}.
Str component_nearest(Str type);

// Reports fields that the type does not have but whose name is nearly one that it has, and missing
// required ones, as "<file>:<line>". Types that are no words of the language pass: a map may hold a
// "type" of its own. Other unknown fields pass too, as they do in the reference, which has grown
// and lost fields: manifests in use hold such.
void component_check(const Node *map, Str file, Findings *findings);
