#include "base/out.h"

#include "base/json.h"
#include "base/time.h"

static void append(JsonOut *out, Str text)
{
    out->failed = out->failed || !buf_append(&out->text, text, out->err);
}

static void begin(JsonOut *out, const char *name)
{
    if (out->comma)
        append(out, STR(","));
    out->comma = true;
    if (name == NULL)
        return;
    out->failed = out->failed || !json_write_str(str_from(name), &out->text, out->err);
    append(out, STR(":"));
}

void out_open(JsonOut *out, const char *name, char bracket)
{
    begin(out, name);
    append(out, (Str){&bracket, 1});
    out->comma = false;
}

void out_close(JsonOut *out, char bracket)
{
    append(out, (Str){&bracket, 1});
    out->comma = true;
}

void out_str(JsonOut *out, const char *name, Str value)
{
    begin(out, name);
    out->failed = out->failed || !json_write_str(value, &out->text, out->err);
}

void out_int(JsonOut *out, const char *name, int64_t value)
{
    begin(out, name);
    out->failed = out->failed || !buf_printf(&out->text, out->err, "%lld", (long long)value);
}

void out_bool(JsonOut *out, const char *name, bool value)
{
    begin(out, name);
    append(out, value ? STR("true") : STR("false"));
}

void out_time(JsonOut *out, const char *name, int64_t us)
{
    char text[TIME_TEXT_BYTES];
    if (us == INT64_MIN) {
        out_json(out, name, STR(""));
        return;
    }
    time_format_iso(us, text);
    out_str(out, name, str_from(text));
}

void out_json(JsonOut *out, const char *name, Str json)
{
    begin(out, name);
    append(out, json.size > 0 ? json : STR("null"));
}

void out_done(JsonOut *out)
{
    buf_done(&out->text);
}
