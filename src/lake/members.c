#include "lake/members.h"

#include <assert.h>
#include <inttypes.h>

bool members_begin(Members *members, yyjson_val *value, const char *where, Error *err)
{
    if (!yyjson_is_obj(value))
        return error_set(err, ERROR_DATA, "%s: not a JSON object", where);
    *members = (Members){.object = value, .where = where};
    return true;
}

static bool take(Members *members, const char *name, yyjson_val **ret_value, Error *err)
{
    *ret_value = json_get(members->object, str_from(name));
    if (*ret_value == NULL)
        return error_set(err, ERROR_DATA, "%s: %s is missing", members->where, name);
    members->taken++;
    return true;
}

static bool wrong(const Members *members, const char *name, const char *what, Error *err)
{
    return error_set(err, ERROR_DATA, "%s: %s %s", members->where, name, what);
}

bool members_int(Members *members, const char *name, int64_t low, int64_t high, int64_t *ret_value,
                 Error *err)
{
    assert(low <= high);
    yyjson_val *value = NULL;
    TRY(take(members, name, &value, err));
    if (!yyjson_is_int(value) || (yyjson_is_uint(value) && yyjson_get_uint(value) > INT64_MAX))
        return wrong(members, name, "is not a whole number of 64 bits", err);
    const int64_t number = yyjson_get_sint(value);
    if (number < low || number > high)
        return error_set(err, ERROR_DATA,
                         "%s: %s is %" PRId64 ", not between %" PRId64 " and %" PRId64,
                         members->where, name, number, low, high);
    *ret_value = number;
    return true;
}

bool members_uint32(Members *members, const char *name, uint32_t low, uint32_t *ret_value,
                    Error *err)
{
    int64_t number = 0;
    TRY(members_int(members, name, low, UINT32_MAX, &number, err));
    *ret_value = (uint32_t)number;
    return true;
}

bool members_bool(Members *members, const char *name, bool *ret_value, Error *err)
{
    yyjson_val *value = NULL;
    TRY(take(members, name, &value, err));
    if (!yyjson_is_bool(value))
        return wrong(members, name, "is neither true nor false", err);
    *ret_value = yyjson_get_bool(value);
    return true;
}

bool members_str(Members *members, const char *name, Str *ret_value, Error *err)
{
    yyjson_val *value = NULL;
    TRY(take(members, name, &value, err));
    if (!yyjson_is_str(value))
        return wrong(members, name, "is not a string", err);
    *ret_value = json_str(value);
    return true;
}

bool members_hash(Members *members, const char *name, Sha256 *ret_value, Error *err)
{
    Str text = {NULL, 0};
    TRY(members_str(members, name, &text, err));
    Sha256 hash;
    if (!hex_decode(text, hash.bytes, sizeof(hash.bytes)))
        return wrong(members, name, "is not a SHA-256 in hexadecimal", err);
    *ret_value = hash;
    return true;
}

bool members_array(Members *members, const char *name, yyjson_val **ret_value, Error *err)
{
    yyjson_val *value = NULL;
    TRY(take(members, name, &value, err));
    if (!yyjson_is_arr(value))
        return wrong(members, name, "is not an array", err);
    *ret_value = value;
    return true;
}

bool members_end(const Members *members, Error *err)
{
    // Each name was found, so a surplus is an unknown member or one that stands twice.
    if (yyjson_obj_size(members->object) != members->taken)
        return error_set(err, ERROR_DATA, "%s: holds members this version does not know",
                         members->where);
    return true;
}
