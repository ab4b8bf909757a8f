// Views: the reports that come with a connector, kept as SQL files beside its manifest:
// `views/<driver>/<name>.sql`, one SELECT each.
//
// Comment lines at the top may say `-- needs: calls, accounts`: without these tables the view is
// left out. ${timezone} becomes the job's own zone.
#pragma once

#include "run/parts.h"

enum { VIEWS_MAX = 100, VIEW_BYTES_MAX = 256 * 1024 };

// Makes those whose tables the job fills, in the order of their names, in the warehouse, whose
// tables must stand.
bool views_create(JobParts *parts, Error *err) MUST_USE;
