// Auth's parts, shared by the files that make it: auth_bind.c (what the manifest says),
// auth_token.c (asking for a token), auth_jwt.c (making one), auth.c (putting credentials into
// requests). Nobody else includes this.
#pragma once

#include "connector/engine.h"

enum { AUTH_BYTES_MAX = 4 * 1024 * 1024 }; // of one Auth: tokens and what is made from them

typedef enum AuthKind {
    AUTH_NONE,
    AUTH_BASIC,
    AUTH_BEARER,
    AUTH_API_KEY,
    AUTH_OAUTH,
    AUTH_SESSION,
    AUTH_JWT,
} AuthKind;

typedef struct OAuthSpec {
    Expr endpoint;
    Expr names[7]; // see oauth_names
    Expr client_id;
    Expr client_secret;
    Expr refresh_token;
    Expr grant_type;
    Expr access_token;
    ExprMap body;
    ExprMap headers;
    Expr expires_at; // of the access token that the config brings along
    Value scopes;
    bool in_query;
    bool expiry_is_time;
    // Refresh tokens that are used once live in the config, which streams share.
    bool is_single_use;
    Str token_path[PATH_PARTS_MAX];
    size_t token_path_count;
    Str expires_path[PATH_PARTS_MAX];
    size_t expires_path_count;
    Str refresh_path[PATH_PARTS_MAX];
    size_t refresh_path_count;
} OAuthSpec;

enum {
    NAME_CLIENT_ID,
    NAME_CLIENT_SECRET,
    NAME_REFRESH_TOKEN,
    NAME_GRANT_TYPE,
    NAME_ACCESS_TOKEN,
    NAME_EXPIRES_IN,
    NAME_COUNT
};

enum { JWT_KID, JWT_TYP, JWT_CTY, JWT_ISS, JWT_SUB, JWT_AUD, JWT_CLAIM_COUNT };

// What a JSON Web Token says and how it is signed; the key is AuthSpec.secret.
typedef struct JwtSpec {
    Str algorithm;
    Expr is_base64; // the key is to be made base64 first
    Expr passphrase;
    Expr prefix;                  // before the token, "Bearer"
    Expr claims[JWT_CLAIM_COUNT]; // see jwt_claims
    ExprMap headers;
    ExprMap payload;
    int64_t life_seconds;
} JwtSpec;

struct AuthSpec {
    AuthKind kind;
    Expr user;
    Expr secret; // password, token, or the session's template
    RequestOption option;
    Expr header; // the old way to say where an API key goes
    OAuthSpec oauth;
    JwtSpec jwt;
    const Requester *login;
    Str session_path[PATH_PARTS_MAX];
    size_t session_path_count;
    bool has_life;
    Duration life;
    bool session_is_bearer;
    Str fingerprint; // equal for authenticators that give the same credential
};

struct Auth {
    const Connector *connector;
    const AuthSpec *spec;
    Value config; // the connector's, or what was rotated since
    Str origin;   // an address of the only origin that gets the credential; empty = not known
                  // beforehand
    Arena *secrets;
    Buf token;
    Buf refresh_token;
    bool has_token;
    bool looked_at_config;
    int64_t expires_us;
};

static inline void auth_frame(const Auth *auth, Frame *frame)
{
    frame_init(frame, auth->connector->env, auth->config);
}

static inline int64_t auth_now_us(const Auth *auth)
{
    return auth->connector->env->now_us(auth->connector->env->state);
}

// --- auth_token.c: what goes to the token's or the session's own address

bool auth_oauth_request(const Auth *auth, Arena *arena, HttpRequest *ret_request,
                        Error *err) MUST_USE;
bool auth_login_request(const Auth *auth, Arena *arena, HttpRequest *ret_request,
                        Error *err) MUST_USE;

// --- auth.c

bool auth_set_basic(const Auth *auth, HttpRequest *request, Arena *arena, Error *err) MUST_USE;
bool auth_set_bearer(HttpRequest *request, Str token, Arena *arena, Error *err) MUST_USE;
// Puts a token where the manifest's RequestOption wants it.
bool auth_inject(const Auth *auth, Str token, HttpRequest *request, Arena *arena,
                 Error *err) MUST_USE;

// --- auth_jwt.c

bool auth_jwt_check(Str algorithm, Error *err) MUST_USE; // ERROR_JOB where we do not know it

// A token made now, with its prefix, in `arena`.
bool auth_jwt_make(const Auth *auth, Arena *arena, Str *ret_token, Error *err) MUST_USE;
