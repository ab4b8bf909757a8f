#include "contract/cast.h"

#include "contract/decimal.h"

#include <assert.h>
#include <math.h>

// Instants that a timestamp column may hold: the years 0001 to 9999, as base/time.h has them.
#define INSTANT_MIN INT64_C(-62135596800000000)
#define INSTANT_MAX INT64_C(253402300799999999)

// Doubles hold every integer up to here.
#define EXACT_INTEGER_MAX 9007199254740992.0

enum { US_PER_MS = 1000, US_PER_S = 1000000 };

// --- text of a value

// The text a scalar would be written as in JSON, without quotes: strings as they are.
static bool scalar_text(Caster *caster, const Sourced *sourced, Str *ret_text, Error *err)
{
    yyjson_val *value = sourced->value;
    const Str sent = json_str(value);
    if (unsafe_yyjson_is_str(value) && !sourced->odd) {
        *ret_text = sent;
        return true;
    }
    if (yyjson_is_raw(value)) {
        *ret_text = (Str){yyjson_get_raw(value), yyjson_get_len(value)};
        return true;
    }
    const size_t start = caster->scratch.size;
    if (unsafe_yyjson_is_str(value))
        TRY(text_clean(sent, &caster->scratch, err));
    else
        TRY(json_write_canonical(value, &caster->scratch, err));
    *ret_text = (Str){caster->scratch.data + start, caster->scratch.size - start};
    return true;
}

static bool is_blank(yyjson_val *value)
{
    return unsafe_yyjson_is_str(value) && str_trim(json_str(value)).size == 0;
}

// --- types

static bool cast_string(Caster *caster, const ColumnPlan *plan, const Sourced *sourced,
                        Fit *ret_fit, Cell *cell, Error *err)
{
    if (unsafe_yyjson_is_ctn(sourced->value)) {
        *ret_fit = FIT_NO;
        return true;
    }
    if (plan->phone != NULL && is_blank(sourced->value)) {
        *ret_fit = FIT_NULL;
        return true;
    }
    Str text = {0};
    TRY(scalar_text(caster, sourced, &text, err));
    if (plan->phone != NULL) {
        char number[PHONE_TEXT_BYTES];
        if (!phone_normalise(text, plan->phone, number)) {
            *ret_fit = FIT_NO;
            return true;
        }
        const size_t start = caster->scratch.size;
        TRY(buf_append(&caster->scratch, str_from(number), err));
        text = (Str){caster->scratch.data + start, caster->scratch.size - start};
    }
    if (plan->privacy != PRIVACY_KEEP) {
        // `text` may lie in the scratch, which may move.
        CLEANUP(buf_done) Buf hidden = {0};
        TRY(text_hide(caster->text, plan->privacy, text, &hidden, err));
        const size_t start = caster->scratch.size;
        TRY(buf_append(&caster->scratch, buf_str(&hidden), err));
        text = (Str){caster->scratch.data + start, caster->scratch.size - start};
    }
    cell->text = text;
    *ret_fit = FIT_YES;
    return true;
}

static bool cast_json(Caster *caster, const ColumnPlan *plan, const Sourced *sourced, Fit *ret_fit,
                      Cell *cell, Error *err)
{
    (void)plan;
    *ret_fit = FIT_YES;
    const Buf *whole = sourced->aside ? caster->aside : &caster->text->out;
    cell->text = (Str){whole->data + sourced->at, sourced->size};
    if (sourced->size > 0)
        return true;
    // A value inside another: its text is part of that one's, where it begins nobody wrote down.
    Text *text = caster->text;
    const Node *node = caster->contract->sources[sourced - caster->sources].node;
    const Buf record = text->out;
    const bool noting = text->noting;
    text->out = caster->scratch;
    text->noting = false; // taken with the outer value
    const size_t start = text->out.size;
    const bool ok = text_write(text, sourced->value, node, NULL, err);
    caster->scratch = text->out;
    text->out = record;
    text->noting = noting;
    TRY(ok);
    cell->text = (Str){caster->scratch.data + start, caster->scratch.size - start};
    return true;
}

