// Auth: who may ask: Basic keys, OAuth2 tokens, and what each of them reaches.
//
// Credential 0 is the agency's key, 1 the OAuth2 client, 2 and on the accounts' own keys, one each.
// Threads share an Auth: it has its own lock, since every request looks into the table of tokens.
#pragma once

#include "base/arena.h"
#include "base/buf.h"

#include <pthread.h>

enum {
    AUTH_TOKENS_MAX = 4096,
    AUTH_TOKEN_BYTES = 48,
    AUTH_AGENCY = 0,
    AUTH_CLIENT = 1,
    AUTH_FIRST_ACCOUNT = 2
};

typedef struct AuthPlan {
    Str access_key,
        secret; // of the agency; account 1002's are "<access_key>-1002", "<secret>-1002"
    Str client_id, client_secret; // of the OAuth2 client
    int64_t expires_in_s;         // life of an access token
    int64_t token_requests;       // it also ends after so many requests; 0 = does not
    uint32_t accounts, first_account;
    uint64_t seed;
} AuthPlan;

typedef struct AuthToken {
    char access[AUTH_TOKEN_BYTES], refresh[AUTH_TOKEN_BYTES];
    int64_t expires_us;
    int64_t requests;
    uint32_t family; // tokens that were refreshed from one another
    bool refreshed, revoked;
} AuthToken;

typedef struct AuthCounts {
    uint64_t issued, refreshed, replayed, refused, expired;
} AuthCounts;

typedef struct Auth {
    AuthPlan plan;
    pthread_mutex_t lock;
    AuthToken *tokens; // ring
    uint32_t next;     // serial number of the next token
    AuthCounts counts;
} Auth;

typedef enum AuthVerdict { AUTH_OK, AUTH_MISSING, AUTH_WRONG, AUTH_EXPIRED } AuthVerdict;

typedef struct Identity {
    uint32_t credential;
    int64_t account_id; // the one account it reaches; 0 = all
} Identity;

bool auth_init(Auth *auth, const AuthPlan *plan, Arena *arena, Error *err) MUST_USE;
void auth_done(Auth *auth);

// Judges the Authorization header ({NULL, 0} = none). `now_us` is any clock that does not jump.
AuthVerdict auth_check(Auth *auth, Str authorization, int64_t now_us, Identity *ret_identity);

// POST /oauth2/token: `body` is a form or a JSON object; the client may also come by Basic. Appends
// the answer's body and tells its status.
typedef struct AuthRequest {
    Str authorization, body;
    int64_t now_us;
} AuthRequest;
bool auth_issue(Auth *auth, const AuthRequest *request, Arena *arena, Buf *out, int *ret_status,
                Error *err) MUST_USE;

// Ends every access token at once; refresh tokens go on.
void auth_expire_all(Auth *auth);
AuthCounts auth_counts(Auth *auth);
