#include "base/findings.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum { WHAT_BYTES_MAX = 400 };

Findings *findings_new(Arena *arena, Error *err)
{
    Findings *findings = arena_alloc(arena, sizeof(*findings), err);
    if (findings != NULL)
        findings->arena = arena;
    return findings;
}

Str findings_place(const Findings *findings, Str file, Str pointer)
{
    Str place = {0};
    Error ignored = {0};
    return arena_printf(findings->arena, &place, &ignored, STR_FMT ": " STR_FMT, STR_ARG(file),
                        STR_ARG(pointer))
               ? place
               : file;
}

void findings_add(Findings *findings, Str place, Str what, Str fix)
{
    assert(findings->arena != NULL);

    // Counted first: a finding that cannot be kept must still fail the file.
    const size_t index = findings->count++;
    if (index >= FINDINGS_MAX)
        return;
    Error err = {0};
    Finding kept = {0};
    if (arena_copy_str(findings->arena, place, &kept.place, &err) &&
        arena_copy_str(findings->arena, what, &kept.what, &err) &&
        arena_copy_str(findings->arena, fix, &kept.fix, &err))
        findings->items[index] = kept;
    else
        findings->items[index] = (Finding){.what = STR("one more, for which memory ran out")};
}

void findings_addf(Findings *findings, Str place, Str fix, const char *format, ...)
{
    char what[WHAT_BYTES_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    findings_add(findings, place, str_from(what), fix);
}

// How the parts of a finding are joined: "place: what; fix", either end of it may be empty.
#define FINDING_FMT STR_FMT "%s" STR_FMT "%s" STR_FMT
#define FINDING_ARG(item)                                                            \
    STR_ARG((item).place), (item).place.size == 0 ? "" : ": ", STR_ARG((item).what), \
        (item).fix.size == 0 ? "" : "; ", STR_ARG((item).fix)

bool findings_check(const Findings *findings, Error *err)
{
    if (findings->count == 0)
        return true;
    const Finding first = findings->items[0];
    if (findings->count == 1)
        return error_set(err, ERROR_JOB, FINDING_FMT, FINDING_ARG(first));
    return error_set(err, ERROR_JOB, FINDING_FMT " (and %zu more)", FINDING_ARG(first),
                     findings->count - 1);
}

bool findings_print(const Findings *findings, Buf *out, Error *err)
{
    for (size_t i = 0; i < findings->count && i < FINDINGS_MAX; i++)
        TRY(buf_printf(out, err, FINDING_FMT "\n", FINDING_ARG(findings->items[i])));
    if (findings->count > FINDINGS_MAX)
        TRY(buf_printf(out, err, "and %zu more\n", findings->count - FINDINGS_MAX));
    return true;
}

Str findings_nearest(Str name, const Str *candidates, size_t count)
{
    // One slip in a short name, two in a middling one, three in a long one; never as many as there
    // are letters.
    const size_t allowed = name.size < 4 ? 1 : name.size < 10 ? 2 : 3;
    Str nearest = {NULL, 0};
    size_t least = allowed + 1;
    for (size_t i = 0; i < count; i++) {
        const size_t distance = str_distance(name, candidates[i]);
        if (distance >= least || distance >= name.size)
            continue;
        least = distance;
        nearest = candidates[i];
    }
    return nearest;
}
