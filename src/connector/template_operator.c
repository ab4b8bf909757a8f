// Python's operators on values: arithmetic, comparison, membership, subscripts.

#include "connector/machine.h"

#include <assert.h>
#include <math.h>

static bool is_integer(Value value)
{
    return value.kind == VALUE_INT || value.kind == VALUE_BOOL;
}

static bool is_number(Value value)
{
    return is_integer(value) || value.kind == VALUE_FLOAT;
}

static int64_t to_integer(Value value)
{
    return value.kind == VALUE_BOOL ? value.boolean : value.integer;
}

static double to_double(Value value)
{
    return value.kind == VALUE_FLOAT ? value.number : (double)to_integer(value);
}

// --- arithmetic

static bool too_large(Machine *machine, Error *err)
{
    (void)machine;
    return error_set(err, ERROR_LIMIT, "an integer beyond 64 bits");
}

// Rounds toward minus infinity, as Python's // and % do.
static bool divide_integers(Machine *machine, Operator op, int64_t a, int64_t b, Value *ret_value,
                            Error *err)
{
    if (b == 0)
        return raise_value(machine, err, "division by zero");
    if (a == INT64_MIN && b == -1)
        return op == OPERATOR_FLOOR ? too_large(machine, err) : (*ret_value = value_int(0), true);
    const int64_t rest = a % b;
    const bool adjust = rest != 0 && (rest < 0) != (b < 0);
    *ret_value =
        value_int(op == OPERATOR_FLOOR ? a / b - (adjust ? 1 : 0) : rest + (adjust ? b : 0));
    return true;
}

static bool power_integers(Machine *machine, int64_t base, int64_t exponent, Value *ret_value,
                           Error *err)
{
    if (exponent < 0) {
        if (base == 0)
            return raise_value(machine, err, "0 cannot be raised to a negative power");
        *ret_value = value_float(pow((double)base, (double)exponent));
        return true;
    }
    int64_t result = 1;
    while (exponent > 0) {
        if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result))
            return too_large(machine, err);
        exponent >>= 1;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base))
            return too_large(machine, err);
    }
    *ret_value = value_int(result);
    return true;
}

static bool compute_integers(Machine *machine, Operator op, int64_t a, int64_t b, Value *ret_value,
                             Error *err)
{
    int64_t result = 0;
    bool overflow = false;
    if (op == OPERATOR_ADD)
        overflow = __builtin_add_overflow(a, b, &result);
    else if (op == OPERATOR_SUBTRACT)
        overflow = __builtin_sub_overflow(a, b, &result);
    else if (op == OPERATOR_MULTIPLY)
        overflow = __builtin_mul_overflow(a, b, &result);
    else if (op == OPERATOR_POWER)
        return power_integers(machine, a, b, ret_value, err);
    else
        return divide_integers(machine, op, a, b, ret_value, err);
    if (overflow)
        return too_large(machine, err);
    *ret_value = value_int(result);
    return true;
}

static double floor_remainder(double a, double b)
{
    const double rest = fmod(a, b);
    if (rest != 0)
        return (rest < 0) != (b < 0) ? rest + b : rest;
    return copysign(0.0, b);
}

static bool compute_floats(Machine *machine, Operator op, double a, double b, Value *ret_value,
                           Error *err)
{
    const bool divides = op == OPERATOR_DIVIDE || op == OPERATOR_FLOOR || op == OPERATOR_REMAINDER;
    if (divides && b == 0)
        return raise_value(machine, err, "division by zero");
    double result = 0;
    if (op == OPERATOR_ADD)
        result = a + b;
    else if (op == OPERATOR_SUBTRACT)
        result = a - b;
    else if (op == OPERATOR_MULTIPLY)
        result = a * b;
    else if (op == OPERATOR_DIVIDE)
        result = a / b;
    else if (op == OPERATOR_FLOOR)
        result = floor((a - floor_remainder(a, b)) / b + 0.5);
    else if (op == OPERATOR_REMAINDER)
        result = floor_remainder(a, b);
    else
        result = pow(a, b);
    if (op == OPERATOR_POWER && isnan(result) && !isnan(a) && !isnan(b))
        return raise_value(machine, err, "a complex number");
    *ret_value = value_float(result);
    return true;
}

