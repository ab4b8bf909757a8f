// The whole test framework: TEST(), CHECK*(), FAULTS(). A failed check prints and aborts.
#pragma once

#include "base/env.h"
#include "base/fault.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Test {
    const char *name;
    void (*run)(void);
    struct Test *next;
} Test;

extern Test *tests;
extern Env test_env;          // a clock that only sleeping moves, random numbers that repeat
extern int64_t test_clock_us; // what test_env's clock says

#define TEST(id)                                                        \
    static void test_##id(void);                                        \
    __attribute__((constructor)) static void test_##id##_register(void) \
    {                                                                   \
        static Test test = {#id, test_##id, NULL};                      \
        test.next = tests;                                              \
        tests = &test;                                                  \
    }                                                                   \
    static void test_##id(void)

#define CHECK(condition)            check((condition), __FILE__, __LINE__, #condition)
#define CHECK_INT(actual, expected) check_int((actual), (expected), __FILE__, __LINE__, #actual)
#define CHECK_STR(actual, expected) check_str((actual), (expected), __FILE__, __LINE__, #actual)

#define CHECK_OK(call, err)        check_ok((call), (err), __FILE__, __LINE__, #call)
#define CHECK_CONTAINS(text, part) check_contains((text), (part), __FILE__, __LINE__, #text)

// An empty folder of this test's own below /tmp; removed afterwards.
const char *test_folder(void);

// Names the table row in hand; a failure prints it.
void check_row(const char *name);
void check(bool ok, const char *file, int line, const char *text);
void check_ok(bool ok, const Error *err, const char *file, int line, const char *text);
void check_contains(Str text, Str part, const char *file, int line, const char *name);
void check_int(int64_t actual, int64_t expected, const char *file, int line, const char *text);
void check_str(Str actual, Str expected, const char *file, int line, const char *text);

// Runs its block with the 1st, 2nd, 3rd... possible failure made to happen, and once with none.
#define FAULTS()                                                                        \
    for (int fault_nth = 1, fault_more = 1; fault_more && (fault_arm(fault_nth), true); \
         fault_more = fault_disarm(), fault_nth++)
