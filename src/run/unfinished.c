#include "run/unfinished.h"

#include "run/end_note.h"

static bool has_mode(Str json, RunMode mode, Arena *arena)
{
    yyjson_doc *doc = NULL;
    Error ignored = {0};
    if (!json_parse(json, "run.json", arena, &doc, &ignored))
        return false;
    return str_equal(json_str(json_get(yyjson_doc_get_root(doc), STR("mode"))),
                     str_from(run_mode_name(mode)));
}

// A run that ended before it began by today's clock: another clock was ahead. Which of the others
// is newer, its id does not tell.
static bool is_of_the_future(Str id, int64_t now_us)
{
    return uuid_time_us(id) > now_us + PLAN_SKEW_US_MAX;
}

// A plan that is damaged hides of which mode its run is. One that is over is none to go on with,
// whatever it was.
static bool find_plan(Landing *landing, Str id, Arena *arena, Str *ret_json, bool *ret_there,
                      Error *err)
{
    EndNote end = {0};
    bool over = false;
    Error ignored = {0};
    if (plan_find(landing, id, arena, ret_json, ret_there, err))
        return true;
    if (err->code != ERROR_DATA || !end_note_read(landing, id, arena, &end, &over, &ignored) ||
        !over)
        return false;
    *err = (Error){0};
    *ret_there = false;
    return true;
}

bool unfinished_find(Landing *landing, RunMode mode, int64_t now_us, Arena *arena, Str *ret_id,
                     Str *ret_json, Error *err)
{
    Str *runs = NULL;
    size_t count = 0;
    *ret_id = STR("");
    TRY(landing_list_runs(landing, arena, &runs, &count, err));
    for (size_t i = count; i > 0; i--) {
        Str json = {0};
        EndNote end = {0};
        bool there = false;
        TRY(find_plan(landing, runs[i - 1], arena, &json, &there, err));
        if (!there || !has_mode(json, mode, arena))
            continue;
        TRY(end_note_read(landing, runs[i - 1], arena, &end, &there, err));
        if (there && is_of_the_future(runs[i - 1], now_us))
            continue;
        if (!there) {
            *ret_id = runs[i - 1];
            *ret_json = json;
        }
        return true;
    }
    return true;
}

bool unfinished_beside(Landing *landing, RunMode mode, int64_t since_us, Arena *arena,
                       bool *ret_any, Error *err)
{
    Str *runs = NULL;
    size_t count = 0;
    *ret_any = false;
    TRY(landing_list_runs(landing, arena, &runs, &count, err));
    for (size_t i = count; i > 0 && !*ret_any && uuid_time_us(runs[i - 1]) >= since_us; i--) {
        Str json = {0};
        EndNote end = {0};
        bool there = false;
        TRY(end_note_read(landing, runs[i - 1], arena, &end, &there, err));
        if (there)
            continue;
        TRY(plan_find(landing, runs[i - 1], arena, &json, &there, err));
        *ret_any = there && !has_mode(json, mode, arena);
    }
    return true;
}

bool unfinished_give_up(Landing *landing, Str run, int64_t now_us, Error *err)
{
    return end_note_put(landing, run, &(EndNote){.status = STR("given up")}, now_us, err);
}

bool unfinished_describe(const PlanRequest *asked, Arena *arena, Str *ret_text, Error *err)
{
    const struct {
        const char *option;
        Str value;
    } parts[] = {{"from", asked->from},
                 {"to", asked->to},
                 {"stream", asked->stream},
                 {"account", asked->account}};
    *ret_text = STR("");
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i].value.size > 0)
            TRY(arena_printf(arena, ret_text, err, STR_FMT " --%s " STR_FMT, STR_ARG(*ret_text),
                             parts[i].option, STR_ARG(parts[i].value)));
    }
    return true;
}
