#include "contract/forgotten.h"

#include "contract/plan.h"

#include <math.h>
#include <stdlib.h>

enum { PAD_BYTES = 64, DIGITS_BYTES = 24 };

#define EXACT_INTEGER_MAX 9007199254740992.0 // 2^53: up to here a double is one integer

static const Str stub_member = {"_pawl_forgotten", 15};

struct Forgotten {
    unsigned char inner_pad[PAD_BYTES]; // HMAC's (RFC 2104), of the key
    unsigned char outer_pad[PAD_BYTES];
    Key128 *people; // sorted
    size_t person_count;
    Key128 *redacted; // sorted
    size_t redacted_count;
};

// --- how people are written

// Copied out of mails and web pages: spaces and hyphens of other kinds stand for their plain ones,
// and marks that nobody sees go. False when it is too long.
static bool write_plain(Str written, char room[PERSON_TEXT_BYTES], Str *ret_plain)
{
    size_t size = 0;
    for (size_t i = 0; i < written.size;) {
        const unsigned char *at = (const unsigned char *)written.data + i;
        const size_t left = written.size - i;
        const bool general = left > 2 && at[0] == 0xe2 && at[1] == 0x80; // U+2000 to U+203F
        char plain = written.data[i];
        size_t taken = 1;
        if (left > 1 && at[0] == 0xc2 && (at[1] == 0xa0 || at[1] == 0xad)) { // a space, a hyphen
            plain = at[1] == 0xa0 ? ' ' : '\0';
            taken = 2;
        } else if (general && (at[2] <= 0x8a || at[2] == 0xaf)) {
            plain = ' ';
            taken = 3;
        } else if (general && at[2] >= 0x90 && at[2] <= 0x95) {
            plain = '-';
            taken = 3;
        } else if ((general && (at[2] <= 0x8f || (at[2] >= 0xa8 && at[2] <= 0xae))) ||
                   (left > 2 && at[0] == 0xe2 && at[1] == 0x81 && at[2] >= 0xa0 && at[2] <= 0xaf) ||
                   (left > 2 && at[0] == 0xef && at[1] == 0xbb && at[2] == 0xbf)) {
            plain = '\0'; // no width, or the direction of what follows
            taken = 3;
        }
        i += taken;
        if (plain == '\0' && taken > 1)
            continue;
        if (size == PERSON_TEXT_BYTES - 1)
            return false;
        room[size++] = plain;
    }
    *ret_plain = str_trim((Str){room, size});
    return true;
}

static Str without_prefix(Str text, Str prefix)
{
    return str_equal_ignoring_case(str_slice(text, 0, prefix.size), prefix)
               ? str_trim(str_slice(text, prefix.size, text.size))
               : text;
}

static Str skip_any(Str text, const char *signs)
{
    size_t i = 0;
    while (i < text.size && text.data[i] != '\0' && strchr(signs, text.data[i]) != NULL)
        i++;
    return str_slice(text, i, text.size);
}

// "555-123-4567 x12", "... ext. 12", "...;ext=12" (RFC 3966): the number without it.
static Str without_extension(Str number)
{
    enum { EXTENSION_DIGITS_MAX = 8 };
    static const char *const words[] = {"extension", "ext", "x", "#"};
    for (size_t i = 0; i < number.size; i++) {
        const Str rest = skip_any(str_slice(number, i, number.size), " ,;");
        for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
            const Str after = without_prefix(rest, str_from(words[k]));
            const Str digits = skip_any(after, " .:=");
            if (after.size < rest.size && digits.size > 0 && digits.size <= EXTENSION_DIGITS_MAX &&
                skip_any(digits, "0123456789").size == 0)
                return str_trim(str_slice(number, 0, i));
        }
    }
    return number;
}

bool person_has_extension(Str written)
{
    char room[PERSON_TEXT_BYTES];
    Str plain = {0};
    return write_plain(written, room, &plain) && without_extension(plain).size < plain.size;
}

static bool normalise_phone(Str written, const PhoneCountry *country, char text[PERSON_TEXT_BYTES])
{
    char room[PERSON_TEXT_BYTES];
    Str number = {0};
    if (!write_plain(written, room, &number))
        return false;
    number = without_extension(without_prefix(number, STR("tel:")));
    // A country whose numbers look like none, for E.164 alone, is any country.
    const bool has_plus = number.size > 0 && number.data[0] == '+';
    if (country == NULL && !has_plus)
        return false;
    char digits[PHONE_TEXT_BYTES];
    if (!phone_normalise(number, country != NULL ? country : &phone_countries[0], digits))
        return false;
    memcpy(text, digits, sizeof(digits));
    return true;
}

