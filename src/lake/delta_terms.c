// Terms: what a table asks of those who write to it, and for how long it wants things kept.
#include "lake/delta_log.h"

enum { INTERVAL_PARTS_MAX = 10 };

#define MS_PER_DAY          INT64_C(86400000)
#define INTERVAL_UNKNOWN_MS (36525 * MS_PER_DAY) // a century

static bool check_features(const DeltaLog *log, yyjson_val *list, Error *err)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(list, i, count, item)
    {
        const Str name = json_str(item);
        if (!str_equal(name, STR("appendOnly")) && !str_equal(name, STR("invariants")))
            return error_set(err, ERROR_JOB,
                             "lake table " STR_FMT ": it has the feature '" STR_FMT
                             "', which pawl does not know: drop the feature or name another table",
                             STR_ARG(log->folder), STR_ARG(name));
    }
    return true;
}

static bool check_protocol(const DeltaLog *log, yyjson_val *protocol, Error *err)
{
    enum { READER_PLAIN = 1, READER_FEATURES = 3, WRITER_PLAIN = 2, WRITER_FEATURES = 7 };
    const int64_t reader = yyjson_get_sint(json_get(protocol, STR("minReaderVersion")));
    const int64_t writer = yyjson_get_sint(json_get(protocol, STR("minWriterVersion")));
    if ((reader != READER_PLAIN && reader != READER_FEATURES) || writer < 1 ||
        (writer > WRITER_PLAIN && writer != WRITER_FEATURES))
        return error_set(err, ERROR_JOB,
                         "lake table " STR_FMT ": its protocol is %lld/%lld, pawl knows 1/2: name "
                         "another table",
                         STR_ARG(log->folder), (long long)reader, (long long)writer);
    return check_features(log, json_get(protocol, STR("readerFeatures")), err) &&
           check_features(log, json_get(protocol, STR("writerFeatures")), err);
}

static bool refuse(const DeltaLog *log, Str property, Str value, Error *err)
{
    return error_set(err, ERROR_JOB,
                     "lake table " STR_FMT ": its property " STR_FMT " = '" STR_FMT
                     "' forbids what pawl does: change it or name another table",
                     STR_ARG(log->folder), STR_ARG(property), STR_ARG(value));
}

static bool check_properties(const DeltaLog *log, yyjson_val *properties, Error *err)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *value = NULL;
    yyjson_obj_foreach(properties, i, count, name, value)
    {
        const Str property = json_str(name);
        const Str text = json_str(value);
        const bool on = str_equal_ignoring_case(text, STR("true"));
        if ((on && (str_equal(property, STR("delta.appendOnly")) ||
                    str_equal(property, STR("delta.enableChangeDataFeed")))) ||
            (str_equal(property, STR("delta.columnMapping.mode")) &&
             !str_equal(text, STR("none"))) ||
            str_starts_with(property, STR("delta.constraints.")))
            return refuse(log, property, text, err);
    }
    return true;
}

static Str next_word(Str *rest)
{
    *rest = str_trim(*rest);
    const size_t blank = str_find_char(*rest, ' ');
    const Str word = str_slice(*rest, 0, blank);
    *rest = str_slice(*rest, blank, rest->size);
    return word;
}

// One number and its unit, such as "2 days".
static bool interval_part(Str number_text, Str unit, int64_t *ret_ms)
{
    enum { NUMBER_MAX = 1000000 };
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"day", MS_PER_DAY}, {"hour", 3600000}, {"week", 7 * MS_PER_DAY},
                 {"minute", 60000},   {"second", 1000},  {"millisecond", 1}};
    int64_t number = 0;
    if (!str_to_int64(number_text, &number) || number < 0 || number > NUMBER_MAX)
        return false;
    if (str_ends_with(unit, STR("s")))
        unit.size--;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (str_equal_ignoring_case(unit, str_from(units[i].name))) {
            *ret_ms = number * units[i].ms;
            return true;
        }
    }
    return false;
}

