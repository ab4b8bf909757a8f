#include "auth.h"

#include "mix.h"
#include "query.h"

#include <inttypes.h>
#include <stdio.h>
#include <yyjson.h>

enum { BASIC_BYTES_MAX = 512, US_PER_SECOND = 1000000 };

bool auth_init(Auth *auth, const AuthPlan *plan, Arena *arena, Error *err)
{
    *auth = (Auth){.plan = *plan};
    auth->tokens = arena_alloc_array(arena, AUTH_TOKENS_MAX, sizeof(AuthToken), err);
    TRY(auth->tokens != NULL);
    (void)pthread_mutex_init(&auth->lock, NULL);
    return true;
}

void auth_done(Auth *auth)
{
    if (auth->tokens != NULL)
        (void)pthread_mutex_destroy(&auth->lock);
    *auth = (Auth){0};
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// Decodes into `bytes` of BASIC_BYTES_MAX; false on anything that is not base64, or too long.
static bool base64_decode(Str text, char *bytes, size_t *ret_size)
{
    uint32_t bits = 0, have = 0;
    size_t size = 0;
    while (text.size > 0 && text.data[text.size - 1] == '=')
        text.size--;
    for (size_t i = 0; i < text.size; i++) {
        const int value = base64_value(text.data[i]);
        if (value < 0 || size == BASIC_BYTES_MAX)
            return false;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        bytes[size++] = (char)(bits >> have);
    }
    *ret_size = size;
    return true;
}

// True when `text` is `base` and, for accounts, "-1002" behind it.
static bool matches_key(Str text, Str base, int64_t account_id)
{
    if (!str_starts_with(text, base))
        return false;
    const Str rest = str_slice(text, base.size, SIZE_MAX);
    int64_t id = 0;
    if (account_id == 0)
        return rest.size == 0;
    return rest.size > 1 && rest.data[0] == '-' &&
           str_to_int64(str_slice(rest, 1, SIZE_MAX), &id) && id == account_id;
}

// Splits "Basic ..." into user and password.
static bool read_basic(Str authorization, char *bytes, Str *ret_user, Str *ret_password)
{
    const Str scheme = STR("Basic ");
    size_t size = 0;
    if (!str_equal_ignoring_case(str_slice(authorization, 0, scheme.size), scheme) ||
        !base64_decode(str_trim(str_slice(authorization, scheme.size, SIZE_MAX)), bytes, &size))
        return false;
    Str rest = {bytes, size};
    *ret_user = str_split_next(&rest, ':');
    *ret_password = rest;
    return rest.data != NULL;
}

static AuthVerdict check_basic(const Auth *auth, Str authorization, Identity *ret_identity)
{
    char bytes[BASIC_BYTES_MAX];
    Str user, password;
    if (!read_basic(authorization, bytes, &user, &password))
        return AUTH_WRONG;
    const AuthPlan *plan = &auth->plan;
    if (matches_key(user, plan->access_key, 0) && matches_key(password, plan->secret, 0)) {
        *ret_identity = (Identity){AUTH_AGENCY, 0};
        return AUTH_OK;
    }
    for (uint32_t i = 0; i < plan->accounts; i++) {
        const int64_t id = plan->first_account + (int64_t)i;
        if (!matches_key(user, plan->access_key, id) || !matches_key(password, plan->secret, id))
            continue;
        *ret_identity = (Identity){AUTH_FIRST_ACCOUNT + i, id};
        return AUTH_OK;
    }
    return AUTH_WRONG;
}

// The token whose text this is; texts begin with their serial number. Needs the lock.
static AuthToken *find_token(Auth *auth, Str text, bool refresh)
{
    const Str prefix = refresh ? STR("simr.") : STR("sima.");
    int64_t serial = 0;
    if (!str_starts_with(text, prefix))
        return NULL;
    Str rest = str_slice(text, prefix.size, SIZE_MAX);
    if (!str_to_int64(str_split_next(&rest, '.'), &serial) || serial < 0 || serial >= auth->next ||
        auth->next - serial > AUTH_TOKENS_MAX)
        return NULL;
    AuthToken *token = &auth->tokens[serial % AUTH_TOKENS_MAX];
    return str_equal(text, str_from(refresh ? token->refresh : token->access)) ? token : NULL;
}

static AuthVerdict check_bearer(Auth *auth, Str text, int64_t now_us, Identity *ret_identity)
{
    AuthToken *token = find_token(auth, text, false);
    if (token == NULL)
        return AUTH_WRONG;
    token->requests++;
    const bool used_up =
        auth->plan.token_requests > 0 && token->requests > auth->plan.token_requests;
    if (now_us >= token->expires_us || used_up || token->revoked) {
        auth->counts.expired++;
        return AUTH_EXPIRED;
    }
    *ret_identity = (Identity){AUTH_CLIENT, 0};
    return AUTH_OK;
}

AuthVerdict auth_check(Auth *auth, Str authorization, int64_t now_us, Identity *ret_identity)
{
    if (authorization.size == 0)
        return AUTH_MISSING;
    const Str bearer = STR("Bearer ");
    if (!str_equal_ignoring_case(str_slice(authorization, 0, bearer.size), bearer))
        return check_basic(auth, authorization, ret_identity);

    (void)pthread_mutex_lock(&auth->lock);
    const AuthVerdict verdict = check_bearer(
        auth, str_trim(str_slice(authorization, bearer.size, SIZE_MAX)), now_us, ret_identity);
    (void)pthread_mutex_unlock(&auth->lock);
    return verdict;
}

// What the client sent, from whichever place.
typedef struct Grant {
    Str type, client_id, client_secret, refresh_token;
} Grant;

static bool read_json_grant(Str body, Arena *arena, Grant *grant, Error *err)
{
    yyjson_doc *doc = yyjson_read(body.data, body.size, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    const struct {
        const char *name;
        Str *value;
    } rows[] = {{"grant_type", &grant->type},
                {"client_id", &grant->client_id},
                {"client_secret", &grant->client_secret},
                {"refresh_token", &grant->refresh_token}};
    bool ok = true;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && ok; i++) {
        yyjson_val *value = yyjson_obj_get(root, rows[i].name);
        if (yyjson_is_str(value))
            ok = arena_copy_str(arena, (Str){yyjson_get_str(value), yyjson_get_len(value)},
                                rows[i].value, err);
    }
    yyjson_doc_free(doc);
    return ok;
}

static bool read_grant(const AuthRequest *request, Arena *arena, Grant *grant, Error *err)
{
    *grant = (Grant){0};
    if (request->body.size > 0 && request->body.data[0] == '{') {
        TRY(read_json_grant(request->body, arena, grant, err));
    } else {
        TRY(query_parameter(request->body, STR("grant_type"), arena, &grant->type, err));
        TRY(query_parameter(request->body, STR("client_id"), arena, &grant->client_id, err));
        TRY(query_parameter(request->body, STR("client_secret"), arena, &grant->client_secret,
                            err));
        TRY(query_parameter(request->body, STR("refresh_token"), arena, &grant->refresh_token,
                            err));
    }
    char *bytes = arena_alloc(arena, BASIC_BYTES_MAX, err);
    TRY(bytes != NULL);
    if (request->authorization.size > 0)
        (void)read_basic(request->authorization, bytes, &grant->client_id, &grant->client_secret);
    return true;
}

static AuthToken *new_token(Auth *auth, uint32_t family, int64_t now_us)
{
    const uint32_t serial = auth->next++;
    AuthToken *token = &auth->tokens[serial % AUTH_TOKENS_MAX];
    *token = (AuthToken){.expires_us = now_us + auth->plan.expires_in_s * US_PER_SECOND,
                         .family = family == UINT32_MAX ? serial : family};
    const uint64_t bits = mix_pair(auth->plan.seed, serial);
    (void)snprintf(token->access, sizeof(token->access), "sima.%" PRIu32 ".%016" PRIx64, serial,
                   bits);
    (void)snprintf(token->refresh, sizeof(token->refresh), "simr.%" PRIu32 ".%016" PRIx64, serial,
                   mix64(bits));
    auth->counts.issued++;
    return token;
}

// A refresh token works once. Who shows it again may be a thief: the whole family ends (RFC
// 6819, 5.2.2.3).
static const char *refresh(Auth *auth, Str text, int64_t now_us, AuthToken **ret_token)
{
    AuthToken *old = find_token(auth, text, true);
    if (old == NULL)
        return "invalid_grant";
    const uint32_t family = old->family;
    if (old->refreshed || old->revoked) {
        auth->counts.replayed++;
        for (uint32_t i = 0; i < AUTH_TOKENS_MAX; i++)
            auth->tokens[i].revoked |=
                auth->tokens[i].access[0] != '\0' && auth->tokens[i].family == family;
        return "invalid_grant";
    }
    old->refreshed = true;
    auth->counts.refreshed++;
    *ret_token = new_token(auth, family, now_us);
    return NULL;
}

// NULL and a token, or the error code of RFC 6749, 5.2.
static const char *grant_token(Auth *auth, const Grant *grant, int64_t now_us,
                               AuthToken **ret_token)
{
    if (!str_equal(grant->client_id, auth->plan.client_id) ||
        !str_equal(grant->client_secret, auth->plan.client_secret))
        return "invalid_client";
    if (str_equal(grant->type, STR("refresh_token")))
        return refresh(auth, grant->refresh_token, now_us, ret_token);
    if (!str_equal(grant->type, STR("client_credentials")))
        return "unsupported_grant_type";
    *ret_token = new_token(auth, UINT32_MAX, now_us);
    return NULL;
}

bool auth_issue(Auth *auth, const AuthRequest *request, Arena *arena, Buf *out, int *ret_status,
                Error *err)
{
    Grant grant;
    TRY(read_grant(request, arena, &grant, err));
    AuthToken *token = NULL;
    (void)pthread_mutex_lock(&auth->lock);
    const char *problem = grant_token(auth, &grant, request->now_us, &token);
    AuthToken copy = {0};
    if (token != NULL)
        copy = *token;
    auth->counts.refused += problem != NULL;
    (void)pthread_mutex_unlock(&auth->lock);

    if (problem != NULL) {
        *ret_status = strcmp(problem, "invalid_client") == 0 ? 401 : 400;
        return buf_printf(out, err,
                          "{\"error\":\"%s\",\"error_description\":\"the grant was refused\"}",
                          problem);
    }
    *ret_status = 200;
    return buf_printf(out, err,
                      "{\"access_token\":\"%s\",\"token_type\":\"bearer\",\"expires_in\":%" PRId64
                      ",\"refresh_token\":\"%s\",\"scope\":\"read\"}",
                      copy.access, auth->plan.expires_in_s, copy.refresh);
}

void auth_expire_all(Auth *auth)
{
    (void)pthread_mutex_lock(&auth->lock);
    for (uint32_t i = 0; i < AUTH_TOKENS_MAX; i++)
        auth->tokens[i].expires_us = INT64_MIN;
    (void)pthread_mutex_unlock(&auth->lock);
}

AuthCounts auth_counts(Auth *auth)
{
    (void)pthread_mutex_lock(&auth->lock);
    const AuthCounts counts = auth->counts;
    (void)pthread_mutex_unlock(&auth->lock);
    return counts;
}
