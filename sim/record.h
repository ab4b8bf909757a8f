// Record: the JSON of one call, as `/calls` and `/calls/{id}` answer it.
//
// About 115 members and 2.5 KB. Pages are made of these and nothing else, so record_write() is what
// the simulator's speed hangs on: it appends prepared fragments and short texts, unchecked, to room
// of RECORD_BYTES_MAX.
#pragma once

#include "world.h"

enum { RECORD_BYTES_MAX = 32 * 1024 };

// Members left out on request (exclude_fields).
typedef enum RecordOmit {
    RECORD_OMIT_TRANSCRIPT = 1, // transcription_text
    RECORD_OMIT_CHAT = 2,       // chat_messages
} RecordOmit;

// Writes the record at `at`, which has RECORD_BYTES_MAX bytes of room, and returns its end. Changes
// made by hand are not in it: see record_append().
char *record_write(const World *world, const Call *call, unsigned omit, char *at);

// Appends the record with the changes made by hand; `omit_others` are further members to leave out,
// if any.
bool record_append(const World *world, const Call *call, unsigned omit, Str omit_others, Buf *out,
                   Error *err) MUST_USE;