// --- text and sequences

static bool join_strings(Machine *machine, Str left, Str right, Value *ret_value, Error *err)
{
    if (left.size + right.size > MACHINE_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "a text of more than %d bytes", (int)MACHINE_BYTES_MAX);
    char *text = arena_alloc(machine->arena, left.size + right.size, err);
    TRY(text != NULL);
    if (left.size > 0)
        memcpy(text, left.data, left.size);
    if (right.size > 0)
        memcpy(text + left.size, right.data, right.size);
    *ret_value = value_str((Str){text, left.size + right.size});
    return true;
}

static bool join_sequences(Machine *machine, Value left, Value right, Value *ret_value, Error *err)
{
    const Value *parts[2] = {NULL, NULL};
    size_t counts[2] = {0, 0};
    TRY(machine_items(machine, left, &parts[0], &counts[0], err) &&
        machine_items(machine, right, &parts[1], &counts[1], err));
    Value *items = arena_alloc_array(machine->arena, counts[0] + counts[1], sizeof(*items), err);
    TRY(items != NULL);
    for (size_t i = 0; i < counts[0] + counts[1]; i++) {
        TRY(machine_step(machine, err));
        items[i] = i < counts[0] ? parts[0][i] : parts[1][i - counts[0]];
    }
    *ret_value = value_list(items, counts[0] + counts[1]);
    if (left.kind == VALUE_TUPLE)
        ret_value->kind = VALUE_TUPLE;
    return true;
}

static bool repeat_string(Machine *machine, Str text, int64_t times, Value *ret_value, Error *err)
{
    if (times <= 0 || text.size == 0) {
        *ret_value = value_str(STR(""));
        return true;
    }
    if ((uint64_t)times > MACHINE_BYTES_MAX / text.size)
        return error_set(err, ERROR_LIMIT, "a text of more than %d bytes", (int)MACHINE_BYTES_MAX);
    char *copy = arena_alloc(machine->arena, text.size * (size_t)times, err);
    TRY(copy != NULL);
    for (size_t i = 0; i < (size_t)times; i++)
        memcpy(copy + i * text.size, text.data, text.size);
    *ret_value = value_str((Str){copy, text.size * (size_t)times});
    return true;
}

static bool repeat_sequence(Machine *machine, Value value, int64_t times, Value *ret_value,
                            Error *err)
{
    const Value *items = NULL;
    size_t count = 0;
    TRY(machine_items(machine, value, &items, &count, err));
    if (times < 0)
        times = 0;
    if (count > 0 && (uint64_t)times > MACHINE_STEPS_MAX / count)
        return error_set(err, ERROR_LIMIT, "a list of more than %d items", (int)MACHINE_STEPS_MAX);
    const size_t total = count * (size_t)times;
    Value *copy = arena_alloc_array(machine->arena, total, sizeof(*copy), err);
    TRY(copy != NULL);
    for (size_t i = 0; i < total; i++) {
        TRY(machine_step(machine, err));
        copy[i] = items[i % count];
    }
    *ret_value = value_list(copy, total);
    if (value.kind == VALUE_TUPLE)
        ret_value->kind = VALUE_TUPLE;
    return true;
}

static bool repeat(Machine *machine, Value value, Value times, Value *ret_value, Error *err)
{
    if (value.kind == VALUE_STR)
        return repeat_string(machine, value.text, to_integer(times), ret_value, err);
    return repeat_sequence(machine, value, to_integer(times), ret_value, err);
}

// --- dates

static bool is_date(Value value)
{
    return value.kind == VALUE_DATETIME || value.kind == VALUE_DATE;
}

