// Forgotten: people whose records are not to come back, and the records that are about them.
//
// The list holds keyed hashes, never a number or an address. A Forgotten is immutable and may be
// shared by threads.
#pragma once

#include "contract/contract.h"
#include "contract/phone.h"

typedef enum PersonKind { PERSON_NONE, PERSON_PHONE, PERSON_EMAIL, PERSON_ID } PersonKind;

enum { FORGOTTEN_MAX = 10 * 1000 * 1000, FORGOTTEN_SALT_BYTES = 32, PERSON_TEXT_BYTES = 400 };

typedef struct Forgotten Forgotten;

// A column that tells about whom a row is.
typedef struct PersonColumn {
    PersonKind kind;
    size_t index; // in contract_columns()
    Str column;
    const PhoneCountry *phone; // NULL = numbers are as they were sent
    bool hidden;               // privacy made something else of the value
} PersonColumn;
const PersonColumn *contract_person_columns(const Contract *contract, size_t *ret_count);
// True when a record of this contract can be somebody's.
bool contract_knows_persons(const Contract *contract);

// Where a contract asks for landed pages to be written anew: "/columns/3/person", "/person",
// "/redacted". In `arena`.
bool contract_erasure_pointers(const Contract *contract, Arena *arena, Str **ret_pointers,
                               size_t *ret_count, Error *err) MUST_USE;

// "phone".
const char *person_kind_name(PersonKind kind);

// The one spelling that is hashed: E.164 without an extension, an address in lower case ("Ann
// <Ann@x.org>" is ann@x.org), an id as it is; with a NUL. False when `written` cannot be one, or is
// several. `country` may be NULL: then only +15551234567 is a number.
bool person_normalise(PersonKind kind, Str written, const PhoneCountry *country,
                      char text[PERSON_TEXT_BYTES]);
// One after the other, of a field that may hold several addresses: "ann@x.org; bob@x.org". Starts
// with *rest = the field; false at its end.
bool person_next(PersonKind kind, Str *rest, const PhoneCountry *country,
                 char text[PERSON_TEXT_BYTES]);
// "555-123-4567 x12": others may have the same number.
bool person_has_extension(Str written);

// Sets of hashes: of people, and of keys of redacted records whose older copies are gone.
typedef struct ForgottenSets {
    const Key128 *people;
    size_t person_count;
    const Key128 *redacted;
    size_t redacted_count;
} ForgottenSets;

// `salt` of FORGOTTEN_SALT_BYTES, `secret` may be empty. Lives in `arena`; the sets are copied.
bool forgotten_new(Str salt, Str secret, const ForgottenSets *sets, Arena *arena,
                   Forgotten **ret_forgotten, Error *err) MUST_USE;

// What the list keeps of a person (`text` from person_normalise()), and of a record's key
// (contract_write_key()).
Key128 forgotten_hash_person(const Forgotten *forgotten, PersonKind kind, Str text);
Key128 forgotten_hash_key(const Forgotten *forgotten, Str stream, Str key);
bool forgotten_has_person(const Forgotten *forgotten, const Key128 *hash);
bool forgotten_has_redacted(const Forgotten *forgotten, const Key128 *hash);

// Whether a path of the record names a forgotten person.
bool forgotten_matches(const Forgotten *forgotten, const Contract *contract, yyjson_val *record);

// Whether any text anywhere in `value` does, whatever its path: for records that a manifest's
// transformations renamed before the contract sees them.
bool forgotten_mentions(const Forgotten *forgotten, const Contract *contract, yyjson_val *value);

// What stays of a record where it stood: {"_pawl_forgotten":"<hash of its key>"}, and those top
// members that key and window are read from and that name nobody, since paging may look at them.
bool forgotten_write_stub(const Forgotten *forgotten, const Contract *contract, yyjson_val *record,
                          yyjson_val *partition, Buf *out, Error *err) MUST_USE;
bool forgotten_token(const Forgotten *forgotten, const Contract *contract, yyjson_val *record,
                     yyjson_val *partition, Key128 *ret_token, Error *err) MUST_USE;
// *ret_token is that hash.
bool forgotten_is_stub(yyjson_val *record, Key128 *ret_token);

// Appends the values of a record's key, a line each: the same for every reading of it.
bool contract_write_key(const Contract *contract, yyjson_val *record, yyjson_val *partition,
                        Buf *out, Error *err) MUST_USE;

// Whether the source took the record's content away ("redacted" in the contract).
bool contract_is_redacted(const Contract *contract, yyjson_val *record);
