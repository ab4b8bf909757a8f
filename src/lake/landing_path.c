#include "lake/landing_path.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum { SLICE_DIGITS = 8, PAGE_DIGITS = 6, NUMBER_DIGITS_MAX = 10 };

static const char zstd_ending[] = ".json.zst";
static const char gzip_ending[] = ".json.gz";

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static bool append_text(Path *path, Str text, Error *err)
{
    if (text.size > STORE_PATH_BYTES_MAX - path->size)
        return error_set(err, ERROR_LIMIT, "landing: path longer than %d bytes: '" STR_FMT "'",
                         STORE_PATH_BYTES_MAX, STR_ARG(path_str(path)));
    memcpy(path->text + path->size, text.data, text.size);
    path->size += text.size;
    path->text[path->size] = '\0';
    return true;
}

bool path_append(Path *path, Str relative, Error *err)
{
    return (path->size == 0 || append_text(path, STR("/"), err)) &&
           append_text(path, relative, err);
}

bool path_append_name(Path *path, Str name, Error *err)
{
    if (name.size == 0 || name.size > LANDING_NAME_BYTES_MAX)
        return error_set(err, ERROR_JOB, "landing: a name must have 1 to %d bytes: '" STR_FMT "'",
                         LANDING_NAME_BYTES_MAX, STR_ARG(name));
    TRY(path_append(path, STR(""), err));
    const size_t start = path->size;
    for (size_t i = 0; i < name.size; i++) {
        const unsigned char c = (unsigned char)name.data[i];
        char escaped[4] = {(char)c, '\0'};
        if (!is_plain((char)c))
            (void)snprintf(escaped, sizeof(escaped), "%%%02X", c);
        TRY(append_text(path, str_from(escaped), err));
    }
    if (path->size - start > STORE_PART_BYTES_MAX)
        return error_set(err, ERROR_JOB,
                         "landing: name '" STR_FMT "' has more than %d bytes as a file's name",
                         STR_ARG(name), STORE_PART_BYTES_MAX);
    return true;
}

bool path_of_run(const Landing *landing, Str run, Path *ret_path, Error *err)
{
    *ret_path = landing->runs;
    return path_append_name(ret_path, run, err);
}

bool path_of_stream(const Landing *landing, Str run, Str stream, Path *ret_path, Error *err)
{
    return path_of_run(landing, run, ret_path, err) && path_append_name(ret_path, stream, err);
}

static void partition_digits(Str key, char digits[2 * SHA256_BYTES + 1])
{
    const Sha256 hash = sha256(key);
    hex_encode(hash.bytes, sizeof(hash.bytes), digits);
}

bool path_of_slice(const Landing *landing, const SliceName *name, Path *ret_path, Error *err)
{
    assert(name->reading > 0);
    if (name->partition_key.size > LANDING_KEY_BYTES_MAX || !str_is_utf8(name->partition_key))
        return error_set(err, ERROR_DATA,
                         "landing, " STR_FMT ": a partition must be UTF-8 of at most %d bytes",
                         STR_ARG(name->stream), LANDING_KEY_BYTES_MAX);
    char digits[2 * SHA256_BYTES + 1];
    partition_digits(name->partition_key, digits);
    char text[64];
    int size = snprintf(text, sizeof(text), "%.*s/%0*" PRIu32, PARTITION_DIGITS, digits,
                        SLICE_DIGITS, name->slice);
    if (name->reading > 1)
        size += snprintf(text + size, sizeof(text) - (size_t)size, ".%" PRIu32, name->reading);
    return path_of_stream(landing, name->run, name->stream, ret_path, err) &&
           path_append(ret_path, (Str){text, (size_t)size}, err);
}

bool path_append_page(Path *path, uint32_t page, bool is_gzip, Error *err)
{
    char text[64];
    const int size = snprintf(text, sizeof(text), "%0*" PRIu32 "%s", PAGE_DIGITS, page,
                              is_gzip ? gzip_ending : zstd_ending);
    return path_append(path, (Str){text, (size_t)size}, err);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool path_parse_name(Str part, char text[LANDING_NAME_BYTES_MAX], Str *ret_name)
{
    size_t size = 0;
    for (size_t i = 0; i < part.size; i++) {
        char c = part.data[i];
        if (c == '%' && part.size - i > 2) {
            const int high = hex_digit(part.data[i + 1]);
            const int low = hex_digit(part.data[i + 2]);
            c = (char)(high * 16 + low);
            if (high < 0 || low < 0 || is_plain(c))
                return false;
            i += 2;
        } else if (!is_plain(c)) {
            return false;
        }
        if (size == LANDING_NAME_BYTES_MAX)
            return false;
        text[size++] = c;
    }
    *ret_name = (Str){text, size};
    return size > 0;
}

// A decimal number as "%0*u" writes it: `digits` of them, or more without a leading zero.
static bool parse_number(Str text, size_t digits, uint32_t *ret_number)
{
    int64_t number = 0;
    if (text.size < digits || text.size > NUMBER_DIGITS_MAX || !str_to_int64(text, &number) ||
        number < 0 || number > UINT32_MAX)
        return false;
    if (text.data[0] < '0' || (text.size > digits && text.data[0] == '0'))
        return false;
    *ret_number = (uint32_t)number;
    return true;
}

bool path_parse_slice(Str part, uint32_t *ret_slice, uint32_t *ret_reading)
{
    const size_t dot = str_find_char(part, '.');
    uint32_t reading = 1;
    if (dot < part.size &&
        (!parse_number(str_slice(part, dot + 1, part.size), 1, &reading) || reading < 2))
        return false;
    if (!parse_number(str_slice(part, 0, dot), SLICE_DIGITS, ret_slice))
        return false;
    *ret_reading = reading;
    return true;
}

bool path_parse_page(Str part, uint32_t *ret_page, bool *ret_is_gzip)
{
    const bool is_gzip = str_ends_with(part, str_from(gzip_ending));
    const Str ending = str_from(is_gzip ? gzip_ending : zstd_ending);
    if (!str_ends_with(part, ending) ||
        !parse_number(str_slice(part, 0, part.size - ending.size), PAGE_DIGITS, ret_page))
        return false;
    *ret_is_gzip = is_gzip;
    return true;
}

bool path_is_partition(Str part)
{
    unsigned char bytes[PARTITION_DIGITS / 2];
    return hex_decode(part, bytes, sizeof(bytes));
}

void path_label(const SliceName *name, char *text, size_t size)
{
    char digits[2 * SHA256_BYTES + 1];
    partition_digits(name->partition_key, digits);
    (void)snprintf(text, size, STR_FMT " %.*s slice %" PRIu32 " reading %" PRIu32,
                   STR_ARG(name->stream), TAG_DIGITS, digits, name->slice, name->reading);
}