static bool bad_operands(Machine *machine, Operator op, Value left, Value right, Error *err)
{
    static const char *const names[] = {"+", "-", "*", "/", "//", "%", "**"};
    return raise_type(machine, err, "unsupported operand type(s) for %s: '%s' and '%s'", names[op],
                      value_type(left), value_type(right));
}

static bool subtract_dates(Machine *machine, Value left, Value right, Value *ret_value, Error *err)
{
    const bool naive = left.offset_seconds == VALUE_NAIVE;
    if (left.kind != right.kind ||
        (left.kind == VALUE_DATETIME && naive != (right.offset_seconds == VALUE_NAIVE)))
        return bad_operands(machine, OPERATOR_SUBTRACT, left, right, err);
    const int64_t us_per_day = INT64_C(86400000000);
    *ret_value = (Value){.kind = VALUE_TIMEDELTA,
                         .integer = (left.integer - right.integer) *
                                    (left.kind == VALUE_DATE ? us_per_day : 1)};
    return true;
}

static bool compute_deltas(Machine *machine, Operator op, Value left, Value right, Value *ret_value,
                           Error *err)
{
    const bool both = left.kind == VALUE_TIMEDELTA && right.kind == VALUE_TIMEDELTA;
    Value result = {.kind = VALUE_TIMEDELTA};
    bool overflow = false;
    if (both && (op == OPERATOR_ADD || op == OPERATOR_SUBTRACT)) {
        const bool add = op == OPERATOR_ADD;
        overflow = add ? __builtin_add_overflow(left.integer, right.integer, &result.integer)
                       : __builtin_sub_overflow(left.integer, right.integer, &result.integer);
        result.offset_seconds = left.offset_seconds + (add ? 1 : -1) * right.offset_seconds;
    } else if (both && op == OPERATOR_DIVIDE) {
        if (right.integer == 0)
            return raise_value(machine, err, "division by zero");
        result = value_float((double)left.integer / (double)right.integer);
    } else if (op == OPERATOR_MULTIPLY && (is_integer(left) || is_integer(right))) {
        const Value delta = is_integer(left) ? right : left;
        const int64_t factor = to_integer(is_integer(left) ? left : right);
        overflow = __builtin_mul_overflow(delta.integer, factor, &result.integer) ||
                   factor > 12000 || factor < -12000;
        result.offset_seconds = overflow ? 0 : delta.offset_seconds * (int32_t)factor;
    } else {
        return bad_operands(machine, op, left, right, err);
    }
    if (overflow)
        return raise_value(machine, err, "a time span that is too long");
    *ret_value = result;
    return true;
}

static bool compute_dates(Machine *machine, Operator op, Value left, Value right, Value *ret_value,
                          Error *err)
{
    if (is_date(left) && is_date(right) && op == OPERATOR_SUBTRACT)
        return subtract_dates(machine, left, right, ret_value, err);
    if (is_date(left) && right.kind == VALUE_TIMEDELTA &&
        (op == OPERATOR_ADD || op == OPERATOR_SUBTRACT))
        return datetime_shift(machine, left, right, op == OPERATOR_ADD ? 1 : -1, ret_value, err);
    if (left.kind == VALUE_TIMEDELTA && is_date(right) && op == OPERATOR_ADD)
        return datetime_shift(machine, right, left, 1, ret_value, err);
    return compute_deltas(machine, op, left, right, ret_value, err);
}

static bool is_list_or_tuple(Value value)
{
    return value_is_sequence(value) && value.kind != VALUE_GENERATOR;
}