// "ann@x.org", "mailto:ann@x.org", "Ann <ann@x.org>".
static bool normalise_email(Str written, char text[PERSON_TEXT_BYTES])
{
    char room[PERSON_TEXT_BYTES];
    Str plain = {0};
    if (!write_plain(written, room, &plain))
        return false;
    const size_t open = str_find_char(plain, '<');
    if (open < plain.size && plain.data[plain.size - 1] == '>')
        plain = str_trim(str_slice(plain, open + 1, plain.size - open - 2));
    plain = without_prefix(plain, STR("mailto:"));
    if (str_find_char(plain, '@') == plain.size)
        return false;
    for (size_t i = 0; i < plain.size; i++) {
        const char c = plain.data[i];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '<' || c == '>')
            return false;
        text[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    text[plain.size] = '\0';
    return true;
}

static bool normalise_one(PersonKind kind, Str written, const PhoneCountry *country,
                          char text[PERSON_TEXT_BYTES])
{
    if (kind == PERSON_PHONE)
        return normalise_phone(written, country, text);
    if (kind == PERSON_EMAIL)
        return normalise_email(written, text);
    if (written.size == 0 || written.size >= PERSON_TEXT_BYTES)
        return false;
    memcpy(text, written.data, written.size);
    text[written.size] = '\0';
    return true;
}

bool person_next(PersonKind kind, Str *rest, const PhoneCountry *country,
                 char text[PERSON_TEXT_BYTES])
{
    while (rest->data != NULL) {
        Str one = *rest;
        if (kind == PERSON_EMAIL) {
            size_t end = 0;
            while (end < one.size && one.data[end] != ',' && one.data[end] != ';')
                end++;
            *rest = end < one.size ? str_slice(one, end + 1, one.size) : (Str){NULL, 0};
            one = str_slice(one, 0, end);
        } else {
            *rest = (Str){NULL, 0};
        }
        if (normalise_one(kind, one, country, text))
            return true;
    }
    return false;
}

bool person_normalise(PersonKind kind, Str written, const PhoneCountry *country,
                      char text[PERSON_TEXT_BYTES])
{
    char other[PERSON_TEXT_BYTES];
    Str rest = written;
    return person_next(kind, &rest, country, text) && !person_next(kind, &rest, country, other);
}

// The magnitude of an integer, however it was sent: 12.0 is 12, to columns as well.
static bool integer_of(yyjson_val *value, uint64_t *ret_magnitude, bool *ret_negative)
{
    if (yyjson_is_real(value)) {
        const double number = yyjson_get_real(value);
        if (!(fabs(number) <= EXACT_INTEGER_MAX) || number != floor(number))
            return false;
        *ret_negative = number < 0;
        *ret_magnitude = (uint64_t)fabs(number);
        return true;
    }
    *ret_negative = yyjson_is_sint(value) && yyjson_get_sint(value) < 0;
    *ret_magnitude = *ret_negative ? 0 - (uint64_t)yyjson_get_sint(value) : yyjson_get_uint(value);
    return yyjson_is_int(value);
}

// A string, or an integer's digits; false for anything else.
static bool text_of(yyjson_val *value, char digits[DIGITS_BYTES], Str *ret_text)
{
    if (yyjson_is_str(value)) {
        *ret_text = json_str(value);
        return true;
    }
    size_t at = DIGITS_BYTES;
    bool negative = false;
    uint64_t left = 0;
    if (!integer_of(value, &left, &negative))
        return false;
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (negative)
        digits[--at] = '-';
    *ret_text = (Str){digits + at, DIGITS_BYTES - at};
    return true;
}

// --- the list

static bool copy_set(const Key128 *hashes, size_t count, Arena *arena, Key128 **ret_set, Error *err)
{
    if (count > FORGOTTEN_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d forgotten people", FORGOTTEN_MAX);
    Key128 *set = arena_alloc_array(arena, count + 1, sizeof(Key128), err);
    TRY(set != NULL);
    if (count > 0)
        memcpy(set, hashes, count * sizeof(Key128));
    qsort(set, count, sizeof(Key128), key128_compare);
    *ret_set = set;
    return true;
}

bool forgotten_new(Str salt, Str secret, const ForgottenSets *sets, Arena *arena,
                   Forgotten **ret_forgotten, Error *err)
{
    Forgotten *forgotten = arena_alloc(arena, sizeof(*forgotten), err);
    TRY(forgotten != NULL);
    CLEANUP(buf_done) Buf both = {0};
    TRY(buf_append(&both, salt, err) && buf_append(&both, secret, err));
    const Sha256 key = sha256(buf_str(&both));
    memset(both.data, 0, both.size);
    for (size_t i = 0; i < PAD_BYTES; i++) {
        const unsigned char byte = i < SHA256_BYTES ? key.bytes[i] : 0;
        forgotten->inner_pad[i] = byte ^ 0x36;
        forgotten->outer_pad[i] = byte ^ 0x5C;
    }
    TRY(copy_set(sets->people, sets->person_count, arena, &forgotten->people, err) &&
        copy_set(sets->redacted, sets->redacted_count, arena, &forgotten->redacted, err));
    forgotten->person_count = sets->person_count;
    forgotten->redacted_count = sets->redacted_count;
    *ret_forgotten = forgotten;
    return true;
}

// HMAC-SHA-256 (RFC 2104), cut to 128 bits.
static Key128 keyed_hash(const Forgotten *forgotten, char kind, Str bytes)
{
    enum { SHORT_BYTES = 512 };
    unsigned char inner[PAD_BYTES + 1 + SHORT_BYTES];
    unsigned char outer[PAD_BYTES + SHA256_BYTES];
    // What is longer than any person's name is hashed first.
    Sha256 hashed;
    if (bytes.size > SHORT_BYTES) {
        hashed = sha256(bytes);
        bytes = (Str){(const char *)hashed.bytes, SHA256_BYTES};
    }
    memcpy(inner, forgotten->inner_pad, PAD_BYTES);
    inner[PAD_BYTES] = (unsigned char)kind;
    if (bytes.size > 0)
        memcpy(inner + PAD_BYTES + 1, bytes.data, bytes.size);
    const Sha256 first = sha256((Str){(const char *)inner, PAD_BYTES + 1 + bytes.size});
    memcpy(outer, forgotten->outer_pad, PAD_BYTES);
    memcpy(outer + PAD_BYTES, first.bytes, SHA256_BYTES);
    const Sha256 second = sha256((Str){(const char *)outer, sizeof(outer)});
    return key128(&second);
}

Key128 forgotten_hash_person(const Forgotten *forgotten, PersonKind kind, Str text)
{
    static const char letters[] = {'?', 'p', 'e', 'i'};
    return keyed_hash(forgotten, letters[kind], text);
}

Key128 forgotten_hash_key(const Forgotten *forgotten, Str stream, Str key)
{
    const Sha256 both[2] = {sha256(stream), sha256(key)};
    return keyed_hash(forgotten, 'k', (Str){(const char *)both, sizeof(both)});
}

static bool set_has(const Key128 *set, size_t count, const Key128 *hash)
{
    return count > 0 && bsearch(hash, set, count, sizeof(Key128), key128_compare) != NULL;
}

bool forgotten_has_person(const Forgotten *forgotten, const Key128 *hash)
{
    return set_has(forgotten->people, forgotten->person_count, hash);
}

bool forgotten_has_redacted(const Forgotten *forgotten, const Key128 *hash)
{
    return set_has(forgotten->redacted, forgotten->redacted_count, hash);
}

// --- records

static bool names_forgotten(const Forgotten *forgotten, PersonKind kind,
                            const PhoneCountry *country, yyjson_val *value)
{
    char digits[DIGITS_BYTES];
    char text[PERSON_TEXT_BYTES];
    Str written = {0};
    if (!text_of(value, digits, &written))
        return false;
    while (person_next(kind, &written, country, text)) {
        const Key128 hash = forgotten_hash_person(forgotten, kind, str_from(text));
        if (forgotten_has_person(forgotten, &hash))
            return true;
    }
    return false;
}

// NOLINTNEXTLINE(misc-no-recursion): PATH_DEPTH_MAX bounds the depth
static bool path_matches(const Forgotten *forgotten, const PersonPath *path, size_t step,
                         yyjson_val *value)
{
    if (value == NULL)
        return false;
    if (step == path->step_count)
        return names_forgotten(forgotten, path->kind, path->phone, value);
    const bool any = str_equal(path->steps[step], STR("*"));
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *item = NULL;
    if (any && yyjson_is_arr(value)) {
        yyjson_arr_foreach(value, i, count, item)
        {
            if (path_matches(forgotten, path, step + 1, item))
                return true;
        }
        return false;
    }
    // All members of that name: where there are two, the last one counts to columns, and the other
    // stands in the page as well.
    yyjson_obj_foreach(value, i, count, name, item)
    {
        if ((any || str_equal(json_str(name), path->steps[step])) &&
            path_matches(forgotten, path, step + 1, item))
            return true;
    }
    return false;
}

bool forgotten_matches(const Forgotten *forgotten, const Contract *contract, yyjson_val *record)
{
    for (size_t i = 0; forgotten->person_count > 0 && i < contract->person_path_count; i++) {
        if (path_matches(forgotten, &contract->person_paths[i], 0, record))
            return true;
    }
    return false;
}

static bool text_mentions(const Forgotten *forgotten, const Contract *contract, yyjson_val *value)
{
    for (size_t i = 0; i < contract->person_path_count; i++) {
        const PersonPath *path = &contract->person_paths[i];
        if (names_forgotten(forgotten, path->kind, path->phone, value))
            return true;
    }
    return false;
}

// NOLINTNEXTLINE(misc-no-recursion): JSON_DEPTH_MAX bounds the depth
bool forgotten_mentions(const Forgotten *forgotten, const Contract *contract, yyjson_val *value)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *item = NULL;
    if (yyjson_is_arr(value)) {
        yyjson_arr_foreach(value, i, count, item)
        {
            if (forgotten_mentions(forgotten, contract, item))
                return true;
        }
        return false;
    }
    if (!yyjson_is_obj(value))
        return forgotten->person_count > 0 && text_mentions(forgotten, contract, value);
    yyjson_obj_foreach(value, i, count, name, item)
    {
        if (forgotten_mentions(forgotten, contract, item))
            return true;
    }
    return false;
}

// --- what stays of a record

static yyjson_val *first_source(const Contract *contract, const ColumnPlan *plan,
                                yyjson_val *record)
{
    for (size_t i = 0; i < plan->source_count; i++) {
        yyjson_val *value = json_pointer(record, contract->sources[plan->sources[i]].path);
        if (value != NULL && !yyjson_is_null(value))
            return value;
    }
    return NULL;
}

bool contract_write_key(const Contract *contract, yyjson_val *record, yyjson_val *partition,
                        Buf *out, Error *err)
{
    for (size_t i = 0; i < contract->key_count; i++) {
        const ColumnPlan *plan = &contract->plans[i];
        const Str field = plan->from_partition;
        yyjson_val *value = field.size == 0        ? NULL
                            : field.data[0] == '/' ? json_pointer(partition, field)
                                                   : json_get(partition, field);
        if (value == NULL || yyjson_is_null(value))
            value = first_source(contract, plan, record);
        char digits[DIGITS_BYTES];
        Str part = {0};
        if (value != NULL && !yyjson_is_null(value))
            TRY(text_of(value, digits, &part) ? buf_append(out, part, err)
                                              : json_write_canonical(value, out, err));
        TRY(buf_append_char(out, '\n', err));
    }
    return true;
}

bool forgotten_token(const Forgotten *forgotten, const Contract *contract, yyjson_val *record,
                     yyjson_val *partition, Key128 *ret_token, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    TRY(contract_write_key(contract, record, partition, &text, err));
    *ret_token = forgotten_hash_key(forgotten, contract->info.stream, buf_str(&text));
    return true;
}

static bool names_person(const Contract *contract, Str member)
{
    for (size_t i = 0; i < contract->person_path_count; i++) {
        if (str_equal(contract->person_paths[i].steps[0], member))
            return true;
    }
    return false;
}

static bool is_kept(const Contract *contract, Str member)
{
    for (size_t i = 0; i < contract->plan_count; i++) {
        const ColumnPlan *plan = &contract->plans[i];
        const Str column = contract->columns[plan->index].name;
        if (i >= contract->key_count && !str_equal(column, contract->info.window_column))
            continue;
        for (size_t k = 0; k < plan->source_count; k++) {
            const Str path = contract->sources[plan->sources[k]].path;
            if (str_equal(str_slice(path, 1, path.size), member) && !names_person(contract, member))
                return true;
        }
    }
    return false;
}

bool forgotten_write_stub(const Forgotten *forgotten, const Contract *contract, yyjson_val *record,
                          yyjson_val *partition, Buf *out, Error *err)
{
    Key128 token;
    TRY(forgotten_token(forgotten, contract, record, partition, &token, err));
    char hex[2 * KEY_BYTES + 1];
    hex_encode(token.bytes, KEY_BYTES, hex);
    TRY(buf_printf(out, err, "{\"" STR_FMT "\":\"%s\"", STR_ARG(stub_member), hex));
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *value = NULL;
    yyjson_obj_foreach(record, i, count, name, value)
    {
        if (yyjson_is_ctn(value) || !is_kept(contract, json_str(name)))
            continue;
        TRY(buf_append_char(out, ',', err) && json_write_str(json_str(name), out, err) &&
            buf_append_char(out, ':', err) && json_write(value, out, err));
    }
    return buf_append_char(out, '}', err);
}

bool forgotten_is_stub(yyjson_val *record, Key128 *ret_token)
{
    yyjson_val *token = json_get(record, stub_member);
    return token != NULL && hex_decode(json_str(token), ret_token->bytes, KEY_BYTES);
}

bool contract_is_redacted(const Contract *contract, yyjson_val *record)
{
    return contract->redacted_source != NO_SOURCE &&
           yyjson_is_true(json_pointer(record, contract->sources[contract->redacted_source].path));
}
