/*
 * The fake Redis behind cache/cache.h: fake_cache.c has links and the ways of commands,
 * fake_commands.c what is asked.
 */
#ifndef BALLAST_SIM_FAKE_CACHE_H
#define BALLAST_SIM_FAKE_CACHE_H

#include "cache/cache.h"
#include "process.h"
#include "redis.h"

enum answer { ANSWER_READ, ANSWER_DONE, ANSWER_STAMP };

struct command {
    struct command *next; /* of its connection, oldest first; or free */
    struct cache_link *link;
    struct connection *connection;
    int64_t deadline;
    enum answer answer;
    union {
        cache_read_fn *read;
        cache_done_fn *done;
        cache_stamp_fn *stamp;
    } call;
    void *arg;
    struct cache_lookup *const *lookups;
    struct cache_fill_entry *wanted;
    bool *written, *stand; /* of a rebuild's write */
    bool abandoned;        /* the link has answered already */
    bool over;             /* nothing is on its way any more */
    uint64_t order;        /* on its connection */
    struct redis_command redis;
};

/* Of a link, from its up to its down; a late command may outlive it. */
struct connection {
    int node;
    int64_t arrives, answers; /* the last ones: order is kept */
    uint64_t sent, taken;     /* commands */
    bool closed;
    int late; /* how many commands still take effect after the close */
};

struct cache_link {
    struct process *process;
    struct cache_hooks hooks;
    void *ctx;
    int64_t timeout_us, publish_timeout_us;
    struct connection *connection; /* NULL: down */
    uint64_t attempt;
    struct cache_identity identity;
    bool up;
    struct command *first, **end;
    struct command *refused, **refused_end; /* submitted while down */
    bool watching;                          /* an event looks at deadlines */
    bool freed;
    uint64_t token_floor; /* tokens below it are of an earlier connection */
};

struct command *command_new(struct cache_link *link, enum redis_request request, enum answer how,
                            size_t count);
/* Sends it, or answers LOST in a moment where the link is down; it must be answered by then. */
void command_send(struct command *command, void *arg, int64_t timeout);
/* It is not sent, and answered LOST in a moment. */
void command_refuse(struct command *command);
uint64_t command_next_token(void);

#endif
