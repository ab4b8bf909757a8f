#include "page.h"

#include "record.h"

#include <inttypes.h>
#include <stdio.h>

enum { PER_PAGE_CUT = 10, RANK_DIGITS = 8 };

// Where a page stands in its list.
typedef struct Frame {
    uint32_t total;
    int64_t page, per_page;
    uint32_t before, count;                        // items in front of this page, and on it
    char after[RANK_DIGITS + SPOT_TEXT_BYTES + 1]; // empty = the next page goes by its number alone
    bool capped;                                   // there is more, but it cannot be reached
    Str sort;                                      // raw JSON
} Frame;

static PageRefusal check_query(const Query *query)
{
    if (query->per_page > QUERY_PER_PAGE_MAX)
        return PAGE_TOO_LARGE;
    return query->wrong != NULL ? PAGE_BAD_PARAMETER : PAGE_OK;
}

// "https://host/path?" and the parameters as they came, less page and after.
static bool write_link(const PagePlan *plan, int64_t page, const char *after, Buf *out, Error *err)
{
    const Query *query = plan->query;
    TRY(buf_printf(out, err, "\"" STR_FMT STR_FMT "?", STR_ARG(plan->origin),
                   STR_ARG(query->path)));
    Str rest = query->raw;
    while (rest.size > 0) {
        const Str parameter = str_split_next(&rest, '&');
        if (parameter.size == 0 || str_starts_with(parameter, STR("page=")) ||
            str_starts_with(parameter, STR("after=")))
            continue;
        TRY(buf_append(out, parameter, err));
        TRY(buf_append_char(out, '&', err));
    }
    TRY(buf_printf(out, err, "page=%" PRId64, page));
    if (after[0] != '\0')
        TRY(buf_printf(out, err, "&after=%s", after));
    return buf_append_char(out, '"', err);
}

static bool write_next(const PagePlan *plan, const Frame *frame, Buf *out, Error *err)
{
    const PageTwist *twist = &plan->twist;
    if (twist->next_is_self)
        return buf_printf(out, err, "\"" STR_FMT STR_FMT "?" STR_FMT "\"", STR_ARG(plan->origin),
                          STR_ARG(plan->query->path), STR_ARG(plan->query->raw));
    if (twist->next_page.size > 0)
        return buf_printf(out, err, "\"" STR_FMT "\"", STR_ARG(twist->next_page));
    if (frame->before + frame->count >= frame->total || frame->count == 0 || frame->capped)
        return buf_append(out, STR("null"), err);
    return write_link(plan, frame->page + 1, frame->after, out, err);
}

// What stands behind the list.
static bool write_frame(const PagePlan *plan, const Frame *frame, Buf *out, Error *err)
{
    const int64_t total = (int64_t)frame->total + plan->twist.total_delta;
    TRY(buf_printf(out, err,
                   "],\"page\":%" PRId64 ",\"per_page\":%" PRId64 ",\"total_entries\":%" PRId64
                   ",\"total_pages\":%" PRId64 ",\"next_page\":",
                   frame->page, frame->per_page, total,
                   (total + frame->per_page - 1) / frame->per_page));
    TRY(write_next(plan, frame, out, err));
    TRY(buf_append(out, STR(",\"previous_page\":"), err));
    if (frame->page > 1)
        TRY(write_link(plan, frame->page - 1, "", out, err));
    else
        TRY(buf_append(out, STR("null"), err));
    if (frame->after[0] != '\0')
        TRY(buf_printf(out, err, ",\"after\":\"%s\"", frame->after));
    else
        TRY(buf_append(out, STR(",\"after\":null"), err));
    return buf_printf(out, err, ",\"sort\":[" STR_FMT "],\"stats\":{}}", STR_ARG(frame->sort));
}

// A member that is far too long, put behind the others of the record just written.
static bool write_huge(size_t size, Buf *out, Error *err)
{
    TRY(buf_reserve(out, size, err));
    out->size--; // the closing brace
    TRY(buf_append(out, STR(",\"huge_text\":\""), err));
    TRY(buf_reserve(out, size, err));
    memset(out->data + out->size, 'x', size);
    out->size += size;
    return buf_append(out, STR("\"}"), err);
}

// Which members to leave out: two are known to the writer, the rest is cut out afterwards.
static void read_omit(Str exclude, unsigned *ret_omit, Str *ret_others)
{
    unsigned omit = 0;
    bool others = false;
    for (Str rest = exclude; rest.size > 0;) {
        const Str name = str_split_next(&rest, ',');
        if (str_equal(name, STR("transcription_text")))
            omit |= RECORD_OMIT_TRANSCRIPT;
        else if (str_equal(name, STR("chat_messages")))
            omit |= RECORD_OMIT_CHAT;
        else
            others = true;
    }
    *ret_omit = omit;
    *ret_others = others ? exclude : (Str){NULL, 0};
}

