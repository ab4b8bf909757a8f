#include "base/queue.h"

#include "harness/check.h"

#include <pthread.h>

enum { CAPACITY = 4, PRODUCERS = 3, CONSUMERS = 3, ITEMS = 5000 };

static int items[PRODUCERS][ITEMS];

TEST(first_in_first_out)
{
    Error err = {0};
    CLEANUP(queue_freep) Queue *queue = queue_new(CAPACITY, &err);
    CHECK(queue != NULL);
    for (int round = 0; round < 3; round++) { // so that the ring turns over
        for (int i = 0; i < CAPACITY - 1; i++)
            CHECK(queue_put(queue, &items[0][i]));
        CHECK_INT((int64_t)queue_count(queue), CAPACITY - 1);
        for (int i = 0; i < CAPACITY - 1; i++)
            CHECK(queue_take(queue, -1) == &items[0][i]);
    }
    CHECK(queue_take(queue, 0) == NULL);
    CHECK(queue_take(queue, 1) == NULL);
}

TEST(a_full_queue_refuses_who_cannot_wait)
{
    Error err = {0};
    CLEANUP(queue_freep) Queue *queue = queue_new(2, &err);
    CHECK(queue_put_now(queue, &items[0][0]));
    CHECK(queue_put_now(queue, &items[0][1]));
    CHECK(!queue_put_now(queue, &items[0][2]));
    CHECK(queue_take(queue, -1) == &items[0][0]);
    CHECK(queue_put_now(queue, &items[0][2]));
    CHECK_INT((int64_t)queue_count(queue), 2);
}

TEST(a_closed_queue_gives_what_it_holds)
{
    Error err = {0};
    CLEANUP(queue_freep) Queue *queue = queue_new(CAPACITY, &err);
    CHECK(queue_put(queue, &items[0][0]));
    queue_close(queue);
    queue_close(queue);
    CHECK(!queue_put(queue, &items[0][1]));
    CHECK(!queue_put_now(queue, &items[0][1]));
    CHECK(queue_take(queue, -1) == &items[0][0]);
    CHECK(queue_take(queue, -1) == NULL);
}

typedef struct Worker {
    Queue *queue;
    int index;
    int64_t sum;
    int count;
    bool ordered;
} Worker;

static void *produce(void *state)
{
    Worker *worker = state;
    for (int i = 0; i < ITEMS; i++) {
        items[worker->index][i] = worker->index * ITEMS + i;
        if (queue_put(worker->queue, &items[worker->index][i]))
            worker->count++;
    }
    return NULL;
}

static void *consume(void *state)
{
    Worker *worker = state;
    int last[PRODUCERS] = {-1, -1, -1};
    worker->ordered = true;
    for (int *item = queue_take(worker->queue, -1); item != NULL;
         item = queue_take(worker->queue, -1)) {
        const int producer = *item / ITEMS;
        worker->ordered = worker->ordered && *item > last[producer];
        last[producer] = *item;
        worker->sum += *item;
        worker->count++;
    }
    return NULL;
}

// Nothing is lost, nothing comes twice, and the items of one producer keep their order.
TEST(many_threads_share_a_queue)
{
    Error err = {0};
    CLEANUP(queue_freep) Queue *queue = queue_new(CAPACITY, &err);
    pthread_t threads[PRODUCERS + CONSUMERS];
    Worker workers[PRODUCERS + CONSUMERS] = {0};
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++) {
        workers[i] = (Worker){.queue = queue, .index = i};
        CHECK(pthread_create(&threads[i], NULL, i < PRODUCERS ? produce : consume, &workers[i]) ==
              0);
    }
    for (int i = 0; i < PRODUCERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    queue_close(queue);
    int64_t sum = 0;
    int count = 0;
    for (int i = PRODUCERS; i < PRODUCERS + CONSUMERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(workers[i].ordered);
        sum += workers[i].sum;
        count += workers[i].count;
    }
    const int64_t total = PRODUCERS * ITEMS;
    CHECK_INT(count, total);
    CHECK_INT(sum, total * (total - 1) / 2);
}

static void *put_one(void *state)
{
    Worker *worker = state;
    worker->count = queue_put(worker->queue, &items[0][1]) ? 1 : 0;
    return NULL;
}

static void *take_one(void *state)
{
    Worker *worker = state;
    worker->count = queue_take(worker->queue, -1) != NULL ? 1 : 0;
    return NULL;
}

TEST(closing_wakes_everybody)
{
    Error err = {0};
    CLEANUP(queue_freep) Queue *full = queue_new(1, &err);
    CLEANUP(queue_freep) Queue *empty = queue_new(1, &err);
    CHECK(queue_put(full, &items[0][0]));
    Worker workers[4] = {{.queue = full, .count = 9},
                         {.queue = full, .count = 9},
                         {.queue = empty, .count = 9},
                         {.queue = empty, .count = 9}};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, i < 2 ? put_one : take_one, &workers[i]) == 0);
    queue_close(full);
    queue_close(empty);
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK_INT(workers[i].count, 0); // whether it waited already or came too late
    }
    CHECK(queue_take(full, -1) == &items[0][0]);
}

TEST(a_wait_ends_when_an_item_comes)
{
    Error err = {0};
    CLEANUP(queue_freep) Queue *queue = queue_new(1, &err);
    Worker worker = {.queue = queue};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, put_one, &worker) == 0);
    CHECK(queue_take(queue, 60000) == &items[0][1]);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_INT(worker.count, 1);
}

TEST(queues_survive_every_fault)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(queue_freep) Queue *queue = queue_new(1, &err);
        CHECK((queue != NULL) == (err.code == ERROR_NONE));
    }
    queue_free(NULL);
}
