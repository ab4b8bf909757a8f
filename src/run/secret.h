// Secret: `${env:NAME}`, `${file:PATH}` and `${keyvault:VAULT/NAME}` in a job file, and the refusal
// of secrets written out.
#pragma once

#include "base/env.h"
#include "base/findings.h"
#include "base/json.h"

enum { SECRET_FILE_BYTES_MAX = 64 * 1024 };

// Who wants to know what a job refers to, not what that is: gets each reference ("env:NAME"), which
// then stands as SECRET_PLACEHOLDER. Nothing is looked up.
typedef struct SecretNotes {
    bool (*note)(void *state, Str reference, Error *err);
    void *state;
} SecretNotes;

// What vaults were asked for: the same reference is not asked for twice.
enum { VAULT_SECRETS_MAX = 100 };
typedef struct VaultSecrets {
    struct {
        Str reference, value;
    } items[VAULT_SECRETS_MAX];
    size_t count;
} VaultSecrets;

typedef struct SecretOptions {
    Str place;                // of the value, for findings
    Str folder;               // where relative files start
    const SecretNotes *notes; // NULL = look them up
    VaultSecrets *vaults;     // what is known is not asked for, and what is new added; NULL = none
    Env *env;
    Findings *findings;
} SecretOptions;

#define SECRET_PLACEHOLDER STR("placeholder")

// Copies `value` with every reference replaced; `shown` gets the same with every replaced string as
// "***". Line ends at the end of what a reference stands for are no part of it. A variable that is
// not set or empty, a file that cannot be read and a secret that a vault does not give are
// findings. A vault is asked once for each secret, as the identity that the environment names
// (azure/identity.h).
bool secret_resolve(yyjson_val *value, const SecretOptions *options, Arena *arena,
                    yyjson_val **ret_value, yyjson_val **ret_shown, Error *err) MUST_USE;

// Whether something below `value` is kept in a file, where it may be another one by now.
bool secret_names_file(yyjson_val *value);

// Adds a finding for each string below `value` whose member name says that it is a secret
// (password, secret, token, key...) and that is written out instead of referred to.
void secret_refuse_plain(yyjson_val *value, Str place, Str pointer, Findings *findings);

// True for "client_secret", "api_key", "sas_token", "password"...; not for "key_columns" or
// "token_endpoint".
bool secret_is_secret_name(Str name);
