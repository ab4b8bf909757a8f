// Filters of sequences: those that pick, those that call others for each item, and those that sort.

#include "connector/template_filter.h"
#include "connector/text_case.h"

// --- sequences

bool filter_default(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    (void)machine;
    (void)err;
    const Value self = arguments->self;
    const bool missing =
        self.kind == VALUE_UNDEFINED || (argument_is_true(arguments, 1) && !value_is_true(self));
    *ret_value = !missing ? self : arguments->given[0] ? arguments->values[0] : value_str(STR(""));
    return true;
}

bool filter_length(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    const Value self = arguments->self;
    const bool counted = self.kind == VALUE_STR || self.kind == VALUE_UNDEFINED ||
                         value_is_mapping(self) ||
                         (value_is_sequence(self) && self.kind != VALUE_GENERATOR);
    if (!counted)
        return raise_type(machine, err, "object of type '%s' has no len()", value_type(self));
    *ret_value = value_int((int64_t)value_count(self));
    return true;
}

bool filter_list(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    const Value *items = NULL;
    size_t count = 0;
    TRY(machine_items(machine, arguments->self, &items, &count, err));
    *ret_value = value_list(items, count);
    return true;
}

bool filter_first(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    const Value *items = NULL;
    size_t count = 0;
    TRY(machine_items(machine, arguments->self, &items, &count, err));
    *ret_value = count > 0 ? items[0] : value_undefined();
    return true;
}

bool filter_last(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    const Value *items = NULL;
    size_t count = 0;
    if (arguments->self.kind == VALUE_GENERATOR)
        return raise_type(machine, err, "'generator' object is not reversible");
    TRY(machine_items(machine, arguments->self, &items, &count, err));
    *ret_value = count > 0 ? items[count - 1] : value_undefined();
    return true;
}

bool filter_reverse(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    const Value *items = NULL;
    size_t count = 0;
    if (!machine_items(machine, arguments->self, &items, &count, err)) {
        if (machine->raised == TEMPLATE_TYPE_ERROR)
            machine->raised = TEMPLATE_OK; // Jinja makes an error of its own of it
        return false;
    }
    CLEANUP(buf_done) Buf text = {.limit_bytes = MACHINE_BYTES_MAX};
    Value *back = arena_alloc_array(machine->arena, count, sizeof(*back), err);
    TRY(back != NULL);
    for (size_t i = 0; i < count; i++) {
        back[i] = items[count - 1 - i];
        if (arguments->self.kind == VALUE_STR)
            TRY(buf_append(&text, back[i].text, err));
    }
    if (arguments->self.kind == VALUE_STR)
        return machine_take(machine, &text, ret_value, err);
    *ret_value = value_list(back, count);
    ret_value->kind = VALUE_GENERATOR;
    return true;
}

bool filter_items(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    if (arguments->self.kind != VALUE_UNDEFINED && !value_is_mapping(arguments->self))
        return raise_type(machine, err, "Can only get item pairs from a mapping.");
    Value items = value_str(STR("items"));
    Value method = value_undefined();
    if (arguments->self.kind == VALUE_UNDEFINED) {
        *ret_value = (Value){.kind = VALUE_GENERATOR};
        return true;
    }
    bool found = false;
    TRY(attribute_find(machine, arguments->self, items.text, &method, &found, err));
    const Bound *bound = method.function;
    Arguments none = {.self = bound->self};
    TRY(function_call(machine, bound->function, &none, ret_value, err));
    ret_value->kind = VALUE_GENERATOR;
    return true;
}

// "a.b.0" of an item: names and indices, each looked up as an item.
static bool attribute_of(Machine *machine, Value item, Value path, Value *ret_value, Error *err)
{
    *ret_value = item;
    if (path.kind != VALUE_STR)
        return operator_item(machine, item, path, ret_value, err);
    Str rest = path.text;
    while (rest.data != NULL) {
        const Str part = str_split_next(&rest, '.');
        int64_t index = 0;
        const bool digits = part.size > 0 && part.data[0] >= '0' && part.data[0] <= '9';
        const Value key = digits && str_to_int64(part, &index) ? value_int(index) : value_str(part);
        TRY(machine_step(machine, err) && operator_item(machine, *ret_value, key, ret_value, err));
    }
    return true;
}

bool filter_join(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    const Value *items = NULL;
    size_t count = 0;
    Str separator = {0};
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    TRY(argument_as_str(machine, arguments, 0, STR(""), &separator, err) &&
        machine_items(machine, arguments->self, &items, &count, err));
    for (size_t i = 0; i < count; i++) {
        Value item = items[i];
        if (!argument_is_missing(arguments, 1))
            TRY(attribute_of(machine, item, arguments->values[1], &item, err));
        TRY(machine_step(machine, err) && (i == 0 || buf_append(&out, separator, err)) &&
            value_write_str(item, &out, err));
    }
    return machine_take(machine, &out, ret_value, err);
}

