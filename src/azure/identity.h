// Identity: who pawl is in Azure, and the access tokens that prove it.
//
// Kinds: a client secret, a federated token (workload identity: a file that Kubernetes, GitHub or
// Azure Pipelines keep fresh), a managed identity (the instance metadata service, or the endpoint
// that App Service, Functions and Container Apps offer). IDENTITY_DEFAULT takes the first whose
// settings are there, in this order; the metadata service needs none and comes last. What the job
// does not say comes from the environment, under the names that Azure's own libraries use:
// AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, AZURE_FEDERATED_TOKEN_FILE,
// AZURE_AUTHORITY_HOST, IDENTITY_ENDPOINT, IDENTITY_HEADER, AZURE_POD_IDENTITY_AUTHORITY_HOST.
//
// Tokens are kept until five minutes before their end. Nothing here logs; errors hold no token, no
// secret and nothing of what the far side said but its error codes. An Identity belongs to one
// thread at a time.
#pragma once

#include "azure/exchange.h"

typedef enum IdentityKind {
    IDENTITY_DEFAULT,
    IDENTITY_CLIENT_SECRET,
    IDENTITY_FEDERATED,
    IDENTITY_MANAGED,
} IdentityKind;

typedef struct IdentityOptions {
    IdentityKind kind;
    Str tenant_id, client_id, client_secret, token_file; // empty = from the environment
    Str authority; // empty = the environment's, or the public cloud's
    Str ca_file;
    Str folder; // where a relative token_file starts
} IdentityOptions;

typedef struct Identity Identity;

// `options` may hold pointers that end with the call. ERROR_JOB says which setting lacks.
bool identity_open(const IdentityOptions *options, Env *env, Identity **ret_identity,
                   Error *err) MUST_USE;
void identity_close(Identity *identity); // overwrites what is secret; NULL is fine
void identity_closep(Identity **identity);

// A token for `resource` ("https://storage.azure.com"), valid until the next call. `renew`: the
// one that was given last is not accepted. ERROR_ACCESS: the authority refuses.
bool identity_token(Identity *identity, Str resource, bool renew, Str *ret_token,
                    Error *err) MUST_USE;

// For messages: "the app 1234... (client secret)", "the managed identity of this machine".
Str identity_name(const Identity *identity);
