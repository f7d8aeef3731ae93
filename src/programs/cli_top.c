/*
 * `ballast top`: what the daemon does now, again and again. Every frame is the difference of two
 * texts of INFO; the rows of a table say which of its figures are shown, and how.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <poll.h>

#include "base/clock.h"
#include "cache/info.h"
#include "programs/cli.h"
#include "programs/client.h"
#include "server/health.h"

#define LABEL_COLUMN 10
#define ASK_US (INT64_C(2) * 1000 * 1000)

struct top_options {
    bool once;
    int64_t interval_ms;
};

static const struct top_options top_defaults = {.once = false, .interval_ms = 1000};

static const struct argument top_arguments[] = {
    {"once", 0, ARGUMENT_FLAG, offsetof(struct top_options, once), NULL,
     "one frame, of one interval", 0, 0},
    {"interval", 0, ARGUMENT_INT, offsetof(struct top_options, interval_ms), "MS",
     "between two frames (1000)", 100, 60000},
};

/* A figure: its line, its name, where it stands in INFO, and whether it is shown a second. */
static const struct figure {
    const char *line, *name, *key;
    bool is_rate;
} figures[] = {
    {"requests", "reads", "commands{class=\"read\"}", true},
    {"requests", "mutations", "commands{class=\"mutation\"}", true},
    {"requests", "errors", "command_errors", true},
    {"requests", "in_flight", "requests_in_flight", false},
    {"requests", "clients", "connected_clients", false},
    {"answers", "cache", "answers_from_cache", true},
    {"answers", "store", "answers_from_store", true},
    {"answers", "stale", "answers_stale", true},
    {"outcomes", "ok", "mutations{outcome=\"ok\"}", true},
    {"outcomes", "refused", "mutations{outcome=\"refused\"}", true},
    {"outcomes", "unavailable", "mutations{outcome=\"unavailable\"}", true},
    {"outcomes", "busy", "mutations{outcome=\"busy\"}", true},
    {"outcomes", "unknown", "outcomes_unknown", true},
    {"store", "commits", "commits{result=\"ok\"}", true},
    {"store", "reads", "store_reads", true},
    {"store", "queued", "mutations_queued", false},
    {"store", "waiting", "reads_waiting", false},
    {"store", "in_doubt", "mutations_in_doubt", false},
    {"store", "doubt_ms", "oldest_doubt_ms", false},
    {"cache", "misses", "cache_lookups{result=\"miss\"}", true},
    {"cache", "fills", "fills{result=\"ok\"}", true},
    {"cache", "publishes", "publishes{result=\"ok\"}", true},
    {"cache", "unpublished", "publishes_failed", true},
    {"cache", "poisoned", "values_poisoned", false},
    {"trust", "era", "era", false},
    {"trust", "leases", "leases", false},
    {"trust", "opened", "eras_opened", false},
    {"trust", "closed", "eras_closed", false},
    {"trust", "warm", "warm_percent", false},
};
#define FIGURE_COUNT (sizeof figures / sizeof figures[0])

/* A text of INFO, and when it was asked for. */
struct sample {
    char *text;
    int64_t at_us;
};

struct top {
    const struct cli *cli;
    struct client client;
    bool colour, screen; /* screen: each frame takes the place of the last */
    struct sample before, now;
};

static volatile sig_atomic_t ended;

static void on_end(int number)
{
    (void)number;
    ended = 1;
}

/* --- asking -----------------------------------------------------------------------------------*/

/* False, with client.error, where the daemon does not answer. */
static bool take_sample(struct top *top)
{
    static const char *words[2] = {"INFO", "everything"};
    static const size_t lengths[2] = {4, 10};
    int64_t deadline_us = clock_boot_us() + ASK_US;
    redisReply *reply = NULL;

    if (top->client.context == NULL && !client_connect(&top->client, deadline_us)) {
        return false;
    }
    client_append(&top->client, 2, words, lengths);
    if (client_next(&top->client, deadline_us, &reply) != CLIENT_REPLY) {
        if (top->client.context != NULL) {
            client_close(&top->client); /* a late reply must not be taken for the next one */
            snprintf(top->client.error, sizeof top->client.error, "no answer");
        }
        return false;
    }
    bool good = reply->type == REDIS_REPLY_STRING;
    if (good) {
        free(top->before.text);
        top->before = top->now;
        top->now = (struct sample){strdup(reply->str), clock_boot_us()};
    } else {
        snprintf(top->client.error, sizeof top->client.error, "%s", reply->str);
    }
    freeReplyObject(reply);
    return good;
}

static int64_t number_in(const struct sample *sample, const char *key)
{
    return cache_info_number(sample->text, strlen(sample->text), key, 0);
}

static const char *text_in(const struct sample *sample, const char *key, char *out, size_t size)
{
    (void)cache_info_field(sample->text, strlen(sample->text), key, out, size);
    return out;
}

/* A second, if it is a rate. A daemon that has started again counts from 0. */
static double value_of(const struct top *top, const struct figure *figure)
{
    int64_t now = number_in(&top->now, figure->key);
    int64_t more = now - number_in(&top->before, figure->key);
    double seconds = (double)(top->now.at_us - top->before.at_us) / 1e6;

    return !figure->is_rate ? (double)now : more > 0 && seconds > 0 ? (double)more / seconds : 0;
}

/* --- frames -----------------------------------------------------------------------------------*/

