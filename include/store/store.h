/*
 * One connection to the store (PostgreSQL), non-blocking, on one event loop.
 *
 * A link connects by itself, prepares its statements, proves that it talks to a primary with the
 * right schema and durable commits (fault rows 6, 12, 13), and reconnects with jittered backoff
 * for ever. At most one request is in flight on a link: whoever owns the link queues.
 *
 * Every submitted request gets its callback exactly once, failures included, and never before the
 * submitting call has returned. Callbacks run on the link's event loop. A callback may submit the
 * next request on the same link. Replies are valid only during the callback.
 *
 * A posting is done when ReadyForQuery has arrived, not when its rows have: rows of a statement
 * come before its commit.
 *
 * The simulator links another implementation of this header.
 */
#ifndef BALLAST_STORE_STORE_H
#define BALLAST_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/account.h"
#include "model/mutation.h"

struct event_base;
struct store_link;

#define STORE_NONCE_MAX 40  /* bytes with NUL */
#define STORE_RUN_ID_MAX 48 /* Redis' run_id and replid: 40 hex digits */
#define STORE_TEXT_MAX 256
#define STORE_LEASES_MAX 64 /* daemons on one store */

enum store_status {
    STORE_OK,
    STORE_UNSENT,    /* the link was down, or broke before the whole request left: not applied */
    STORE_IN_DOUBT,  /* the connection broke, or a timeout of ours passed, after it left */
    STORE_TRANSIENT, /* rolled back: deadlock, lock or statement timeout, serialization: repeat */
    STORE_READONLY,  /* rolled back: standby, read-only, disk full: the store takes no writes now */
    STORE_REFUSED,   /* rolled back: an error that a repeat would meet again */
    STORE_LOCAL_ONLY /* committed here, but synchronous replication was cancelled (fault row 5) */
};

struct store_error {
    char sqlstate[6];
    char text[STORE_TEXT_MAX];
};

/* How many charges and suspensions the fuses let pass in a window: the greater of a number and a
 * share of the accounts. window_ms 0: not said, the schema's own. */
struct store_fuses {
    int64_t charges, charges_percent;
    int64_t suspensions, suspensions_percent;
    int64_t window_ms;
};

/* Process-wide settings of a link; strings are copied at creation. */
struct store_options {
    const char *conninfo;
    const char *password;      /* NULL: none beyond conninfo */
    const char *password_file; /* read again at every attempt to connect; NULL: none */
    const char *application_name;
    const char *lease; /* of the daemon that posts: its postings need the row (T12); NULL: none */
    int connect_timeout_ms;
    int statement_timeout_ms; /* the server's; the link gives up on a silent server 500 ms later */
    int lock_timeout_ms;
    struct store_fuses fuses;
    bool allow_fsync_off;
    const char *listen; /* the channel to LISTEN on, a constant of ours; NULL: none */
};

/* Called on the loop; every one may be NULL. */
struct store_hooks {
    /* The link is ready for requests. */
    void (*up)(void *ctx, struct store_link *link);
    /* It no longer is; the in-flight request has had its callback already. why is a sentence. */
    void (*down)(void *ctx, struct store_link *link, const char *why);
    /* A NOTIFY on the channel that the link listens on. */
    void (*notify)(void *ctx, struct store_link *link, const char *channel, const char *payload);
};

/* NULL only where conninfo cannot be parsed (err says why). Connects from the next loop turn on. */
struct store_link *store_link_create(struct event_base *base, const struct store_options *options,
                                     const struct store_hooks *hooks, void *ctx, char *err,
                                     size_t errlen) __attribute__((warn_unused_result));
/* Another link has just met this server in health: one that waits for its next attempt to connect
 * makes it now. Else nothing. */
void store_link_hurry(struct store_link *link);
/* Closes; a request in flight gets its callback (IN_DOUBT, or UNSENT) before this returns. */
void store_link_free(struct store_link *link);

