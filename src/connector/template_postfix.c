// What may follow a primary: attributes, subscripts, calls; filters and tests.

#include "connector/template_term.h"

typedef struct Call {
    Terms items; // the subject or callee, then the positional arguments
    Keyword *keywords;
    size_t keyword_count;
} Call;

static bool add_keyword(Parser *parser, Call *call, Error *err)
{
    Keyword *keywords =
        arena_alloc_array(parser->arena, call->keyword_count + 1, sizeof(Keyword), err);
    TRY(keywords != NULL);
    for (size_t i = 0; i < call->keyword_count; i++)
        keywords[i] = call->keywords[i];
    Keyword *keyword = &keywords[call->keyword_count];
    TRY(parser_expect_name(parser, &keyword->name, err));
    parser->at++; // '='
    TRY(parser_read_expression(parser, &keyword->term, err));
    call->keywords = keywords;
    call->keyword_count++;
    return true;
}

static bool parse_arguments(Parser *parser, Call *call, Error *err)
{
    TRY(parser_expect_operator(parser, "(", err));
    while (!parser_is_operator(parser, ")")) {
        const Token *next = &parser->tokens[parser->at + 1];
        if (parser_is_operator(parser, "*") || parser_is_operator(parser, "**"))
            return parser_fail(parser, err, "unpacked arguments are not supported");
        if (parser_now(parser)->kind == TOKEN_NAME && next->kind == TOKEN_OPERATOR &&
            str_equal(next->text, STR("="))) {
            TRY(add_keyword(parser, call, err));
        } else if (call->keyword_count > 0) {
            return parser_fail(parser, err, "expected a named argument");
        } else {
            const Term *argument = NULL;
            TRY(parser_read_expression(parser, &argument, err) &&
                terms_add(parser, &call->items, argument, err));
        }
        if (!parser_skip_operator(parser, ","))
            break;
    }
    return parser_expect_operator(parser, ")", err);
}

static bool finish_call(Parser *parser, TermKind kind, const Function *function, const Call *call,
                        const Term **ret_term, Error *err)
{
    Term *term = term_new(parser, kind, err);
    TRY(term != NULL);
    term->function = function;
    term->items = call->items.items;
    term->count = call->items.count;
    term->keywords = call->keywords;
    term->keyword_count = call->keyword_count;
    *ret_term = term;
    return true;
}

static bool parse_call(Parser *parser, const Term **term, Error *err)
{
    Call call = {0};
    return terms_add(parser, &call.items, *term, err) && parse_arguments(parser, &call, err) &&
           finish_call(parser, TERM_CALL, NULL, &call, term, err);
}

// "start:stop:step", or an expression.
static bool parse_subscript(Parser *parser, const Term **ret_term, Error *err)
{
    const Term *parts[3] = {NULL, NULL, NULL};
    size_t part = 0;
    bool colon = false;
    while (!parser_is_operator(parser, "]") && !parser_is_operator(parser, ",")) {
        if (parser_is_operator(parser, ":")) {
            if (++part == 3)
                return parser_fail(parser, err, "expected ']'");
            colon = true;
            parser->at++;
            continue;
        }
        if (parts[part] != NULL)
            return parser_fail(parser, err, "expected ']'");
        TRY(parser_read_expression(parser, &parts[part], err));
    }
    if (colon)
        return term_make(parser, TERM_SLICE, parts, 3, ret_term, err);
    if (parts[0] == NULL)
        return parser_fail(parser, err, "expected a subscript");
    *ret_term = parts[0];
    return true;
}

static bool parse_item(Parser *parser, const Term **term, Error *err)
{
    const Term *key = NULL;
    TRY(parser_expect_operator(parser, "[", err) && parse_subscript(parser, &key, err));
    if (parser_is_operator(parser, ",")) {
        Terms items = {0};
        TRY(terms_add(parser, &items, key, err));
        while (parser_skip_operator(parser, ",")) {
            if (parser_is_operator(parser, "]"))
                break;
            TRY(parse_subscript(parser, &key, err) && terms_add(parser, &items, key, err));
        }
        TRY(term_make_of(parser, TERM_TUPLE, &items, &key, err));
    }
    return parser_expect_operator(parser, "]", err) &&
           term_make(parser, TERM_ITEM, (const Term *[]){*term, key}, 2, term, err);
}

