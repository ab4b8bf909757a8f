// Tokens to terms, by the grammar of Jinja's parser: a function per level of precedence.

#include "connector/template_term.h"

#include <assert.h>

static bool parse_or(Parser *parser, const Term **ret_term, Error *err);
static bool parse_unary(Parser *parser, bool filters, const Term **ret_term, Error *err);

// --- primaries

static bool is_tuple_end(const Parser *parser)
{
    const TokenKind kind = parser_now(parser)->kind;
    return kind == TOKEN_PRINT_END || kind == TOKEN_BLOCK_END || parser_is_operator(parser, ")");
}

bool parser_read_tuple(Parser *parser, bool conditions, bool parentheses, const Term **ret_term,
                       Error *err)
{
    Terms items = {0};
    bool comma = false;
    while (!is_tuple_end(parser)) {
        const Term *item = NULL;
        TRY(conditions ? parser_read_expression(parser, &item, err) : parse_or(parser, &item, err));
        TRY(terms_add(parser, &items, item, err));
        if (!parser_skip_operator(parser, ","))
            break;
        comma = true;
    }
    if (!comma && items.count == 1) {
        *ret_term = items.items[0];
        return true;
    }
    if (items.count == 0 && !parentheses)
        return parser_fail(parser, err, "expected an expression");
    return term_make_of(parser, TERM_TUPLE, &items, ret_term, err);
}

static bool parse_list(Parser *parser, const Term **ret_term, Error *err)
{
    Terms items = {0};
    parser->at++;
    while (!parser_is_operator(parser, "]")) {
        const Term *item = NULL;
        TRY(parser_read_expression(parser, &item, err) && terms_add(parser, &items, item, err));
        if (!parser_skip_operator(parser, ","))
            break;
    }
    TRY(parser_expect_operator(parser, "]", err));
    return term_make_of(parser, TERM_LIST, &items, ret_term, err);
}

static bool parse_dict(Parser *parser, const Term **ret_term, Error *err)
{
    Terms items = {0};
    parser->at++;
    while (!parser_is_operator(parser, "}")) {
        const Term *key = NULL;
        const Term *value = NULL;
        TRY(parser_read_expression(parser, &key, err) && parser_expect_operator(parser, ":", err) &&
            parser_read_expression(parser, &value, err));
        TRY(terms_add(parser, &items, key, err) && terms_add(parser, &items, value, err));
        if (!parser_skip_operator(parser, ","))
            break;
    }
    TRY(parser_expect_operator(parser, "}", err));
    return term_make_of(parser, TERM_DICT, &items, ret_term, err);
}

static bool parse_name(Parser *parser, const Term **ret_term, Error *err)
{
    Str name = {0};
    TRY(parser_expect_name(parser, &name, err));
    if (str_equal(name, STR("true")) || str_equal(name, STR("True")))
        return term_make_const(parser, value_bool(true), ret_term, err);
    if (str_equal(name, STR("false")) || str_equal(name, STR("False")))
        return term_make_const(parser, value_bool(false), ret_term, err);
    if (str_equal(name, STR("none")) || str_equal(name, STR("None")))
        return term_make_const(parser, value_none(), ret_term, err);
    TRY(parser_need_name(parser, name, err));
    Term *term = term_new(parser, TERM_NAME, err);
    TRY(term != NULL);
    term->name = name;
    *ret_term = term;
    return true;
}

// Strings side by side are one.
static bool parse_string(Parser *parser, const Term **ret_term, Error *err)
{
    Str text = parser_now(parser)->text;
    for (parser->at++; parser_now(parser)->kind == TOKEN_STRING; parser->at++)
        TRY(arena_printf(parser->arena, &text, err, STR_FMT STR_FMT, STR_ARG(text),
                         STR_ARG(parser_now(parser)->text)));
    return term_make_const(parser, value_str(text), ret_term, err);
}

bool parser_read_primary(Parser *parser, const Term **ret_term, Error *err)
{
    const Token *token = parser_now(parser);
    if (token->kind == TOKEN_NAME)
        return parse_name(parser, ret_term, err);
    if (token->kind == TOKEN_STRING)
        return parse_string(parser, ret_term, err);
    if (token->kind == TOKEN_NUMBER) {
        parser->at++;
        return term_make_const(parser, token->value, ret_term, err);
    }
    if (parser_is_operator(parser, "["))
        return parse_list(parser, ret_term, err);
    if (parser_is_operator(parser, "{"))
        return parse_dict(parser, ret_term, err);
    if (!parser_skip_operator(parser, "("))
        return parser_fail(parser, err, "expected an expression");
    return parser_read_tuple(parser, true, true, ret_term, err) &&
           parser_expect_operator(parser, ")", err);
}

