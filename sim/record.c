#include "record.h"

#include "change.h"
#include "mix.h"
#include "pen.h"
#include "sketch.h"

#include <assert.h>
#include <stdlib.h>
#include <yyjson.h>

#define LIT(literal)  (at = PEN_LITERAL(at, literal))
#define WORD(list, n) (at = pen_padded(at, words_pick(&sketch->world->words.list, (uint32_t)(n))))
#define ITEM(list, n) (at = pen_padded(at, sketch->roster->list.items[n]))
#define DIE(n)        (sketch->dice[n])

enum { SECONDS_PER_DAY = 86400 };
#define US_PER_SECOND INT64_C(1000000)

static const char *const direction_names[] = {"inbound",      "outbound", "msg_inbound",
                                              "msg_outbound", "form",     "chat"};

static char *put_name(const Sketch *sketch, char *at)
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

static char *put_ids(const Sketch *sketch, char *at)
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

static char *put_who(const Sketch *sketch, char *at)
{
    LIT(",\"name\":\"");
    at = put_name(sketch, at);
    if (mix_chance(sketch->caller >> 20, 2000)) // PostgreSQL refuses it, callers' ids have it
        LIT("\\u0000");
    LIT("\",\"cnam\":");
    if ((sketch->caller >> 8 & 3) != 0) {
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

// Seconds as "23:48:10", or as "11:48 PM".
static char *put_clock(uint32_t second, bool of_24_hours, char *at)
{
    const uint32_t hour = second / 3600, minute = second / 60 % 60;
    if (of_24_hours) {
        at = pen_two(at, hour);
        LIT(":");
        at = pen_two(at, minute);
        LIT(":");
        return pen_two(at, second % 60);
    }
    at = pen_two(at, hour % 12 == 0 ? 12 : hour % 12);
    LIT(":");
    at = pen_two(at, minute);
    if (hour < 12)
        LIT(" AM");
    else
        LIT(" PM");
    return at;
}

static char *put_date(const Civil *civil, char *at)
{
    at = pen_digits(at, (uint64_t)civil->year, 4);
    LIT("-");
    at = pen_two(at, (uint32_t)civil->month);
    LIT("-");
    return pen_two(at, (uint32_t)civil->day);
}

// " -04:00" or " -0400"
static char *put_offset(int32_t offset, bool colon, char *at)
{
    const uint32_t minutes = (uint32_t)(offset < 0 ? -offset : offset) / 60;
    if (offset < 0)
        LIT(" -");
    else
        LIT(" +");
    at = pen_two(at, minutes / 60);
    if (colon)
        LIT(":");
    return pen_two(at, minutes % 60);
}

// The three ways of writing it; the first has no zone at all. Accounts on their way to the new
// generation went through both old ones.
static char *put_called_at(const Sketch *sketch, const Civil *civil, uint32_t second, char *at)
{
    const Call *call = sketch->call;
    LIT(",\"called_at\":\"");
    at = put_date(civil, at);
    LIT(" ");
    at = put_clock(second, sketch->modern, at);
    if (sketch->modern)
        return put_offset(call->offset, false, at);
    const bool with_zone =
        sketch->account->modern_from - call->moment < 120 * (int64_t)SECONDS_PER_DAY ||
        (DIE(0) >> 21 & 1) != 0;
    return with_zone ? put_offset(call->offset, true, at) : at;
}

static char *put_time(const Sketch *sketch, char *at)
{
    const Call *call = sketch->call;
    const Civil civil = civil_from_us(call->date * (int64_t)SECONDS_PER_DAY * US_PER_SECOND);
    const int64_t local = call->moment + call->offset;
    const uint32_t second = (uint32_t)(local - call->date * (int64_t)SECONDS_PER_DAY);
    at = put_called_at(sketch, &civil, second, at);
    LIT("\",\"unix_time\":");
    at = pen_int(at, call->moment);
    LIT(",\"indexed_at\":");
    at = pen_int(at, call->moment + sketch->duration + 3);
    LIT(".");
    at = pen_digits(at, DIE(8), 3);
    LIT(",\"day\":\"");
    at = pen_two(at, (uint32_t)civil.day);
    LIT("\",\"month\":\"");
    at = pen_two(at, (uint32_t)civil.month);
    LIT("\",\"hour\":\"");
    at = pen_two(at, second / 3600);
    LIT("\"");
    if (!sketch->spoken) {
        LIT(",\"duration_period\":null,\"billed_at\":null,\"billed_amount\":null");
        return at;
    }
    const uint32_t minute = sketch->duration / 60;
    LIT(",\"duration_period\":{\"gte\":");
    at = pen_uint(at, minute * 60);
    LIT(",\"lte\":");
    at = pen_uint(at, minute * 60 + 60);
    LIT("},\"billed_at\":\"");
    at = put_date(&civil, at);
    LIT("\",\"billed_amount\":");
    at = pen_uint(at, (minute + 1) * 45 / 1000);
    LIT(".");
    return pen_digits(at, (minute + 1) * 45, 3);
}

static char *put_seconds(const Sketch *sketch, char *at)
{
    if (!sketch->spoken || !sketch->life.ended) {
        LIT(",\"duration\":null,\"talk_time\":null,\"ring_time\":null,\"hold_time\":null,\"wait_"
            "time\":null,"
            "\"left_talk_time\":null,\"right_talk_time\":null");
        return at;
    }
    LIT(",\"duration\":");
    at = pen_uint(at, sketch->duration);
    const uint32_t oddity = (uint32_t)(DIE(1) >> 42 & 0x7f);
    if (oddity < 2)
        LIT(".0");
    else if (oddity == 2)
        LIT(".5");
    LIT(",\"talk_time\":");
    at = pen_uint(at, sketch->talk);
    LIT(",\"ring_time\":");
    at = pen_uint(at, sketch->ring);
    LIT(",\"hold_time\":");
    at = pen_uint(at, sketch->hold);
    LIT(",\"wait_time\":");
    at = pen_uint(at,
                  sketch->modern ? sketch->wait * 1000 : sketch->wait); // milliseconds, or seconds
    LIT(",\"left_talk_time\":");
    at = pen_uint(at, sketch->talk / 2 + (DIE(1) >> 50 & 3));
    LIT(",\"right_talk_time\":");
    return pen_uint(at, sketch->talk / 2);
}

static char *put_state(const Sketch *sketch, char *at)
{
    const bool scored = sketch->scored;
    LIT(",\"direction\":\"");
    at = pen_str(at, str_from(direction_names[sketch->direction]));
    if (!sketch->spoken)
        LIT("\",\"status\":\"received\",\"call_status\":null,\"dial_status\":null");
    else if (!sketch->life.ended)
        LIT("\",\"status\":\"in progress\",\"call_status\":\"in-progress\",\"dial_status\":null");
    else if (!sketch->answered)
        LIT("\",\"status\":\"no "
            "answer\",\"call_status\":\"completed\",\"dial_status\":\"no-answer\"");
    else if (sketch->modern)
        LIT("\",\"status\":\"answered\",\"call_status\":\"completed\",\"dial_status\":"
            "\"answered\"");
    else
        LIT("\",\"status\":\"completed\",\"call_status\":\"completed\",\"dial_status\":"
            "\"completed\"");
    if (sketch->web)
        LIT(",\"excluded\":false,\"redacted\":false,\"visitor\":true");
    else
        LIT(",\"excluded\":false,\"redacted\":false,\"visitor\":false");
    if (scored) {
        LIT(",\"likelihood\":");
        at = pen_uint(at, DIE(8) >> 10 & 0x3f);
    } else {
        LIT(",\"likelihood\":null");
    }
    if (!sketch->answered)
        return at; // who did not answer is not named, not even as null
    if (sketch->modern)
        ITEM(agents_modern, sketch->agent);
    else
        ITEM(agents_legacy, sketch->agent);
    return at;
}

// The click id is the bulk of what differs between two calls: 60 letters.
static char *put_click_id(const Sketch *sketch, char *at)
{
    uint64_t bits = DIE(9);
    LIT("EAIaIQobChMI");
    for (int i = 0; i < 4; i++) {
        at = pen_url10(at, bits);
        bits = mix64(bits);
    }
    LIT("_BwE");
    return at;
}

static char *put_location(const Sketch *sketch, char *at)
{
    LIT(",\"location\":\"");
    at = pen_padded(at, sketch->roster->site);
    WORD(paths, DIE(8));
    if (!sketch->paid) {
        LIT("\",\"last_location\":null");
        return at;
    }
    LIT("?utm_medium=cpc&utm_term=");
    WORD(search_words, sketch->keyword << 16);
    LIT("&gclid=");
    at = put_click_id(sketch, at);
    LIT("\",\"last_location\":\"");
    at = pen_padded(at, sketch->roster->site);
    WORD(paths, DIE(8) >> 16);
    LIT("\"");
    return at;
}

static char *put_web(const Sketch *sketch, char *at)
{
    if (!sketch->web) {
        LIT(",\"web_source\":null,\"keyword\":null,\"keyword_id\":null,\"search\":null,"
            "\"referrer\":null,"
            "\"location\":null,\"last_location\":null,\"ga\":{},\"webvisit\":null");
        return at;
    }
    LIT(",\"web_source\":\"");
    at = pen_padded(at, sketch->world->words.sources.items[sketch->source]);
    if (sketch->paid) {
        LIT("\",\"keyword\":\"");
        WORD(keywords, sketch->keyword << 16);
        LIT("\",\"keyword_id\":\"kwd-");
        at = pen_uint(at, 300000000 + sketch->keyword * UINT64_C(977));
        LIT("\",\"search\":\"");
        WORD(keywords, sketch->keyword << 16);
        LIT("\"");
    } else {
        LIT("\",\"keyword\":null,\"keyword_id\":null,\"search\":null");
    }
    LIT(",\"referrer\":\"");
    WORD(referrers, DIE(8) >> 24);
    LIT("\"");
    at = put_location(sketch, at);
    LIT(",\"ga\":{\"cid\":\"");
    at = pen_digits(at, sketch->caller >> 3, 10);
    LIT(".");
    at = pen_digits(at, (uint64_t)sketch->call->moment - (DIE(8) >> 40 & 0xffff), 10);
    if (sketch->paid) {
        LIT("\",\"gclid\":\"");
        at = put_click_id(sketch, at);
    }
    LIT("\"},\"webvisit\":{\"pages\":");
    at = pen_uint(at, 1 + (DIE(8) >> 56 & 7));
    LIT(",\"time\":");
    at = pen_uint(at, DIE(8) >> 44 & 0x3ff);
    LIT("}");
    return at;
}

static char *put_marketing(const Sketch *sketch, char *at)
{
    ITEM(mediums, sketch->source);
    if (sketch->paid) {
        ITEM(campaigns, sketch->campaign);
        LIT(",\"paid\":{\"cost\":");
        at = pen_uint(at, DIE(4) >> 10 & 0xf);
        LIT(".");
        at = pen_two(at, (uint32_t)(DIE(4) >> 14 & 0x3f));
        LIT("}");
    } else {
        LIT(",\"campaign\":null,\"campaign_id\":null,\"ad_group_id\":null,\"adgroup_id\":null,"
            "\"paid\":{}");
    }
    at = put_web(sketch, at);
    LIT(",\"first_touch\":\"");
    WORD(mediums, sketch->caller >> 7);
    LIT("\",\"last_touch\":\"");
    WORD(mediums, DIE(4) >> 20);
    LIT("\",\"touchpoints\":[");
    if (sketch->paid && (DIE(4) >> 50 & 1) != 0) {
        LIT("{\"call_id\":");
        at = pen_uint(at, (uint64_t)sketch->call->id);
        LIT(",\"time\":");
        at = pen_int(at, sketch->call->moment - 60);
        LIT(",\"touch_type\":\"last\",\"weight\":1.0}");
    }
    LIT("]");
    return at;
}

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
    const bool transcribed = sketch->life.transcribed && (DIE(6) & 7) < 4;
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
    for (uint32_t i = 0; i < (sketch->spoken ? 1 + (uint32_t)((DIE(5) >> 48 & 3) == 0) : 0); i++) {
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
        at = pen_int(at, sketch->call->moment + 2 * i);
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

static char *put_content(const Sketch *sketch, unsigned omit, char *at)
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

char *record_write(const World *world, const Call *call, unsigned omit, char *at)
{
    Sketch sketch;
    sketch_call(world, call, &sketch);
    at = put_ids(&sketch, at);
    at = put_who(&sketch, at);
    at = put_time(&sketch, at);
    at = put_seconds(&sketch, at);
    at = put_state(&sketch, at);
    at = put_marketing(&sketch, at);
    return put_content(&sketch, omit, at);
}

// Writes the record with its changes: parsed again, members set to raw text. Slow, but a test
// changes few calls.
static bool append_changed(Str record, const Change *change, Str omit_others, Buf *out, Error *err)
{
    yyjson_doc *doc = yyjson_read(record.data, record.size, 0);
    yyjson_mut_doc *copy = yyjson_doc_mut_copy(doc, NULL);
    yyjson_doc_free(doc);
    if (copy == NULL)
        return error_set(err, ERROR_LIMIT, "record: out of memory");
    yyjson_mut_val *root = yyjson_mut_doc_get_root(copy);

    size_t at = 0;
    ChangeMember member;
    while (change != NULL && change_next_member(change, &at, &member)) {
        yyjson_mut_val *name = yyjson_mut_strn(copy, member.name.data, member.name.size);
        if (!member.added && member.value.size == 0)
            (void)yyjson_mut_obj_remove(root, name);
        else if (member.added)
            (void)yyjson_mut_obj_add(root, name,
                                     yyjson_mut_rawn(copy, member.value.data, member.value.size));
        else
            (void)yyjson_mut_obj_put(root, name,
                                     yyjson_mut_rawn(copy, member.value.data, member.value.size));
    }
    while (omit_others.size > 0) {
        const Str name = str_split_next(&omit_others, ',');
        (void)yyjson_mut_obj_remove_keyn(root, name.data, name.size);
    }

    size_t size = 0;
    char *text = yyjson_mut_write(copy, YYJSON_WRITE_ALLOW_INVALID_UNICODE,
                                  &size); // owned by yyjson: free()
    yyjson_mut_doc_free(copy);
    if (text == NULL)
        return error_set(err, ERROR_LIMIT, "record: cannot be written");
    const bool ok = buf_append(out, (Str){text, size}, err);
    free(text);
    return ok;
}

bool record_append(const World *world, const Call *call, unsigned omit, Str omit_others, Buf *out,
                   Error *err)
{
    TRY(buf_reserve(out, RECORD_BYTES_MAX, err));
    char *start = out->data + out->size;
    const size_t size = (size_t)(record_write(world, call, omit, start) - start);
    assert(size < RECORD_BYTES_MAX - PEN_BLOCK_BYTES);
    const bool changed = call->change != NULL && call->change->members.size > 0;
    if (changed || omit_others.size > 0) {
        CLEANUP(buf_done) Buf record = {0};
        TRY(buf_append(&record, (Str){start, size}, err));
        return append_changed(buf_str(&record), call->change, omit_others, out, err);
    }
    out->size += size;
    return true;
}
