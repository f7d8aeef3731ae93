/*
 * store/link.h (private to the store layer): what the files of a link share.
 *
 *   link.c      lifecycle: going up and down, backing off, what libevent calls
 *   connect.c   from an address to "connected"
 *   session.c   what happens between "connected" and "up": settings, hello, preparing, listening
 *   request.c   the one request in flight: sending, deadline, reply, what its end means
 *   post.c refusals.c read.c announced.c era.c query.c copy.c   the requests of store.h: parameters
 *   in, rows out
 *
 * The journey of a request: an adapter builds parameters (link_params), names the statement and
 * the function that will read the rows, and calls request_submit(). On an up link the request
 * leaves at once; else the link's deferred event answers UNSENT in the next turn of the loop. The
 * socket's events flush and collect until ReadyForQuery; then request.c decides the status, empties
 * the slot and calls the adapter's finish, which calls the owner's callback.
 *
 * The owner's callbacks may submit, and may free the link. So everything that libevent calls runs
 * between link_enter() and link_leave(): a link that failed is dropped, and one that was freed is
 * destroyed, only in link_leave(), when nothing below it on the stack will touch it again.
 */
#ifndef BALLAST_STORE_LINK_H
#define BALLAST_STORE_LINK_H

#include <event2/event.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "model/account.h"
#include "store/params.h"
#include "store/store.h"

/* The prepared statements, in the order in which session.c prepares them. */
enum statement {
    STATEMENT_POST_BATCH,
    STATEMENT_READ_REFUSALS,
    STATEMENT_LOCKED_ACCOUNTS,
    STATEMENT_READ_ACCOUNTS,
    STATEMENT_ACCOUNT_PAGE,
    STATEMENT_READ_HISTORY,
    STATEMENT_READ_BALANCE_AT,
    STATEMENT_READ_SYSTEM_BALANCE,
    STATEMENT_ANNOUNCED,
    STATEMENT_FORGET_ANNOUNCED,
    STATEMENT_LEASE_RENEW,
    STATEMENT_LEASE_DROP,
    STATEMENT_LEASE_EXPEL,
    STATEMENT_ERA_READ,
    STATEMENT_ERA_CLOSE,
    STATEMENT_ERA_DRAIN,
    STATEMENT_ERA_OPEN,
    STATEMENT_ERA_REWOUND,
    STATEMENT_COUNT
};

enum link_state {
    LINK_WAITING,    /* no connection; the timer says when to try again */
    LINK_CONNECTING, /* libpq is polled */
    LINK_GREETING,   /* connected; session.c asks; requests of the owner are UNSENT */
    LINK_UP,         /* takes requests */
    LINK_FAILING,    /* has met its end; dropped by link_leave() */
    LINK_CLOSED      /* store_link_free() was called */
};

enum request_kind {
    REQUEST_PREPARED, /* statement, with the link's params; binary rows */
    REQUEST_TEXT,     /* sql with text parameters; text rows */
    REQUEST_HELLO,    /* sql without parameters; binary rows */
    REQUEST_SCRIPT,   /* sql, any number of statements; the last one's rows, as text */
    REQUEST_COPY,     /* sql, one COPY TO STDOUT; its rows go to line as they come */
    REQUEST_PREPARE   /* statement, with sql */
};

struct store_request;

/* How a request ended. result is NULL unless the status is OK; error is never NULL. */
struct store_reply {
    enum store_status status;
    const struct store_error *error;
    const PGresult *result;
};

/* Called once, with the link's slot already free. */
typedef void request_finish_fn(struct store_link *link, const struct store_request *request,
                               const struct store_reply *reply);

struct store_request {
    enum request_kind kind;
    bool greeting; /* of session.c: sent before the link is up; not finished when it is dropped */
    enum statement statement;
    const char *sql;
    const char *const *values; /* REQUEST_TEXT */
    int value_count;
    int timeout_ms; /* the server's statement_timeout for it; 0: the link's */
    request_finish_fn *finish;
    union {
        store_accounts_fn *accounts;
        store_history_fn *history;
        store_balance_at_fn *balance_at;
        store_system_fn *system;
        store_announced_fn *announced;
        store_post_fn *post;
        store_leases_fn *leases;
        store_expelled_fn *expelled;
        store_era_fn *era;
        store_done_fn *done;
        store_rows_fn *rows;
    } done;
    void *arg;
    store_line_fn *line;                   /* REQUEST_COPY */
    struct store_posting *const *postings; /* STATEMENT_POST_BATCH, STATEMENT_READ_REFUSALS */
    size_t posting_count;
};

/* Where the request on the connection stands. */
enum request_stage {
    REQUEST_NONE,
    REQUEST_ADJUSTING, /* a SET statement_timeout goes before it; it has not left itself */
    REQUEST_SENDING,   /* some of it may still be in libpq's buffer: without its end it is void */
    REQUEST_SENT       /* all of it went to the kernel */
};

