// A template's source to tokens, by the rules of Jinja's lexer: tags and their '-' signs in the
// text, Python-like tokens inside tags. Tags end only where brackets are closed, so that "{{ {'a':
// {}} }}" reads as it should.

#include "connector/literal.h"
#include "connector/template_node.h"

#include <assert.h>

enum { BRACKETS_MAX = TEMPLATE_DEPTH_MAX * 2, TOKENS_FIRST = 16 };

typedef struct Lexer {
    Str source;
    size_t at;
    Arena *arena;
    Token *tokens;
    size_t count, room;
    char brackets[BRACKETS_MAX]; // the closing ones that are awaited
    size_t bracket_count;
} Lexer;

bool template_normalise(Str source, Arena *arena, Str *ret_source, Error *err)
{
    if (str_find_char(source, '\r') < source.size) {
        char *copy = arena_alloc(arena, source.size, err);
        TRY(copy != NULL);
        size_t size = 0;
        for (size_t i = 0; i < source.size; i++) {
            const bool pair =
                source.data[i] == '\r' && i + 1 < source.size && source.data[i + 1] == '\n';
            if (!pair)
                copy[size++] = source.data[i] == '\r' ? '\n' : source.data[i];
        }
        source = (Str){copy, size};
    }
    if (str_ends_with(source, STR("\n")))
        source.size--;
    *ret_source = source;
    return true;
}

static bool fail(const Lexer *lexer, size_t at, Error *err, const char *what)
{
    (void)lexer;
    return error_set(err, ERROR_JOB, "column %zu: %s", at + 1, what);
}

static char peek(const Lexer *lexer, size_t ahead)
{
    const size_t at = lexer->at + ahead;
    return at < lexer->source.size ? lexer->source.data[at] : '\0';
}

static Str rest(const Lexer *lexer)
{
    return str_slice(lexer->source, lexer->at, lexer->source.size);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f');
}

static void skip_space(Lexer *lexer)
{
    while (lexer->at < lexer->source.size && is_space(peek(lexer, 0)))
        lexer->at++;
}

static bool add(Lexer *lexer, Token token, Error *err)
{
    if (lexer->count == lexer->room) {
        const size_t room = lexer->room == 0 ? TOKENS_FIRST : lexer->room * 2;
        Token *tokens = arena_alloc_array(lexer->arena, room, sizeof(Token), err);
        TRY(tokens != NULL);
        if (lexer->count > 0)
            memcpy(tokens, lexer->tokens, lexer->count * sizeof(Token));
        lexer->tokens = tokens;
        lexer->room = room;
    }
    lexer->tokens[lexer->count++] = token;
    return true;
}

// --- tokens inside a tag

