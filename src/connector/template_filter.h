// Filters: what the files that define them share.
#pragma once

#include "connector/template_argument.h"

typedef bool Filter(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err);

// template_sequence.c
Filter filter_attr, filter_batch, filter_length, filter_default, filter_dictsort, filter_first,
    filter_items, filter_join, filter_last, filter_list, filter_map, filter_max, filter_min,
    filter_reject, filter_rejectattr, filter_reverse, filter_select, filter_selectattr, filter_sort,
    filter_sum, filter_unique;

// template_number.c
Filter filter_abs, filter_float, filter_int, filter_round;

// template_digest.c
Filter filter_base64binascii_decode, filter_base64decode, filter_base64encode, filter_hash,
    filter_hmac;

// The subject as a str. The reference calls a method that others lack: no TypeError, but an
// AttributeError.
bool filter_subject_str(Machine *machine, const Arguments *arguments, Str *ret_text,
                        Error *err) MUST_USE;
