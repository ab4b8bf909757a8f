#include "contract/decimal.h"

#include "base/bytes.h"

// A number written with more digits than this is refused before any of them is looked at.
enum { WRITTEN_BYTES_MAX = 400, EXPONENT_MAX = 1000 };

// What stands in the text: digits without the point, and where it stood.
typedef struct Written {
    char digits[WRITTEN_BYTES_MAX];
    int count;
    int64_t exponent; // of the last digit
    bool negative;
} Written;

static bool read_exponent(Str text, int64_t *ret_exponent)
{
    int64_t value = 0;
    if (!str_to_int64(text, &value) || value > EXPONENT_MAX || value < -EXPONENT_MAX)
        return false;
    *ret_exponent = value;
    return true;
}

static bool read_written(Str text, Written *written)
{
    if (text.size == 0 || text.size > WRITTEN_BYTES_MAX)
        return false;
    size_t i = 0;
    written->count = 0;
    written->exponent = 0;
    written->negative = text.data[0] == '-';
    if (text.data[0] == '-' || text.data[0] == '+')
        i++;
    bool point = false;
    bool any = false;
    for (; i < text.size && (byte_is_digit(text.data[i]) || (text.data[i] == '.' && !point)); i++) {
        if (text.data[i] == '.') {
            point = true;
            continue;
        }
        any = true;
        written->exponent -= point ? 1 : 0;
        if (written->count > 0 || text.data[i] != '0')
            written->digits[written->count++] = text.data[i];
    }
    if (!any)
        return false;
    if (i == text.size)
        return true;
    int64_t exponent = 0;
    if ((text.data[i] != 'e' && text.data[i] != 'E') ||
        !read_exponent(str_slice(text, i + 1, text.size), &exponent))
        return false;
    written->exponent += exponent;
    return true;
}

// words = words * 10 + digit. 38 digits stay below 2^127, so nothing is carried out.
static void push_digit(uint64_t words[2], unsigned digit)
{
    const uint64_t low = (words[0] & UINT32_MAX) * 10 + digit;
    const uint64_t high = (words[0] >> 32) * 10 + (low >> 32);
    words[0] = (high << 32) | (low & UINT32_MAX);
    words[1] = words[1] * 10 + (high >> 32);
}

static void negate(uint64_t words[2])
{
    words[0] = ~words[0] + 1;
    words[1] = ~words[1] + (words[0] == 0 ? 1 : 0);
}

bool decimal_parse(Str text, int precision, int scale, uint64_t ret_words[2])
{
    Written written;
    if (!read_written(text, &written))
        return false;
    uint64_t words[2] = {0, 0};
    int64_t shift = written.exponent + scale;
    // Zeros behind the scale say nothing; any other digit there would be lost.
    while (shift < 0 && written.count > 0) {
        if (written.digits[written.count - 1] != '0')
            return false;
        written.count--;
        shift++;
    }
    if (written.count > 0 && written.count + shift > precision)
        return false;
    for (int i = 0; i < written.count; i++)
        push_digit(words, (unsigned)(written.digits[i] - '0'));
    for (int64_t i = 0; i < shift && written.count > 0; i++)
        push_digit(words, 0);
    if (written.negative)
        negate(words);
    ret_words[0] = words[0];
    ret_words[1] = words[1];
    return true;
}

bool decimal_divide_1000(uint64_t words[2])
{
    const bool negative = (int64_t)words[1] < 0;
    uint64_t value[2] = {words[0], words[1]};
    if (negative)
        negate(value);
    // Long division by limbs of 32 bits.
    uint64_t limbs[4] = {value[1] >> 32, value[1] & UINT32_MAX, value[0] >> 32,
                         value[0] & UINT32_MAX};
    uint64_t rest = 0;
    for (int i = 0; i < 4; i++) {
        const uint64_t part = (rest << 32) | limbs[i];
        limbs[i] = part / 1000;
        rest = part % 1000;
    }
    if (rest != 0)
        return false;
    words[1] = (limbs[0] << 32) | limbs[1];
    words[0] = (limbs[2] << 32) | limbs[3];
    if (negative)
        negate(words);
    return true;
}
