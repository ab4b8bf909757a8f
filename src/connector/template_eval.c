#include "connector/template_eval.h"

#include <assert.h>

// --- names

static Local *find_local(Machine *machine, Str name, size_t from)
{
    for (size_t i = machine->local_count; i > from; i--) {
        if (str_equal(machine->locals[i - 1].name, name))
            return &machine->locals[i - 1];
    }
    return NULL;
}

static bool set_local(Machine *machine, Str name, Value value, Error *err)
{
    Local *local = find_local(machine, name, machine->frame);
    if (local == NULL) {
        if (machine->local_count == MACHINE_LOCALS_MAX)
            return error_set(err, ERROR_LIMIT, "more than %d variables", (int)MACHINE_LOCALS_MAX);
        if (machine->locals == NULL)
            machine->locals =
                arena_alloc_array(machine->arena, MACHINE_LOCALS_MAX, sizeof(Local), err);
        TRY(machine->locals != NULL);
        local = &machine->locals[machine->local_count++];
    }
    *local = (Local){name, value};
    return true;
}

static bool eval_name(Machine *machine, Str name, Value *ret_value, Error *err)
{
    const Local *local = find_local(machine, name, 0);
    if (local != NULL) {
        *ret_value = local->value;
        return true;
    }
    if (scope_find(machine->scope, name, ret_value))
        return true;
    const Function *function = macro_find(name);
    if (function == NULL) {
        *ret_value = value_undefined();
        return true;
    }
    Bound *bound = arena_alloc(machine->arena, sizeof(*bound), err);
    TRY(bound != NULL);
    *bound = (Bound){function, value_undefined()};
    *ret_value = (Value){.kind = VALUE_FUNCTION, .function = bound};
    return true;
}

// --- containers

static bool eval_items(Machine *machine, const Term *const *terms, size_t count, Value **ret_items,
                       Error *err)
{
    Value *items = arena_alloc_array(machine->arena, count, sizeof(*items), err);
    TRY(items != NULL);
    for (size_t i = 0; i < count; i++)
        TRY(term_eval(machine, terms[i], &items[i], err));
    *ret_items = items;
    return true;
}

static bool eval_sequence(Machine *machine, const Term *term, Value *ret_value, Error *err)
{
    Value *items = NULL;
    TRY(eval_items(machine, term->items, term->count, &items, err));
    *ret_value = value_list(items, term->count);
    if (term->kind == TERM_TUPLE)
        ret_value->kind = VALUE_TUPLE;
    return true;
}

static bool eval_dict(Machine *machine, const Term *term, Value *ret_value, Error *err)
{
    ValuePair *pairs = arena_alloc_array(machine->arena, term->count / 2, sizeof(*pairs), err);
    TRY(pairs != NULL);
    size_t count = 0;
    for (size_t i = 0; i < term->count; i += 2) {
        ValuePair pair;
        TRY(term_eval(machine, term->items[i], &pair.key, err) &&
            term_eval(machine, term->items[i + 1], &pair.value, err));
        if (value_is_mapping(pair.key) || value_type(pair.key)[0] == 'l')
            return raise_type(machine, err, "unhashable type: '%s'", value_type(pair.key));
        // Of equal keys the last value counts, at the first one's place.
        size_t at = 0;
        while (at < count && !value_equal(pairs[at].key, pair.key))
            at++;
        if (at == count)
            pairs[count++].key = pair.key;
        pairs[at].value = pair.value;
    }
    *ret_value = value_dict(pairs, count);
    return true;
}

// --- operators

static bool eval_condition(Machine *machine, const Term *term, Value *ret_value, Error *err)
{
    Value test = value_undefined();
    TRY(term_eval(machine, term->items[0], &test, err));
    const Term *chosen = term->items[value_is_true(test) ? 1 : 2];
    if (chosen != NULL)
        return term_eval(machine, chosen, ret_value, err);
    *ret_value = value_undefined();
    return true;
}

static bool eval_logic(Machine *machine, const Term *term, Value *ret_value, Error *err)
{
    TRY(term_eval(machine, term->items[0], ret_value, err));
    if (value_is_true(*ret_value) == (term->kind == TERM_OR))
        return true;
    return term_eval(machine, term->items[1], ret_value, err);
}

