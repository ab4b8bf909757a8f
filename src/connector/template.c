#include "connector/template.h"

#include "connector/template_eval.h"

#include <assert.h>

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

// The value of the one expression that the template is: its text is not made before it is needed.
static bool run_single(Machine *machine, const Term *term, Str *ret_text, Error *err)
{
    Value value = value_undefined();
    return term_eval(machine, term, &value, err) && machine_str(machine, value, ret_text, err);
}

static bool run(Machine *machine, Str *ret_text, Error *err)
{
    const Steps steps = machine->template->steps;
    if (steps.count == 1 && steps.items[0]->kind == STEP_PRINT)
        return run_single(machine, steps.items[0]->term, ret_text, err);
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    machine->out = &out;
    return steps_run(machine, steps, err) &&
           arena_copy_str(machine->arena, buf_str(&out), ret_text, err);
}

static bool fail_here(const Template *template, Error *err)
{
    return error_context(err, STR_FMT ": template", STR_ARG(template->place));
}

bool template_render(const Template *template, const Scope *scope, Arena *arena, Str *ret_text,
                     TemplateOutcome *ret_outcome, Error *err)
{
    assert(scope->env != NULL);

    if (!check_names(template, scope, err))
        return fail_here(template, err);
    *ret_outcome = TEMPLATE_OK;
    if (template->is_text) {
        *ret_text = template->normalised;
        return true;
    }
    Machine machine = {.template = template, .scope = scope, .arena = arena};
    if (run(&machine, ret_text, err))
        return true;
    if (machine.raised == TEMPLATE_OK)
        return fail_here(template, err);
    *err = (Error){0};
    *ret_outcome = machine.raised;
    return true;
}

// Renders; where Python's TypeError arose, the text is the source. *ret_found = false: undefined or
// empty, so that the default applies.
static bool render_or_default(const Template *template, const Scope *scope, Arena *arena,
                              Str *ret_text, TemplateOutcome *ret_outcome, bool *ret_found,
                              Error *err)
{
    TRY(template_render(template, scope, arena, ret_text, ret_outcome, err));
    if (*ret_outcome == TEMPLATE_TYPE_ERROR)
        *ret_text = template->source;
    *ret_found = *ret_outcome != TEMPLATE_UNDEFINED && ret_text->size > 0;
    return true;
}

static bool literal_or_text(Str text, Arena *arena, Value *ret_value, Error *err)
{
    if (value_parse_literal(text, arena, ret_value, err))
        return true;
    TRY(err->code == ERROR_NONE);
    *ret_value = value_str(text);
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
    if (template->plain) {
        *ret_value = value_str(template->source);
        return true;
    }
    Str text = {0};
    TemplateOutcome outcome = TEMPLATE_OK;
    bool found = false;
    TRY(render_or_default(template, scope, arena, &text, &outcome, &found, err));
    // The default is the template itself, which would be undefined, or empty, once more.
    if (outcome == TEMPLATE_UNDEFINED)
        return fail_undefined(template, err);
    return literal_or_text(text, arena, ret_value, err);
}

bool template_eval_member(const Template *template, const Scope *scope, Arena *arena,
                          Value *ret_value, Error *err)
{
    if (template->plain) {
        *ret_value = value_str(template->source);
        return true;
    }
    Str text = {0};
    TemplateOutcome outcome = TEMPLATE_OK;
    bool found = false;
    TRY(render_or_default(template, scope, arena, &text, &outcome, &found, err));
    if (found)
        return literal_or_text(text, arena, ret_value, err);
    *ret_value = value_none();
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
    Str text = {0};
    TemplateOutcome outcome = TEMPLATE_OK;
    bool found = false;
    TRY(render_or_default(template, scope, arena, &text, &outcome, &found, err));
    Value value = value_bool(false);
    if (found)
        TRY(literal_or_text(text, arena, &value, err));
    *ret_value = !is_false(value);
    return true;
}

bool template_eval_text(const Template *template, const Scope *scope, Arena *arena, Str *ret_text,
                        Error *err)
{
    TemplateOutcome outcome = TEMPLATE_OK;
    bool found = false;
    TRY(render_or_default(template, scope, arena, ret_text, &outcome, &found, err));
    return outcome != TEMPLATE_UNDEFINED || fail_undefined(template, err);
}
