// When it was, how long it took and how it went.

#include "record_parts.h"

static const char *const direction_names[] = {"inbound",      "outbound", "msg_inbound",
                                              "msg_outbound", "form",     "chat"};

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

char *put_date(const Civil *civil, char *at)
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

char *put_time(const Sketch *sketch, char *at)
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
    at = pen_uint(at, UINT64_C(60) * minute);
    LIT(",\"lte\":");
    at = pen_uint(at, UINT64_C(60) * minute + 60);
    LIT("},\"billed_at\":\"");
    at = put_date(&civil, at);
    LIT("\",\"billed_amount\":");
    at = pen_uint(at, UINT64_C(45) * (minute + 1) / 1000);
    LIT(".");
    return pen_digits(at, UINT64_C(45) * (minute + 1), 3);
}

char *put_seconds(const Sketch *sketch, char *at)
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

char *put_state(const Sketch *sketch, char *at)
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