static bool integer_of(yyjson_val *value, Str text, int64_t *ret_value)
{
    uint64_t words[2];
    switch (unsafe_yyjson_get_type(value)) {
    case YYJSON_TYPE_NUM:
        if (unsafe_yyjson_is_real(value)) {
            const double number = value->uni.f64;
            if (!(fabs(number) <= EXACT_INTEGER_MAX) || number != floor(number))
                return false;
            *ret_value = (int64_t)number;
            return true;
        }
        *ret_value = value->uni.i64;
        return !unsafe_yyjson_is_uint(value) || value->uni.u64 <= INT64_MAX;
    case YYJSON_TYPE_RAW:
    case YYJSON_TYPE_STR:
        text = str_trim(text);
        if (str_to_int64(text, ret_value))
            return true;
        // "12.0" is an integer too; 18 digits fit.
        if (!decimal_parse(text, 18, 0, words))
            return false;
        *ret_value = (int64_t)words[0];
        return true;
    default:
        return false;
    }
}

static bool double_of(yyjson_val *value, Str text, double *ret_value)
{
    if (json_to_double(value, ret_value))
        return isfinite(*ret_value);
    return unsafe_yyjson_is_str(value) && str_to_double(str_trim(text), ret_value) &&
           isfinite(*ret_value);
}

static bool number_at(const Caster *caster, int source, double *ret_number)
{
    if (source == NO_SOURCE || caster->sources[source].value == NULL)
        return false;
    yyjson_val *value = caster->sources[source].value;
    return double_of(value, json_str(value), ret_number);
}

// True when the number stands for milliseconds.
static bool is_ms(const Caster *caster, const ColumnPlan *plan, double number, Cell *cell)
{
    if (plan->unit.kind != UNIT_MS_IF_OVER)
        return plan->unit.kind == UNIT_MS;
    double limit = 0;
    double less = 0;
    if (!number_at(caster, plan->unit.source, &limit))
        limit = plan->unit.limit;
    else if (number_at(caster, plan->unit.less, &less))
        limit -= less;
    cell->guessed = number > limit;
    return cell->guessed;
}

static Fit cast_integer(const Caster *caster, const ColumnPlan *plan, yyjson_val *value, Str text,
                        Cell *cell)
{
    int64_t number = 0;
    if (!integer_of(value, text, &number))
        return FIT_NO;
    if (is_ms(caster, plan, (double)number, cell)) {
        if (number % 1000 != 0)
            return FIT_NO;
        number /= 1000;
    }
    cell->integer = number;
    return FIT_YES;
}

static Fit cast_double(const Caster *caster, const ColumnPlan *plan, yyjson_val *value, Str text,
                       Cell *cell)
{
    double number = 0;
    if (!double_of(value, text, &number))
        return FIT_NO;
    cell->number = is_ms(caster, plan, number, cell) ? number / 1000 : number;
    return FIT_YES;
}

// `text` is the number as sent, or the shortest that reads back as the same double.
static Fit cast_decimal(const Caster *caster, const ColumnPlan *plan, yyjson_val *value, Str text,
                        Cell *cell)
{
    if (unsafe_yyjson_is_bool(value) || unsafe_yyjson_is_ctn(value))
        return FIT_NO;
    text = str_trim(text);
    double number = 0;
    const bool ms = plan->unit.kind != UNIT_NONE && str_to_double(text, &number) &&
                    is_ms(caster, plan, number, cell);
    // Three digits more, so that the division by 1,000 tells whether any would be lost.
    const int spare = ms && plan->scale + 3 <= DECIMAL_PRECISION_MAX ? 3 : 0;
    if (!decimal_parse(text,
                       plan->precision + spare > DECIMAL_PRECISION_MAX ? DECIMAL_PRECISION_MAX
                                                                       : plan->precision + spare,
                       plan->scale, cell->words))
        return FIT_NO;
    if (ms && !decimal_divide_1000(cell->words))
        return FIT_NO;
    return FIT_YES;
}

