// Control: the end points below /_sim/, by which a test looks into the world and moves it. They
// need no credentials, and are not counted.
#pragma once

#include "base/json.h"
#include "service.h"

// One request to them.
typedef struct Control {
    Service *service;
    const Request *request;
    const Query *query;
    Answer *answer;
    yyjson_val *body; // of a POST or PUT, or NULL
} Control;

bool control_answer(Service *service, const Request *request, const Query *query, Answer *answer,
                    Error *err) MUST_USE;
