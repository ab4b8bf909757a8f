#include "contract/plan.h"

// What the tables of fields cannot say of their JSON members; a schema is the union of both.
static const char *const head =
    "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
    "\"title\":\"pawl table contract\",\"$defs\":{"
    "\"path\":{\"type\":\"string\",\"pattern\":\"^/.\"},"
    "\"paths\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/path\"}},"
    "\"column\":{\"allOf\":[";
static const char *const column_rest =
    ",{\"properties\":{"
    "\"from\":{\"oneOf\":[{\"$ref\":\"#/$defs/path\"},{\"$ref\":\"#/$defs/paths\"}]},"
    "\"formats\":{\"type\":\"array\",\"items\":{\"anyOf\":[{\"enum\":[\"iso\",\"epoch_s\",\"epoch_"
    "ms\","
    "\"epoch_us\"]},{\"type\":\"string\",\"pattern\":\"%\"}]}},"
    "\"unit\":{\"oneOf\":[{\"const\":\"ms\"},";
static const char *const unit_rest = "]}}}]}},\"allOf\":[";
static const char *const contract_rest =
    ",{\"properties\":{"
    "\"key\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":16,\"items\":{\"type\":\"string\"}},"
    "\"volatile\":{\"$ref\":\"#/$defs/paths\"},\"known\":{\"$ref\":\"#/$defs/paths\"},"
    "\"privacy\":{\"type\":\"object\",\"propertyNames\":{\"$ref\":\"#/$defs/path\"},"
    "\"additionalProperties\":{\"enum\":[\"keep\",\"mask\",\"hash\",\"drop\"]}},"
    "\"columns\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#/$defs/column\"}}}}]}";

bool contract_write_schema(Buf *out, Error *err)
{
    TRY(buf_append(out, str_from(head), err));
    TRY(field_write_schema(contract_column_fields, out, err));
    TRY(buf_append(out, str_from(column_rest), err));
    TRY(field_write_schema(contract_unit_fields, out, err));
    TRY(buf_append(out, str_from(unit_rest), err));
    TRY(field_write_schema(contract_fields, out, err));
    return buf_append(out, str_from(contract_rest), err);
}
