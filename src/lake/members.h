// Members: reading our own JSON records strictly. Every member must be there, once, with its kind
// and range, and no other: a file that differs was not written by this version, or was damaged.
//
// members_begin(), one call a member, members_end(). A member that does not fit is ERROR_DATA:
// "<where>: <member> <what is wrong>".
#pragma once

#include "base/hash.h"
#include "base/json.h"

typedef struct Members {
    yyjson_val *object;
    const char *where;
    size_t taken;
} Members;

bool members_begin(Members *members, yyjson_val *value, const char *where, Error *err) MUST_USE;
bool members_int(Members *members, const char *name, int64_t low, int64_t high, int64_t *ret_value,
                 Error *err) MUST_USE;
bool members_uint32(Members *members, const char *name, uint32_t low, uint32_t *ret_value,
                    Error *err) MUST_USE;
bool members_bool(Members *members, const char *name, bool *ret_value, Error *err) MUST_USE;
bool members_str(Members *members, const char *name, Str *ret_value, Error *err) MUST_USE;
bool members_hash(Members *members, const char *name, Sha256 *ret_value, Error *err) MUST_USE;
bool members_array(Members *members, const char *name, yyjson_val **ret_value, Error *err) MUST_USE;
bool members_end(const Members *members, Error *err) MUST_USE;