// --- filters that call others for each item

static bool find_named(const Arguments *arguments, Str name, Value *ret_value)
{
    for (size_t i = 0; i < arguments->named_count; i++) {
        if (str_equal(arguments->named[i].name, name)) {
            *ret_value = arguments->named[i].value;
            return true;
        }
    }
    return false;
}

// Calls a filter or test for one item, with what stands behind the first `skip` arguments.
static bool call_for(Machine *machine, const Function *function, Value item,
                     const Arguments *arguments, size_t skip, Value *ret_value, Error *err)
{
    Arguments inner = {.self = item,
                       .items = arguments->items + skip,
                       .count = arguments->count - skip,
                       .named = arguments->named,
                       .named_count = arguments->named_count};
    return function_call(machine, function, &inner, ret_value, err);
}

static bool map_item(Machine *machine, const Arguments *arguments, const Function *function,
                     Value item, Value *ret_value, Error *err)
{
    if (function != NULL)
        return call_for(machine, function, item, arguments, 1, ret_value, err);
    Value path = value_undefined();
    Value fallback = value_undefined();
    (void)find_named(arguments, STR("attribute"), &path);
    TRY(attribute_of(machine, item, path, ret_value, err));
    if (ret_value->kind == VALUE_UNDEFINED && find_named(arguments, STR("default"), &fallback))
        *ret_value = fallback;
    return true;
}

bool filter_map(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    const Value *items = NULL;
    size_t count = 0;
    const Function *function = NULL;
    Value attribute = value_undefined();
    // Jinja asks for the truth first: None and 0 are as good as an empty list.
    if (value_is_true(arguments->self))
        TRY(machine_items(machine, arguments->self, &items, &count, err));
    if (arguments->count > 0) {
        if (arguments->items[0].kind == VALUE_STR)
            function = filter_find(arguments->items[0].text);
        if (function == NULL && count > 0)
            return raise_value(machine, err, "map: no such filter");
    } else if (!find_named(arguments, STR("attribute"), &attribute)) {
        return raise_value(machine, err, "map requires a filter argument");
    }
    Value *mapped = arena_alloc_array(machine->arena, count, sizeof(*mapped), err);
    TRY(mapped != NULL);
    for (size_t i = 0; i < count; i++)
        TRY(machine_step(machine, err) &&
            map_item(machine, arguments, function, items[i], &mapped[i], err));
    *ret_value = value_list(mapped, count);
    ret_value->kind = VALUE_GENERATOR;
    return true;
}

// Whether `item` passes the test that `arguments` name at `skip` (none: its truth).
static bool passes(Machine *machine, const Arguments *arguments, size_t skip, Value item,
                   bool *ret_passes, Error *err)
{
    if (arguments->count <= skip) {
        *ret_passes = value_is_true(item);
        return true;
    }
    const Value name = arguments->items[skip];
    const Function *test = name.kind == VALUE_STR ? test_find(name.text) : NULL;
    if (test == NULL)
        return raise_value(
            machine, err, "no test is named '" STR_FMT "'",
            STR_ARG(name.kind == VALUE_STR ? str_slice(name.text, 0, 60) : STR("?")));
    Value value = value_undefined();
    TRY(call_for(machine, test, item, arguments, skip + 1, &value, err));
    *ret_passes = value_is_true(value);
    return true;
}

static bool choose(Machine *machine, const Arguments *arguments, bool by_attribute, bool wanted,
                   Value *ret_value, Error *err)
{
    const Value *items = NULL;
    size_t count = 0;
    if (by_attribute && arguments->count == 0)
        return raise_value(machine, err, "Missing parameter for attribute name");
    if (value_is_true(arguments->self))
        TRY(machine_items(machine, arguments->self, &items, &count, err));
    Value *kept = arena_alloc_array(machine->arena, count, sizeof(*kept), err);
    TRY(kept != NULL);
    size_t kept_count = 0;
    for (size_t i = 0; i < count; i++) {
        Value subject = items[i];
        bool ok = false;
        if (by_attribute)
            TRY(attribute_of(machine, items[i], arguments->items[0], &subject, err));
        TRY(machine_step(machine, err) &&
            passes(machine, arguments, by_attribute ? 1 : 0, subject, &ok, err));
        if (ok == wanted)
            kept[kept_count++] = items[i];
    }
    *ret_value = value_list(kept, kept_count);
    ret_value->kind = VALUE_GENERATOR;
    return true;
}

