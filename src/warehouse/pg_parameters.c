#include "warehouse/pg_parameters.h"

#include <assert.h>
#include <endian.h>

enum { PARAMETER_BYTES_MAX = 256 * 1024 * 1024 };

// From PostgreSQL's catalog/pg_type.dat, where they are fixed for good.
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_TEXT = 25,
    OID_TIMESTAMPTZ = 1184,
    OID_UUID = 2950,
    OID_BOOL_ARRAY = 1000,
    OID_TEXT_ARRAY = 1009,
    OID_INT8_ARRAY = 1016,
    OID_TIMESTAMPTZ_ARRAY = 1185,
    OID_UUID_ARRAY = 2951,
};

static const struct {
    Oid one, array;
} oids[] = {
    [PG_TEXT] = {OID_TEXT, OID_TEXT_ARRAY},
    [PG_INT64] = {OID_INT8, OID_INT8_ARRAY},
    [PG_TIME] = {OID_TIMESTAMPTZ, OID_TIMESTAMPTZ_ARRAY},
    [PG_BOOL] = {OID_BOOL, OID_BOOL_ARRAY},
};

PgValue pg_value_text(Str text)
{
    return (PgValue){.type = PG_TEXT, .text = text};
}

PgValue pg_value_int64(int64_t value)
{
    return (PgValue){.type = PG_INT64, .number = value};
}

PgValue pg_value_time(int64_t us)
{
    return (PgValue){.type = PG_TIME, .number = us};
}

PgValue pg_value_bool(bool value)
{
    return (PgValue){.type = PG_BOOL, .number = value};
}

PgValue pg_value_null(PgType type)
{
    return (PgValue){.type = type, .is_null = true};
}

static bool put_int32(Buf *out, int64_t value, Error *err)
{
    const uint32_t big = htobe32((uint32_t)value);
    return buf_append(out, (Str){(const char *)&big, sizeof(big)}, err);
}

static bool put_int64(Buf *out, int64_t value, Error *err)
{
    const uint64_t big = htobe64((uint64_t)value);
    return buf_append(out, (Str){(const char *)&big, sizeof(big)}, err);
}

static size_t value_size(const PgValue *value)
{
    switch (value->type) {
    case PG_TEXT:
        return value->text.size;
    case PG_BOOL:
        return 1;
    case PG_INT64:
    case PG_TIME:
        break;
    }
    return sizeof(int64_t);
}

static bool put_value(Buf *out, const PgValue *value, Error *err)
{
    switch (value->type) {
    case PG_TEXT:
        return buf_append(out, value->text, err);
    case PG_BOOL:
        return buf_append_char(out, value->number != 0 ? 1 : 0, err);
    case PG_INT64:
        return put_int64(out, value->number, err);
    case PG_TIME:
        break;
    }
    return put_int64(out, value->number - PG_EPOCH_US, err);
}

// An array of one dimension, as array_recv() reads it: dimensions, whether there are nulls, type of
// the elements, how many, number of the first; then each with its size.
static bool put_array_head(Buf *out, Oid type, size_t count, Error *err)
{
    return put_int32(out, count == 0 ? 0 : 1, err) && put_int32(out, 1, err) &&
           put_int32(out, type, err) &&
           (count == 0 || (put_int32(out, (int64_t)count, err) && put_int32(out, 1, err)));
}

static bool put_column(Buf *out, const PgGrid *grid, size_t column, Error *err)
{
    TRY(put_array_head(out, oids[grid->types[column]].one, grid->row_count, err));
    for (size_t row = 0; row < grid->row_count; row++) {
        const PgValue *cell = &grid->cells[row * grid->column_count + column];
        assert(cell->type == grid->types[column]);
        TRY(put_int32(out, cell->is_null ? -1 : (int64_t)value_size(cell), err));
        if (!cell->is_null)
            TRY(put_value(out, cell, err));
    }
    return true;
}

static bool put_keys(Buf *out, const Key128 *keys, size_t count, Error *err)
{
    TRY(put_array_head(out, OID_UUID, count, err));
    TRY(buf_reserve(out, count * (sizeof(int32_t) + KEY_BYTES), err));
    for (size_t i = 0; i < count; i++)
        TRY(put_int32(out, KEY_BYTES, err) &&
            buf_append(out, (Str){(const char *)keys[i].bytes, KEY_BYTES}, err));
    return true;
}

void pg_parameters_done(PgParameters *parameters)
{
    buf_done(&parameters->bytes);
}

static void note_parameter(PgParameters *parameters, Oid type, bool is_null)
{
    assert(parameters->count < PG_PARAMETERS_MAX);
    parameters->types[parameters->count] = type;
    parameters->is_null[parameters->count] = is_null;
    parameters->starts[++parameters->count] = parameters->bytes.size;
}

bool pg_parameters_gather(PgParameters *parameters, const PgStatement *statement, Error *err)
{
    Buf *out = &parameters->bytes;
    out->limit_bytes = PARAMETER_BYTES_MAX;
    for (size_t i = 0; i < statement->value_count; i++) {
        const PgValue *value = &statement->values[i];
        if (!value->is_null)
            TRY(put_value(out, value, err));
        note_parameter(parameters, oids[value->type].one, value->is_null);
    }
    for (size_t i = 0; statement->grid != NULL && i < statement->grid->column_count; i++) {
        TRY(put_column(out, statement->grid, i, err));
        note_parameter(parameters, oids[statement->grid->types[i]].array, false);
    }
    if (statement->keys != NULL) {
        assert(statement->key_count <= PG_KEYS_MAX);
        TRY(put_keys(out, statement->keys, statement->key_count, err));
        note_parameter(parameters, OID_UUID_ARRAY, false);
    }
    return true;
}
