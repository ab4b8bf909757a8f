#include "connector/template.h"

#include "connector/template_eval.h"

#include <assert.h>
#include <math.h>

// --- scopes

static bool find_entry(const Scope *scope, Str name, Value *ret_value)
{
    for (size_t i = 0; i < scope->count; i++) {
        if (str_equal(scope->entries[i].name, name)) {
            *ret_value = scope->entries[i].value;
            return true;
        }
    }
    return false;
}

bool scope_find(const Scope *scope, Str name, Value *ret_value)
{
    if (find_entry(scope, name, ret_value))
        return true;
    const bool alias =
        str_equal(name, STR("stream_interval")) || str_equal(name, STR("stream_partition"));
    return alias && find_entry(scope, STR("stream_slice"), ret_value);
}

// --- compilation

// Whether `source` stays itself: no tag, no line end that Jinja would touch, and no literal.
static bool find_plain(const Template *template, Arena *arena, bool *ret_plain, Error *err)
{
    *ret_plain = false;
    if (!template->is_text || template->uses_state || template->source.size == 0 ||
        !str_equal(template->source, template->normalised))
        return true;
    Value value;
    if (!value_parse_literal(template->source, arena, &value, err)) {
        *ret_plain = err->code == ERROR_NONE;
        return *ret_plain;
    }
    return true;
}

bool template_compile(Str source, Str place, Arena *arena, const Template **ret_template,
                      Error *err)
{
    Template *template = arena_alloc(arena, sizeof(*template), err);
    TRY(template != NULL);
    template->source = source;
    template->place = place;
    template->uses_state = str_find(source, STR("stream_state")) < source.size;
    if (!template_normalise(source, arena, &template->normalised, err) ||
        !template_parse(template->normalised, arena, template, err))
        return error_context(err, STR_FMT ": template", STR_ARG(place));
    const Steps *steps = &template->steps;
    template->is_text = template->normalised.size == 0 ||
                        (steps->count == 1 && steps->items[0]->kind == STEP_TEXT &&
                         str_equal(steps->items[0]->text, template->normalised));
    TRY(find_plain(template, arena, &template->plain, err));
    *ret_template = template;
    return true;
}

bool template_is_plain(const Template *template)
{
    return template->plain;
}

// --- evaluation

static bool check_names(const Template *template, const Scope *scope, Error *err)
{
    if (template->uses_state)
        return error_set(err, ERROR_JOB, "stream_state cannot be used: use stream_interval");
    for (size_t i = 0; i < template->name_count; i++) {
        const Str name = template->names[i];
        Value value;
        if (!scope_find(scope, name, &value) && !str_equal(name, STR("self")))
            return error_set(err, ERROR_JOB, "no variable is named '" STR_FMT "' here",
                             STR_ARG(name));
    }
    return true;
}

// Numbers, booleans and None print as literals that read back as themselves, so neither is done
// until somebody wants the text.
static bool is_own_literal(Value value)
{
    return value.kind == VALUE_NONE || value.kind == VALUE_BOOL || value.kind == VALUE_INT ||
           value.kind == VALUE_BIGINT || (value.kind == VALUE_FLOAT && isfinite(value.number));
}

// What the template prints: a str, or what is_own_literal().
static bool run(Machine *machine, Value *ret_value, Error *err)
{
    const Steps steps = machine->template->steps;
    if (steps.count == 1 && steps.items[0]->kind == STEP_PRINT) {
        Value value = value_undefined();
        Str text = {0};
        TRY(term_eval(machine, steps.items[0]->term, &value, err));
        if (!is_own_literal(value)) {
            TRY(machine_str(machine, value, &text, err));
            value = value_str(text);
        }
        *ret_value = value;
        return true;
    }
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    machine->out = &out;
    return steps_run(machine, steps, err) && machine_take(machine, &out, ret_value, err);
}

static bool fail_here(const Template *template, Error *err)
{
    return error_context(err, STR_FMT ": template", STR_ARG(template->place));
}