bool operator_apply(Machine *machine, Operator op, Value left, Value right, Value *ret_value,
                    Error *err)
{
    // "%" of a text formats it, whatever stands to its right.
    if (left.kind == VALUE_STR && op == OPERATOR_REMAINDER)
        return format_percent(machine, left.text, right, ret_value, err);
    if (left.kind == VALUE_UNDEFINED || right.kind == VALUE_UNDEFINED)
        return raise_undefined(machine, err, "an operand is undefined");
    if (is_integer(left) && is_integer(right) && op != OPERATOR_DIVIDE)
        return compute_integers(machine, op, to_integer(left), to_integer(right), ret_value, err);
    if (is_number(left) && is_number(right))
        return compute_floats(machine, op, to_double(left), to_double(right), ret_value, err);
    if (left.kind == VALUE_BIGINT || right.kind == VALUE_BIGINT)
        return too_large(machine, err);
    if (op == OPERATOR_ADD && left.kind == VALUE_STR && right.kind == VALUE_STR)
        return join_strings(machine, left.text, right.text, ret_value, err);
    if (op == OPERATOR_ADD && is_list_or_tuple(left) && is_list_or_tuple(right) &&
        value_type(left)[0] == value_type(right)[0])
        return join_sequences(machine, left, right, ret_value, err);
    if (op == OPERATOR_MULTIPLY && (left.kind == VALUE_STR || is_list_or_tuple(left)) &&
        is_integer(right))
        return repeat(machine, left, right, ret_value, err);
    if (op == OPERATOR_MULTIPLY && (right.kind == VALUE_STR || is_list_or_tuple(right)) &&
        is_integer(left))
        return repeat(machine, right, left, ret_value, err);
    if (is_date(left) || is_date(right) || left.kind == VALUE_TIMEDELTA ||
        right.kind == VALUE_TIMEDELTA)
        return compute_dates(machine, op, left, right, ret_value, err);
    return bad_operands(machine, op, left, right, err);
}

// --- comparison

static bool cannot_order(Machine *machine, Value left, Value right, Error *err)
{
    return raise_type(machine, err, "'<' not supported between instances of '%s' and '%s'",
                      value_type(left), value_type(right));
}

static bool order_values(Machine *machine, Value left, Value right, int *ret_order, Error *err);

// By the first items that differ, then by length.
static bool order_sequences(Machine *machine, Value left, Value right, int *ret_order, Error *err)
{
    ValueIter a = value_iterate(left);
    ValueIter b = value_iterate(right);
    ValuePair x, y;
    for (;;) {
        const bool more_a = value_next(&a, &x);
        const bool more_b = value_next(&b, &y);
        TRY(machine_step(machine, err));
        if (!more_a || !more_b) {
            *ret_order = (int)more_a - (int)more_b;
            return true;
        }
        if (!value_equal(x.value, y.value))
            return order_values(machine, x.value, y.value, ret_order, err);
    }
}

enum { UNORDERED = 2 }; // nan

static int order_doubles(double a, double b)
{
    return isnan(a) || isnan(b) ? UNORDERED : (a > b) - (a < b);
}

static bool order_values(Machine *machine, Value left, Value right, int *ret_order, Error *err)
{
    if (is_integer(left) && is_integer(right)) {
        const int64_t a = to_integer(left);
        const int64_t b = to_integer(right);
        *ret_order = (a > b) - (a < b);
        return true;
    }
    if (is_number(left) && is_number(right)) {
        *ret_order = order_doubles(to_double(left), to_double(right));
        return true;
    }
    if (left.kind == VALUE_BIGINT || right.kind == VALUE_BIGINT)
        return too_large(machine, err);
    if (left.kind == VALUE_STR && right.kind == VALUE_STR) {
        const int order = str_compare(left.text, right.text); // UTF-8 orders as code points do
        *ret_order = (order > 0) - (order < 0);
        return true;
    }
    if (is_list_or_tuple(left) && is_list_or_tuple(right) &&
        value_type(left)[0] == value_type(right)[0])
        return order_sequences(machine, left, right, ret_order, err);
    const bool comparable =
        (is_date(left) || left.kind == VALUE_TIMEDELTA) && left.kind == right.kind &&
        (left.kind != VALUE_DATETIME ||
         (left.offset_seconds == VALUE_NAIVE) == (right.offset_seconds == VALUE_NAIVE));
    if (!comparable)
        return cannot_order(machine, left, right, err);
    *ret_order = (left.integer > right.integer) - (left.integer < right.integer);
    return true;
}

