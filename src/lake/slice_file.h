// Slice file: a slice's manifest as JSON, inside a seal. It names the slice, so that one put in a
// wrong place is noticed.
#pragma once

#include "lake/landing.h"

bool slice_file_write(const SliceName *name, const SliceManifest *manifest, Buf *out,
                      Error *err) MUST_USE;

// The run is not written (the folder tells it): ret_name->run stays as it is. Strings and pages
// live in `arena`.
bool slice_file_read(Str bytes, const char *where, Arena *arena, SliceName *ret_name,
                     SliceManifest *ret_manifest, Error *err) MUST_USE;
