// Key vault: one secret of an Azure Key Vault, by the REST interface.
#pragma once

#include "azure/identity.h"

enum { KEY_VAULT_SECRET_BYTES_MAX = 25 * 1024 }; // the service's own limit

// Where a reference "vault/name" or "vault/name/version" leads. `vault` is a vault's name in the
// public cloud, or a URL: "https://NAME.vault.azure.cn" and the like; any address where the host is
// loopback (tests).
typedef struct KeyVaultSecret {
    Str vault;    // as written
    Str name;     // letters, digits and dashes
    Str version;  // empty = the latest
    Str url;      // of the secret, with the version of the interface
    Str resource; // that a token must be for
} KeyVaultSecret;

// ERROR_JOB says what is wrong with the reference. `ret_secret` points into `arena`.
bool key_vault_parse(Str reference, Arena *arena, KeyVaultSecret *ret_secret, Error *err) MUST_USE;

// Reads the secret's value into `arena` (which the caller wipes). ERROR_NOT_FOUND: there is no such
// secret; ERROR_ACCESS names the role that lacks.
bool key_vault_get(const KeyVaultSecret *secret, Identity *identity, Env *env, Arena *arena,
                   Str *ret_value, Error *err) MUST_USE;