// "interval 7 days", "interval 1 week 2 days": Spark's own writing of table properties. A text that
// says something else is a long time: what is kept too long can still be removed.
static int64_t interval_ms(yyjson_val *property, int64_t fallback)
{
    Str rest = str_trim(json_str(property));
    int64_t sum_ms = 0;
    int parts = 0;
    if (rest.size == 0)
        return fallback;
    Str word = next_word(&rest);
    if (str_equal_ignoring_case(word, STR("interval")))
        word = next_word(&rest);
    for (; word.size > 0 && parts < INTERVAL_PARTS_MAX; parts++) {
        int64_t ms = 0;
        if (!interval_part(word, next_word(&rest), &ms))
            return INTERVAL_UNKNOWN_MS;
        sum_ms += ms;
        word = next_word(&rest);
    }
    return word.size > 0 || parts == 0 || sum_ms > INTERVAL_UNKNOWN_MS ? INTERVAL_UNKNOWN_MS
                                                                       : sum_ms;
}

static bool settle_metadata(DeltaLog *log, yyjson_val *metadata, Error *err)
{
    yyjson_val *properties = json_get(metadata, STR("configuration"));
    if (yyjson_arr_size(json_get(metadata, STR("partitionColumns"))) > 0)
        return error_set(err, ERROR_JOB,
                         "lake table " STR_FMT
                         ": it is partitioned, which pawl does not write: name "
                         "another table",
                         STR_ARG(log->folder));
    TRY(check_properties(log, properties, err));
    TRY(arena_copy_str(log->arena, json_str(json_get(metadata, STR("schemaString"))),
                       &log->schema_json, err));
    if (!delta_schema_read(log->schema_json, log->arena, &log->schema, err))
        return error_context(err, "lake table " STR_FMT, STR_ARG(log->folder));
    log->log_retention_ms =
        interval_ms(json_get(properties, STR("delta.logRetentionDuration")), 30 * MS_PER_DAY);
    log->file_retention_ms = interval_ms(
        json_get(properties, STR("delta.deletedFileRetentionDuration")), 7 * MS_PER_DAY);
    log->has_file_retention =
        json_get(properties, STR("delta.deletedFileRetentionDuration")) != NULL;
    log->keeps_log = str_equal_ignoring_case(
        json_str(json_get(properties, STR("delta.enableExpiredLogCleanup"))), STR("false"));
    log->txn_retention_ms =
        interval_ms(json_get(properties, STR("delta.setTransactionRetentionDuration")), -1);
    return true;
}

// Files that newer versions brought.
static bool settle_files(DeltaLog *log, Error *err)
{
    for (size_t i = 0; i < log->file_count; i++) {
        const DeltaFile *file = &log->files[i];
        Str ignored = {0};
        if (file->live && file->version > log->settled)
            TRY(delta_log_file_path(log, file->path, log->scratch_arena, &ignored, err));
    }
    return true;
}

// Judges the table as it is now: what an older version asked for, and a newer one took back, is
// nobody's duty any more.
bool delta_log_settle(DeltaLog *log, Error *err)
{
    yyjson_doc *doc = NULL;
    if (log->version < 0 || log->settled == log->version)
        return true;
    if (log->protocol.size == 0 || log->metadata.size == 0)
        return error_set(err, ERROR_DATA,
                         "lake table " STR_FMT ": its log has no protocol or schema",
                         STR_ARG(log->folder));
    arena_reset(log->scratch_arena);
    if (log->protocol_version > log->settled)
        TRY(json_parse(log->protocol, "protocol", log->scratch_arena, &doc, err) &&
            check_protocol(log, yyjson_doc_get_root(doc), err));
    if (log->metadata_version > log->settled)
        TRY(json_parse(log->metadata, "metaData", log->scratch_arena, &doc, err) &&
            settle_metadata(log, yyjson_doc_get_root(doc), err));
    TRY(settle_files(log, err));
    log->settled = log->version;
    return true;
}
