// Fixture: Snowflake's stand-in (snowflake_fixture.py), which test_snowflake.py starts before it
// runs these programs. Where it is not there they test the other warehouses.
#pragma once

#include "rig.h"

bool fixture_is_there(void);

// Opens a warehouse in a database of this process's own. `more` = more JSON members or "".
void fixture_open(Rig *rig, const char *more);