static void frame_json(const struct top *top, struct buffer *out)
{
    char name[64], state[16];
    struct json json;

    json_begin(&json, out);
    for (enum health_part part = 0; part < HEALTH_PARTS; part++) {
        snprintf(name, sizeof name, "health_%s", health_part_name(part));
        json_text(&json, name, text_in(&top->now, name, state, sizeof state));
    }
    for (size_t i = 0; i < FIGURE_COUNT; i++) {
        snprintf(name, sizeof name, "%s_%s%s", figures[i].line, figures[i].name,
                 figures[i].is_rate ? "_per_second" : "");
        if (figures[i].is_rate) {
            json_real(&json, name, value_of(top, &figures[i]));
        } else {
            json_int(&json, name, number_in(&top->now, figures[i].key));
        }
    }
    json_end(&json);
}

static void health_lines(const struct top *top, struct buffer *out)
{
    char key[64], state[16], cause[256], action[256], ills[5 * 600] = "";

    buffer_printf(out, "%-*s", LABEL_COLUMN, "health");
    for (enum health_part part = 0; part < HEALTH_PARTS; part++) {
        const char *name = health_part_name(part);
        snprintf(key, sizeof key, "health_%s", name);
        text_in(&top->now, key, state, sizeof state);
        bool ok = strcmp(state, health_state_name(HEALTH_OK)) == 0;
        const char *paint = !top->colour ? "" : ok ? "\033[32m" : "\033[1;31m";
        buffer_printf(out, " %s %s%s%s ", name, paint, state, top->colour ? "\033[0m" : "");
        if (!ok) {
            size_t len = strlen(ills);
            snprintf(key, sizeof key, "health_%s_since_ms", name);
            double since_s = (double)number_in(&top->now, key) / 1e3;
            snprintf(key, sizeof key, "health_%s_cause", name);
            text_in(&top->now, key, cause, sizeof cause);
            snprintf(key, sizeof key, "health_%s_action", name);
            text_in(&top->now, key, action, sizeof action);
            snprintf(ills + len, sizeof ills - len, "%*s %s, since %.1f s: %s (%s)\n", LABEL_COLUMN,
                     "", name, since_s, cause, action);
        }
    }
    buffer_printf(out, "\n%s", ills);
}

static void frame_lines(const struct top *top, struct buffer *out)
{
    char address[ADDRESS_TEXT_ROOM], version[32], phase[32];
    const char *line = "";

    buffer_printf(out, "ballastd %s at %s, up %" PRId64 " s, %s\n",
                  text_in(&top->now, "ballast_version", version, sizeof version),
                  client_address(top->cli->config, address),
                  number_in(&top->now, "uptime_in_seconds"),
                  text_in(&top->now, "trust", phase, sizeof phase));
    health_lines(top, out);
    for (size_t i = 0; i < FIGURE_COUNT; i++) {
        if (strcmp(line, figures[i].line) != 0) {
            buffer_printf(out, "%s%-*s", i > 0 ? "\n" : "", LABEL_COLUMN, figures[i].line);
            line = figures[i].line;
        }
        buffer_printf(out, " %s %.0f%s ", figures[i].name, value_of(top, &figures[i]),
                      figures[i].is_rate ? "/s" : "");
    }
    buffer_append_text(out, "\n");
}

static void show_frame(const struct top *top, bool answered)
{
    struct buffer out = BUFFER_EMPTY;
    char address[ADDRESS_TEXT_ROOM];

    if (top->screen) {
        fputs("\033[H\033[J", stdout); /* home, and clear what is below */
    }
    if (!answered) {
        cli_fail(top->cli, CLI_UNREACHABLE, "ballastd at %s: %s",
                 client_address(top->cli->config, address), top->client.error);
    } else if (top->cli->json) {
        frame_json(top, &out);
    } else {
        frame_lines(top, &out);
    }
    cli_print(&out);
}

static void wait_interval(int64_t interval_ms)
{
    int64_t until_us = clock_boot_us() + interval_ms * 1000, left_us;

    while (!ended && (left_us = until_us - clock_boot_us()) > 0) {
        (void)poll(NULL, 0, (int)(left_us / 1000) + 1); /* a signal ends it */
    }
}

static enum cli_exit run_top(struct cli *cli)
{
    const struct top_options *options = cli->options;
    bool terminal = isatty(STDOUT_FILENO) && !cli->json && !options->once;
    struct top top = {
        .cli = cli,
        .colour = cli_is_coloured(),
        .screen = terminal,
    };
    bool answered;

    signal(SIGINT, on_end);
    signal(SIGTERM, on_end);
    client_init(&top.client, cli->config);
    answered = take_sample(&top);
    do {
        bool had_one = answered;
        if (answered || !options->once) {
            wait_interval(options->interval_ms);
            answered = !ended && take_sample(&top);
        }
        if (!ended && (!answered || had_one)) {
            show_frame(&top, answered);
        }
    } while (!ended && !options->once && cli_output_lost() == NULL);
    client_close(&top.client);
    free(top.before.text);
    free(top.now.text);
    return answered || ended ? CLI_DONE : CLI_UNREACHABLE;
}

const struct cli_command cli_top[] = {
    {.name = "top",
     .synopsis = "[--once] [--interval MS]",
     .words_min = 0,
     .words_max = 0,
     .options = top_arguments,
     .option_count = sizeof top_arguments / sizeof top_arguments[0],
     .options_size = sizeof(struct top_options),
     .defaults = &top_defaults,
     .summary = "Shows what the daemon does, again and again",
     .run = run_top,
     .details =
         "Rates are those of the last interval. With --json a line a refresh. Ctrl-C ends it.\n"},
    {.name = NULL},
};
