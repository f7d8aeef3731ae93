/*
 * A load generator for anything that speaks RESP: Ballast and Redis alike, so that both sides of a
 * comparison pay the same client. One thread, epoll, C connections with up to D requests in flight
 * each.
 *
 *   load --port P --mode get|mget|canspend|history|credit|hold|mixed|capture|release|idle
 *        --connections C --pipeline D --accounts N --seconds S [--requests N] [--prefix STR]
 *        [--hot] [--rate R] [--seed N] [--first ID]
 *
 * Without --rate every connection keeps its pipeline full (closed loop). With it, R requests a
 * second are due at fixed times, whatever the server does, and latency counts from when a request
 * was due: a stall is not hidden by the requests that it kept from being sent. --requests ends it
 * after so many replies, for counting instructions. `mixed` credits and holds in turns; `capture` and
 * `release` end the holds from --first on, one each, and know nothing of how many there are. `idle`
 * opens the connections, says so with an empty line, and waits. Prints one line of JSON.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/histogram.h"

#define PIPELINE_MAX 1024
#define CONNECTIONS_MAX 20000
#define REPLY_MAX (1 << 16)
#define MGET_KEYS 100 /* its request names the count */
#define ACCOUNT_DIGITS 7

enum mode {
    MODE_GET,
    MODE_MGET,
    MODE_CANSPEND,
    MODE_HISTORY,
    MODE_CREDIT,
    MODE_HOLD,
    MODE_CAPTURE,
    MODE_RELEASE,
    MODE_MIXED,
    MODE_IDLE
};

struct connection {
    int fd;
    int in_flight;
    int head;      /* of due: the oldest request without a reply */
    bool blocked;  /* EPOLLOUT is awaited */
    int skip;      /* bytes of a bulk that are still to come */
    int elements;  /* of an array reply that are still to come */
    size_t out_at; /* written so far */
    size_t out_len;
    size_t in_len;
    int64_t due[PIPELINE_MAX];
    char *out;
    char *in;
};

static struct {
    int port;
    enum mode mode;
    int connections;
    int pipeline;
    long accounts;
    double seconds;
    uint64_t requests; /* 0: until the seconds are over */
    const char *prefix;
    bool hot;
    double rate;
    uint64_t seed;
    uint64_t first; /* hold that is ended first */
} options = {
    .port = 6480, .connections = 50, .pipeline = 1, .accounts = 1000, .seconds = 5, .prefix = ""};