static bool evaluate(const Template *template, const Scope *scope, Arena *arena, Value *ret_value,
                     TemplateOutcome *ret_outcome, Error *err)
{
    assert(scope->env != NULL);

    if (!check_names(template, scope, err))
        return fail_here(template, err);
    *ret_outcome = TEMPLATE_OK;
    if (template->is_text) {
        *ret_value = value_str(template->normalised);
        return true;
    }
    Machine machine = {.template = template, .scope = scope, .arena = arena};
    if (run(&machine, ret_value, err))
        return true;
    if (machine.raised == TEMPLATE_OK)
        return fail_here(template, err);
    *err = (Error){0};
    *ret_outcome = machine.raised;
    return true;
}

bool template_render(const Template *template, const Scope *scope, Arena *arena, Str *ret_text,
                     TemplateOutcome *ret_outcome, Error *err)
{
    Value value = value_undefined();
    TRY(evaluate(template, scope, arena, &value, ret_outcome, err));
    if (*ret_outcome != TEMPLATE_OK)
        return true;
    Machine machine = {.template = template, .scope = scope, .arena = arena};
    return machine_str(&machine, value, ret_text, err);
}

// The reference's way: the text as a literal, or itself; where Python's TypeError arose, the
// source. *ret_found = false: undefined or empty, so that the default applies.
static bool interpolate(const Template *template, const Scope *scope, Arena *arena,
                        Value *ret_value, TemplateOutcome *ret_outcome, bool *ret_found, Error *err)
{
    *ret_outcome = TEMPLATE_OK;
    *ret_found = true;
    if (template->plain) {
        *ret_value = value_str(template->source);
        return true;
    }
    Value value = value_undefined();
    TRY(evaluate(template, scope, arena, &value, ret_outcome, err));
    if (*ret_outcome == TEMPLATE_TYPE_ERROR)
        value = value_str(template->source);
    if (*ret_outcome == TEMPLATE_UNDEFINED || (value.kind == VALUE_STR && value.text.size == 0)) {
        *ret_found = false;
        return true;
    }
    *ret_value = value;
    if (value.kind != VALUE_STR)
        return true;
    if (!value_parse_literal(value.text, arena, ret_value, err))
        return err->code == ERROR_NONE; // the text it is
    return true;
}

static bool fail_undefined(const Template *template, Error *err)
{
    (void)error_set(err, ERROR_DATA, "'" STR_FMT "' uses a value that is undefined",
                    STR_ARG(str_slice(template->source, 0, 120)));
    return fail_here(template, err);
}

bool template_eval_string(const Template *template, const Scope *scope, Arena *arena,
                          Value *ret_value, Error *err)
{
    Value value = value_undefined();
    TemplateOutcome outcome = TEMPLATE_OK;
    bool found = false;
    TRY(interpolate(template, scope, arena, &value, &outcome, &found, err));
    // The default is the template itself, which would be undefined, or empty, once more.
    if (outcome == TEMPLATE_UNDEFINED)
        return fail_undefined(template, err);
    *ret_value = found ? value : value_str(STR(""));
    return true;
}

bool template_eval_member(const Template *template, const Scope *scope, Arena *arena,
                          Value *ret_value, Error *err)
{
    Value value = value_undefined();
    TemplateOutcome outcome = TEMPLATE_OK;
    bool found = false;
    TRY(interpolate(template, scope, arena, &value, &outcome, &found, err));
    *ret_value = found ? value : value_none();
    return true;
}

// The reference's FALSE_VALUES.
static bool is_false(Value value)
{
    static const char *const texts[] = {"False", "false", "{}", "[]", "()", "", "0", "0.0"};
    if (value.kind != VALUE_STR)
        return !value_is_true(value);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (str_equal(value.text, str_from(texts[i])))
            return true;
    }
    return false;
}

bool template_eval_bool(const Template *template, const Scope *scope, Arena *arena, bool *ret_value,
                        Error *err)
{
    Value value = value_undefined();
    TemplateOutcome outcome = TEMPLATE_OK;
    bool found = false;
    TRY(interpolate(template, scope, arena, &value, &outcome, &found, err));
    *ret_value = found && !is_false(value);
    return true;
}
