// Blob: requests to one container of an Azure storage account, over the Blob service's REST
// interface only, so that it makes no difference whether the account has a hierarchical namespace.
//
// Credentials are a shared key, a SAS, or an Identity's tokens. Messages name the account, the
// container, the blob and the service's error code; never a URL's query, where a SAS stands. A
// BlobClient belongs to one thread at a time, and blocks.
#pragma once

#include "azure/identity.h"
#include "azure/shared_key.h"

enum {
    BLOB_PAIRS_MAX = 8,
    BLOB_HEADERS_MAX = 12,
    BLOB_NAME_BYTES_MAX = 1024,
    BLOB_ANSWER_BYTES_MAX = 16 * 1024 * 1024, // what is no blob: listings, errors
};

typedef enum BlobAuth {
    BLOB_AUTH_DEFAULT, // the key or SAS that is given, else the identity's own default
    BLOB_AUTH_KEY,
    BLOB_AUTH_SAS,
    BLOB_AUTH_CLIENT_SECRET,
    BLOB_AUTH_FEDERATED,
    BLOB_AUTH_MANAGED,
} BlobAuth;

typedef struct BlobOptions {
    Str account, container;
    Str endpoint; // empty = https://<account>.blob.core.windows.net
    BlobAuth auth;
    Str account_key, sas_token;
    IdentityOptions identity; // its kind comes from `auth`
    size_t connections;
} BlobOptions;

typedef struct BlobClient BlobClient;

bool blob_client_open(const BlobOptions *options, Env *env, BlobClient **ret_client,
                      Error *err) MUST_USE;
void blob_client_close(BlobClient *client); // NULL is fine
void blob_client_closep(BlobClient **client);

typedef struct BlobRequest {
    Str method;
    Str name; // of the blob, not encoded; empty = the container
    UrlPair pairs[BLOB_PAIRS_MAX];
    size_t pair_count;
    HttpHeader headers[BLOB_HEADERS_MAX]; // names in lower case
    size_t header_count;
    Str body;
    size_t answer_bytes_max; // 0 = BLOB_ANSWER_BYTES_MAX
    int64_t timeout_ms;      // of one try; 0 = five minutes
    int64_t retry_within_us; // see AzureSender
    bool is_last_word;       // said though env->stop is set
} BlobRequest;

void blob_request_pair(BlobRequest *request, Str name, Str value);
void blob_request_header(BlobRequest *request, Str name, Str value);

// Valid until the client's next call.
typedef struct BlobAnswer {
    const HttpResponse *response;
    Str code;       // x-ms-error-code, or ""
    bool uncertain; // an earlier try may have acted: a "no" may be about ourselves
} BlobAnswer;

// Sends one request, and again as azure_retry has it. True with an answer of any status.
bool blob_send(BlobClient *client, const BlobRequest *request, BlobAnswer *ret_answer,
               Error *err) MUST_USE;

// The same with several, as many at once as the client has connections.
bool blob_send_all(BlobClient *client, const BlobRequest *requests, size_t count,
                   BlobAnswer *ret_answers, Error *err) MUST_USE;

// Says why an answer is not what was wanted, by its status and code; always false. ERROR_NOT_FOUND
// is a blob that is not there; a container that is not there is ERROR_JOB.
bool blob_refused(const BlobClient *client, const BlobRequest *request, const BlobAnswer *answer,
                  Error *err);