#define CHOOSE_FILTER(name, by_attribute, wanted)                                         \
    bool name(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err) \
    {                                                                                     \
        return choose(machine, arguments, by_attribute, wanted, ret_value, err);          \
    }
CHOOSE_FILTER(filter_select, false, true)
CHOOSE_FILTER(filter_reject, false, false)
CHOOSE_FILTER(filter_selectattr, true, true)
CHOOSE_FILTER(filter_rejectattr, true, false)

// --- order

// What an item is sorted by: its attribute, in lower case unless told otherwise.
static bool sort_key(Machine *machine, Value item, const Value *attribute, bool exact,
                     Value *ret_key, Error *err)
{
    *ret_key = item;
    if (attribute != NULL && attribute->kind != VALUE_NONE)
        TRY(attribute_of(machine, item, *attribute, ret_key, err));
    if (exact || ret_key->kind != VALUE_STR)
        return true;
    CLEANUP(buf_done) Buf lower = {.limit_bytes = MACHINE_BYTES_MAX};
    return text_change_case(ret_key->text, CASE_LOWER, &lower, err) &&
           machine_take(machine, &lower, ret_key, err);
}

typedef struct Keyed {
    Value key, item;
} Keyed;

static bool make_keys(Machine *machine, Value sequence, const Value *attribute, bool exact,
                      Keyed **ret_keyed, size_t *ret_count, Error *err)
{
    const Value *items = NULL;
    size_t count = 0;
    TRY(machine_items(machine, sequence, &items, &count, err));
    Keyed *keyed = arena_alloc_array(machine->arena, count, sizeof(*keyed), err);
    TRY(keyed != NULL);
    for (size_t i = 0; i < count; i++) {
        keyed[i].item = items[i];
        TRY(machine_step(machine, err) &&
            sort_key(machine, items[i], attribute, exact, &keyed[i].key, err));
    }
    *ret_keyed = keyed;
    *ret_count = count;
    return true;
}

// Merges two sorted halves; stable, also backwards, as Python's sort is.
static bool merge(Machine *machine, const Keyed *from, size_t middle, size_t count, bool reverse,
                  Keyed *to, Error *err)
{
    size_t a = 0;
    size_t b = middle;
    for (size_t i = 0; i < count; i++) {
        bool right = a == middle;
        if (a < middle && b < count) {
            TRY(machine_step(machine, err));
            TRY(reverse ? operator_compare(machine, OPERATOR_LESS, from[a].key, from[b].key, &right,
                                           err)
                        : operator_compare(machine, OPERATOR_LESS, from[b].key, from[a].key, &right,
                                           err));
        }
        to[i] = right ? from[b++] : from[a++];
    }
    return true;
}

static bool sort_keyed(Machine *machine, Keyed *keyed, size_t count, bool reverse, Error *err)
{
    Keyed *other = arena_alloc_array(machine->arena, count, sizeof(*other), err);
    TRY(other != NULL);
    for (size_t run = 1; run < count; run *= 2) {
        for (size_t i = 0; i < count; i += run * 2) {
            const size_t size = count - i < run * 2 ? count - i : run * 2;
            TRY(merge(machine, keyed + i, size < run ? size : run, size, reverse, other + i, err));
        }
        memcpy(keyed, other, count * sizeof(*keyed));
    }
    return true;
}

static bool take_items(Machine *machine, const Keyed *keyed, size_t count, Value *ret_value,
                       Error *err)
{
    Value *items = arena_alloc_array(machine->arena, count, sizeof(*items), err);
    TRY(items != NULL);
    for (size_t i = 0; i < count; i++)
        items[i] = keyed[i].item;
    *ret_value = value_list(items, count);
    return true;
}

bool filter_sort(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    Keyed *keyed = NULL;
    size_t count = 0;
    const Value *attribute = arguments->given[2] ? &arguments->values[2] : NULL;
    return make_keys(machine, arguments->self, attribute, argument_is_true(arguments, 1), &keyed,
                     &count, err) &&
           sort_keyed(machine, keyed, count, argument_is_true(arguments, 0), err) &&
           take_items(machine, keyed, count, ret_value, err);
}

// dictsort(case_sensitive, by, reverse): pairs by their key, or by their value.
bool filter_dictsort(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    Value pairs = value_undefined();
    Str by = {0};
    Keyed *keyed = NULL;
    size_t count = 0;
    TRY(argument_as_str(machine, arguments, 1, STR("key"), &by, err));
    TRY(filter_items(machine, arguments, &pairs, err));
    const Value index = value_int(str_equal(by, STR("value")) ? 1 : 0);
    return make_keys(machine, pairs, &index, argument_is_true(arguments, 0), &keyed, &count, err) &&
           sort_keyed(machine, keyed, count, argument_is_true(arguments, 2), err) &&
           take_items(machine, keyed, count, ret_value, err);
}

