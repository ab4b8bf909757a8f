// Cast: one value of a record as a column's type has it. Internal to src/contract/.
#pragma once

#include "contract/text.h"

typedef enum Fit { FIT_YES, FIT_NULL, FIT_NO } Fit;

typedef struct Cell {
    Str text;        // string, json
    int64_t integer; // int64, timestamp, date; boolean as 0 or 1
    double number;
    uint64_t words[2];     // decimal
    int64_t resolution_us; // timestamp: what its text could not tell apart
    bool guessed;          // a unit was chosen by the look of the number
} Cell;

// What casts need besides the value.
typedef struct Caster {
    Text *text;  // for privacy and for texts not written yet
    Buf scratch; // where a cell's text lives when it is not the value's own; cleared by each record
    const Buf *aside; // what was put aside of the record's text
    const Zone *zone; // of timestamps that name none
    const Sourced *sources;
    const Contract *contract;
    bool of_table; // times may be as databases write them
} Caster;

// *ret_fit says whether `ret_cell` holds the value; an empty string is null to every type but
// string and json. `value` is not null. False only for lack of memory.
bool cast_value(Caster *caster, const ColumnPlan *plan, const Sourced *sourced, Fit *ret_fit,
                Cell *ret_cell, Error *err) MUST_USE;

// True when both say the same, as far as the less exact one tells.
bool cell_same(const ColumnPlan *plan, const Cell *a, const Cell *b);

bool cell_set(BatchBuilder *builder, const ColumnPlan *plan, const Cell *cell, Error *err) MUST_USE;