// The `after` text: how many rows came before (for the cap), then the spot.
static bool read_after(const Selection *selection, Str after, uint32_t *ret_rank, Spot *ret_spot)
{
    uint32_t rank = 0;
    for (size_t i = 0; i < RANK_DIGITS; i++) {
        if (i >= after.size || after.data[i] < '0' || after.data[i] > '9')
            return false;
        rank = rank * 10 + (uint32_t)(after.data[i] - '0');
    }
    *ret_rank = rank;
    return selection_read_spot(selection, str_slice(after, RANK_DIGITS, SIZE_MAX), ret_spot);
}

// Finds where the page begins; `ret_rows` is how far the reader has come by his own count.
static PageRefusal find_start(const PagePlan *plan, const Selection *selection, Spot *ret_spot,
                              uint32_t *ret_rows)
{
    const Query *query = plan->query;
    if (query->after.size > 0) {
        if (!read_after(selection, query->after, ret_rows, ret_spot))
            return PAGE_BAD_AFTER;
        return plan->after_is_capped && plan->cap > 0 && *ret_rows >= plan->cap ? PAGE_BEYOND_CAP
                                                                                : PAGE_OK;
    }
    int64_t skip = 0;
    if (__builtin_mul_overflow(query->page - 1, query->per_page, &skip) || skip > selection->total)
        skip = selection->total;
    if (plan->cap > 0 && skip + query->per_page > plan->cap && skip > 0)
        return PAGE_BEYOND_CAP;
    *ret_spot = selection_skip(selection, (uint32_t)skip);
    *ret_rows = (uint32_t)skip;
    return PAGE_OK;
}

static bool write_records(const PagePlan *plan, const Selection *selection, Spot *spot,
                          Frame *frame, Buf *out, Error *err)
{
    unsigned omit;
    Str others;
    read_omit(plan->query->exclude_fields, &omit, &others);
    TRY(buf_append(out, STR("{\"calls\":["), err));
    Call call;
    for (; frame->count < frame->per_page && selection_next(selection, spot, &call);
         frame->count++) {
        if (frame->count > 0)
            TRY(buf_append_char(out, ',', err));
        if (frame->count == 0 && plan->twist.poison != NULL)
            call.change = plan->twist.poison;
        TRY(record_append(plan->world, &call, omit, others, out, err));
        if (frame->count == 0 && plan->twist.huge_bytes > 0)
            TRY(write_huge((size_t)plan->twist.huge_bytes, out, err));
    }
    return true;
}

bool page_write_calls(const PagePlan *plan, const Account *account, Buf *out,
                      PageRefusal *ret_refusal, Error *err)
{
    const Query *query = plan->query;
    const Selection selection = world_select(account, query->from, query->to);
    Frame frame = {.total = selection.total, .page = query->page, .per_page = query->per_page};
    Spot spot = {0};
    uint32_t rows = 0;
    *ret_refusal = check_query(query);
    if (*ret_refusal == PAGE_OK)
        *ret_refusal = find_start(plan, &selection, &spot, &rows);
    if (*ret_refusal != PAGE_OK)
        return true;

    frame.before = selection_rank(&selection, spot);
    TRY(write_records(plan, &selection, &spot, &frame, out, err));
    if (frame.count > 0) {
        rows += frame.count;
        const int digits = snprintf(frame.after, sizeof(frame.after), "%08" PRIu32, rows);
        const size_t size =
            (size_t)digits + selection_write_spot(&selection, spot, frame.after + digits);
        frame.after[size] = '\0';
    }
    frame.capped = plan->after_is_capped && plan->cap > 0 && rows >= plan->cap;
    frame.sort = STR("\"unix_time:desc\",\"id:desc\"");
    return write_frame(plan, &frame, out, err);
}

bool page_write_list(const PagePlan *plan, const PageList *list, Buf *out, PageRefusal *ret_refusal,
                     Error *err)
{
    const Query *query = plan->query;
    Frame frame = {.total = list->count, .page = query->page, .per_page = query->per_page};
    *ret_refusal = check_query(query);
    if (*ret_refusal != PAGE_OK)
        return true;
    if (list->cut_at_10 && frame.per_page > PER_PAGE_CUT)
        frame.per_page = PER_PAGE_CUT;

    int64_t skip = 0;
    if (__builtin_mul_overflow(frame.page - 1, frame.per_page, &skip) || skip > list->count)
        skip = list->count;
    frame.before = (uint32_t)skip;
    TRY(buf_printf(out, err, "{\"%s\":[", list->key));
    for (uint32_t i = frame.before; i < list->count && frame.count < frame.per_page;
         i++, frame.count++) {
        if (frame.count > 0)
            TRY(buf_append_char(out, ',', err));
        TRY(list->write(list->state, i, out, err));
    }
    return write_frame(plan, &frame, out, err);
}