/* The limits of every request that is submitted from now on. */
void store_link_set_fuses(struct store_link *link, const struct store_fuses *fuses);

bool store_link_ready(const struct store_link *link); /* up, and nothing in flight */
bool store_link_is_up(const struct store_link *link);
/* Why it is down, a sentence; "" when up. */
const char *store_link_why(const struct store_link *link);
/* Facts read at connect; valid while up. mac_key is the key of the cache's checksums. */
const uint8_t *store_link_mac_key(const struct store_link *link); /* 16 bytes */
int store_link_schema_version(const struct store_link *link);
/* True where the last failure to come up can only be mended by an operator (schema missing, older
 * or newer, wrong database): fault row 12, exit 78 at start. */
bool store_link_needs_operator(const struct store_link *link);

/* --- era and reads ----------------------------------------------------------------------------*/

enum era_state { ERA_OPEN, ERA_CLOSING, ERA_DRAINED };

/* What a reading statement saw of the era row, in its own snapshot (rule T7 b). */
struct store_era_seen {
    uint64_t id;
    enum era_state state;
};

struct store_accounts {
    struct store_era_seen era;
    const struct account_entry *entries; /* the accounts that exist, in no order */
    size_t count;
};

typedef void store_accounts_fn(void *arg, enum store_status status, const struct store_error *error,
                               const struct store_accounts *reply);

/* ids must stay until the callback. At most 10,000. Duplicates are allowed. */
void store_read_accounts(struct store_link *link, const struct account_id *const *ids, size_t count,
                         store_accounts_fn *done, void *arg);

/* Accounts in order of their ids, after the given one (len 0: from the start). */
void store_page_accounts(struct store_link *link, const struct account_id *after, int limit,
                         store_accounts_fn *done, void *arg);

struct store_history_row {
    uint64_t transfer;
    uint64_t version;
    int64_t amount; /* signed: as the account sees it */
    int64_t balance;
    const char *counterparty, *kind, *key, *memo, *at; /* memo may be NULL */
};

struct store_history {
    struct store_era_seen era;
    struct account_entry present; /* version 0: no such account */
    const struct store_history_row *rows;
    size_t count;
};

typedef void store_history_fn(void *arg, enum store_status status, const struct store_error *error,
                              const struct store_history *reply);
/* before 0: from the newest. account must stay until the callback. */
void store_read_history(struct store_link *link, const struct account_id *account, uint64_t before,
                        int count, store_history_fn *done, void *arg);

struct store_balance_at {
    struct store_era_seen era;
    struct account_entry present; /* version 0: no such account */
    int64_t balance;
    uint64_t version; /* 0: not open yet at that time */
};

typedef void store_balance_at_fn(void *arg, enum store_status status,
                                 const struct store_error *error,
                                 const struct store_balance_at *reply);
/* time: RFC 3339, checked by the caller; a time PostgreSQL refuses is STORE_REFUSED. */
void store_read_balance_at(struct store_link *link, const struct account_id *account,
                           const char *time, store_balance_at_fn *done, void *arg);

struct store_system_balance {
    const char *asset;
    const char *balance; /* decimal digits: may pass 64 bits */
};

typedef void store_system_fn(void *arg, enum store_status status, const struct store_error *error,
                             const struct store_system_balance *rows, size_t count);
void store_read_system(struct store_link *link, const struct account_id *account,
                       store_system_fn *done, void *arg);

/* --- the tail: accounts that were changed in SQL ----------------------------------------------*/

#define STORE_JOURNAL_CHANNEL "ballast_journal" /* NOTIFY: accounts were announced */
#define STORE_ERA_CHANNEL "ballast_era"         /* NOTIFY: the era's row has changed */

struct store_announced {
    struct store_era_seen era;
    const struct account_entry *entries; /* as they stand now, by id */
    const int64_t *marks;                /* of each entry, for store_forget_announced() */
    size_t count;
};

