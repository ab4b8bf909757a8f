// Tokens to terms, by the grammar of Jinja's parser: a function per level of precedence.

#include "connector/template_parser.h"

#include <assert.h>

enum { LIST_FIRST = 4 };

typedef struct Terms {
    const Term **items;
    size_t count, room;
} Terms;

static bool parse_condition(Parser *parser, const Term **ret_term, Error *err);
static bool parse_or(Parser *parser, const Term **ret_term, Error *err);
static bool parse_unary(Parser *parser, bool filters, const Term **ret_term, Error *err);

// --- tools

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

static bool is_name_at(const Parser *parser, size_t ahead, const char *name)
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
    return is_name_at(parser, 0, name);
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

static bool terms_add(Parser *parser, Terms *terms, const Term *term, Error *err)
{
    if (terms->count == terms->room) {
        const size_t room = terms->room == 0 ? LIST_FIRST : terms->room * 2;
        const Term **items = arena_alloc_array(parser->arena, room, sizeof(Term *), err);
        TRY(items != NULL);
        for (size_t i = 0; i < terms->count; i++)
            items[i] = terms->items[i];
        terms->items = items;
        terms->room = room;
    }
    terms->items[terms->count++] = term;
    return true;
}

static Term *new_term(Parser *parser, TermKind kind, Error *err)
{
    if (++parser->terms > TEMPLATE_TERMS_MAX) {
        error_set(err, ERROR_LIMIT, "more than %d terms", (int)TEMPLATE_TERMS_MAX);
        return NULL;
    }
    Term *term = arena_alloc(parser->arena, sizeof(*term), err);
    if (term != NULL)
        term->kind = kind;
    return term;
}

static bool make_term_of(Parser *parser, TermKind kind, const Terms *items, const Term **ret_term,
                         Error *err)
{
    Term *term = new_term(parser, kind, err);
    TRY(term != NULL);
    term->items = items->items;
    term->count = items->count;
    *ret_term = term;
    return true;
}

// A term of `count` parts.
static bool make_term(Parser *parser, TermKind kind, const Term *const *parts, size_t count,
                      const Term **ret_term, Error *err)
{
    Terms items = {0};
    for (size_t i = 0; i < count; i++)
        TRY(terms_add(parser, &items, parts[i], err));
    return make_term_of(parser, kind, &items, ret_term, err);
}

static bool make_const(Parser *parser, Value value, const Term **ret_term, Error *err)
{
    Term *term = new_term(parser, TERM_CONST, err);
    TRY(term != NULL);
    term->constant = value;
    *ret_term = term;
    return true;
}

static bool make_binary(Parser *parser, Operator op, const Term *left, const Term *right,
                        const Term **ret_term, Error *err)
{
    Terms items = {0};
    TRY(terms_add(parser, &items, left, err) && terms_add(parser, &items, right, err));
    Term *term = new_term(parser, TERM_BINARY, err);
    Operator *operators = arena_alloc(parser->arena, sizeof(*operators), err);
    TRY(term != NULL && operators != NULL);
    *operators = op;
    term->items = items.items;
    term->count = items.count;
    term->operators = operators;
    *ret_term = term;
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
    return make_term_of(parser, TERM_TUPLE, &items, ret_term, err);
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
    return make_term_of(parser, TERM_LIST, &items, ret_term, err);
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
    return make_term_of(parser, TERM_DICT, &items, ret_term, err);
}

static bool parse_name(Parser *parser, const Term **ret_term, Error *err)
{
    Str name = {0};
    TRY(parser_expect_name(parser, &name, err));
    if (str_equal(name, STR("true")) || str_equal(name, STR("True")))
        return make_const(parser, value_bool(true), ret_term, err);
    if (str_equal(name, STR("false")) || str_equal(name, STR("False")))
        return make_const(parser, value_bool(false), ret_term, err);
    if (str_equal(name, STR("none")) || str_equal(name, STR("None")))
        return make_const(parser, value_none(), ret_term, err);
    TRY(parser_need_name(parser, name, err));
    Term *term = new_term(parser, TERM_NAME, err);
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
    return make_const(parser, value_str(text), ret_term, err);
}