// --- operators, from the tightest to the loosest

static bool parse_unary_inside(Parser *parser, bool filters, const Term **ret_term, Error *err)
{
    if (parser_is_operator(parser, "-") || parser_is_operator(parser, "+")) {
        const TermKind kind = parser_is_operator(parser, "-") ? TERM_NEGATE : TERM_POSITIVE;
        const Term *operand = NULL;
        parser->at++;
        TRY(parse_unary(parser, false, &operand, err) &&
            term_make(parser, kind, (const Term *[]){operand}, 1, ret_term, err));
    } else {
        TRY(parser_read_primary(parser, ret_term, err));
    }
    TRY(parser_read_postfix(parser, ret_term, err));
    return !filters || parser_read_filters(parser, ret_term, err);
}

static bool parse_unary(Parser *parser, bool filters, const Term **ret_term, Error *err)
{
    TRY(parser_enter(parser, err));
    const bool ok = parse_unary_inside(parser, filters, ret_term, err);
    parser->depth--;
    return ok;
}

typedef struct OperatorName {
    const char *text;
    Operator op;
} OperatorName;

static const OperatorName *find_operator(const Parser *parser, const OperatorName *names)
{
    for (; names->text != NULL; names++) {
        if (parser_is_operator(parser, names->text))
            return names;
    }
    return NULL;
}

static bool make_binary(Parser *parser, Operator op, const Term *left, const Term *right,
                        const Term **ret_term, Error *err)
{
    Terms items = {0};
    TRY(terms_add(parser, &items, left, err) && terms_add(parser, &items, right, err));
    Term *term = term_new(parser, TERM_BINARY, err);
    Operator *operators = arena_alloc(parser->arena, sizeof(*operators), err);
    TRY(term != NULL && operators != NULL);
    *operators = op;
    term->items = items.items;
    term->count = items.count;
    term->operators = operators;
    *ret_term = term;
    return true;
}

typedef bool Level(Parser *parser, const Term **ret_term, Error *err);

// Operands of the next tighter level with operators of `names` between them, from the left.
static bool parse_binary(Parser *parser, const OperatorName *names, Level *operand,
                         const Term **ret_term, Error *err)
{
    TRY(operand(parser, ret_term, err));
    for (const OperatorName *found; (found = find_operator(parser, names)) != NULL;) {
        const Term *right = NULL;
        parser->at++;
        TRY(operand(parser, &right, err) &&
            make_binary(parser, found->op, *ret_term, right, ret_term, err));
    }
    return true;
}

static bool parse_filtered(Parser *parser, const Term **ret_term, Error *err)
{
    return parse_unary(parser, true, ret_term, err);
}

static bool parse_power(Parser *parser, const Term **ret_term, Error *err)
{
    static const OperatorName names[] = {{"**", OPERATOR_POWER}, {NULL, OPERATOR_ADD}};
    return parse_binary(parser, names, parse_filtered, ret_term, err);
}

static bool parse_product(Parser *parser, const Term **ret_term, Error *err)
{
    static const OperatorName names[] = {{"*", OPERATOR_MULTIPLY},
                                         {"/", OPERATOR_DIVIDE},
                                         {"//", OPERATOR_FLOOR},
                                         {"%", OPERATOR_REMAINDER},
                                         {NULL, OPERATOR_ADD}};
    return parse_binary(parser, names, parse_power, ret_term, err);
}

static bool parse_concat(Parser *parser, const Term **ret_term, Error *err)
{
    Terms items = {0};
    do {
        const Term *item = NULL;
        TRY(parse_product(parser, &item, err) && terms_add(parser, &items, item, err));
    } while (parser_skip_operator(parser, "~"));
    if (items.count == 1) {
        *ret_term = items.items[0];
        return true;
    }
    return term_make_of(parser, TERM_CONCAT, &items, ret_term, err);
}

static bool parse_sum(Parser *parser, const Term **ret_term, Error *err)
{
    static const OperatorName names[] = {
        {"+", OPERATOR_ADD}, {"-", OPERATOR_SUBTRACT}, {NULL, OPERATOR_ADD}};
    return parse_binary(parser, names, parse_concat, ret_term, err);
}