typedef void store_announced_fn(void *arg, enum store_status status,
                                const struct store_error *error,
                                const struct store_announced *reply);
/* The announced accounts in order of their ids, after the given one (len 0: from the start). */
void store_read_announced(struct store_link *link, const struct account_id *after, int limit,
                          store_announced_fn *done, void *arg);

typedef void store_done_fn(void *arg, enum store_status status, const struct store_error *error);
/* They are published: what was announced again since stays. */
void store_forget_announced(struct store_link *link, const struct account_entry *entries,
                            const int64_t *marks, size_t count, store_done_fn *done, void *arg);

/* What has no version that a cache could contradict: rows in text. */
enum store_list {
    STORE_LIST_CHARGES, /* sql/charge_list.sql */
    STORE_LIST_WATCH    /* sql/watch.sql */
};

/* A result in text: rows of columns; NULL = SQL NULL. Valid during the callback. */
struct store_rows {
    size_t rows, columns;
    const char *(*value)(const struct store_rows *self, size_t row, size_t column);
    void *opaque;
};

typedef void store_rows_fn(void *arg, enum store_status status, const struct store_error *error,
                           const struct store_rows *rows);
/* account: only of this one; NULL: of all. It must stay until the callback. */
void store_read_list(struct store_link *link, enum store_list list, const char *const *account,
                     store_rows_fn *done, void *arg);

/* --- posting ----------------------------------------------------------------------------------*/

struct store_posting {
    struct mutation mutation;      /* in */
    struct mutation_result result; /* out: filled before the callback when the status is OK */
};

struct store_posted {
    /* States that this commit made or read, to be published; one account may stand in it more
     * than once: the highest version counts. Empty unless the status is OK. */
    const struct account_entry *states;
    size_t count;
};

typedef void store_post_fn(void *arg, enum store_status status, const struct store_error *error,
                           const struct store_posted *posted);

/*
 * One transaction for all of them, in order. postings must stay until the callback. commit: a
 * number never used before, under which the store keeps what it refuses, and where it has expired
 * holds for a MUTATION_EXPIRE; forget: the number of an earlier commit of which that is not needed
 * any more, 0: none.
 */
void store_post(struct store_link *link, struct store_posting *const *postings, size_t count,
                int64_t commit, int64_t forget, store_post_fn *done, void *arg);

/*
 * What a commit of these postings refused whose answer was lost: their results are filled, with
 * the states that they tell of. So is that of a MUTATION_EXPIRE that was done (OUTCOME_OK). The result
 * of every other posting is OUTCOME_UNKNOWN: it was done, or the commit never was, and sending it
 * again with its key tells which. To be asked on the link that had posted: once that is up again,
 * nothing of the old connection is still to come.
 */
void store_read_refusals(struct store_link *link, struct store_posting *const *postings,
                         size_t count, int64_t commit, store_post_fn *done, void *arg);

/* Which of these accounts are locked by somebody, so that a posting would wait for them. ids must
 * stay until the callback; at most 10,000. The reply's era is not set. */
void store_read_locked(struct store_link *link, const struct account_id *const *ids, size_t count,
                       store_accounts_fn *done, void *arg);

/* --- the trust protocol's rows (control link) -------------------------------------------------*/

struct store_era {
    uint64_t id;
    enum era_state state;
    char nonce[STORE_NONCE_MAX];
    char run_id[STORE_RUN_ID_MAX]; /* "" = none */
    char replid[STORE_RUN_ID_MAX];
    bool switched_off;     /* by an operator: it stays closed until switched on */
    bool timeline_current; /* the row was written under the present PostgreSQL timeline */
};

struct store_lease {
    char daemon[64];
    uint64_t born;     /* tells the row from one that stood there before */
    uint64_t renewals; /* of this row; with born they name one state of it */
    uint64_t seen;
    char run_id[STORE_RUN_ID_MAX]; /* the Redis that it has verified; "" = none */
    char replid[STORE_RUN_ID_MAX];
    bool fenced;
};

