// What both parsers ask of the tokens, and the names that a template needs.

#include "connector/template_parser.h"

// --- tokens

const Token *parser_now(const Parser *parser)
{
    return &parser->tokens[parser->at];
}

bool parser_fail(const Parser *parser, Error *err, const char *what)
{
    const Token *token = parser_now(parser);
    if (token->kind == TOKEN_END)
        return error_set(err, ERROR_JOB, "%s at its end", what);
    return error_set(err, ERROR_JOB, "column %zu: %s, not '" STR_FMT "'", token->at + 1, what,
                     STR_ARG(str_slice(token->text, 0, 40)));
}

bool parser_is_operator(const Parser *parser, const char *text)
{
    return parser_now(parser)->kind == TOKEN_OPERATOR &&
           str_equal(parser_now(parser)->text, str_from(text));
}

bool parser_is_name_at(const Parser *parser, size_t ahead, const char *name)
{
    // The last token is TOKEN_END, which is no name, so nobody looks behind it.
    for (size_t i = 0; i < ahead; i++) {
        if (parser->tokens[parser->at + i].kind == TOKEN_END)
            return false;
    }
    const Token *token = &parser->tokens[parser->at + ahead];
    return token->kind == TOKEN_NAME && str_equal(token->text, str_from(name));
}

bool parser_is_name(const Parser *parser, const char *name)
{
    return parser_is_name_at(parser, 0, name);
}

bool parser_skip_operator(Parser *parser, const char *text)
{
    const bool found = parser_is_operator(parser, text);
    parser->at += found ? 1 : 0;
    return found;
}

bool parser_skip_name(Parser *parser, const char *name)
{
    const bool found = parser_is_name(parser, name);
    parser->at += found ? 1 : 0;
    return found;
}

bool parser_expect_operator(Parser *parser, const char *text, Error *err)
{
    if (parser_skip_operator(parser, text))
        return true;
    char what[32] = "expected '";
    strncat(what, text, 2);
    strncat(what, "'", 2);
    return parser_fail(parser, err, what);
}

bool parser_expect_name(Parser *parser, Str *ret_name, Error *err)
{
    if (parser_now(parser)->kind != TOKEN_NAME)
        return parser_fail(parser, err, "expected a name");
    *ret_name = parser_now(parser)->text;
    parser->at++;
    return true;
}

bool parser_expect_kind(Parser *parser, TokenKind kind, const char *what, Error *err)
{
    if (parser_now(parser)->kind != kind)
        return parser_fail(parser, err, what);
    parser->at++;
    return true;
}

bool parser_enter(Parser *parser, Error *err)
{
    if (parser->depth == TEMPLATE_DEPTH_MAX)
        return error_set(err, ERROR_LIMIT, "column %zu: nested deeper than %d",
                         parser_now(parser)->at + 1, (int)TEMPLATE_DEPTH_MAX);
    parser->depth++;
    return true;
}

// --- names

static bool is_declared(const Parser *parser, Str name)
{
    for (size_t i = 0; i < parser->declared_count; i++) {
        if (str_equal(parser->declared[i], name))
            return true;
    }
    return false;
}

bool parser_need_name(Parser *parser, Str name, Error *err)
{
    Template *template = parser->template;
    const bool declared = is_declared(parser, name);
    parser->loop_used = parser->loop_used || (declared && str_equal(name, STR("loop")));
    if (declared || macro_find(name) != NULL)
        return true;
    for (size_t i = 0; i < template->name_count; i++) {
        if (str_equal(template->names[i], name))
            return true;
    }
    if (template->name_count == TEMPLATE_NAMES_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d variables", (int)TEMPLATE_NAMES_MAX);
    template->names[template->name_count++] = name;
    return true;
}