static bool eval_comparison(Machine *machine, const Term *term, Value *ret_value, Error *err)
{
    Value left = value_undefined();
    bool holds = true;
    TRY(term_eval(machine, term->items[0], &left, err));
    for (size_t i = 1; i < term->count && holds; i++) {
        Value right = value_undefined();
        TRY(term_eval(machine, term->items[i], &right, err) &&
            operator_compare(machine, term->operators[i - 1], left, right, &holds, err));
        left = right;
    }
    *ret_value = value_bool(holds);
    return true;
}

static bool eval_binary(Machine *machine, const Term *term, Value *ret_value, Error *err)
{
    Value left = value_undefined();
    Value right = value_undefined();
    return term_eval(machine, term->items[0], &left, err) &&
           term_eval(machine, term->items[1], &right, err) &&
           operator_apply(machine, term->operators[0], left, right, ret_value, err);
}

static bool eval_big_sign(Machine *machine, Value value, bool minus, Value *ret_value, Error *err)
{
    Str text = {0};
    *ret_value = value;
    if (!minus)
        return true;
    TRY(machine_str(machine, value, &text, err));
    if (str_starts_with(text, STR("-")))
        text = str_slice(text, 1, text.size);
    else
        TRY(arena_printf(machine->arena, &text, err, "-" STR_FMT, STR_ARG(text)));
    int64_t integer = 0;
    if (str_to_int64(text, &integer)) // the one that 64 bits hold on one side only
        *ret_value = value_int(integer);
    else
        ret_value->text = text;
    return true;
}

// -x and +x, as 0 - x and 0 + x, which agree for numbers.
static bool eval_sign(Machine *machine, const Term *term, Value *ret_value, Error *err)
{
    Value value = value_undefined();
    TRY(term_eval(machine, term->items[0], &value, err));
    const bool minus = term->kind == TERM_NEGATE;
    if (value.kind == VALUE_FLOAT) {
        *ret_value = value_float(minus ? -value.number : value.number);
        return true;
    }
    if (value.kind == VALUE_TIMEDELTA && minus) {
        value.integer = -value.integer;
        value.offset_seconds = -value.offset_seconds;
    }
    if (value.kind == VALUE_TIMEDELTA) {
        *ret_value = value;
        return true;
    }
    if (value.kind == VALUE_BIGINT)
        return eval_big_sign(machine, value, minus, ret_value, err);
    const bool number = value.kind == VALUE_INT || value.kind == VALUE_BOOL;
    if (!number && value.kind != VALUE_UNDEFINED)
        return raise_type(machine, err, "bad operand type for unary %c: '%s'", minus ? '-' : '+',
                          value_type(value));
    return operator_apply(machine, minus ? OPERATOR_SUBTRACT : OPERATOR_ADD, value_int(0), value,
                          ret_value, err);
}

static bool eval_concat(Machine *machine, const Term *term, Value *ret_value, Error *err)
{
    CLEANUP(buf_done) Buf text = {.limit_bytes = MACHINE_BYTES_MAX};
    for (size_t i = 0; i < term->count; i++) {
        Value value = value_undefined();
        TRY(term_eval(machine, term->items[i], &value, err) && value_write_str(value, &text, err));
    }
    return machine_take(machine, &text, ret_value, err);
}

static bool eval_item(Machine *machine, const Term *term, Value *ret_value, Error *err)
{
    Value value = value_undefined();
    Value key = value_undefined();
    TRY(term_eval(machine, term->items[0], &value, err));
    const Term *subscript = term->items[1];
    if (subscript->kind != TERM_SLICE)
        return term_eval(machine, subscript, &key, err) &&
               operator_item(machine, value, key, ret_value, err);
    Value bounds[3] = {value_none(), value_none(), value_none()};
    for (size_t i = 0; i < 3; i++) {
        if (subscript->items[i] != NULL)
            TRY(term_eval(machine, subscript->items[i], &bounds[i], err));
    }
    return operator_slice(machine, value, bounds, ret_value, err);
}

// --- calls

// Evaluates a call's arguments and runs `function` on `self`.
static bool run_function(Machine *machine, const Function *function, Value self, const Term *term,
                         Value *ret_value, Error *err)
{
    Value *items = NULL;
    TRY(eval_items(machine, term->items + 1, term->count - 1, &items, err));
    Local *named = NULL;
    if (term->keyword_count > 0) {
        named = arena_alloc_array(machine->arena, term->keyword_count, sizeof(*named), err);
        TRY(named != NULL);
    }
    for (size_t i = 0; i < term->keyword_count; i++) {
        named[i].name = term->keywords[i].name;
        TRY(term_eval(machine, term->keywords[i].term, &named[i].value, err));
    }
    Arguments arguments = {.self = self,
                           .items = items,
                           .count = term->count - 1,
                           .named = named,
                           .named_count = term->keyword_count};
    return function_call(machine, function, &arguments, ret_value, err);
}

