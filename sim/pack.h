// Pack: compresses bodies, for clients that accept it.
//
// A Packer keeps its contexts for the next body and belongs to one request at a time.
#pragma once

#include "base/buf.h"

typedef enum PackKind { PACK_NONE, PACK_GZIP, PACK_ZSTD } PackKind;

typedef struct Packer {
    void *zstd; // ZSTD_CCtx
    void *gzip; // z_stream
    Buf out;
} Packer;

void packer_done(Packer *packer);

// The best of what an Accept-Encoding header names; a coding with q=0 is not accepted (RFC
// 9110, 12.5.3).
PackKind pack_choose(Str accept_encoding);
const char *pack_name(PackKind kind); // "gzip"

// `*ret_packed` is valid until the next call. The level is the cheapest: the simulator must not be
// the bottleneck.
bool packer_pack(Packer *packer, PackKind kind, Str bytes, Str *ret_packed, Error *err) MUST_USE;
