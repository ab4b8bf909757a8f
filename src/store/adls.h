// Adls: what the files of the Azure Blob driver share. Nobody else includes it.
#pragma once

#include "azure/blob.h"
#include "store/store.h"

enum {
    ADLS_LEASES_MAX = 16,
    ADLS_ID_TEXT = 36, // a lease's or a write's name
    ADLS_LIST_BYTES_MAX = 1024 * 1024 * 1024,
    ADLS_LAST_WORD_MS = 2 * 1000, // of a request for which somebody waits who pressed Ctrl-C
};

// A lease that this store holds, by the name that the service knows it under.
typedef struct AdlsLease {
    uint64_t epoch; // 0 = this place is free
    char id[ADLS_ID_TEXT + 1];
    char path[STORE_PATH_BYTES_MAX + 1];
} AdlsLease;

// What was read of a file beyond what was asked for: the next bytes, most likely.
typedef struct AdlsWindow {
    char path[STORE_PATH_BYTES_MAX + 1];
    char etag[100];
    uint64_t next;  // offset with which the next read would go on
    uint64_t total; // of the file
    uint64_t start; // of `bytes`
    Buf bytes;
} AdlsWindow;

typedef struct Adls {
    // options
    Str account, container, prefix, endpoint;
    int auth; // BlobAuth
    Str account_key, sas_token;
    Str tenant_id, client_id, client_secret, token_file, authority, ca_file;
    uint64_t block_bytes;
    int64_t connections;

    Env *env;
    BlobClient *client;
    AdlsWindow window;
    AdlsLease leases[ADLS_LEASES_MAX];
} Adls;

// The blob's name: the prefix and the path.
typedef struct AdlsName {
    char text[BLOB_NAME_BYTES_MAX + 1];
    size_t size;
} AdlsName;
bool adls_name(const Adls *adls, Str path, AdlsName *ret_name, Error *err) MUST_USE;

static inline Str adls_name_str(const AdlsName *name)
{
    return (Str){name->text, name->size};
}

// A name that nobody has used: random, as UUIDs are written.
void adls_new_id(Env *env, char ret_id[ADLS_ID_TEXT + 1]);

bool adls_list(void *state, Str folder, unsigned flags, StoreVisit *visit, void *visitor,
               Error *err);

bool adls_lease_take(void *state, Str path, Str holder, int64_t ttl_us, uint64_t *ret_epoch,
                     Error *err);
bool adls_lease_renew(void *state, Str path, Str holder, uint64_t epoch, int64_t ttl_us,
                      Error *err);
bool adls_lease_release(void *state, Str path, Str holder, uint64_t epoch, Error *err);