static bool is_digit(char c, int base)
{
    if (base == 16 && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
        return true;
    return c >= '0' && c < '0' + (base < 10 ? base : 10);
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_name_char(char c)
{
    return is_name_start(c) || is_digit(c, 10);
}

// The length of digits with single '_' between them, from `from`.
static size_t digit_run(Str text, size_t from, int base)
{
    size_t i = from;
    while (i < text.size) {
        if (is_digit(text.data[i], base))
            i++;
        else if (i > from && text.data[i] == '_' && i + 1 < text.size &&
                 is_digit(text.data[i + 1], base))
            i += 2;
        else
            break;
    }
    return i - from;
}

// The length of a float at the start of `text`; 0 when there is none.
static size_t float_size(Str text)
{
    const size_t whole = digit_run(text, 0, 10);
    if (whole == 0)
        return 0;
    size_t size = whole;
    const size_t decimals =
        size < text.size && text.data[size] == '.' ? digit_run(text, size + 1, 10) : 0;
    if (decimals > 0)
        size += 1 + decimals;
    if (size < text.size && (text.data[size] == 'e' || text.data[size] == 'E')) {
        const bool sign =
            size + 1 < text.size && (text.data[size + 1] == '-' || text.data[size + 1] == '+');
        const size_t digits = digit_run(text, size + (sign ? 2 : 1), 10);
        if (digits > 0)
            return size + (sign ? 2 : 1) + digits;
    }
    return decimals > 0 ? size : 0;
}

static size_t integer_size(Str text)
{
    if (text.size > 1 && text.data[0] == '0') {
        const char mark = (char)(text.data[1] | 0x20);
        const int base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
        const size_t skip = text.size > 2 && text.data[2] == '_' ? 3 : 2;
        const size_t digits = base == 0 ? 0 : digit_run(text, skip, base);
        if (digits > 0)
            return skip + digits;
        // A zero may be followed by zeros only.
        size_t zeros = 1;
        while (zeros < text.size && text.data[zeros] == '0')
            zeros++;
        return zeros;
    }
    return digit_run(text, 0, 10);
}

static bool add_number(Lexer *lexer, size_t size, Error *err)
{
    Token token = {.kind = TOKEN_NUMBER, .at = lexer->at};
    token.text = str_slice(lexer->source, lexer->at, size);
    if (!value_parse_literal(token.text, lexer->arena, &token.value, err))
        return err->code != ERROR_NONE ? false : fail(lexer, lexer->at, err, "a broken number");
    lexer->at += size;
    return add(lexer, token, err);
}

static bool add_string(Lexer *lexer, Error *err)
{
    const size_t from = lexer->at;
    const char quote = peek(lexer, 0);
    lexer->at++;
    while (lexer->at < lexer->source.size && peek(lexer, 0) != quote)
        lexer->at += peek(lexer, 0) == '\\' ? 2 : 1;
    if (lexer->at >= lexer->source.size)
        return fail(lexer, from, err, "a string without end");
    Token token = {.kind = TOKEN_STRING, .at = from};
    token.text = str_slice(lexer->source, from + 1, lexer->at - from - 1);
    lexer->at++;
    if (str_find_char(token.text, '\\') < token.text.size) {
        bool ok = false;
        TRY(literal_unescape(token.text, lexer->arena, &token.text, &ok, err));
        if (!ok)
            return fail(lexer, from, err, "a string with a broken escape");
    }
    return add(lexer, token, err);
}

static bool track_bracket(Lexer *lexer, char c, Error *err)
{
    const char close = c == '(' ? ')' : c == '[' ? ']' : c == '{' ? '}' : '\0';
    if (close != '\0') {
        if (lexer->bracket_count == BRACKETS_MAX)
            return error_set(err, ERROR_LIMIT, "column %zu: brackets nested deeper than %d",
                             lexer->at + 1, (int)BRACKETS_MAX);
        lexer->brackets[lexer->bracket_count++] = close;
        return true;
    }
    if (c != ')' && c != ']' && c != '}')
        return true;
    if (lexer->bracket_count == 0 || lexer->brackets[lexer->bracket_count - 1] != c)
        return error_set(err, ERROR_JOB, "column %zu: unexpected '%c'", lexer->at + 1, c);
    lexer->bracket_count--;
    return true;
}

static bool add_operator(Lexer *lexer, Error *err)
{
    static const char *const operators[] = {"//", "**", "==", "!=", ">=", "<="};
    size_t size = 1;
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        if (str_starts_with(rest(lexer), str_from(operators[i])))
            size = 2;
    }
    const char c = peek(lexer, 0);
    if (c == '\0' || strchr("+-/*%~[](){}><=.:|,;!", c) == NULL || (c == '!' && size == 1))
        return fail(lexer, lexer->at, err, "an unexpected character");
    TRY(track_bracket(lexer, c, err));
    const Token token = {
        .kind = TOKEN_OPERATOR, .text = str_slice(lexer->source, lexer->at, size), .at = lexer->at};
    lexer->at += size;
    return add(lexer, token, err);
}

static bool add_name(Lexer *lexer, Error *err)
{
    const size_t from = lexer->at;
    while (lexer->at < lexer->source.size && is_name_char(peek(lexer, 0)))
        lexer->at++;
    const Str text = str_slice(lexer->source, from, lexer->at - from);
    return add(lexer, (Token){.kind = TOKEN_NAME, .text = text, .at = from}, err);
}

static bool add_token(Lexer *lexer, Error *err)
{
    const char c = peek(lexer, 0);
    if (is_digit(c, 10)) {
        const bool after_dot = lexer->source.data[lexer->at - 1] == '.';
        const size_t size = after_dot ? 0 : float_size(rest(lexer));
        return add_number(lexer, size > 0 ? size : integer_size(rest(lexer)), err);
    }
    if (is_name_start(c))
        return add_name(lexer, err);
    if (c == '\'' || c == '"')
        return add_string(lexer, err);
    return add_operator(lexer, err);
}

// The bytes of a tag's end at the current place ("}}", "-}}", "+%}"); 0 when it is not the end.
static size_t end_size(const Lexer *lexer, Str end, bool plus_allowed)
{
    const char sign = peek(lexer, 0);
    const bool signed_end = sign == '-' || (plus_allowed && sign == '+');
    if (!str_starts_with(str_slice(rest(lexer), signed_end ? 1 : 0, 2), end))
        return 0;
    return signed_end ? 3 : 2;
}

static void pass_end(Lexer *lexer, size_t size)
{
    const bool strip = peek(lexer, 0) == '-';
    lexer->at += size;
    if (strip)
        skip_space(lexer);
}

static bool read_tag(Lexer *lexer, bool print, Error *err)
{
    const size_t from = lexer->at;
    const Str end = print ? STR("}}") : STR("%}");
    lexer->at += peek(lexer, 2) == '-' || peek(lexer, 2) == '+' ? 3 : 2;
    lexer->bracket_count = 0;
    TRY(add(lexer, (Token){.kind = print ? TOKEN_PRINT_BEGIN : TOKEN_BLOCK_BEGIN, .at = from},
            err));
    for (skip_space(lexer); lexer->at < lexer->source.size; skip_space(lexer)) {
        const size_t size = lexer->bracket_count > 0 ? 0 : end_size(lexer, end, !print);
        if (size > 0) {
            const Token token = {.kind = print ? TOKEN_PRINT_END : TOKEN_BLOCK_END,
                                 .at = lexer->at};
            pass_end(lexer, size);
            return add(lexer, token, err);
        }
        TRY(add_token(lexer, err));
    }
    return fail(lexer, from, err, "a tag without end");
}

// --- text, comments, raw blocks

static bool add_data(Lexer *lexer, size_t from, size_t to, bool strip, Error *err)
{
    while (strip && to > from && is_space(lexer->source.data[to - 1]))
        to--;
    if (to == from)
        return true;
    const Str text = str_slice(lexer->source, from, to - from);
    return add(lexer, (Token){.kind = TOKEN_DATA, .text = text, .at = from}, err);
}

static bool skip_comment(Lexer *lexer, Error *err)
{
    const size_t from = lexer->at;
    // The sign of "{#-" belongs to the text before; "{#}" does not close itself.
    lexer->at += peek(lexer, 2) == '-' || peek(lexer, 2) == '+' ? 3 : 2;
    for (; lexer->at < lexer->source.size; lexer->at++) {
        const size_t size = end_size(lexer, STR("#}"), true);
        if (size == 0)
            continue;
        pass_end(lexer, size);
        return true;
    }
    return fail(lexer, from, err, "a comment without end");
}

// Matches "{%- word -%}" at the current place: 0, or the bytes up to the end of the tag.
static size_t word_tag_size(const Lexer *lexer, Str word, bool plus_end)
{
    Lexer look = {.source = lexer->source, .at = lexer->at};
    if (!str_starts_with(rest(&look), STR("{%")))
        return 0;
    look.at += peek(&look, 2) == '-' || peek(&look, 2) == '+' ? 3 : 2;
    skip_space(&look);
    if (!str_starts_with(rest(&look), word))
        return 0;
    look.at += word.size;
    skip_space(&look);
    const size_t size = end_size(&look, STR("%}"), plus_end);
    if (size == 0)
        return 0;
    pass_end(&look, size);
    return look.at - lexer->at;
}

static bool read_raw(Lexer *lexer, size_t begin_size, Error *err)
{
    const size_t tag = lexer->at;
    lexer->at += begin_size;
    const size_t from = lexer->at;
    for (; lexer->at < lexer->source.size; lexer->at++) {
        const size_t size = word_tag_size(lexer, STR("endraw"), true);
        if (size == 0)
            continue;
        TRY(add_data(lexer, from, lexer->at, peek(lexer, 2) == '-', err));
        lexer->at += size;
        return true;
    }
    return fail(lexer, tag, err, "a raw block without end");
}

static bool read_markup(Lexer *lexer, Error *err)
{
    const size_t raw_size = word_tag_size(lexer, STR("raw"), false);
    if (raw_size > 0)
        return read_raw(lexer, raw_size, err);
    if (peek(lexer, 1) == '#')
        return skip_comment(lexer, err);
    return read_tag(lexer, peek(lexer, 1) == '{', err);
}

// Where the next "{{", "{%" or "{#" begins, or the end.
static size_t find_markup(const Lexer *lexer)
{
    size_t at = lexer->at;
    for (; at + 1 < lexer->source.size; at++) {
        const char next = lexer->source.data[at + 1];
        if (lexer->source.data[at] == '{' && (next == '{' || next == '%' || next == '#'))
            return at;
    }
    return lexer->source.size;
}

bool template_tokenise(Str source, Arena *arena, Tokens *ret_tokens, Error *err)
{
    if (source.size > TEMPLATE_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "longer than %d bytes", (int)TEMPLATE_BYTES_MAX);
    Lexer lexer = {.source = source, .arena = arena};
    while (lexer.at < source.size) {
        const size_t from = lexer.at;
        lexer.at = find_markup(&lexer);
        TRY(add_data(&lexer, from, lexer.at, peek(&lexer, 2) == '-', err));
        if (lexer.at < source.size)
            TRY(read_markup(&lexer, err));
    }
    TRY(add(&lexer, (Token){.kind = TOKEN_END, .at = source.size}, err));
    *ret_tokens = (Tokens){lexer.tokens, lexer.count};
    return true;
}
