// View: shows the events of a run to a person (one line that moves, on a terminal) or to a program
// (JSON lines).
#pragma once

#include "run/event.h"

typedef struct View {
    bool terminal; // stderr is one
    bool json;
    int64_t started_us;
    size_t shown; // width of the moving line
    Env *env;
} View;

void view_init(View *view, bool json, Env *env);
EventSink view_sink(View *view);
void view_end(View *view); // clears the moving line