static bool parse_primary(Parser *parser, const Term **ret_term, Error *err)
{
    const Token *token = parser_now(parser);
    if (token->kind == TOKEN_NAME)
        return parse_name(parser, ret_term, err);
    if (token->kind == TOKEN_STRING)
        return parse_string(parser, ret_term, err);
    if (token->kind == TOKEN_NUMBER) {
        parser->at++;
        return make_const(parser, token->value, ret_term, err);
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

// --- what may follow a primary

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
    Term *term = new_term(parser, kind, err);
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
        return make_term(parser, TERM_SLICE, parts, 3, ret_term, err);
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
        TRY(make_term_of(parser, TERM_TUPLE, &items, &key, err));
    }
    return parser_expect_operator(parser, "]", err) &&
           make_term(parser, TERM_ITEM, (const Term *[]){*term, key}, 2, term, err);
}

static bool parse_attribute(Parser *parser, const Term **term, Error *err)
{
    parser->at++; // '.'
    const Token *token = parser_now(parser);
    if (token->kind == TOKEN_NUMBER && token->value.kind == VALUE_INT) {
        const Term *index = NULL;
        parser->at++;
        return make_const(parser, token->value, &index, err) &&
               make_term(parser, TERM_ITEM, (const Term *[]){*term, index}, 2, term, err);
    }
    Term *attribute = NULL;
    Terms items = {0};
    Str name = {0};
    TRY(parser_expect_name(parser, &name, err) && terms_add(parser, &items, *term, err));
    attribute = new_term(parser, TERM_ATTRIBUTE, err);
    TRY(attribute != NULL);
    attribute->name = name;
    attribute->items = items.items;
    attribute->count = 1;
    *term = attribute;
    return true;
}

static bool parse_postfix(Parser *parser, const Term **term, Error *err)
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
        TRY(parse_primary(parser, &argument, err) && parse_postfix(parser, &argument, err) &&
            terms_add(parser, &call.items, argument, err));
    }
    TRY(finish_call(parser, TERM_TEST, function, &call, term, err));
    return !negated || make_term(parser, TERM_NOT, (const Term *[]){*term}, 1, term, err);
}

static bool parse_filters(Parser *parser, const Term **term, Error *err)
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

// --- operators, from the tightest to the loosest

static bool parse_unary_inside(Parser *parser, bool filters, const Term **ret_term, Error *err)
{
    if (parser_is_operator(parser, "-") || parser_is_operator(parser, "+")) {
        const TermKind kind = parser_is_operator(parser, "-") ? TERM_NEGATE : TERM_POSITIVE;
        const Term *operand = NULL;
        parser->at++;
        TRY(parse_unary(parser, false, &operand, err) &&
            make_term(parser, kind, (const Term *[]){operand}, 1, ret_term, err));
    } else {
        TRY(parse_primary(parser, ret_term, err));
    }
    TRY(parse_postfix(parser, ret_term, err));
    return !filters || parse_filters(parser, ret_term, err);
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
    return make_term_of(parser, TERM_CONCAT, &items, ret_term, err);
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
    const bool not_in = parser_is_name(parser, "not") && is_name_at(parser, 1, "in");
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
    Term *term = new_term(parser, TERM_COMPARE, err);
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
        TRY(make_term(parser, TERM_NOT, (const Term *[]){*ret_term}, 1, ret_term, err));
    return true;
}

static bool parse_words(Parser *parser, const char *word, TermKind kind, Level *operand,
                        const Term **ret_term, Error *err)
{
    TRY(operand(parser, ret_term, err));
    while (parser_skip_name(parser, word)) {
        const Term *right = NULL;
        TRY(operand(parser, &right, err) &&
            make_term(parser, kind, (const Term *[]){*ret_term, right}, 2, ret_term, err));
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
        TRY(make_term(parser, TERM_CONDITION, (const Term *[]){test, *ret_term, otherwise}, 3,
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