static struct histogram latency;
static uint64_t replies, errors, sent_keys, random_state;
static double latency_sum_us;
static char first_error[200];

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static long pick_account(void)
{
    return options.hot ? 0 : (long)(next_random() % (uint64_t)options.accounts);
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Text, digits with leading zeros, and a bulk of both, by hand: the generator shares the machine
 * with what it measures, and printf() would cost as much as the server does. */
static char *put_text(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

static char *put_digits(char *at, unsigned long number, int digits)
{
    for (int i = digits; i-- > 0; number /= 10) {
        at[i] = (char)('0' + number % 10);
    }
    return at + digits;
}

static char *put_account(char *at)
{
    static size_t prefix_len, header_len;
    static char header[32];

    if (header_len == 0) {
        prefix_len = strlen(options.prefix);
        header_len = (size_t)sprintf(header, "$%zu\r\n", prefix_len + 1 + ACCOUNT_DIGITS);
    }
    at = put_text(at, header, header_len);
    at = put_text(at, options.prefix, prefix_len);
    *at++ = 'b';
    at = put_digits(at, (unsigned long)pick_account(), ACCOUNT_DIGITS);
    return put_text(at, "\r\n", 2);
}

#define PUT_CONSTANT(at, text) put_text((at), (text), sizeof(text) - 1)

static char *put_key(char *at)
{
    at = PUT_CONSTANT(at, "$3\r\nKEY\r\n$25\r\n");
    at = put_digits(at, options.seed % 10000000000000ul, 13);
    *at++ = '-';
    at = put_digits(at, sent_keys++, 11);
    return PUT_CONSTANT(at, "\r\n");
}

/* What changes an account by 1. */
static char *put_change(char *at, const char *command)
{
    at = put_text(at, command, strlen(command));
    at = put_account(at);
    at = PUT_CONSTANT(at, "$1\r\n1\r\n");
    return put_key(at);
}

/* What ends the next hold. */
static char *put_end(char *at, const char *command)
{
    uint64_t hold = options.first + sent_keys;
    int digits = 1;

    for (uint64_t rest = hold / 10; rest > 0; rest /= 10) {
        digits++;
    }
    at = put_text(at, command, strlen(command));
    *at++ = '$';
    at = put_digits(at, (unsigned long)digits, digits < 10 ? 1 : 2);
    at = PUT_CONSTANT(at, "\r\n");
    at = put_digits(at, hold, digits);
    at = PUT_CONSTANT(at, "\r\n");
    return put_key(at);
}

/* Appends one request. */
static void put_request(struct connection *c)
{
    char *at = c->out + c->out_len;

    switch (options.mode) {
    case MODE_GET:
        at = PUT_CONSTANT(at, "*2\r\n$3\r\nGET\r\n");
        at = put_account(at);
        break;
    case MODE_MGET:
        at = PUT_CONSTANT(at, "*101\r\n$4\r\nMGET\r\n");
        for (int i = 0; i < MGET_KEYS; i++) {
            at = put_account(at);
        }
        break;
    case MODE_CANSPEND:
        at = PUT_CONSTANT(at, "*3\r\n$8\r\nCANSPEND\r\n");
        at = put_account(at);
        at = PUT_CONSTANT(at, "$1\r\n1\r\n");
        break;
    case MODE_HISTORY:
        at = PUT_CONSTANT(at, "*4\r\n$7\r\nHISTORY\r\n");
        at = put_account(at);
        at = PUT_CONSTANT(at, "$5\r\nCOUNT\r\n$2\r\n10\r\n");
        break;
    case MODE_CREDIT:
        at = put_change(at, "*5\r\n$6\r\nCREDIT\r\n");
        break;
    case MODE_HOLD:
        at = put_change(at, "*5\r\n$4\r\nHOLD\r\n");
        break;
    case MODE_MIXED:
        at = put_change(at, sent_keys % 2 == 0 ? "*5\r\n$6\r\nCREDIT\r\n" : "*5\r\n$4\r\nHOLD\r\n");
        break;
    case MODE_CAPTURE:
        at = put_end(at, "*4\r\n$7\r\nCAPTURE\r\n");
        break;
    case MODE_RELEASE:
        at = put_end(at, "*4\r\n$7\r\nRELEASE\r\n");
        break;
    case MODE_IDLE:
        break;
    }
    c->out_len = (size_t)(at - c->out);
}

static void watch(int epoll, struct connection *c, bool writing)
{
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event) < 0) {
        die("epoll_ctl");
    }
    c->blocked = writing;
}

static void flush(int epoll, struct connection *c)
{
    while (c->out_at < c->out_len) {
        ssize_t n = write(c->fd, c->out + c->out_at, c->out_len - c->out_at);
        if (n < 0) {
            if (errno != EAGAIN) {
                die("write");
            }
            if (!c->blocked) {
                watch(epoll, c, true);
            }
            return;
        }
        c->out_at += (size_t)n;
    }
    c->out_at = c->out_len = 0;
    if (c->blocked) {
        watch(epoll, c, false);
    }
}

static void send_due(struct connection *c, int64_t due)
{
    c->due[(c->head + c->in_flight++) % PIPELINE_MAX] = due;
    put_request(c);
}

static void reply_over(struct connection *c, int64_t now)
{
    histogram_record(&latency, now - c->due[c->head]);
    latency_sum_us += (double)(now - c->due[c->head]);
    c->head = (c->head + 1) % PIPELINE_MAX;
    c->in_flight--;
    replies++;
}

/* One line or bulk of a reply was read; `line` is its type byte and text. */
static void element(struct connection *c, const char *line, int64_t now)
{
    if (line[0] == '*' || line[0] == '%') {
        c->elements -= c->elements > 0; /* it was one of an outer one's */
        c->elements += atoi(line + 1) * (line[0] == '%' ? 2 : 1);
        if (c->elements > 0) {
            return;
        }
    } else {
        if (line[0] == '-') {
            if (errors++ == 0) {
                snprintf(first_error, sizeof first_error, "%s", line + 1);
            }
        }
        if (c->elements > 0 && --c->elements > 0) {
            return;
        }
    }
    reply_over(c, now);
}

