// Tokens to steps: text, {{ }}, if, for and set.

#include "connector/template_parser.h"

enum { LIST_FIRST = 4 };

static bool parse_steps(Parser *parser, const char *ends, Steps *ret_steps, Error *err);

static bool declare(Parser *parser, Str name, Error *err)
{
    if (parser->declared_count == TEMPLATE_NAMES_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d variables", (int)TEMPLATE_NAMES_MAX);
    parser->declared[parser->declared_count++] = name;
    return true;
}

typedef struct StepList {
    const Step **items;
    size_t count, room;
} StepList;

static bool steps_add(Parser *parser, StepList *list, Step step, Error *err)
{
    if (list->count == list->room) {
        const size_t room = list->room == 0 ? LIST_FIRST : list->room * 2;
        const Step **items = arena_alloc_array(parser->arena, room, sizeof(Step *), err);
        TRY(items != NULL);
        for (size_t i = 0; i < list->count; i++)
            items[i] = list->items[i];
        list->items = items;
        list->room = room;
    }
    Step *copy = arena_alloc(parser->arena, sizeof(*copy), err);
    TRY(copy != NULL);
    *copy = step;
    list->items[list->count++] = copy;
    return true;
}

// Names with commas between, in parentheses or not.
static bool parse_targets(Parser *parser, Step *step, Error *err)
{
    const bool parentheses = parser_skip_operator(parser, "(");
    Str *names = arena_alloc_array(parser->arena, ARGUMENTS_MAX, sizeof(Str), err);
    TRY(names != NULL);
    do {
        if (step->name_count > 0 &&
            (parser_is_operator(parser, ")") || parser_is_operator(parser, "=")))
            break;
        if (step->name_count == ARGUMENTS_MAX)
            return parser_fail(parser, err, "too many names");
        TRY(parser_expect_name(parser, &names[step->name_count], err));
        step->name_count++;
    } while (parser_is_operator(parser, ",") && (step->unpack = true) &&
             parser_skip_operator(parser, ","));
    step->names = names;
    return !parentheses || parser_expect_operator(parser, ")", err);
}

static bool declare_targets(Parser *parser, const Step *step, Error *err)
{
    for (size_t i = 0; i < step->name_count; i++)
        TRY(declare(parser, step->names[i], err));
    return true;
}

static bool end_block(Parser *parser, Error *err)
{
    return parser_expect_kind(parser, TOKEN_BLOCK_END, "expected the end of the tag", err);
}

// A name that is set inside an if is asked of the scope too, as Jinja does, whichever branches set
// it.
static bool leave_branch(Parser *parser, size_t outer, Error *err)
{
    const size_t count = parser->declared_count;
    parser->declared_count = outer;
    for (size_t i = outer; i < count; i++)
        TRY(parser_need_name(parser, parser->declared[i], err));
    return true;
}

// From behind "if" or "elif" up to and including endif.
static bool parse_if(Parser *parser, Step *step, Error *err)
{
    step->kind = STEP_IF;
    TRY(parser_enter(parser, err));
    TRY(parser_read_tuple(parser, false, false, &step->term, err) && end_block(parser, err));
    const size_t outer = parser->declared_count;
    TRY(parse_steps(parser, "elif else endif", &step->body, err));
    TRY(leave_branch(parser, outer, err));

    StepList chain = {0};
    Step next = {0};
    if (parser_skip_name(parser, "elif")) {
        TRY(parse_if(parser, &next, err) && steps_add(parser, &chain, next, err));
        step->otherwise = (Steps){chain.items, chain.count};
    } else if (parser_skip_name(parser, "else")) {
        TRY(end_block(parser, err) && parse_steps(parser, "endif", &step->otherwise, err));
        parser->at++; // endif
    } else {
        parser->at++;
    }
    parser->depth--;
    return leave_branch(parser, outer, err);
}

static bool parse_for(Parser *parser, Step *step, Error *err)
{
    step->kind = STEP_FOR;
    TRY(parse_targets(parser, step, err));
    if (!parser_skip_name(parser, "in"))
        return parser_fail(parser, err, "expected 'in'");
    TRY(parser_read_tuple(parser, false, false, &step->term, err));
    const size_t outer = parser->declared_count;
    TRY(declare_targets(parser, step, err));
    if (parser_skip_name(parser, "if"))
        TRY(parser_read_expression(parser, &step->filter, err));
    if (parser_is_name(parser, "recursive"))
        return parser_fail(parser, err, "recursive loops are not supported");
    TRY(end_block(parser, err) && declare(parser, STR("loop"), err));
    const bool outer_used = parser->loop_used;
    parser->loop_used = false;
    TRY(parse_steps(parser, "else endfor", &step->body, err));
    step->uses_loop = parser->loop_used;
    parser->loop_used = outer_used;
    parser->declared_count = outer;
    if (parser_skip_name(parser, "else")) {
        TRY(end_block(parser, err) && parse_steps(parser, "endfor", &step->otherwise, err));
        parser->declared_count = outer;
    }
    parser->at++; // endfor
    return true;
}

static bool parse_set(Parser *parser, Step *step, Error *err)
{
    step->kind = STEP_SET;
    TRY(parse_targets(parser, step, err));
    if (parser_skip_operator(parser, "=")) {
        TRY(parser_read_tuple(parser, true, false, &step->term, err));
        return declare_targets(parser, step, err);
    }
    if (step->name_count != 1)
        return parser_fail(parser, err, "expected '='");
    if (parser_is_operator(parser, "|"))
        return parser_fail(parser, err, "filters of a set block are not supported");
    const size_t outer = parser->declared_count;
    TRY(end_block(parser, err) && parse_steps(parser, "endset", &step->body, err));
    parser->at++; // endset
    parser->declared_count = outer;
    return declare_targets(parser, step, err);
}

static bool parse_statement(Parser *parser, Step *step, Error *err)
{
    if (parser_skip_name(parser, "if"))
        return parse_if(parser, step, err);
    if (parser_skip_name(parser, "for"))
        return parse_for(parser, step, err);
    if (parser_skip_name(parser, "set"))
        return parse_set(parser, step, err);
    return parser_fail(parser, err, "expected if, for or set (other statements are not supported)");
}

static bool is_end_word(const Parser *parser, const char *ends)
{
    if (parser->tokens[parser->at].kind != TOKEN_BLOCK_BEGIN)
        return false;
    Str rest = str_from(ends);
    while (rest.size > 0) {
        const Str word = str_split_next(&rest, ' ');
        const Token *token = &parser->tokens[parser->at + 1];
        if (token->kind == TOKEN_NAME && str_equal(token->text, word))
            return true;
    }
    return false;
}

static bool parse_step(Parser *parser, Step *step, Error *err)
{
    const Token *token = parser_now(parser);
    parser->at++;
    if (token->kind == TOKEN_DATA) {
        *step = (Step){.kind = STEP_TEXT, .text = token->text};
        return true;
    }
    if (token->kind == TOKEN_PRINT_BEGIN) {
        step->kind = STEP_PRINT;
        return parser_read_tuple(parser, true, false, &step->term, err) &&
               parser_expect_kind(parser, TOKEN_PRINT_END, "expected '}}'", err);
    }
    return parse_statement(parser, step, err) && end_block(parser, err);
}

// Steps up to one of the words in `ends` (which is left to the caller, its "{%" passed), or to the
// end where there are none.
static bool parse_steps(Parser *parser, const char *ends, Steps *ret_steps, Error *err)
{
    TRY(parser_enter(parser, err));
    StepList list = {0};
    while (parser_now(parser)->kind != TOKEN_END && !is_end_word(parser, ends)) {
        Step step = {0};
        TRY(parse_step(parser, &step, err) && steps_add(parser, &list, step, err));
    }
    if (ends[0] != '\0' && parser_now(parser)->kind == TOKEN_END)
        return error_set(err, ERROR_JOB, "a block without its end (%s)", ends);
    parser->at += ends[0] != '\0' ? 1 : 0;
    parser->depth--;
    *ret_steps = (Steps){list.items, list.count};
    return true;
}

bool template_parse(Str source, Arena *arena, Template *template, Error *err)
{
    Tokens tokens = {0};
    TRY(template_tokenise(source, arena, &tokens, err));
    Str names[TEMPLATE_NAMES_MAX];
    template->names = names;
    Parser parser = {.tokens = tokens.items, .arena = arena, .template = template};
    const bool ok = parse_steps(&parser, "", &template->steps, err);
    template->names = NULL;
    TRY(ok);
    Str *kept = arena_alloc_array(arena, template->name_count, sizeof(Str), err);
    TRY(kept != NULL);
    for (size_t i = 0; i < template->name_count; i++)
        kept[i] = names[i];
    template->names = kept;
    return true;
}
