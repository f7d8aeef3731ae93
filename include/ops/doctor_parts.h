/*
 * ops/doctor_parts.h (private to doctor): what its checks share: the exam, with whom they ask and
 * what was learnt, and how a finding is written.
 *
 * A section's thread writes its own part of the exam only. After the threads have ended, the TRUST
 * section reads them all.
 */
#ifndef BALLAST_OPS_DOCTOR_PARTS_H
#define BALLAST_OPS_DOCTOR_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attributes.h"
#include "cache/bare.h"
#include "ops/doctor.h"
#include "store/store.h"

struct event;
struct event_base;

/* Within the time of the whole run: until when a server is asked, and how long it may take to let
 * us in. */
#define DOCTOR_ASK_MS 1400
#define DOCTOR_CONNECT_MS 1000

/* --- findings ---------------------------------------------------------------------------------*/

void doctor_find(struct doctor_finding *finding, enum doctor_result result, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void doctor_next(struct doctor_finding *finding, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* "12.5 MB" */
#define DOCTOR_SIZE_ROOM 16
const char *doctor_size(char out[DOCTOR_SIZE_ROOM], int64_t bytes);

/* --- waiting: doctor_loop.c -------------------------------------------------------------------*/

/* A loop that is turned until something has come, or until a time of clock_boot_us(). */
struct doctor_loop {
    struct event_base *base; /* NULL: never opened */
    struct event *deadline;
    int64_t until_us;
};

void doctor_loop_open(struct doctor_loop *loop, int64_t until_us);
/* Waits for one event, at most until the end. False where that has come. */
bool doctor_loop_turn(struct doctor_loop *loop) MUST_CHECK;
/* Turns for that long, at most until the end. */
void doctor_loop_pause(struct doctor_loop *loop, int64_t us);
void doctor_loop_close(struct doctor_loop *loop);

/* --- whom Redis' protocol is spoken with: doctor_peer.c ---------------------------------------*/

#define DOCTOR_WHY_ROOM 256
#define DOCTOR_CLI_ROOM 192

/* One question at a time. */
struct doctor_peer {
    struct doctor_loop loop;
    struct cache_link *link;
    char cli[DOCTOR_CLI_ROOM]; /* how a person speaks with it: "redis-cli -h ... -p ..." */
    char why[DOCTOR_WHY_ROOM]; /* why there is no answer */
    bool asking;
    bool answered;
    bool is_error;
    char **texts; /* of the last answer */
    size_t count;
};

/* False, with why, where it does not let us in by the deadline. */
bool doctor_peer_open(struct doctor_peer *peer, const struct cache_options *options,
                      int64_t until_us) MUST_CHECK;
void doctor_peer_close(struct doctor_peer *peer);

/* Asks; false, with why, where no answer came. The texts are valid until the next call; an error is
 * an answer: its text is texts[0]. */
bool doctor_peer_ask(struct doctor_peer *peer, const char *const *words, size_t count) MUST_CHECK;
#define DOCTOR_ASK(peer, ...)                                                                      \
    doctor_peer_ask((peer), (const char *const[]){__VA_ARGS__},                                    \
                    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* The answer as one text, for the caller to free; NULL, with why, for an error and for none. */
char *doctor_peer_text(struct doctor_peer *peer, const char *const *words, size_t count) MUST_CHECK;

/* --- PostgreSQL: doctor_sql.c -----------------------------------------------------------------*/

#define DOCTOR_ROWS_MAX 256
#define DOCTOR_COLUMNS_MAX 16

struct doctor_sql {
    struct doctor_loop loop;
    struct store_link *link;
    char psql[DOCTOR_CLI_ROOM]; /* "psql -h ... -p ... -U ... -d ..." */
    char why[DOCTOR_WHY_ROOM]; /* why there are no rows: a sentence, with an SQLSTATE where known */
    bool timed_out;            /* it was a timeout: of a lock, or of the statement */
    bool asking;
    enum store_status status;
    char **cells; /* of the last answer; NULL is SQL's NULL */
    size_t rows, columns;
};

bool doctor_sql_open(struct doctor_sql *sql, const struct config *config, int64_t until_us,
                     char why[DOCTOR_WHY_ROOM]) MUST_CHECK;
void doctor_sql_close(struct doctor_sql *sql);

/* Asks; false, with why, where no rows came. The rows are valid until the next call; those beyond
 * DOCTOR_ROWS_MAX are left out. timeout_ms is the server's for this statement. */
bool doctor_sql_ask(struct doctor_sql *sql, const char *text, int timeout_ms) MUST_CHECK;
#define DOCTOR_STATEMENT_MS 300
/* A cell of the last answer; "" for NULL. */
const char *doctor_sql_cell(const struct doctor_sql *sql, size_t row, size_t column);
int64_t doctor_sql_number(const struct doctor_sql *sql, size_t row, size_t column);

/* --- the exam ---------------------------------------------------------------------------------*/

#define DOCTOR_PINGS 5

struct doctor_redis {
    struct doctor_peer peer;
    char *info;       /* of all sections; NULL: never came */
    bool stamp_known; /* the key was read */
    char stamp[CACHE_STAMP_MAX];
    int64_t ping_us[DOCTOR_PINGS]; /* sorted */
    size_t pings;                  /* fewer where they take long */
};

struct doctor_era {
    bool known;
    char id[24], state[16], nonce[STORE_NONCE_MAX];
    char run_id[STORE_RUN_ID_MAX], replid[STORE_RUN_ID_MAX];
    char note[STORE_TEXT_MAX];
    bool switched_off;
    int64_t age_ms; /* since it changed, by the store's clock */
};

/* What sql_doctor_server tells. */
struct doctor_server {
    int64_t version;
    bool is_standby, read_only, is_local;
    bool fsync, full_page_writes;
    char synchronous_commit[16];
    char standby_names[128];
    int64_t sync_standbys;
    int64_t connections, connections_max;
    char data_directory[256];
    int64_t clock_ahead_ms; /* of ours, by at most clock_error_ms more or less */
    int64_t clock_error_ms;
};

struct doctor_postgres {
    struct doctor_sql sql;
    char open_why[DOCTOR_WHY_ROOM]; /* why it did not let us in; "": it did */
    struct doctor_server server;
    struct doctor_era era;
    size_t leases, live_leases; /* live: seen to renew; both 0 where that was not looked at */
};

struct doctor_daemon {
    struct doctor_peer peer;
    char *info;
};

struct doctor_exam {
    const struct doctor_options *options;
    const struct config *config;
    int64_t began_us, until_us; /* clock_boot_us() */
    int64_t began_wall_us;
    bool abandoned; /* a thread did not end: what threads write must not be looked at */
    struct doctor_redis redis;
    struct doctor_postgres postgres;
    struct doctor_daemon daemon;
};

/* Fields of INFO. */
int64_t doctor_info_number(const char *info, const char *name, int64_t otherwise);
const char *doctor_info_text(const char *info, const char *name, char *out, size_t size);

/* The key that the stamp of the era stands at. */
void doctor_stamp_key(const struct doctor_exam *exam, char *out, size_t size);

#endif
