#include "connector/text_case.h"

#include "connector/literal.h"

uint32_t code_upper(uint32_t code)
{
    if (code < 0x80)
        return code >= 'a' && code <= 'z' ? code - 32 : code;
    if (code == 0xB5)
        return 0x39C; // micro sign
    if (code == 0xFF)
        return 0x178;
    if (code >= 0xE0 && code <= 0xFE && code != 0xF7)
        return code - 32;
    // Latin Extended-A: pairs, even then odd, but for two runs that begin odd.
    if ((code >= 0x139 && code <= 0x148) || (code >= 0x179 && code <= 0x17E))
        return code % 2 == 0 ? code - 1 : code;
    if (code == 0x131) // dotless i
        return 'I';
    if (code == 0x17F)
        return 'S';
    if (code >= 0x100 && code <= 0x177 && code != 0x138 && code != 0x149)
        return code % 2 == 1 ? code - 1 : code;
    if (code == 0x3C2) // final sigma
        return 0x3A3;
    if (code >= 0x3B1 && code <= 0x3C9)
        return code - 32;
    if (code >= 0x430 && code <= 0x44F)
        return code - 32;
    return code >= 0x450 && code <= 0x45F ? code - 80 : code;
}

uint32_t code_lower(uint32_t code)
{
    if (code < 0x80)
        return code >= 'A' && code <= 'Z' ? code + 32 : code;
    if (code >= 0xC0 && code <= 0xDE && code != 0xD7)
        return code + 32;
    if (code == 0x178)
        return 0xFF;
    if ((code >= 0x139 && code <= 0x148) || (code >= 0x179 && code <= 0x17E))
        return code % 2 == 1 ? code + 1 : code;
    if (code >= 0x100 && code <= 0x177 && code != 0x130 && code != 0x138 && code != 0x149)
        return code % 2 == 0 ? code + 1 : code;
    if (code >= 0x391 && code <= 0x3A9 && code != 0x3A2)
        return code + 32;
    if (code >= 0x410 && code <= 0x42F)
        return code + 32;
    return code >= 0x400 && code <= 0x40F ? code + 80 : code;
}

bool code_is_letter(uint32_t code)
{
    if (code < 0x80)
        return code_upper(code) != code_lower(code);
    return code == 0xAA || code == 0xB5 || code == 0xBA ||
           (code >= 0xC0 && code != 0xD7 && code != 0xF7 && (code < 0x2000 || code > 0x206F));
}

uint32_t code_next(Str text, size_t *at)
{
    const unsigned char first = (unsigned char)text.data[(*at)++];
    if (first < 0xC2 || first > 0xF4)
        return first;
    const size_t more = first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
    if (more > text.size - *at)
        return first;
    uint32_t code = first & (0x3Fu >> more);
    for (size_t i = 0; i < more; i++) {
        const unsigned char byte = (unsigned char)text.data[*at + i];
        if ((byte & 0xC0) != 0x80)
            return first;
        code = code << 6 | (byte & 0x3Fu);
    }
    *at += more;
    return code;
}

static bool code_append(Buf *out, uint32_t code, Error *err)
{
    char bytes[4];
    const size_t size = str_encode_utf8(code, bytes);
    return buf_append(out, (Str){bytes, size}, err);
}

bool text_change_case(Str text, TextCase to, Buf *out, Error *err)
{
    bool inside = false; // a word, for CASE_TITLE; the text, for CASE_CAPITAL
    for (size_t at = 0; at < text.size;) {
        const size_t from = at;
        const uint32_t code = code_next(text, &at);
        bool upper = to == CASE_UPPER;
        if (to == CASE_SWAP)
            upper = code_upper(code) != code;
        else if (to == CASE_CAPITAL || to == CASE_TITLE)
            upper = !inside;
        inside = to == CASE_CAPITAL || code_is_letter(code);
        if (code == 0xDF && upper) { // the one letter whose upper case is two
            TRY(buf_append(out, to == CASE_UPPER || to == CASE_SWAP ? STR("SS") : STR("Ss"), err));
            continue;
        }
        const uint32_t changed = upper ? code_upper(code) : code_lower(code);
        if (changed == code)
            TRY(buf_append(out, str_slice(text, from, at - from), err));
        else
            TRY(code_append(out, changed, err));
    }
    return true;
}