static void parse(struct connection *c)
{
    int64_t now = clock_boot_us();
    size_t at = 0;
    while (at < c->in_len) {
        if (c->skip > 0) {
            size_t step = c->in_len - at < (size_t)c->skip ? c->in_len - at : (size_t)c->skip;
            at += step;
            c->skip -= (int)step;
            if (c->skip == 0) {
                element(c, "+", now);
            }
            continue;
        }
        char *end = memchr(c->in + at, '\n', c->in_len - at);
        if (end == NULL) {
            break;
        }
        *end = '\0';
        const char *line = c->in + at;
        at = (size_t)(end - c->in) + 1;
        if (line[0] == '$' && atoi(line + 1) >= 0) {
            c->skip = atoi(line + 1) + 2;
        } else {
            element(c, line, now);
        }
    }
    memmove(c->in, c->in + at, c->in_len - at);
    c->in_len -= at;
}

static void receive(struct connection *c)
{
    ssize_t n = read(c->fd, c->in + c->in_len, REPLY_MAX - c->in_len);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        die(n == 0 ? "connection closed" : "read");
    }
    c->in_len += (size_t)n;
    parse(c);
}

static struct connection *open_connection(int epoll)
{
    struct connection *c = calloc(1, sizeof *c);
    size_t request = options.mode == MODE_MGET ? MGET_KEYS * 96 : 256;
    c->out = malloc(request * (size_t)(options.pipeline + 1));
    c->in = malloc(REPLY_MAX);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) {
        die("connect");
    }
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0) {
        die("epoll_ctl");
    }
    return c;
}

static enum mode find_mode(const char *name)
{
    static const char *const names[] = {
        [MODE_GET] = "get",         [MODE_MGET] = "mget",       [MODE_CANSPEND] = "canspend",
        [MODE_HISTORY] = "history", [MODE_CREDIT] = "credit",   [MODE_HOLD] = "hold",
        [MODE_CAPTURE] = "capture", [MODE_RELEASE] = "release", [MODE_MIXED] = "mixed",
        [MODE_IDLE] = "idle"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return (enum mode)i;
        }
    }
    fprintf(stderr, "load: no mode %s\n", name);
    exit(64);
}