static bool skip_comparison(Parser *parser, Operator *ret_operator)
{
    static const OperatorName names[] = {
        {"==", OPERATOR_EQUAL},   {"!=", OPERATOR_NOT_EQUAL},     {"<=", OPERATOR_LESS_EQUAL},
        {"<", OPERATOR_LESS},     {">=", OPERATOR_GREATER_EQUAL}, {">", OPERATOR_GREATER},
        {NULL, OPERATOR_GREATER},
    };
    const OperatorName *found = find_operator(parser, names);
    if (found != NULL) {
        *ret_operator = found->op;
        parser->at++;
        return true;
    }
    *ret_operator = OPERATOR_IN;
    if (parser_skip_name(parser, "in"))
        return true;
    *ret_operator = OPERATOR_NOT_IN;
    const bool not_in = parser_is_name(parser, "not") && parser_is_name_at(parser, 1, "in");
    parser->at += not_in ? 2 : 0;
    return not_in;
}

static bool parse_comparison(Parser *parser, const Term **ret_term, Error *err)
{
    Terms items = {0};
    Operator *operators = NULL;
    const Term *item = NULL;
    TRY(parse_sum(parser, &item, err) && terms_add(parser, &items, item, err));
    for (Operator op; skip_comparison(parser, &op);) {
        assert(operators != NULL || items.count == 1);
        Operator *grown = arena_alloc_array(parser->arena, items.count, sizeof(*grown), err);
        TRY(grown != NULL);
        for (size_t i = 0; i + 1 < items.count; i++)
            grown[i] = operators[i];
        grown[items.count - 1] = op;
        operators = grown;
        TRY(parse_sum(parser, &item, err) && terms_add(parser, &items, item, err));
    }
    if (items.count == 1) {
        *ret_term = item;
        return true;
    }
    Term *term = term_new(parser, TERM_COMPARE, err);
    TRY(term != NULL);
    term->items = items.items;
    term->count = items.count;
    term->operators = operators;
    *ret_term = term;
    return true;
}

static bool parse_not(Parser *parser, const Term **ret_term, Error *err)
{
    size_t count = 0;
    while (parser_skip_name(parser, "not"))
        count++;
    TRY(parse_comparison(parser, ret_term, err));
    // A chain of them is a plain recursion for whoever evaluates it.
    if (count > TEMPLATE_DEPTH_MAX)
        return error_set(err, ERROR_LIMIT, "nested deeper than %d", (int)TEMPLATE_DEPTH_MAX);
    for (; count > 0; count--)
        TRY(term_make(parser, TERM_NOT, (const Term *[]){*ret_term}, 1, ret_term, err));
    return true;
}

static bool parse_words(Parser *parser, const char *word, TermKind kind, Level *operand,
                        const Term **ret_term, Error *err)
{
    TRY(operand(parser, ret_term, err));
    while (parser_skip_name(parser, word)) {
        const Term *right = NULL;
        TRY(operand(parser, &right, err) &&
            term_make(parser, kind, (const Term *[]){*ret_term, right}, 2, ret_term, err));
    }
    return true;
}

static bool parse_and(Parser *parser, const Term **ret_term, Error *err)
{
    return parse_words(parser, "and", TERM_AND, parse_not, ret_term, err);
}

static bool parse_or(Parser *parser, const Term **ret_term, Error *err)
{
    return parse_words(parser, "or", TERM_OR, parse_and, ret_term, err);
}

// "a if b else c", from the right; "a if b" alone is undefined where b is false.
static bool parse_condition(Parser *parser, const Term **ret_term, Error *err)
{
    TRY(parse_or(parser, ret_term, err));
    while (parser_skip_name(parser, "if")) {
        const Term *test = NULL;
        const Term *otherwise = NULL;
        TRY(parse_or(parser, &test, err));
        if (parser_skip_name(parser, "else"))
            TRY(parser_read_expression(parser, &otherwise, err));
        TRY(term_make(parser, TERM_CONDITION, (const Term *[]){test, *ret_term, otherwise}, 3,
                      ret_term, err));
    }
    return true;
}

bool parser_read_expression(Parser *parser, const Term **ret_term, Error *err)
{
    TRY(parser_enter(parser, err));
    const bool ok = parse_condition(parser, ret_term, err);
    parser->depth--;
    return ok;
}
