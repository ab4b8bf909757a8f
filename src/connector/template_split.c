// The methods of str that split and join.

#include "connector/template_str.h"

typedef struct Parts {
    Value *items;
    size_t count, room;
} Parts;

static bool parts_add(Machine *machine, Parts *parts, Str part, Error *err)
{
    TRY(machine_step(machine, err));
    if (parts->count == parts->room) {
        const size_t room = parts->room == 0 ? 8 : parts->room * 2;
        Value *items = arena_alloc_array(machine->arena, room, sizeof(*items), err);
        TRY(items != NULL);
        if (parts->count > 0)
            memcpy(items, parts->items, parts->count * sizeof(*items));
        parts->items = items;
        parts->room = room;
    }
    parts->items[parts->count++] = value_str(part);
    return true;
}

// By runs of white space; none makes an empty part.
static bool split_space(Machine *machine, Str text, int64_t most, Parts *parts, Error *err)
{
    text = str_slice(text, text_edge_before(text, (Str){NULL, 0}), text.size);
    while (text.size > 0) {
        size_t size = 0;
        while (size < text.size && !text_is_space(text.data[size]))
            size++;
        if (most == 0) {
            const Str rest = str_slice(text, 0, text.size - text_edge_after(text, (Str){NULL, 0}));
            return parts_add(machine, parts, rest, err);
        }
        most -= most > 0 ? 1 : 0;
        TRY(parts_add(machine, parts, str_slice(text, 0, size), err));
        text = str_slice(text, size, text.size);
        text = str_slice(text, text_edge_before(text, (Str){NULL, 0}), text.size);
    }
    return true;
}

static bool split_by(Machine *machine, Str text, Str separator, int64_t most, Parts *parts,
                     Error *err)
{
    for (;; most -= most > 0 ? 1 : 0) {
        const size_t at = most == 0 ? text.size : str_find(text, separator);
        TRY(parts_add(machine, parts, str_slice(text, 0, at), err));
        if (at == text.size)
            return true;
        text = str_slice(text, at + separator.size, text.size);
    }
}

static bool separator_of(Machine *machine, const Arguments *arguments, Str *ret_separator,
                         Error *err)
{
    TRY(argument_str(machine, arguments, 0, ret_separator, err));
    return ret_separator->size > 0 || raise_value(machine, err, "empty separator");
}

static bool read_split(Machine *machine, const Arguments *arguments, Str *ret_separator,
                       int64_t *ret_most, Error *err)
{
    *ret_separator = (Str){NULL, 0};
    TRY(argument_int(machine, arguments, 1, -1, ret_most, err));
    return argument_is_missing(arguments, 0) ||
           separator_of(machine, arguments, ret_separator, err);
}

bool str_method_split(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    Str separator = {0};
    int64_t most = 0;
    Parts parts = {0};
    TRY(read_split(machine, arguments, &separator, &most, err));
    TRY(separator.data == NULL
            ? split_space(machine, arguments->self.text, most, &parts, err)
            : split_by(machine, arguments->self.text, separator, most, &parts, err));
    *ret_value = value_list(parts.items, parts.count);
    return true;
}

// From the right: the first parts stay together where there are more than `most` separators.
bool str_method_rsplit(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    Str separator = {0};
    int64_t most = 0;
    Parts parts = {0};
    TRY(read_split(machine, arguments, &separator, &most, err));
    Str text = arguments->self.text;
    if (most < 0 || separator.data == NULL) {
        if (most >= 0)
            return raise_value(machine, err, "rsplit() by white space with a limit");
        return str_method_split(machine, arguments, ret_value, err);
    }
    for (; most > 0; most--) {
        const size_t at = text_find_last(text, separator);
        if (at == SIZE_MAX)
            break;
        TRY(parts_add(machine, &parts, str_slice(text, at + separator.size, text.size), err));
        text = str_slice(text, 0, at);
    }
    TRY(parts_add(machine, &parts, text, err));
    for (size_t i = 0; i < parts.count / 2; i++) {
        const Value swap = parts.items[i];
        parts.items[i] = parts.items[parts.count - 1 - i];
        parts.items[parts.count - 1 - i] = swap;
    }
    *ret_value = value_list(parts.items, parts.count);
    return true;
}

bool str_method_splitlines(Machine *machine, const Arguments *arguments, Value *ret_value,
                           Error *err)
{
    Parts parts = {0};
    Str text = arguments->self.text;
    while (text.size > 0) {
        size_t size = 0;
        while (size < text.size && text.data[size] != '\n' && text.data[size] != '\r')
            size++;
        TRY(parts_add(machine, &parts, str_slice(text, 0, size), err));
        const bool pair = str_starts_with(str_slice(text, size, 2), STR("\r\n"));
        text = str_slice(text, size + (pair ? 2 : 1), text.size);
    }
    *ret_value = value_list(parts.items, parts.count);
    return true;
}

static bool make_three(Machine *machine, Str a, Str b, Str c, Value *ret_value, Error *err)
{
    Parts parts = {0};
    TRY(parts_add(machine, &parts, a, err) && parts_add(machine, &parts, b, err) &&
        parts_add(machine, &parts, c, err));
    *ret_value = (Value){.kind = VALUE_TUPLE, .list = {parts.items, 3}};
    return true;
}

bool str_method_partition(Machine *machine, const Arguments *arguments, Value *ret_value,
                          Error *err)
{
    Str separator = {0};
    const Str text = arguments->self.text;
    TRY(separator_of(machine, arguments, &separator, err));
    const size_t at = str_find(text, separator);
    if (at == text.size)
        return make_three(machine, text, STR(""), STR(""), ret_value, err);
    return make_three(machine, str_slice(text, 0, at), separator,
                      str_slice(text, at + separator.size, text.size), ret_value, err);
}

bool str_method_rpartition(Machine *machine, const Arguments *arguments, Value *ret_value,
                           Error *err)
{
    Str separator = {0};
    const Str text = arguments->self.text;
    TRY(separator_of(machine, arguments, &separator, err));
    const size_t at = text_find_last(text, separator);
    if (at == SIZE_MAX)
        return make_three(machine, STR(""), STR(""), text, ret_value, err);
    return make_three(machine, str_slice(text, 0, at), separator,
                      str_slice(text, at + separator.size, text.size), ret_value, err);
}

bool str_method_join(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    const Value *items = NULL;
    size_t count = 0;
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    TRY(machine_items(machine, arguments->values[0], &items, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (items[i].kind != VALUE_STR)
            return raise_type(machine, err, "sequence item %zu: expected str instance, %s found", i,
                              value_type(items[i]));
        TRY(machine_step(machine, err) && (i == 0 || buf_append(&out, arguments->self.text, err)) &&
            buf_append(&out, items[i].text, err));
    }
    return machine_take(machine, &out, ret_value, err);
}
