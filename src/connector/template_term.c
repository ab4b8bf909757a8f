#include "connector/template_term.h"

enum { LIST_FIRST = 4 };

bool terms_add(Parser *parser, Terms *terms, const Term *term, Error *err)
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

Term *term_new(Parser *parser, TermKind kind, Error *err)
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

bool term_make_of(Parser *parser, TermKind kind, const Terms *items, const Term **ret_term,
                  Error *err)
{
    Term *term = term_new(parser, kind, err);
    TRY(term != NULL);
    term->items = items->items;
    term->count = items->count;
    *ret_term = term;
    return true;
}

bool term_make(Parser *parser, TermKind kind, const Term *const *parts, size_t count,
               const Term **ret_term, Error *err)
{
    Terms items = {0};
    for (size_t i = 0; i < count; i++)
        TRY(terms_add(parser, &items, parts[i], err));
    return term_make_of(parser, kind, &items, ret_term, err);
}

bool term_make_const(Parser *parser, Value value, const Term **ret_term, Error *err)
{
    Term *term = term_new(parser, TERM_CONST, err);
    TRY(term != NULL);
    term->constant = value;
    *ret_term = term;
    return true;
}
