// Who called whom.

#include "record_parts.h"

char *put_name(const Sketch *sketch, char *at)
{
    WORD(first_names, sketch->caller >> 32);
    LIT(" ");
    WORD(last_names, mix64(sketch->caller + 1));
    return at;
}

// "(212) 555-0123"
static char *put_formatted(uint64_t phone, char *at)
{
    LIT("(");
    at = pen_digits(at, phone / 10000000, 3);
    LIT(") ");
    at = pen_digits(at, phone / 10000, 3);
    LIT("-");
    return pen_digits(at, phone, 4);
}

static char *put_e164(const Sketch *sketch, uint64_t phone, char *at)
{
    const char *code = roster_country_codes[sketch->roster->region];
    LIT("+");
    *at++ = code[0];
    if (code[1] != '\0')
        *at++ = code[1];
    return pen_digits(at, phone, 10);
}

// 1/10,000 degrees.
static char *put_degrees(int32_t value, char *at)
{
    if (value < 0)
        LIT("-");
    const uint32_t size = (uint32_t)(value < 0 ? -value : value);
    at = pen_uint(at, size / 10000);
    LIT(".");
    return pen_digits(at, size, 4);
}

char *put_ids(const Sketch *sketch, char *at)
{
    const Call *call = sketch->call;
    LIT("{\"id\":");
    at = pen_uint(at, (uint64_t)call->id);
    LIT(",\"sid\":\"CA");
    at = pen_hex16(pen_hex16(at, DIE(5)), DIE(6));
    LIT("\",\"account_id\":");
    at = pen_digits(at, call->account->id, 4);
    if ((DIE(0) >> 16 & 0x1f) == 0 && call->index != UINT32_MAX && call->index > 0) {
        LIT(",\"parent_id\":\"");
        at = pen_uint(at, (uint64_t)call->id - 10);
        LIT("\"");
    } else {
        LIT(",\"parent_id\":null");
    }
    LIT(",\"tgid\":\"TG");
    at = pen_url10(at, DIE(7));
    LIT("\"");
    if (sketch->modern)
        ITEM(sources_modern, sketch->source);
    else
        ITEM(sources_legacy, sketch->source);
    ITEM(numbers, sketch->number);
    ITEM(receiving_numbers, sketch->receiving_number);
    if (sketch->web) {
        LIT(",\"visitor_sid\":\"");
        at = pen_hex16(at, sketch->caller);
        LIT("\"");
    } else {
        LIT(",\"visitor_sid\":null");
    }
    return at;
}

static char *put_place(const Sketch *sketch, char *at)
{
    const Place *place = sketch->place;
    const uint64_t bits = mix64(sketch->caller + 2);
    const int32_t latitude = place->latitude + (int32_t)(bits & 0x3ff) - 512;
    const int32_t longitude = place->longitude + (int32_t)(bits >> 10 & 0x3ff) - 512;
    LIT(",\"street\":\"");
    at = pen_uint(at, 1 + (bits >> 20 & 0xfff));
    LIT(" ");
    WORD(streets, bits >> 32);
    LIT("\",\"city\":\"");
    at = pen_padded(at, place->city);
    LIT("\",\"state\":\"");
    at = pen_padded(at, place->state);
    LIT("\",\"country\":\"");
    at = pen_padded(at, place->country);
    LIT("\",\"postal_code\":\"");
    at = pen_digits(at, place->post_code + (bits >> 24 & 0x3f), 5);
    LIT("\",\"latitude\":");
    at = put_degrees(latitude, at);
    LIT(",\"longitude\":");
    at = put_degrees(longitude, at);
    LIT(",\"geo\":{\"lat\":");
    at = put_degrees(latitude, at);
    LIT(",\"lon\":");
    at = put_degrees(longitude, at);
    LIT("}");
    return at;
}

static char *put_numbers(const Sketch *sketch, char *at)
{
    LIT(",\"contact_number\":\"");
    at = put_e164(sketch, sketch->phone, at);
    LIT("\",\"caller_number\":\"");
    at = sketch->modern ? put_e164(sketch, sketch->phone, at) : put_formatted(sketch->phone, at);
    LIT("\",\"caller_number_format\":\"");
    at = put_formatted(sketch->phone, at);
    LIT("\",\"caller_number_complete\":\"");
    at = put_e164(sketch, sketch->phone, at);
    LIT("\",\"caller_number_bare\":\"");
    at = pen_digits(at, sketch->phone, 10);
    LIT("\",\"caller_number_split\":[\"");
    at = pen_str(at, str_from(roster_country_codes[sketch->roster->region]));
    LIT("\",\"");
    at = pen_digits(at, sketch->phone / 10000000, 3);
    LIT("\",\"");
    at = pen_digits(at, sketch->phone / 10000, 3);
    LIT("\",\"");
    at = pen_digits(at, sketch->phone, 4);
    LIT("\"],\"alternative_number\":null");
    return at;
}

char *put_who(const Sketch *sketch, char *at)
{
    LIT(",\"name\":\"");
    at = put_name(sketch, at);
    if (mix_chance(sketch->caller >> 20, 2000)) // PostgreSQL refuses it, callers' ids have it
        LIT("\\u0000");
    LIT("\",\"cnam\":");
    if ((sketch->caller >> 8 & 1) != 0) {
        LIT("\"");
        at = put_name(sketch, at);
        LIT("\"");
    } else {
        LIT("null");
    }
    if ((sketch->caller >> 11 & 3) == 0) {
        LIT(",\"email\":\"");
        WORD(mail_names, mix64(sketch->caller + 1));
        at = pen_uint(at, sketch->caller >> 13 & 0x3ff);
        LIT("@");
        WORD(mail_hosts, sketch->caller >> 17);
        LIT("\"");
    } else {
        LIT(",\"email\":null");
    }
    at = put_place(sketch, at);
    at = put_numbers(sketch, at);
    if (sketch->is_new_caller)
        LIT(",\"is_new_caller\":true");
    else
        LIT(",\"is_new_caller\":false");
    return at;
}