// The last four are those of exports: psql's and spreadsheets'.
static Fit cast_boolean(yyjson_val *value, Str text, bool of_table, Cell *cell)
{
    static const char *const words[] = {"false", "true", "0", "1", "no", "yes", "f", "t", "n", "y"};
    enum { TABLE_WORDS = 4 };
    const size_t count = sizeof(words) / sizeof(words[0]) - (of_table ? 0 : TABLE_WORDS);
    if (unsafe_yyjson_is_bool(value)) {
        cell->integer = unsafe_yyjson_get_bool(value) ? 1 : 0;
        return FIT_YES;
    }
    if (unsafe_yyjson_is_ctn(value))
        return FIT_NO;
    text = str_trim(text);
    for (size_t i = 0; i < count; i++) {
        if (!str_equal_ignoring_case(text, str_from(words[i])))
            continue;
        cell->integer = (int64_t)(i % 2);
        return FIT_YES;
    }
    return FIT_NO;
}

// --- times

static bool epoch_of(yyjson_val *value, Str text, int64_t unit_us, int64_t *ret_us)
{
    double number = 0;
    int64_t whole = 0;
    if (integer_of(value, text, &whole)) {
        if (whole > INSTANT_MAX / unit_us || whole < INSTANT_MIN / unit_us)
            return false;
        *ret_us = whole * unit_us;
        return true;
    }
    if (!double_of(value, text, &number))
        return false;
    number = nearbyint(number * (double)unit_us);
    if (!(number >= (double)INSTANT_MIN && number <= (double)INSTANT_MAX))
        return false;
    *ret_us = (int64_t)number;
    return true;
}

static bool read_time(const Format *format, yyjson_val *value, Str text, const Zone *zone,
                      int64_t *ret_us)
{
    bool has_zone = false;
    switch (format->kind) {
    case FORMAT_EPOCH_S:
        return epoch_of(value, text, US_PER_S, ret_us);
    case FORMAT_EPOCH_MS:
        return epoch_of(value, text, US_PER_MS, ret_us);
    case FORMAT_EPOCH_US:
        return epoch_of(value, text, 1, ret_us);
    case FORMAT_ISO:
        return unsafe_yyjson_is_str(value) && time_parse_iso(text, ret_us);
    case FORMAT_PATTERN:
    default:
        return unsafe_yyjson_is_str(value) &&
               time_parse(text, format->pattern, zone, ret_us, &has_zone);
    }
}

static bool reads_epochs(const ColumnPlan *plan)
{
    bool any = false;
    for (size_t i = 0; i < plan->format_count; i++)
        any =
            any || (plan->formats[i].kind != FORMAT_ISO && plan->formats[i].kind != FORMAT_PATTERN);
    return any;
}

static Fit cast_time(const Caster *caster, const ColumnPlan *plan, yyjson_val *value, Str text,
                     Cell *cell)
{
    if (unsafe_yyjson_is_bool(value) || unsafe_yyjson_is_ctn(value))
        return FIT_NO;
    text = str_trim(text);
    const Zone *zone = plan->zone != NULL ? plan->zone : caster->zone;
    int32_t date = 0;
    if (plan->type == COLUMN_DATE && unsafe_yyjson_is_str(value) && date_parse(text, &date)) {
        cell->integer = date;
        return FIT_YES;
    }
    // A feed may have made milliseconds of seconds, or the other way round.
    int64_t epoch_us = 0;
    int64_t unit_us = 0;
    if (caster->of_table && unsafe_yyjson_is_str(value) && reads_epochs(plan) &&
        table_epoch_parse(text, &epoch_us, &unit_us)) {
        cell->integer = plan->type == COLUMN_DATE ? zone_date_at(zone, epoch_us) : epoch_us;
        cell->resolution_us = unit_us;
        return FIT_YES;
    }
    for (size_t i = 0; i < plan->format_count; i++) {
        int64_t us = 0;
        if (!read_time(&plan->formats[i], value, text, zone, &us))
            continue;
        if (us < INSTANT_MIN || us > INSTANT_MAX)
            continue;
        cell->integer = plan->type == COLUMN_DATE ? zone_date_at(zone, us) : us;
        cell->resolution_us = plan->formats[i].resolution_us;
        return FIT_YES;
    }
    int64_t us = 0;
    if (caster->of_table && unsafe_yyjson_is_str(value) && table_time_parse(text, &us)) {
        cell->integer = plan->type == COLUMN_DATE ? zone_date_at(NULL, us) : us;
        return FIT_YES;
    }
    return FIT_NO;
}