static bool eval_call(Machine *machine, const Term *term, Value *ret_value, Error *err)
{
    Value callee = value_undefined();
    TRY(term_eval(machine, term->items[0], &callee, err));
    if (callee.kind == VALUE_UNDEFINED)
        return raise_undefined(machine, err, "'" STR_FMT "' is undefined",
                               STR_ARG(term->items[0]->name));
    if (callee.kind != VALUE_FUNCTION)
        return raise_type(machine, err, "'%s' object is not callable", value_type(callee));
    const Bound *bound = callee.function;
    return run_function(machine, bound->function, bound->self, term, ret_value, err);
}

static bool eval_on_subject(Machine *machine, const Term *term, Value *ret_value, Error *err)
{
    Value subject = value_undefined();
    return term_eval(machine, term->items[0], &subject, err) &&
           run_function(machine, term->function, subject, term, ret_value, err);
}

static bool eval_attribute(Machine *machine, const Term *term, Value *ret_value, Error *err)
{
    Value value = value_undefined();
    return term_eval(machine, term->items[0], &value, err) &&
           operator_attribute(machine, value, term->name, ret_value, err);
}

static bool eval_kind(Machine *machine, const Term *term, Value *ret_value, Error *err)
{
    switch (term->kind) {
    case TERM_CONST:
        *ret_value = term->constant;
        return true;
    case TERM_NAME:
        return eval_name(machine, term->name, ret_value, err);
    case TERM_LIST:
    case TERM_TUPLE:
        return eval_sequence(machine, term, ret_value, err);
    case TERM_DICT:
        return eval_dict(machine, term, ret_value, err);
    case TERM_CONDITION:
        return eval_condition(machine, term, ret_value, err);
    case TERM_AND:
    case TERM_OR:
        return eval_logic(machine, term, ret_value, err);
    case TERM_NOT:
        TRY(term_eval(machine, term->items[0], ret_value, err));
        *ret_value = value_bool(!value_is_true(*ret_value));
        return true;
    case TERM_COMPARE:
        return eval_comparison(machine, term, ret_value, err);
    case TERM_BINARY:
        return eval_binary(machine, term, ret_value, err);
    case TERM_NEGATE:
    case TERM_POSITIVE:
        return eval_sign(machine, term, ret_value, err);
    case TERM_CONCAT:
        return eval_concat(machine, term, ret_value, err);
    case TERM_ATTRIBUTE:
        return eval_attribute(machine, term, ret_value, err);
    case TERM_ITEM:
        return eval_item(machine, term, ret_value, err);
    case TERM_SLICE:
        break; // only ever inside TERM_ITEM or a tuple of subscripts
    case TERM_CALL:
        return eval_call(machine, term, ret_value, err);
    case TERM_FILTER:
    case TERM_TEST:
        return eval_on_subject(machine, term, ret_value, err);
    }
    return raise_type(machine, err, "a slice cannot stand here");
}

bool term_eval(Machine *machine, const Term *term, Value *ret_value, Error *err)
{
    TRY(machine_step(machine, err));
    // Chains of operators ("a + b + c ...") are deep terms without being deep sources.
    if (machine->depth == EVAL_DEPTH_MAX)
        return error_set(err, ERROR_LIMIT, "nested deeper than %d", (int)EVAL_DEPTH_MAX);
    machine->depth++;
    const bool ok = eval_kind(machine, term, ret_value, err);
    machine->depth--;
    return ok;
}

// --- statements

// Gives `value` to the names of a set or for, unpacking it where there are several.
static bool assign(Machine *machine, const Step *step, Value value, Error *err)
{
    if (!step->unpack)
        return set_local(machine, step->names[0], value, err);
    const Value *items = NULL;
    size_t count = 0;
    TRY(machine_items(machine, value, &items, &count, err));
    if (count != step->name_count)
        return raise_value(machine, err, "%zu values for %zu names", count, step->name_count);
    for (size_t i = 0; i < count; i++)
        TRY(set_local(machine, step->names[i], items[i], err));
    return true;
}

