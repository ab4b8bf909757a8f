// Options: the command line of ctm-sim.
#pragma once

#include "listener.h"

typedef struct Options {
    ServicePlan service;
    ListenerPlan listener;
    const char *port_file;   // where to write the port, or NULL
    const char *faults_file; // fault script to read, or NULL
    Str fault_rates;         // "503=0.01", or empty
    double speed;            // seconds of the world a second
    bool help, json;
} Options;

// Fills the options from their defaults and `argv`. ERROR_JOB names the wrong one.
bool options_read(int argc, char **argv, Options *ret_options, Error *err) MUST_USE;

// What --help prints.
bool options_help(Buf *out, Error *err) MUST_USE;
