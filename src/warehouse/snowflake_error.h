// SnowflakeError: what an answer of Snowflake's that is no result means to us.
//
// Its words go along, but for values: those stay out of messages.
#pragma once

#include "warehouse/snowflake_api.h"

// The failure that an answer tells of; always false. What is read of it takes room in `scratch`.
bool snowflake_tell_failure(SnowflakeAuth auth, const HttpResponse *response, Arena *scratch,
                            Error *err);
