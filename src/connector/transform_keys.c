// KeysToLower, KeysReplace, KeysToSnakeCase.
#include "connector/transform.h"

static bool lower_key(Value key, Arena *arena, Value *ret_key, Error *err)
{
    *ret_key = key;
    if (key.kind != VALUE_STR)
        return true;
    Str copy = {0};
    TRY(arena_copy_str(arena, key.text, &copy, err));
    char *bytes = (char *)(uintptr_t)copy.data; // ours since a line above
    for (size_t i = 0; i < copy.size; i++) {
        if (bytes[i] >= 'A' && bytes[i] <= 'Z')
            bytes[i] = (char)(bytes[i] - 'A' + 'a');
    }
    *ret_key = value_str(copy);
    return true;
}

bool transform_lower(Value *record, Arena *arena, Error *err)
{
    ValuePair *pairs = NULL;
    TRY(dict_open(*record, 0, arena, record, &pairs, err));
    for (size_t i = 0; i < record->dict.count; i++)
        TRY(lower_key(pairs[i].key, arena, &pairs[i].key, err));
    return true;
}

static bool replace_key(Value *key, Str before, Str after, Arena *arena, Error *err)
{
    if (key->kind != VALUE_STR || before.size == 0 || str_find(key->text, before) == key->text.size)
        return true;
    CLEANUP(buf_done) Buf out = {0};
    Str rest = key->text;
    for (size_t at; (at = str_find(rest, before)) < rest.size;) {
        TRY(buf_append(&out, str_slice(rest, 0, at), err));
        TRY(buf_append(&out, after, err));
        rest = str_slice(rest, at + before.size, rest.size);
    }
    TRY(buf_append(&out, rest, err));
    return arena_copy_str(arena, buf_str(&out), &key->text, err);
}

static bool replace_keys(Value *place, Str before, Str after, size_t depth, Arena *arena,
                         Error *err)
{
    if (!is_dict(*place) || depth > JSON_DEPTH_MAX)
        return true;
    ValuePair *pairs = NULL;
    TRY(dict_open(*place, 0, arena, place, &pairs, err));
    for (size_t i = 0; i < place->dict.count; i++) {
        TRY(replace_key(&pairs[i].key, before, after, arena, err));
        TRY(replace_keys(&pairs[i].value, before, after, depth + 1, arena, err));
    }
    return true;
}

bool transform_replace(const Transform *transform, Value *record, Frame *frame, Arena *arena,
                       Error *err)
{
    Str before = {0}, after = {0};
    TRY(frame_set(frame, STR("record"), *record, err));
    TRY(expr_text(&transform->before, frame, arena, &before, err));
    TRY(expr_text(&transform->after, frame, arena, &after, err));
    return replace_keys(record, before, after, 0, arena, err);
}

// ------------------------------------------------------------------------ snake case

typedef enum CharKind { CHAR_UPPER, CHAR_LOWER, CHAR_DIGIT, CHAR_OTHER } CharKind;

static CharKind kind_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return CHAR_UPPER;
    if (c >= 'a' && c <= 'z')
        return CHAR_LOWER;
    return c >= '0' && c <= '9' ? CHAR_DIGIT : CHAR_OTHER;
}

// The next of the reference's tokens: [A-Z]+[a-z]* | [a-z]+ | [0-9]+ | anything else.
static Str take_token(Str *rest)
{
    const CharKind first = kind_of(rest->data[0]);
    size_t size = 1;
    while (size < rest->size && kind_of(rest->data[size]) == first)
        size++;
    while (first == CHAR_UPPER && size < rest->size && kind_of(rest->data[size]) == CHAR_LOWER)
        size++;
    const Str token = str_slice(*rest, 0, size);
    *rest = str_slice(*rest, size, rest->size);
    return token;
}

// "NextPage URL2" -> "next_page_url_2". What is no letter or digit parts words; at either end of
// the key it leaves an underscore, as in the reference, and so does a digit at the start.
static bool snake_key(Value *key, Arena *arena, Error *err)
{
    if (key->kind != VALUE_STR || key->text.size == 0)
        return true;
    CLEANUP(buf_done) Buf out = {0};
    Str rest = key->text;
    bool first = true;
    while (rest.size > 0) {
        const Str token = take_token(&rest);
        const CharKind kind = kind_of(token.data[0]);
        if (kind == CHAR_OTHER && !first && rest.size > 0)
            continue;
        if (!first || kind == CHAR_DIGIT)
            TRY(buf_append_char(&out, '_', err));
        first = false;
        for (size_t i = 0; kind != CHAR_OTHER && i < token.size; i++)
            TRY(buf_append_char(&out,
                                kind_of(token.data[i]) == CHAR_UPPER
                                    ? (char)(token.data[i] + ('a' - 'A'))
                                    : token.data[i],
                                err));
    }
    return arena_copy_str(arena, buf_str(&out), &key->text, err);
}

static bool is_ascii(const Value *dict)
{
    for (size_t i = 0; i < dict->dict.count; i++) {
        const Value *key = &dict->dict.pairs[i].key;
        for (size_t k = 0; key->kind == VALUE_STR && k < key->text.size; k++) {
            if ((unsigned char)key->text.data[k] >= 0x80)
                return false;
        }
    }
    return true;
}

static bool snake_keys(Value *place, size_t depth, Arena *arena, Error *err)
{
    ValuePair *pairs = NULL;
    if (!is_dict(*place) || depth > JSON_DEPTH_MAX)
        return true;
    TRY(dict_open(*place, 0, arena, place, &pairs, err));
    // The reference writes other scripts in Latin letters first; a key that would be another one
    // here is better refused.
    if (!is_ascii(place))
        return error_set(err, ERROR_DATA, "KeysToSnakeCase: a key is not ASCII");
    size_t kept = 0;
    for (size_t i = 0; i < place->dict.count; i++) {
        TRY(snake_key(&pairs[i].key, arena, err) &&
            snake_keys(&pairs[i].value, depth + 1, arena, err));
        // Of two that get the same name the last one counts, in the place of the first.
        size_t at = 0;
        while (at < kept && !(pairs[at].key.kind == VALUE_STR && pairs[i].key.kind == VALUE_STR &&
                              str_equal(pairs[at].key.text, pairs[i].key.text)))
            at++;
        pairs[at] = pairs[i];
        kept += at == kept ? 1 : 0;
    }
    place->dict.count = kept;
    return true;
}

bool transform_snake(Value *record, Arena *arena, Error *err)
{
    return snake_keys(record, 0, arena, err);
}