struct store_link {
    /* what it was created with; the strings are owned */
    struct event_base *base;
    struct store_options options;
    int64_t writer_id; /* of a link that posts: names its session lock */
    struct store_hooks hooks;
    void *ctx;
    bool bare; /* store/bare.h */

    /* the connection */
    enum link_state state;
    bool entered; /* between link_enter() and link_leave() */
    PGconn *conn;
    struct event *readable; /* persistent, and always armed from GREETING on */
    struct event *writable;
    struct event *timer;    /* backoff, connect deadline or request deadline, by state */
    struct event *deferred; /* made active to act in the next turn of the loop */
    int64_t attempt_us;     /* clock of the present attempt's start */
    int64_t up_us;
    int backoff_ms; /* the next one */

    /* facts and reasons */
    uint8_t mac_key[16];
    int schema_version;
    bool read_only; /* the session began read-only: reads go on, posting meets 25006 */
    bool needs_operator;
    bool look_again;                /* this drop only asks whether it is still read-only */
    char health[STORE_HEALTH_ROOM]; /* of the daemon, for its lease */
    char why[STORE_TEXT_MAX];       /* "" when up */
    char logged[STORE_TEXT_MAX];    /* the state last logged: its why, "" for up */
    char parting[STORE_TEXT_MAX];   /* what the server said in a FATAL while nothing was asked */

    /* the owner's request that came while the link was not up; session.c may have one of its own
     * on the connection at the same time */
    bool rejecting;
    struct store_request rejected;

    /* the request on the connection: the owner's, or one of session.c */
    enum request_stage stage;
    struct store_request request;
    PGresult *result;           /* what came of it so far */
    bool copying;               /* its rows are coming */
    bool replication_cancelled; /* a notice said that the commit is local only */
    int session_timeout_ms;     /* what statement_timeout is in the session now */
    bool fuses_are_old;         /* the session's limits are not those of the options any more */
    enum statement preparing;   /* session.c's place in the list of statements */

    /* reused memory */
    struct params params;
    struct account_entry *entries;
    size_t entry_capacity;
    void *scratch;
    size_t scratch_size;
};

/* --- link.c -----------------------------------------------------------------------------------*/

void link_enter(struct store_link *link);
void link_leave(struct store_link *link);

/* The link is of no more use: takes no requests from now on and is dropped when the present event
 * has been worked off. The first reason stands. */
void link_fail(struct store_link *link, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same, for what only an operator can mend. */
void link_refuse(struct store_link *link, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* session.c is done. */
void link_come_up(struct store_link *link);

/* Room for `count` entries, or `size` bytes, valid until the next call for the same link. */
struct account_entry *link_entries(struct store_link *link, size_t count);
void *link_scratch(struct store_link *link, size_t size);

/* The connection broke: fails the link with what the server or libpq said about it. */
void link_fail_broken(struct store_link *link);

/* For connect.c: the state's one setter, the timer, and the watching of libpq's socket. */
void link_set_state(struct store_link *link, enum link_state to);
void link_arm_timer(struct store_link *link, int64_t delay_ms);
void link_on_socket(evutil_socket_t fd, short what, void *arg);
void link_forget_socket(struct store_link *link);

/* --- connect.c --------------------------------------------------------------------------------*/

void connect_start(struct store_link *link);
void connect_poll(struct store_link *link);

/* --- session.c --------------------------------------------------------------------------------*/

void session_greet(struct store_link *link);
/* The SET of the limits of fuses, "" where they are the schema's own; the session has them then. */
#define SESSION_FUSES_ROOM 192
void session_put_fuses(struct store_link *link, char out[SESSION_FUSES_ROOM]);
/* The name by which a statement was prepared. */
const char *session_statement_name(enum statement statement);
/* Its parameter types; returns how many. */
int session_statement_types(enum statement statement, const Oid **types);

/* --- request.c --------------------------------------------------------------------------------*/

/* The link's parameter set, empty, for the request about to be submitted. */
struct params *request_params(struct store_link *link);
/* Takes a copy of the request. None may be in flight. */
void request_submit(struct store_link *link, const struct store_request *request);
/* From the link's events: more of it may leave, or more of the reply is there. */
void request_advance(struct store_link *link);
/* From the link's timer. */
void request_expire(struct store_link *link);
/* From the deferred event: answers a request that came while the link was not up. */
void request_reject(struct store_link *link);
/* The connection is gone: answers whatever was in flight. */
void request_abandon(struct store_link *link);
/* For a reply that is not what its statement promises: logs it, and says so. */
struct store_error request_misfit(const struct store_request *request);
/* libpq's notice receiver; arg is the link. */
void request_note(void *arg, const PGresult *notice);

#endif