static bool parse_attribute(Parser *parser, const Term **term, Error *err)
{
    parser->at++; // '.'
    const Token *token = parser_now(parser);
    if (token->kind == TOKEN_NUMBER && token->value.kind == VALUE_INT) {
        const Term *index = NULL;
        parser->at++;
        return term_make_const(parser, token->value, &index, err) &&
               term_make(parser, TERM_ITEM, (const Term *[]){*term, index}, 2, term, err);
    }
    Term *attribute = NULL;
    Terms items = {0};
    Str name = {0};
    TRY(parser_expect_name(parser, &name, err) && terms_add(parser, &items, *term, err));
    attribute = term_new(parser, TERM_ATTRIBUTE, err);
    TRY(attribute != NULL);
    attribute->name = name;
    attribute->items = items.items;
    attribute->count = 1;
    *term = attribute;
    return true;
}

bool parser_read_postfix(Parser *parser, const Term **term, Error *err)
{
    for (;;) {
        if (parser_is_operator(parser, "."))
            TRY(parse_attribute(parser, term, err));
        else if (parser_is_operator(parser, "["))
            TRY(parse_item(parser, term, err));
        else if (parser_is_operator(parser, "("))
            TRY(parse_call(parser, term, err));
        else
            return true;
    }
}

static bool unknown(const Parser *parser, const char *what, Str name, Error *err)
{
    return error_set(err, ERROR_JOB, "column %zu: no %s is named '" STR_FMT "'",
                     parser_now(parser)->at + 1, what, STR_ARG(name));
}

static bool parse_filter(Parser *parser, const Term **term, Error *err)
{
    Call call = {0};
    Str name = {0};
    TRY(terms_add(parser, &call.items, *term, err) && parser_expect_name(parser, &name, err));
    const Function *function = filter_find(name);
    if (function == NULL) {
        parser->at--;
        return unknown(parser, "filter", name, err);
    }
    if (parser_is_operator(parser, "("))
        TRY(parse_arguments(parser, &call, err));
    return finish_call(parser, TERM_FILTER, function, &call, term, err);
}

// Whether an argument without parentheses follows a test: "x is divisibleby 3".
static bool is_bare_argument(const Parser *parser)
{
    const TokenKind kind = parser_now(parser)->kind;
    if (kind == TOKEN_NAME)
        return !parser_is_name(parser, "else") && !parser_is_name(parser, "or") &&
               !parser_is_name(parser, "and");
    return kind == TOKEN_STRING || kind == TOKEN_NUMBER || parser_is_operator(parser, "[") ||
           parser_is_operator(parser, "{");
}

static bool parse_test(Parser *parser, const Term **term, Error *err)
{
    const bool negated = parser_skip_name(parser, "not");
    Call call = {0};
    Str name = {0};
    TRY(terms_add(parser, &call.items, *term, err) && parser_expect_name(parser, &name, err));
    const Function *function = test_find(name);
    if (function == NULL) {
        parser->at--;
        return unknown(parser, "test", name, err);
    }
    if (parser_is_operator(parser, "(")) {
        TRY(parse_arguments(parser, &call, err));
    } else if (is_bare_argument(parser)) {
        if (parser_is_name(parser, "is"))
            return parser_fail(parser, err, "tests cannot be chained");
        const Term *argument = NULL;
        TRY(parser_read_primary(parser, &argument, err) &&
            parser_read_postfix(parser, &argument, err) &&
            terms_add(parser, &call.items, argument, err));
    }
    TRY(finish_call(parser, TERM_TEST, function, &call, term, err));
    return !negated || term_make(parser, TERM_NOT, (const Term *[]){*term}, 1, term, err);
}

bool parser_read_filters(Parser *parser, const Term **term, Error *err)
{
    for (;;) {
        if (parser_skip_operator(parser, "|"))
            TRY(parse_filter(parser, term, err));
        else if (parser_skip_name(parser, "is"))
            TRY(parse_test(parser, term, err));
        else if (parser_is_operator(parser, "("))
            TRY(parse_call(parser, term, err));
        else
            return true;
    }
}