static void parse_options(int argc, char **argv)
{
    static const struct option longs[] = {
        {"port", 1, NULL, 'p'},     {"mode", 1, NULL, 'm'},     {"connections", 1, NULL, 'c'},
        {"pipeline", 1, NULL, 'd'}, {"accounts", 1, NULL, 'a'}, {"seconds", 1, NULL, 's'},
        {"prefix", 1, NULL, 'x'},   {"hot", 0, NULL, 'h'},      {"rate", 1, NULL, 'r'},
        {"seed", 1, NULL, 'e'},     {"requests", 1, NULL, 'n'}, {"first", 1, NULL, 'f'},
        {NULL, 0, NULL, 0}};
    for (int o; (o = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (o) {
        case 'p':
            options.port = atoi(optarg);
            break;
        case 'm':
            options.mode = find_mode(optarg);
            break;
        case 'n':
            options.requests = strtoull(optarg, NULL, 10);
            break;
        case 'c':
            options.connections = atoi(optarg);
            break;
        case 'd':
            options.pipeline = atoi(optarg);
            break;
        case 'a':
            options.accounts = atol(optarg);
            break;
        case 's':
            options.seconds = atof(optarg);
            break;
        case 'x':
            options.prefix = optarg;
            break;
        case 'h':
            options.hot = true;
            break;
        case 'r':
            options.rate = atof(optarg);
            break;
        case 'f':
            options.first = strtoull(optarg, NULL, 10);
            break;
        case 'e':
            options.seed = strtoull(optarg, NULL, 10);
            break;
        default:
            exit(64);
        }
    }
    if (options.pipeline < 1 || options.pipeline > PIPELINE_MAX || options.connections < 1 ||
        options.connections > CONNECTIONS_MAX || options.accounts < 1) {
        fprintf(stderr, "load: bad --pipeline, --connections or --accounts\n");
        exit(64);
    }
}

/* Hands out what is due: everything that fits (closed loop), or by the clock. */
static void issue(int epoll, struct connection **all, int64_t start, uint64_t *issued)
{
    int64_t now = clock_boot_us();
    if (options.rate <= 0) {
        for (int i = 0; i < options.connections; i++) {
            bool any = false;
            while (all[i]->in_flight < options.pipeline) {
                send_due(all[i], now);
                any = true;
            }
            if (any) {
                flush(epoll, all[i]);
            }
        }
        return;
    }
    for (int tried = 0; tried < options.connections;) {
        int64_t due = start + (int64_t)((double)*issued * 1e6 / options.rate);
        if (due > now) {
            return;
        }
        struct connection *c = all[(*issued + (uint64_t)tried) % (uint64_t)options.connections];
        if (c->in_flight >= options.pipeline || c->out_len > 0) {
            tried++;
            continue;
        }
        send_due(c, due);
        flush(epoll, c);
        (*issued)++;
        tried = 0;
    }
}

/* Until something arrives or the next request is due; in a closed loop, until something arrives. */
static int wait_for_events(int epoll, struct epoll_event *events, int room, int64_t start,
                           uint64_t issued)
{
    struct timespec wait = {.tv_nsec = 100000000};

    if (options.rate > 0) {
        int64_t due = start + (int64_t)((double)issued * 1e6 / options.rate);
        int64_t left_us = due - clock_boot_us();
        wait.tv_nsec = left_us <= 0 ? 0 : left_us > 100000 ? 100000000 : left_us * 1000;
    }
    return epoll_pwait2(epoll, events, room, &wait, NULL);
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    if (options.seed == 0) {
        options.seed = (uint64_t)clock_wall_ms();
    }
    random_state = options.seed * 0x9e3779b97f4a7c15ULL + 1;
    int epoll = epoll_create1(0);
    struct connection **all = calloc((size_t)options.connections, sizeof *all);
    for (int i = 0; i < options.connections; i++) {
        all[i] = open_connection(epoll);
    }
    int64_t start = clock_boot_us(), end = start + (int64_t)(options.seconds * 1e6);
    uint64_t issued = 0;
    if (options.mode == MODE_IDLE) {
        puts("");
        fflush(stdout);
        struct epoll_event event; /* none is to come, unless the server ends it */
        return epoll_wait(epoll, &event, 1, (int)(options.seconds * 1e3)) == 0 ? 0 : 1;
    }
    issue(epoll, all, start, &issued);
    while (clock_boot_us() < end && (options.requests == 0 || replies < options.requests)) {
        struct epoll_event events[256];
        int n = wait_for_events(epoll, events, 256, start, issued);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                flush(epoll, c);
            }
            if (events[i].events & ~(unsigned)EPOLLOUT) {
                receive(c);
                if (options.rate <= 0 && c->out_len == 0 && c->in_flight < options.pipeline &&
                    (options.requests == 0 || replies < options.requests)) {
                    int64_t now = clock_boot_us();
                    while (c->in_flight < options.pipeline) {
                        send_due(c, now);
                    }
                    flush(epoll, c);
                }
            }
        }
        if (options.rate > 0) {
            issue(epoll, all, start, &issued);
        }
    }
    double seconds = (double)(clock_boot_us() - start) / 1e6;
    printf("{\"per_second\": %.0f, \"replies\": %llu, \"seconds\": %.3f, \"errors\": %llu, "
           "\"mean_us\": %.1f, \"p50_us\": %lld, \"p99_us\": %lld, \"first_error\": \"%s\"}\n",
           (double)replies / seconds, (unsigned long long)replies, seconds,
           (unsigned long long)errors, replies > 0 ? latency_sum_us / (double)replies : 0,
           (long long)histogram_quantile(&latency, 0.5),
           (long long)histogram_quantile(&latency, 0.99), first_error);
    return errors == 0 ? 0 : 1;
}