static bool run_set(Machine *machine, const Step *step, Error *err)
{
    Value value = value_undefined();
    if (step->term != NULL)
        return term_eval(machine, step->term, &value, err) && assign(machine, step, value, err);
    CLEANUP(buf_done) Buf text = {.limit_bytes = MACHINE_BYTES_MAX};
    Buf *outer = machine->out;
    machine->out = &text;
    // What a set block sets inside stays inside, like a loop's.
    const size_t frame = machine->frame;
    const size_t count = machine->local_count;
    machine->frame = count;
    const bool ok = steps_run(machine, step->body, err);
    machine->frame = frame;
    machine->local_count = count;
    machine->out = outer;
    return ok && machine_take(machine, &text, &value, err) && assign(machine, step, value, err);
}

enum { LOOP_MEMBERS = 9 };

// The variable `loop`. Its pairs are filled anew for each round: nothing outlives a round but what
// is printed.
static Value fill_loop(const Value *items, size_t index, size_t count, ValuePair *pairs)
{
    const ValuePair now[LOOP_MEMBERS] = {
        {value_str(STR("index")), value_int((int64_t)index + 1)},
        {value_str(STR("index0")), value_int((int64_t)index)},
        {value_str(STR("revindex")), value_int((int64_t)(count - index))},
        {value_str(STR("revindex0")), value_int((int64_t)(count - index) - 1)},
        {value_str(STR("first")), value_bool(index == 0)},
        {value_str(STR("last")), value_bool(index + 1 == count)},
        {value_str(STR("length")), value_int((int64_t)count)},
        {value_str(STR("previtem")), index > 0 ? items[index - 1] : value_undefined()},
        {value_str(STR("nextitem")), index + 1 < count ? items[index + 1] : value_undefined()},
    };
    memcpy(pairs, now, sizeof(now));
    return value_dict(pairs, LOOP_MEMBERS);
}

// Of `items`, those for which the loop's condition holds.
static bool filter_items(Machine *machine, const Step *step, const Value **items, size_t *count,
                         Error *err)
{
    Value *kept = arena_alloc_array(machine->arena, *count, sizeof(*kept), err);
    TRY(kept != NULL);
    size_t kept_count = 0;
    for (size_t i = 0; i < *count; i++) {
        Value test = value_undefined();
        TRY(assign(machine, step, (*items)[i], err) &&
            term_eval(machine, step->filter, &test, err));
        if (value_is_true(test))
            kept[kept_count++] = (*items)[i];
    }
    *items = kept;
    *count = kept_count;
    return true;
}

static bool run_loop(Machine *machine, const Step *step, const Value *items, size_t count,
                     Error *err)
{
    if (step->filter != NULL)
        TRY(filter_items(machine, step, &items, &count, err));
    const size_t base = machine->frame;
    ValuePair *pairs = arena_alloc_array(machine->arena, LOOP_MEMBERS, sizeof(*pairs), err);
    TRY(pairs != NULL);
    for (size_t i = 0; i < count; i++) {
        machine->local_count = base; // each round starts afresh
        TRY(machine_step(machine, err) && assign(machine, step, items[i], err));
        if (step->uses_loop)
            TRY(set_local(machine, STR("loop"), fill_loop(items, i, count, pairs), err));
        TRY(steps_run(machine, step->body, err));
    }
    machine->local_count = base;
    return count > 0 || steps_run(machine, step->otherwise, err);
}

static bool run_for(Machine *machine, const Step *step, Error *err)
{
    Value value = value_undefined();
    const Value *items = NULL;
    size_t count = 0;
    TRY(term_eval(machine, step->term, &value, err) &&
        machine_items(machine, value, &items, &count, err));
    const size_t frame = machine->frame;
    machine->frame = machine->local_count;
    const bool ok = run_loop(machine, step, items, count, err);
    machine->local_count = machine->frame;
    machine->frame = frame;
    return ok;
}

static bool run_step(Machine *machine, const Step *step, Error *err)
{
    Value value = value_undefined();
    switch (step->kind) {
    case STEP_TEXT:
        return buf_append(machine->out, step->text, err);
    case STEP_PRINT:
        return term_eval(machine, step->term, &value, err) &&
               value_write_str(value, machine->out, err);
    case STEP_IF:
        TRY(term_eval(machine, step->term, &value, err));
        return steps_run(machine, value_is_true(value) ? step->body : step->otherwise, err);
    case STEP_FOR:
        return run_for(machine, step, err);
    case STEP_SET:
        return run_set(machine, step, err);
    }
    return false;
}

bool steps_run(Machine *machine, Steps steps, Error *err)
{
    for (size_t i = 0; i < steps.count; i++)
        TRY(machine_step(machine, err) && run_step(machine, steps.items[i], err));
    return true;
}
