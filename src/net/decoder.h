// Decoder: undoes a content coding (RFC 9110 8.4.1) while the bytes arrive, into a bounded buffer.
//
// Starts as {0}; used for any number of bodies, one after the other, without allocating again. One
// thread at a time.
#pragma once

#include "base/buf.h"
#include "net/http.h"

#include <zlib.h>
#include <zstd.h>

typedef struct Decoder {
    HttpEncoding encoding;
    size_t bytes_max; // of the decoded body
    bool began;       // at least one byte came
    bool complete;    // the last frame or member ended with the last byte seen
    bool padded;      // bytes that begin no member stand behind the last one
    size_t seen;      // bytes of gzip that came
    size_t whole;     // of them up to the end of the last member; see decoder_coded_size()
    bool gzip_ready;
    z_stream gzip;
    ZSTD_DCtx *zstd;
} Decoder;

// "gzip", "x-gzip", "zstd", "identity" and "", ignoring case. False for anything else: we did not
// ask for it.
bool decoder_find_encoding(Str content_encoding, HttpEncoding *ret_encoding);

// Gets ready for a new body of at most `bytes_max` decoded bytes.
bool decoder_begin(Decoder *decoder, HttpEncoding encoding, size_t bytes_max, Error *err) MUST_USE;

// Appends what `bytes` decode to. ERROR_IO when they are no such coding, ERROR_LIMIT when the body
// grows too long; how much was appended by then is not said. Padding behind gzip is passed over, as
// browsers and urllib3 do.
bool decoder_write(Decoder *decoder, Str bytes, Buf *out, Error *err) MUST_USE;

// The body is over: ERROR_IO when it ended in the middle of a frame. A body of no bytes is fine.
bool decoder_end(Decoder *decoder, Error *err) MUST_USE;

// How much of `size` bytes, all that came, is the coding itself: what stands behind it is not to be
// kept, or others could not read it.
size_t decoder_coded_size(const Decoder *decoder, size_t size);

void decoder_done(Decoder *decoder); // for CLEANUP()
