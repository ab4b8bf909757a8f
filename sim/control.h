// Control: the end points below /_sim/, by which a test looks into the world and moves it. They
// need no credentials, and are not counted.
#pragma once

#include "service.h"

bool control_answer(Service *service, const Request *request, const Query *query, Answer *answer,
                    Error *err) MUST_USE;