struct store_leases {
    struct store_era era;
    const struct store_lease *leases; /* own row included, unless it is gone */
    size_t count;
    uint64_t departed;    /* leases that were ever taken away */
    uint64_t transaction; /* the renewal's: what is posted after this reply has a higher one */
};

typedef void store_leases_fn(void *arg, enum store_status status, const struct store_error *error,
                             const struct store_leases *reply);
/* What the renewals that this link sends from now on tell of the daemon's health, for the record of
 * decisions: printable ASCII; cut where it is longer. */
#define STORE_HEALTH_ROOM 160
void store_link_tell_health(struct store_link *link, const char *text);

/* T1. run_id and replid "" where no Redis is verified; published: what this daemon has committed in
 * transactions below that one has been published (T12), 0: it does not know yet. One synchronously
 * committed transaction. */
void store_lease_renew(struct store_link *link, const char *daemon, const char *incarnation,
                       uint64_t seen, const char *run_id, const char *replid, uint64_t published,
                       store_leases_fn *done, void *arg);

typedef void store_era_fn(void *arg, enum store_status status, const struct store_error *error,
                          const struct store_era *era); /* the row afterwards */
void store_era_read(struct store_link *link, store_era_fn *done, void *arg);
void store_era_close(struct store_link *link, uint64_t id, store_era_fn *done, void *arg); /* T3 */
void store_era_drain(struct store_link *link, uint64_t id, store_era_fn *done, void *arg); /* T4 */
/* T14: the store has forgotten what we know of, up to this era: closes above it. */
void store_era_rewound(struct store_link *link, uint64_t known, store_era_fn *done, void *arg);
/* T5: from drained with id = drained only; next->id, nonce, run_id and replid are written. */
void store_era_open(struct store_link *link, uint64_t drained, const struct store_era *next,
                    store_era_fn *done, void *arg);

/* The own row, at a graceful end. */
void store_lease_drop(struct store_link *link, const char *daemon, store_done_fn *done, void *arg);
struct store_expelling {
    bool another;  /* it is not that row any more: renewed, taken away, made anew */
    uint64_t next; /* where the next step goes on from; 0: the row is gone, this was the last */
};
typedef void store_expelled_fn(void *arg, enum store_status status, const struct store_error *error,
                               const struct store_expelling *step);
/* T12: a step of the take-over of a dead daemon, while its row is still that one. What it may have
 * committed and not published is announced to the tails of those who live. from is 0 at first. */
void store_lease_expel(struct store_link *link, const struct store_lease *lease, uint64_t from,
                       store_expelled_fn *done, void *arg);

/* --- everything else: for jobs and operators --------------------------------------------------*/

/* One statement with text parameters (NULL = SQL NULL); sql and params must stay until the
 * callback. timeout_ms 0: the link's own. */
void store_query(struct store_link *link, const char *sql, const char *const *params, int count,
                 int timeout_ms, store_rows_fn *done, void *arg);

/* One row of a COPY: columns with tabs between them, \N for NULL, no newline. Not to be used after the
 * call, which must not call the link. */
typedef void store_line_fn(void *arg, const char *line, size_t len);
/* One `COPY ... TO STDOUT` in text: for more rows than a result should hold. COPY takes no parameters:
 * $1 to $9 in sql stand for numbers, which are put into its text. line sees every row, in order,
 * before done; where that is not told STORE_OK, it has seen some of them. */
void store_copy(struct store_link *link, const char *sql, const int32_t *numbers, int count,
                int timeout_ms, store_line_fn *line, store_done_fn *done, void *arg);

/* Gives the connection up, and with it what is in flight, in the next turn of the loop; the link
 * connects anew. For a request that is not wanted any more. */
void store_link_cut(struct store_link *link);

#endif
