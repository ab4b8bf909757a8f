// Evaluation of a template's terms and steps.
#pragma once

#include "connector/machine.h"

bool term_eval(Machine *machine, const Term *term, Value *ret_value, Error *err) MUST_USE;

// Runs statements, printing to machine->out.
bool steps_run(Machine *machine, Steps steps, Error *err) MUST_USE;
