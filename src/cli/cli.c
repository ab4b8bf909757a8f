// The command line: finds the command, lets it run, says how it ended.
#include "base/fault.h"
#include "base/json.h"
#include "base/kill.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/text.h"
#include "pawl/pawl.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static Env env;
static int64_t (*real_now_us)(void *state);
static int64_t test_shift_us; // what PAWL_TEST_NOW adds to the clock

static int64_t shifted_now_us(void *state)
{
    return real_now_us(state) + test_shift_us;
}

// Tests set the time at which the program starts; it then goes on as usual.
static void shift_clock(const char *text)
{
    int64_t now_us = 0;
    if (text == NULL || !time_parse_iso(str_from(text), &now_us))
        return;
    real_now_us = env.now_us;
    test_shift_us = now_us - real_now_us(env.state);
    env.now_us = shifted_now_us;
}

// First time: stop at the next safe moment. Second time: at once; kill -9 is safe too, so this is.
// But a terminal that goes away says so twice, by itself and through its shell.
static void on_signal(int number)
{
    if (atomic_load(&env.stop) && number != SIGHUP)
        _exit(128 + number);
    atomic_store(&env.stop, true);
}

static void listen_to_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    struct sigaction before = {0};
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) // nohup has it so
        (void)sigaction(SIGHUP, &action, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

// Started with standard output closed, the first file that is opened would take its number: what is
// printed would be written into the warehouse.
static void hold_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            _exit(error_code_exit(ERROR_IO)); // no place is left to say why
    }
}

// Batches are filled by one thread and freed by another, all day long: what is given back to the
// system comes again a moment later, page fault by page fault. Kept instead, it is bounded all the
// same, by limits.memory. What is larger than glibc's 128 KiB stays a mapping of its own: from the
// heap it cost a twentieth less CPU time, but the heap then held a tenth more than was in use.
static void keep_memory(void)
{
    enum { TRIM_BYTES = 512 * 1024 * 1024, GROW_BYTES = 1024 * 1024 };
    (void)mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
    (void)mallopt(M_TOP_PAD, GROW_BYTES);
}

static int report_error(const Cli *cli, const Error *err)
{
    if (cli->json) {
        CLEANUP(buf_done) Buf text = {0};
        Error ignored = {0};
        if (json_write_str(str_from(err->message), &text, &ignored))
            (void)fprintf(stderr, "{\"error\":" STR_FMT ",\"exit\":%d,\"next\":\"%s\"}\n",
                          STR_ARG(buf_str(&text)), error_code_exit(err->code),
                          error_code_advice(err->code));
    } else {
        Error shown = *err;
        text_plain(shown.message, strlen(shown.message), true);
        (void)fprintf(stderr, "pawl: %s\n  next: %s\n", shown.message,
                      error_code_advice(err->code));
    }
    return error_code_exit(err->code);
}

// `pawl status | head` has read what it wanted.
static bool reader_left(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

// What was asked for is done, but whoever gets half a report or none must hear of it.
static int report_end(const Cli *cli)
{
    const bool failed_before = ferror(stdout) != 0; // its reason is not known any more
    if ((fflush(stdout) == 0 && !failed_before) || reader_left())
        return EXIT_SUCCESS;
    Error err = {0};
    (void)error_set(&err, ERROR_IO, "standard output could not be written%s%s; all else is done",
                    failed_before ? "" : ": ", failed_before ? "" : strerror(errno));
    return report_error(cli, &err);
}

static int print_help(const Command *command)
{
    CLEANUP(buf_done) Buf text = {0};
    Error err = {0};
    if (!(command == NULL ? help_write_general(&text, &err)
                          : help_write_command(command, &text, &err)))
        return EXIT_FAILURE;
    (void)fwrite(text.data, 1, text.size, stdout);
    return report_end(&(Cli){0});
}

int pawl_main(int argc, char **argv)
{
    hold_standard_files();
    env_init_system(&env);
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0)) {
        (void)puts("pawl " PAWL_VERSION);
        return report_end(&(Cli){0});
    }
    kill_init(getenv("PAWL_TEST_KILL_AT"), getenv("PAWL_TEST_KILL_LIST"));
    fault_init(getenv("PAWL_TEST_FAULT_AT"), getenv("PAWL_TEST_FAULT_COUNT"));
    shift_clock(getenv("PAWL_TEST_NOW"));
    keep_memory();
    listen_to_signals();

    Cli cli = {.env = &env};
    Error err = {0};
    bool help = false;
    if (!args_parse(argc, argv, &cli.command, &cli.args, &help, &err))
        return report_error(&cli, &err);
    if (help)
        return print_help(cli.command);
    cli.json = args_has(&cli.args, "json");
    if (!cli.command->run(&cli, &err))
        return report_error(&cli, &err);
    return report_end(&cli);
}