bool filter_unique(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    Keyed *keyed = NULL;
    size_t count = 0;
    const Value *attribute = arguments->given[1] ? &arguments->values[1] : NULL;
    TRY(make_keys(machine, arguments->self, attribute, argument_is_true(arguments, 0), &keyed,
                  &count, err));
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool seen = false;
        if (value_is_mapping(keyed[i].key) || value_type(keyed[i].key)[0] == 'l')
            return raise_type(machine, err, "unhashable type: '%s'", value_type(keyed[i].key));
        for (size_t j = 0; j < kept && !seen; j++) {
            TRY(machine_step(machine, err));
            seen = value_equal(keyed[j].key, keyed[i].key);
        }
        if (!seen)
            keyed[kept++] = keyed[i];
    }
    TRY(take_items(machine, keyed, kept, ret_value, err));
    ret_value->kind = VALUE_GENERATOR;
    return true;
}

static bool extreme(Machine *machine, const Arguments *arguments, Operator op, Value *ret_value,
                    Error *err)
{
    Keyed *keyed = NULL;
    size_t count = 0;
    const Value *attribute = arguments->given[1] ? &arguments->values[1] : NULL;
    TRY(make_keys(machine, arguments->self, attribute, argument_is_true(arguments, 0), &keyed,
                  &count, err));
    size_t best = 0;
    for (size_t i = 1; i < count; i++) {
        bool better = false;
        TRY(operator_compare(machine, op, keyed[i].key, keyed[best].key, &better, err));
        best = better ? i : best;
    }
    *ret_value = count > 0 ? keyed[best].item : value_undefined();
    return true;
}

bool filter_min(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return extreme(machine, arguments, OPERATOR_LESS, ret_value, err);
}

bool filter_max(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return extreme(machine, arguments, OPERATOR_GREATER, ret_value, err);
}

bool filter_sum(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    const Value *items = NULL;
    size_t count = 0;
    TRY(machine_items(machine, arguments->self, &items, &count, err));
    Value sum = arguments->given[1] ? arguments->values[1] : value_int(0);
    for (size_t i = 0; i < count; i++) {
        Value item = items[i];
        if (!argument_is_missing(arguments, 0))
            TRY(attribute_of(machine, item, arguments->values[0], &item, err));
        TRY(machine_step(machine, err) &&
            operator_apply(machine, OPERATOR_ADD, sum, item, &sum, err));
    }
    *ret_value = sum;
    return true;
}

bool filter_batch(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    const Value *items = NULL;
    size_t count = 0;
    TRY(machine_items(machine, arguments->self, &items, &count, err));
    if (arguments->values[0].kind != VALUE_INT || arguments->values[0].integer < 1)
        return raise_type(machine, err, "batch: the size must be a positive integer");
    const int64_t asked = arguments->values[0].integer;
    const size_t size = (uint64_t)asked > count ? (count > 0 ? count : 1) : (size_t)asked;
    const size_t batches = (count + size - 1) / size;
    if (arguments->given[1] && (uint64_t)asked > MACHINE_STEPS_MAX)
        return error_set(err, ERROR_LIMIT, "batch: more than %d items", (int)MACHINE_STEPS_MAX);
    const bool fill = !argument_is_missing(arguments, 1);
    Value *lists = arena_alloc_array(machine->arena, batches, sizeof(*lists), err);
    TRY(lists != NULL);
    for (size_t i = 0; i < batches; i++) {
        const size_t from = i * size;
        const size_t here = count - from < size ? count - from : size;
        const size_t room = fill ? (size_t)asked : here;
        Value *batch = arena_alloc_array(machine->arena, room, sizeof(*batch), err);
        TRY(batch != NULL);
        for (size_t j = 0; j < room; j++) {
            TRY(machine_step(machine, err));
            batch[j] = j < here ? items[from + j] : arguments->values[1];
        }
        lists[i] = value_list(batch, room);
    }
    *ret_value = value_list(lists, batches);
    ret_value->kind = VALUE_GENERATOR;
    return true;
}

bool filter_attr(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    Str name = {0};
    bool found = false;
    *ret_value = value_undefined();
    if (arguments->self.kind == VALUE_UNDEFINED)
        return raise_undefined(machine, err, "attr of something undefined");
    return machine_str(machine, arguments->values[0], &name, err) &&
           attribute_find(machine, arguments->self, name, ret_value, &found, err);
}
