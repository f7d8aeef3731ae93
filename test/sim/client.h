/*
 * What clients.c asks, and client_answers.c hears. A client has one request open at a time;
 * its reads may arrive in two packets.
 */
#ifndef BALLAST_SIM_CLIENT_H
#define BALLAST_SIM_CLIENT_H

#include "core/engine.h"
#include "database.h"
#include "process.h"

#define READS_MAX 8

enum request_kind { REQUEST_READ, REQUEST_MUTATION, REQUEST_HISTORY, REQUEST_CANSPEND };

struct request {
    enum request_kind kind;
    struct process *process;
    uint64_t number; /* an event of an older one means nothing */
    int open;        /* items without an answer; 0: idle */
    int64_t deadline_clock, paused_us;
    int64_t sent_at; /* by the world's clock */
    struct read_item reads[READS_MAX];
    uint64_t least[READS_MAX]; /* floors at the start */
    bool answered[READS_MAX];
    int read_count, second_packet; /* from that read on; read_count: there is none */
    struct query_item query;
    uint64_t query_version;
    struct account_state history[8];
    struct db_posting words;       /* of a mutation; or of the CANSPEND that a read begins with */
    uint64_t floors[ACCOUNTS_MAX]; /* at the start of a mutation */
    bool wrong_words;              /* the key is another mutation's */
    struct mutation_result result;
};

struct client {
    int index;
    int home;
    bool probes;
    bool aimed; /* asks when a schedule wants it to */
    uint64_t retry_key;
    struct request request;
};

/* The callbacks of its items. */
void client_read_done(struct read_item *item);
void client_write_done(struct write_item *item);
void client_query_done(struct query_item *item);
/* No item could be had. */
void client_busy(struct client *client);

/* Of clients.c: a read that does not allow is asked of the store, in the name of the same request;
 * the request has had its answer; a probe had a read answered by the cache. */
void client_ask_store(struct client *client);
void client_request_over(struct client *client);
void client_probe_hit(void);

#endif
