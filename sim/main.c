// ctm-sim: see sim/README.md, or --help.

#include "base/file.h"
#include "options.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

enum { LOOK_US = 20 * 1000, HELP_BYTES = 64 * 1024, FAULTS_BYTES = 8 * 1024 * 1024 };

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

static bool announce(const Options *options, const Listener *listener, Error *err)
{
    if (options->port_file != NULL) {
        char text[16];
        const int size = snprintf(text, sizeof(text), "%d\n", listener->port);
        TRY(file_write(options->port_file, (Str){text, (size_t)size}, err));
    }
    const World *world = &listener->service->world;
    if (options->json)
        (void)printf(
            "{\"url\":\"http://127.0.0.1:%d\",\"port\":%d,\"stranger_port\":%d,\"now\":%" PRId64
            "}\n",
            listener->port, listener->port, listener->stranger_port, world->now);
    else
        (void)printf("ctm-sim: listening on http://127.0.0.1:%d\n", listener->port);
    (void)fflush(stdout);
    return true;
}

// The fault script: a file, or made of rates. Both at once would leave their order open.
static bool read_faults(const Options *options, Arena *arena, Str *ret_script, Error *err)
{
    if (options->faults_file != NULL && options->fault_rates.size > 0)
        return error_set(err, ERROR_JOB, "--faults and --fault-rates exclude each other");
    if (options->faults_file != NULL)
        return file_read(options->faults_file, FAULTS_BYTES, arena, ret_script, err);
    if (options->fault_rates.size > 0)
        return troubles_script_of_rates(options->fault_rates, arena, ret_script, err);
    return true;
}

// Lives until a signal or a shutdown request; moves the world's clock meanwhile.
static bool run(const Options *options, Env *env, Service *service, Error *err)
{
    const int64_t begin_us = env->monotonic_us(env->state);
    int64_t moved = 0;
    while (!interrupted && !atomic_load(&service->stop)) {
        env->sleep_us(env->state, LOOK_US);
        const double gone_s = (double)(env->monotonic_us(env->state) - begin_us) / 1e6;
        const int64_t due = (int64_t)(gone_s * options->speed);
        if (due > moved)
            TRY(service_advance(service, due - moved, err));
        moved = due;
    }
    return true;
}

static bool serve(const Options *options, Env *env, Service *service, Listener *listener,
                  Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new((size_t)FAULTS_BYTES * 4, err);
    TRY(arena != NULL);
    ServicePlan plan = options->service;
    TRY(read_faults(options, arena, &plan.faults, err));
    TRY(service_init(service, &plan, env, err));
    TRY(listener_start(listener, service, &options->listener, err));
    TRY(announce(options, listener, err));
    return run(options, env, service, err);
}

static bool print_help(Error *err)
{
    CLEANUP(buf_done) Buf text = {.limit_bytes = HELP_BYTES};
    TRY(options_help(&text, err));
    (void)fwrite(text.data, 1, text.size, stdout);
    return true;
}

int main(int argc, char **argv)
{
    Error err = {0};
    Env env;
    Options options;
    Service service = {0};
    Listener listener = {0};
    env_init_system(&env);
    watch_signals();

    bool ok = options_read(argc, argv, &options, &err);
    if (ok)
        ok = options.help ? print_help(&err) : serve(&options, &env, &service, &listener, &err);
    listener_stop(&listener);
    service_done(&service);
    if (!ok)
        (void)fprintf(stderr, "ctm-sim: %s\n", err.message);
    return ok ? 0 : 1;
}
