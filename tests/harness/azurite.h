// Azurite: Microsoft's own stand-in for the Blob service, started once a test program and ended
// with it.
//
// Needs PAWL_AZURITE, the script to run, which `./dev test` sets; without it azurite_is_there() is
// false and the program says that it skips something.
#pragma once

#include "store/store.h"

#define AZURITE_ACCOUNT "devstoreaccount1"
// The key that Azurite's manual names: no secret.
#define AZURITE_KEY                                                   \
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/" \
    "K1SZFPTOtr/KBHBeksoGMGw=="

bool azurite_is_there(void);
const char *azurite_endpoint(void); // "http://127.0.0.1:PORT/devstoreaccount1"

// Opens an adls store on a container of its own (a new one each time), with `options` ("" or
// ", \"name\": value..." ) behind the usual ones. *ret_container tells which (may be NULL).
bool azurite_open_store(Store *store, const char *options, Env *env, Arena *arena,
                        Str *ret_container, Error *err);
// The same on a container that is there.
bool azurite_reopen_store(Store *store, Str container, const char *options, Env *env, Arena *arena,
                          Error *err);

// A random number that is never the same twice, for an Env: the test's own repeats itself.
uint64_t azurite_random(void *state);
