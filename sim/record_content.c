// What was said, and what was made of it.

#include "record_parts.h"

static char *put_tags(const Sketch *sketch, char *at)
{
    const bool born_tagged = (DIE(6) >> 4 & 3) == 0;
    LIT(",\"tag_list\":[");
    if (born_tagged) {
        LIT("\"");
        WORD(tags, DIE(6) >> 8);
        LIT("\"");
    }
    if (sketch->life.tagged) {
        if (born_tagged)
            LIT(",");
        LIT("\"");
        WORD(tags, DIE(6) >> 24);
        LIT("\"");
    }
    LIT("],\"notes\":");
    if (!sketch->life.tagged && !sketch->life.revised) {
        LIT("null");
        return at;
    }
    LIT("\"");
    WORD(notes, sketch->life.revised ? DIE(5) : DIE(5) >> 32);
    if (mix_chance(DIE(5) >> 7, 5000))
        LIT("\\u0000");
    LIT("\"");
    return at;
}

static char *put_transcript(const Sketch *sketch, unsigned omit, char *at)
{
    const bool recorded = sketch->answered && sketch->life.ended;
    if (!recorded) {
        LIT(",\"audio\":null,\"transcription\":null,\"summary\":null");
        if ((omit & RECORD_OMIT_TRANSCRIPT) == 0)
            LIT(",\"transcription_text\":null");
        return at;
    }
    LIT(",\"audio\":\"https://media.example.com/r/");
    at = pen_hex16(at, DIE(6));
    LIT("\"");
    const bool transcribed = sketch->life.transcribed && (DIE(6) & 7) < 3;
    if (!transcribed) {
        LIT(",\"transcription\":null,\"summary\":null");
    } else {
        LIT(",\"transcription\":\"en\",\"summary\":\"");
        WORD(sentences, DIE(6) >> 16);
        LIT("\"");
    }
    if ((omit & RECORD_OMIT_TRANSCRIPT) != 0)
        return at;
    if (!transcribed) {
        LIT(",\"transcription_text\":null");
        return at;
    }
    LIT(",\"transcription_text\":\"");
    uint64_t bits = DIE(2);
    for (uint32_t i = 2 + (sketch->talk > 400 ? 400 : sketch->talk) / 25; i > 0; i--) {
        bits = mix64(bits);
        if ((i & 1) != 0)
            LIT("Caller: ");
        else
            LIT("Agent: ");
        WORD(sentences, bits);
        LIT("\\n");
    }
    LIT("\"");
    return at;
}

static char *put_path(const Sketch *sketch, char *at)
{
    LIT(",\"transfers\":[],\"legs\":[],\"inputs\":{");
    if ((DIE(5) >> 60) < 3) {
        LIT("\"menu\":\"");
        at = pen_uint(at, DIE(5) >> 40 & 7);
        LIT("\"");
    }
    LIT("},\"call_path\":[");
    for (uint32_t i = 0; i < (sketch->spoken ? 1 + (uint32_t)((DIE(5) >> 48 & 7) == 0) : 0); i++) {
        if (i > 0)
            LIT(",");
        LIT("{\"route_name\":\"");
        WORD(menus, DIE(5) >> (8 * i));
        if (sketch->modern != (i > 0)) { // a number, or text
            LIT("\",\"route_id\":");
            at = pen_digits(at, 700000 + (DIE(5) >> 8 & 0xfff), 6);
        } else {
            LIT("\",\"route_id\":\"VMN");
            at = pen_digits(at, 700000 + (DIE(5) >> 8 & 0xfff), 6);
            LIT("\"");
        }
        LIT(",\"route_type\":\"menu\",\"started_at\":");
        at = pen_int(at, sketch->call->moment + INT64_C(2) * i);
        LIT("}");
    }
    LIT("]");
    return at;
}