static bool contains(Machine *machine, Value item, Value container, bool *ret_holds, Error *err)
{
    if (container.kind == VALUE_STR) {
        if (item.kind != VALUE_STR)
            return raise_type(machine, err, "'in <string>' requires string as left operand");
        *ret_holds =
            item.text.size == 0 || str_find(container.text, item.text) < container.text.size;
        return true;
    }
    *ret_holds = false;
    if (container.kind == VALUE_UNDEFINED)
        return true;
    if (value_is_mapping(container)) {
        if (value_is_mapping(item) || value_type(item)[0] == 'l')
            return raise_type(machine, err, "unhashable type: '%s'", value_type(item));
        *ret_holds = value_get_key(container, item).kind != VALUE_UNDEFINED;
        return true;
    }
    if (!value_is_sequence(container))
        return raise_type(machine, err, "argument of type '%s' is not iterable",
                          value_type(container));
    ValueIter iter = value_iterate(container);
    ValuePair pair;
    while (!*ret_holds && value_next(&iter, &pair)) {
        TRY(machine_step(machine, err));
        *ret_holds = value_equal(pair.value, item);
    }
    return true;
}

bool operator_compare(Machine *machine, Operator op, Value left, Value right, bool *ret_holds,
                      Error *err)
{
    bool holds = false;
    if (op == OPERATOR_EQUAL || op == OPERATOR_NOT_EQUAL) {
        *ret_holds = value_equal(left, right) == (op == OPERATOR_EQUAL);
        return true;
    }
    if (op == OPERATOR_IN || op == OPERATOR_NOT_IN) {
        TRY(contains(machine, left, right, &holds, err));
        *ret_holds = holds == (op == OPERATOR_IN);
        return true;
    }
    if (left.kind == VALUE_UNDEFINED || right.kind == VALUE_UNDEFINED)
        return raise_undefined(machine, err, "an operand is undefined");
    int order = 0;
    TRY(order_values(machine, left, right, &order, err));
    if (order == UNORDERED)
        holds = false;
    else if (op == OPERATOR_LESS)
        holds = order < 0;
    else if (op == OPERATOR_LESS_EQUAL)
        holds = order <= 0;
    else if (op == OPERATOR_GREATER)
        holds = order > 0;
    else
        holds = order >= 0;
    *ret_holds = holds;
    return true;
}

// --- subscripts

bool operator_attribute(Machine *machine, Value value, Str name, Value *ret_value, Error *err)
{
    if (value.kind == VALUE_UNDEFINED)
        return raise_undefined(machine, err, "'" STR_FMT "' of something undefined", STR_ARG(name));
    bool found = false;
    TRY(attribute_find(machine, value, name, ret_value, &found, err));
    if (!found)
        *ret_value = value_get(value, name);
    return true;
}

// The bytes of the code point at `index`.
static Str character_at(Str text, size_t index)
{
    size_t at = 0;
    for (size_t i = 0;; i++) {
        const size_t from = at;
        for (at++; at < text.size && ((unsigned char)text.data[at] & 0xC0) == 0x80;)
            at++;
        if (i == index)
            return str_slice(text, from, at - from);
    }
}

static Value index_value(Value value, int64_t index)
{
    const size_t count = value_count(value);
    if (index < 0)
        index += (int64_t)count;
    if (index < 0 || (uint64_t)index >= count)
        return value_undefined();
    if (value.kind == VALUE_STR)
        return value_str(character_at(value.text, (size_t)index));
    return value_item(value, (size_t)index);
}