bool cast_value(Caster *caster, const ColumnPlan *plan, const Sourced *sourced, Fit *ret_fit,
                Cell *ret_cell, Error *err)
{
    assert(sourced->value != NULL);

    yyjson_val *value = sourced->value;
    ret_cell->text = (Str){0};
    ret_cell->guessed = false;
    ret_cell->resolution_us = 1;
    if (plan->type == COLUMN_STRING)
        return cast_string(caster, plan, sourced, ret_fit, ret_cell, err);
    if (plan->type == COLUMN_JSON)
        return cast_json(caster, plan, sourced, ret_fit, ret_cell, err);
    if (is_blank(value)) {
        *ret_fit = FIT_NULL;
        return true;
    }
    // Only a decimal needs the digits of a number; the others read the number itself.
    Str text = {0};
    if (unsafe_yyjson_is_str(value) || unsafe_yyjson_is_raw(value))
        text = json_str(value).data != NULL ? json_str(value)
                                            : (Str){yyjson_get_raw(value), yyjson_get_len(value)};
    else if (plan->type == COLUMN_DECIMAL || plan->type == COLUMN_BOOLEAN)
        TRY(scalar_text(caster, sourced, &text, err));
    *ret_fit = FIT_NO;
    switch (plan->type) {
    case COLUMN_INT64:
        *ret_fit = cast_integer(caster, plan, value, text, ret_cell);
        break;
    case COLUMN_DOUBLE:
        *ret_fit = cast_double(caster, plan, value, text, ret_cell);
        break;
    case COLUMN_DECIMAL:
        *ret_fit = cast_decimal(caster, plan, value, text, ret_cell);
        break;
    case COLUMN_BOOLEAN:
        *ret_fit = cast_boolean(value, text, caster->of_table, ret_cell);
        break;
    case COLUMN_TIMESTAMP:
    case COLUMN_DATE:
        *ret_fit = cast_time(caster, plan, value, text, ret_cell);
        break;
    case COLUMN_STRING:
    case COLUMN_JSON:
    case COLUMN_KEY:
    default:
        break;
    }
    return true;
}

// --- cells

static int64_t floor_to(int64_t value, int64_t step)
{
    const int64_t rest = value % step;
    return value - (rest < 0 ? rest + step : rest);
}

bool cell_same(const ColumnPlan *plan, const Cell *a, const Cell *b)
{
    switch (plan->type) {
    case COLUMN_STRING:
    case COLUMN_JSON:
        return str_equal(a->text, b->text);
    case COLUMN_DOUBLE:
        return a->number == b->number;
    case COLUMN_DECIMAL:
        return a->words[0] == b->words[0] && a->words[1] == b->words[1];
    case COLUMN_TIMESTAMP: {
        int64_t step = a->resolution_us > b->resolution_us ? a->resolution_us : b->resolution_us;
        step = step < 1 ? 1 : step;
        return floor_to(a->integer, step) == floor_to(b->integer, step);
    }
    case COLUMN_INT64:
    case COLUMN_BOOLEAN:
    case COLUMN_DATE:
    case COLUMN_KEY:
    default:
        return a->integer == b->integer;
    }
}

bool cell_set(BatchBuilder *builder, const ColumnPlan *plan, const Cell *cell, Error *err)
{
    switch (plan->type) {
    case COLUMN_STRING:
    case COLUMN_JSON:
        return batch_set_str(builder, plan->index, cell->text, err);
    case COLUMN_DOUBLE:
        return batch_set_double(builder, plan->index, cell->number, err);
    case COLUMN_DECIMAL:
        return batch_set_decimal(builder, plan->index, cell->words, err);
    case COLUMN_BOOLEAN:
        return batch_set_bool(builder, plan->index, cell->integer != 0, err);
    case COLUMN_INT64:
    case COLUMN_TIMESTAMP:
    case COLUMN_DATE:
    case COLUMN_KEY:
    default:
        return batch_set_int64(builder, plan->index, cell->integer, err);
    }
}
