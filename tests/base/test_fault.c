#include "base/fault.h"

#include "harness/check.h"

#include <pthread.h>

TEST(the_nth_call_fails_once)
{
    CHECK(!fault_here());
    fault_arm(3);
    CHECK(!fault_here());
    CHECK(!fault_here());
    CHECK(fault_here());
    CHECK(!fault_here());
    CHECK(fault_disarm());
}

TEST(an_armed_fault_that_never_fired_says_so)
{
    fault_arm(2);
    CHECK(!fault_here());
    CHECK(!fault_disarm());
    CHECK(!fault_here());
}

static void *look(void *result)
{
    *(bool *)result = fault_here();
    return NULL;
}

TEST(faults_belong_to_one_thread)
{
    bool other = true;
    pthread_t thread;
    fault_arm(1);
    CHECK(pthread_create(&thread, NULL, look, &other) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(!other);
    CHECK(fault_here());
    CHECK(fault_disarm());
}
