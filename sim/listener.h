// Listener: the Service behind HTTP/1.1 on a loopback port, by libmicrohttpd (epoll, keep-alive).
//
// A request lives in an Exchange from a pool, which keeps its arena and its body buffer for the
// next one, so that a page costs no allocation once the server is warm.
#pragma once

#include "service.h"
#include "waiting.h"

enum { LISTENER_THREADS_MAX = 16, LISTENER_EXCHANGES_MAX = 2048 };

typedef struct ListenerPlan {
    uint16_t port; // 0 = any
    int threads;
    bool compress; // gzip or zstd, where the client accepts it
} ListenerPlan;

typedef struct Exchange Exchange;

typedef struct Listener {
    Service *service;
    ListenerPlan plan;
    Arena *arena;
    Waiting waiting;
    struct MHD_Daemon *daemon, *stranger;
    uint16_t port, stranger_port;
    pthread_mutex_t lock; // of the pool
    Exchange *unused;
    size_t exchange_count;
} Listener;

bool listener_start(Listener *listener, Service *service, const ListenerPlan *plan,
                    Error *err) MUST_USE;
void listener_stop(Listener *listener);
