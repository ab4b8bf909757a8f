// What brought the caller.

#include "record_parts.h"

// The click id alone makes two calls differ: 120 random bits.
static char *put_click_id(const Sketch *sketch, char *at)
{
    uint64_t bits = DIE(9);
    LIT("EAIaIQobChMI");
    for (int i = 0; i < 2; i++) {
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
    if ((DIE(8) >> 60 & 1) != 0) {
        LIT("\",\"last_location\":null");
        return at;
    }
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
    if ((DIE(8) >> 62 & 1) != 0) {
        LIT(",\"referrer\":null");
    } else {
        LIT(",\"referrer\":\"");
        WORD(referrers, DIE(8) >> 24);
        LIT("\"");
    }
    at = put_location(sketch, at);
    LIT(",\"ga\":{\"cid\":\"");
    at = pen_digits(at, sketch->caller >> 3, 10);
    LIT(".");
    at = pen_digits(at, (uint64_t)sketch->call->moment - (DIE(8) >> 40 & 0xffff), 10);
    if (sketch->paid) {
        LIT("\",\"gclid\":\"");
        at = put_click_id(sketch, at);
    }
    if ((DIE(8) >> 61 & 1) != 0) {
        LIT("\"},\"webvisit\":null");
        return at;
    }
    LIT("\"},\"webvisit\":{\"pages\":");
    at = pen_uint(at, 1 + (DIE(8) >> 56 & 7));
    LIT(",\"time\":");
    at = pen_uint(at, DIE(8) >> 44 & 0x3ff);
    LIT("}");
    return at;
}

char *put_marketing(const Sketch *sketch, char *at)
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
    if (sketch->paid && (DIE(4) >> 50 & 3) == 0) {
        LIT("{\"call_id\":");
        at = pen_uint(at, (uint64_t)sketch->call->id);
        LIT(",\"time\":");
        at = pen_int(at, sketch->call->moment - 60);
        LIT(",\"touch_type\":\"last\",\"weight\":1.0}");
    }
    LIT("]");
    return at;
}