bool operator_item(Machine *machine, Value value, Value key, Value *ret_value, Error *err)
{
    if (value.kind == VALUE_UNDEFINED)
        return raise_undefined(machine, err, "an item of something undefined");
    const bool indexed = value.kind == VALUE_STR || is_list_or_tuple(value);
    *ret_value = value_undefined();
    if (value_is_mapping(value))
        *ret_value = value_get_key(value, key);
    else if (indexed && is_integer(key))
        *ret_value = index_value(value, to_integer(key));
    if (ret_value->kind != VALUE_UNDEFINED || key.kind != VALUE_STR)
        return true;
    // Jinja's second try: an attribute of that name.
    bool found = false;
    return attribute_find(machine, value, key.text, ret_value, &found, err);
}

static bool bound_of(Machine *machine, Value bound, int64_t *ret_bound, bool *ret_given, Error *err)
{
    *ret_given = bound.kind != VALUE_NONE;
    if (*ret_given && !is_integer(bound))
        return raise_type(machine, err, "slice indices must be integers or None");
    if (*ret_given)
        *ret_bound = to_integer(bound);
    return true;
}

static int64_t clamp(int64_t index, int64_t count, int64_t low, int64_t high)
{
    if (index < 0)
        index += count;
    return index < low ? low : index > high ? high : index;
}

// Python's slice.indices(): the first index, the step, and how many.
static bool slice_range(Machine *machine, const Value bounds[3], int64_t count, int64_t *ret_start,
                        int64_t *ret_step, size_t *ret_size, Error *err)
{
    int64_t start = 0;
    int64_t stop = 0;
    int64_t step = 1;
    bool has_start, has_stop, has_step;
    TRY(bound_of(machine, bounds[0], &start, &has_start, err) &&
        bound_of(machine, bounds[1], &stop, &has_stop, err) &&
        bound_of(machine, bounds[2], &step, &has_step, err));
    if (step == 0)
        return raise_value(machine, err, "slice step cannot be zero");
    if (step < -INT32_MAX || step > INT32_MAX)
        step = step < 0 ? -INT32_MAX : INT32_MAX; // beyond any list
    const bool back = step < 0;
    const int64_t low = back ? -1 : 0;
    const int64_t high = back ? count - 1 : count;
    start = has_start ? clamp(start, count, low, high) : back ? high : low;
    stop = has_stop ? clamp(stop, count, low, high) : back ? low : high;
    *ret_start = start;
    *ret_step = step;
    if (back)
        *ret_size = start > stop ? (size_t)((start - stop - 1) / -step + 1) : 0;
    else
        *ret_size = start < stop ? (size_t)((stop - start - 1) / step + 1) : 0;
    return true;
}

bool operator_slice(Machine *machine, Value value, const Value bounds[3], Value *ret_value,
                    Error *err)
{
    if (value.kind == VALUE_UNDEFINED)
        return raise_undefined(machine, err, "a slice of something undefined");
    if (value.kind != VALUE_STR && !is_list_or_tuple(value))
        return raise_type(machine, err, "'%s' object cannot be sliced", value_type(value));
    const Value *items = NULL;
    size_t count = 0;
    int64_t start = 0;
    int64_t step = 0;
    size_t size = 0;
    TRY(machine_items(machine, value, &items, &count, err) &&
        slice_range(machine, bounds, (int64_t)count, &start, &step, &size, err));
    CLEANUP(buf_done) Buf text = {.limit_bytes = MACHINE_BYTES_MAX};
    Value *picked = arena_alloc_array(machine->arena, size, sizeof(*picked), err);
    TRY(picked != NULL);
    for (size_t i = 0; i < size; i++) {
        TRY(machine_step(machine, err));
        picked[i] = items[start + (int64_t)i * step];
        if (value.kind == VALUE_STR)
            TRY(buf_append(&text, picked[i].text, err));
    }
    if (value.kind == VALUE_STR)
        return machine_take(machine, &text, ret_value, err);
    *ret_value = value_list(picked, size);
    if (value.kind == VALUE_TUPLE)
        ret_value->kind = VALUE_TUPLE;
    return true;
}