// Values of every JSON type, as people put into forms.
static char *put_form(const Sketch *sketch, char *at)
{
    if (sketch->direction != DIRECTION_FORM) {
        LIT(",\"form\":null,\"salesforce\":{}");
        return at;
    }
    LIT(",\"form\":{\"id\":\"FRT");
    at = pen_hex16(at, DIE(8));
    LIT("\",\"custom\":[{\"id\":\"budget\",\"value\":");
    at = pen_uint(at, DIE(8) & 0xfff);
    LIT("},{\"id\":\"comment\",\"value\":\"");
    WORD(notes, DIE(8) >> 12);
    LIT("\"},{\"id\":\"urgent\",\"value\":");
    if ((DIE(8) >> 44 & 1) != 0)
        LIT("true");
    else
        LIT("null");
    LIT("},{\"id\":\"services\",\"value\":[\"repair\",\"install\"]},{\"id\":\"window\",\"value\":{"
        "\"from\":8,"
        "\"to\":\"10\"}},{\"id\":\"size\",\"value\":12.5}]},\"salesforce\":{}");
    return at;
}

static char *put_sale(const Sketch *sketch, char *at)
{
    if (!sketch->scored)
        return at; // absent, not null
    const Civil civil =
        civil_from_us((sketch->call->moment + sketch->call->offset) * US_PER_SECOND);
    LIT(",\"sale\":{\"name\":\"");
    at = put_name(sketch, at);
    LIT("\",\"score\":");
    at = pen_uint(at, 1 + DIE(9) % 5);
    LIT(",\"conversion\":");
    if ((DIE(9) & 1) != 0)
        LIT("true");
    else
        LIT("false");
    LIT(",\"value\":\"");
    at = pen_uint(at, DIE(9) >> 20 & 0x7ff);
    LIT(".");
    at = pen_two(at, (uint32_t)(DIE(9) >> 32 & 0x3f));
    LIT("\",\"sale_date\":\"");
    at = put_date(&civil, at);
    LIT("\"}");
    return at;
}

static char *put_custom(const Sketch *sketch, unsigned omit, char *at)
{
    LIT(",\"custom_fields\":{");
    if ((DIE(7) & 7) == 0 || sketch->life.revised) {
        LIT("\"field_0\":\"");
        WORD(departments, sketch->life.revised ? DIE(7) >> 3 : DIE(7) >> 32);
        LIT("\",\"field_3\":");
        at = pen_uint(at, DIE(7) >> 8 & 0xfff);
    }
    LIT("}");
    if ((omit & RECORD_OMIT_CHAT) == 0) {
        if (sketch->direction == DIRECTION_CHAT) {
            LIT(",\"chat_messages\":[{\"from\":\"visitor\",\"text\":\"");
            WORD(sentences, DIE(2));
            LIT("\"},{\"from\":\"agent\",\"text\":\"");
            WORD(sentences, DIE(2) >> 32);
            LIT("\"}]");
        } else {
            LIT(",\"chat_messages\":null");
        }
    }
    LIT(",\"spam\":{\"risk\":");
    at = pen_uint(at, DIE(7) >> 40 & 0x3f);
    LIT("}");
    return at;
}

char *put_content(const Sketch *sketch, unsigned omit, char *at)
{
    at = put_transcript(sketch, omit, at);
    at = put_tags(sketch, at);
    if ((DIE(8) >> 30 & 0xf) == 0) {
        LIT(",\"spotted\":[\"");
        WORD(tags, DIE(8) >> 34);
        LIT("\"],\"emails\":[]");
    } else {
        LIT(",\"spotted\":[],\"emails\":[]");
    }
    at = put_path(sketch, at);
    at = put_form(sketch, at);
    at = put_custom(sketch, omit, at);
    at = put_sale(sketch, at);

    const Civil civil = civil_from_us(sketch->call->moment * US_PER_SECOND);
    LIT(",\"@timestamp\":\"");
    at = put_date(&civil, at);
    LIT("T");
    at = pen_two(at, (uint32_t)civil.hour);
    LIT(":");
    at = pen_two(at, (uint32_t)civil.minute);
    LIT(":");
    at = pen_two(at, (uint32_t)civil.second);
    LIT("Z\"}");
    return at;
}
