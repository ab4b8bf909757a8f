#include "batch/pattern.h"

#include <stdio.h>

// Years 1 to 9999: there is one before that only for some.
#define DAY                                                                                        \
    "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]" \
    ")"
// An instant needs a zone, and no digits behind the microsecond. Not 24:00, nor second 60: some
// make the next day or minute of them.
#define CLOCK "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6}0*)?"
#define ZONE  "(Z|[-+][0-9]{2}:?[0-9]{2})"

void pattern_of(const Column *column, char text[PATTERN_BYTES])
{
    const char *pattern = "";
    switch (column->type) {
    case COLUMN_INT64:
        pattern = "^-?[0-9]+$";
        break;
    case COLUMN_DOUBLE:
        pattern = "^-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]{1,3})?$";
        break;
    case COLUMN_DECIMAL:
        // Whether a power of ten loses digits is not for a pattern to say: those stay.
        if (column->scale > 0) {
            (void)snprintf(text, PATTERN_BYTES, "^-?[0-9]+([.][0-9]{1,%d}0*)?$", column->scale);
            return;
        }
        pattern = "^-?[0-9]+([.]0+)?$";
        break;
    case COLUMN_BOOLEAN:
        pattern = "^(true|false)$";
        break;
    case COLUMN_TIMESTAMP:
        pattern = "^" DAY "[T ]" CLOCK ZONE "$";
        break;
    case COLUMN_DATE:
        pattern = "^" DAY "$";
        break;
    case COLUMN_STRING:
    case COLUMN_JSON:
    case COLUMN_KEY:
        break;
    }
    (void)snprintf(text, PATTERN_BYTES, "%s", pattern);
}

const char *pattern_range(ColumnType type)
{
    if (type == COLUMN_INT64)
        return " BETWEEN -9223372036854775808 AND 9223372036854775807";
    if (type == COLUMN_DOUBLE)
        return " BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308";
    return "";
}
