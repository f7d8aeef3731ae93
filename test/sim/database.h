/*
 * Fake PostgreSQL: rows of accounts, keys, era and leases, and the statements of sql/ on them. A
 * statement that writes takes its locks and computes in one step and commits in a later one, so
 * that others may come in between; one that only reads takes its snapshot in a single step.
 */
#ifndef BALLAST_SIM_DATABASE_H
#define BALLAST_SIM_DATABASE_H

#include "store/store.h"
#include "world.h"

#define LEASES_ROOM 24
#define LEGS_MAX 3 /* of a mutation */
#define POSTING_ACCOUNTS_MAX (2 * LEGS_MAX)
#define EXPIRED_MAX 512 /* holds that one statement finds expired */
#define CHANGES_MAX (POSTING_ACCOUNTS_MAX * SIM_ENTRIES_MAX + EXPIRED_MAX)

enum statement_kind {
    STATEMENT_ACCOUNTS,
    STATEMENT_PAGE,
    STATEMENT_HISTORY,
    STATEMENT_REFUSALS,
    STATEMENT_LOCKED,
    STATEMENT_ANNOUNCED,
    STATEMENT_FORGET,
    STATEMENT_POST,
    STATEMENT_RENEW,
    STATEMENT_ERA_READ,
    STATEMENT_ERA_CLOSE,
    STATEMENT_ERA_DRAIN,
    STATEMENT_ERA_OPEN,
    STATEMENT_ERA_REWOUND,
    STATEMENT_LEASE_DROP,
    STATEMENT_LEASE_EXPEL
};

/* The way of a statement: to the server, from its snapshot to its commit, and back. */
enum leg { LEG_THERE, LEG_STAY, LEG_BACK };

/* A movement between two accounts; -1: a system account. */
struct db_leg {
    int from, to;
    int64_t amount;
    struct account_state from_state, to_state; /* after it */
};

/* One mutation as the store gets it, with its result. Accounts by number, -1: none. */
struct db_posting {
    enum mutation_kind kind;
    int account, peer;
    int64_t amount;  /* of a reverse and a capture: 0 is all that is left */
    uint64_t target; /* the transfer, hold or charge that it is about */
    int64_t limit;   /* of a hold: seconds; of a charge: the threshold */
    bool if_below;   /* of a suspension */
    enum mutation_settlement settlement;
    int leg_count; /* of an expiry: accounts, as payers */
    struct db_leg legs[LEGS_MAX];
    uint64_t key; /* 0: none */
    enum outcome outcome;
    bool duplicate, changed;
    bool takes_key;     /* the first to be done with it */
    uint64_t transfer;  /* 0: nothing moves */
    uint64_t made;      /* the hold or charge; of an expiry: how many accounts */
    int64_t expires_at; /* of a hold */
    struct account_state state, peer_state; /* version 0: not part of the result */
};

/* What has moved, and how much of each leg was reversed. */
struct db_transfer {
    enum mutation_kind kind;
    int leg_count;
    struct db_leg legs[LEGS_MAX];
    int64_t reversed[LEGS_MAX];
};

/* A hold whose time was up; with it the account got that version. */
struct db_expiry {
    uint64_t hold;
    int account;
    uint64_t version;
};

/* A state that an account has, or gets. */
struct db_change {
    int account;
    struct account_state state;
};

struct statement {
    enum statement_kind kind;
    struct statement *next; /* of a queue of the database; or free */
    int references;         /* the link's, and those of events under way */
    bool aborted;           /* the server died */
    bool active;            /* holds locks */
    int64_t gives_up_at;    /* waiting for a lock */
    bool gave_up;           /* and did */
    enum store_status status;

    /* the link's */
    struct store_link *link;
    uint64_t connection;
    void *arg;
    void *callback;
    struct store_posting *const *caller_postings;

    /* in */
    int count;
    int accounts[SIM_ENTRIES_MAX];
    struct db_posting postings[SIM_ENTRIES_MAX];
    char daemon[64], incarnation[24];
    uint64_t number; /* seen, renewals, the era's id, the version before which history ends, or the
                      * commit's */
    char run_id[STORE_RUN_ID_MAX], replid[STORE_RUN_ID_MAX];
    struct store_era next_era;
    uint64_t born, from; /* of an expelling */
    uint64_t published;  /* of a renewal */

    /* out */
    struct store_era era;
    uint64_t transaction;
    uint64_t departed; /* by a renewal: leases taken away so far */
    struct store_expelling step;
    bool effect;    /* its UPDATE or DELETE found its row */
    bool has_lease; /* a posting: T12 */
    struct account_state states[SIM_ENTRIES_MAX];
    int64_t marks[SIM_ENTRIES_MAX]; /* of announcements; in, of those to be forgotten */
    struct db_change changes[CHANGES_MAX];
    int change_count;
    struct db_expiry expired[EXPIRED_MAX];
    int expired_count;
    uint64_t first_expiry; /* the number of the first of them, once they are committed */
    struct db_change shown[CHANGES_MAX]; /* present states that the reply carries */
    int shown_count;
    struct store_lease leases[LEASES_ROOM];
    int lease_count;
};

void db_begin(void);
/* A statement has arrived; statement_answer() follows, some time, unless the server dies. */
void db_arrive(struct statement *statement);

/* Ends the backend that has this statement, wherever it is. */
void db_terminate(struct statement *statement);

bool db_is_up(void);
void db_crash(int64_t for_us);
/* The era's and the leases' rows fall back to what they were; a new timeline. */
void db_failover(void);
void db_accept_timeline(void);
/* `ballast cache off` and `on`. */
void db_switch(bool off);
/* A posting by somebody who uses SQL. */
void db_post_in_sql(int account, int64_t amount);
void db_set_readonly(int64_t for_us);
void db_set_local_only(int64_t for_us);
void db_set_slow(int64_t for_us);
void db_take_snapshot(void);
void db_heal(void);

const struct store_era *db_era(void);
/* State of an account at a version that was committed; version 0 or above the last: NULL. */
const struct account_state *db_state(int account, uint64_t version);
uint64_t db_version(int account);

/* The newest committed state; version 0: no such account. */
struct account_state db_present(int account);
/* NULL: nobody has used the key. */
const struct db_posting *db_key_taken_by(uint64_t key);
uint64_t db_next_transfer(void);
uint64_t db_transfer_count(void);
/* NULL: none of that number was committed. */
const struct db_transfer *db_transfer(uint64_t number);
/* That the account was opened with, or is in that statement. */
int64_t db_opening_floor(const struct statement *statement, int account);

/* The transaction that changed the account last. */
uint64_t db_changed_by(int account);
/* Some have been announced: NOTIFY. */
void db_notify_announced(void);

/* Somebody's transaction has written it, or waits to. */
bool db_is_locked(int account);

/* refusals.c: what commits have refused. */
void refusals_forget(void);
void refusals_note(const struct statement *statement);
/* Sets the outcomes of the statement's postings: UNKNOWN where nothing was noted. */
void refusals_read(struct statement *statement);

/* posting.c. What a mutation moves, as far as its words and the present rows tell. */
void posting_set_legs(struct db_posting *posting);
int posting_accounts(const struct db_posting *posting, int accounts[POSTING_ACCOUNTS_MAX]);
bool posting_same_words(const struct db_posting *a, const struct db_posting *b);
/* Computes the outcomes of a batch, and what it would change and show. */
void posting_run(struct statement *statement);
/* What the statement has made of an account so far. */
struct account_state posting_state(const struct statement *statement, int account);
/* Gives the account that state, one version on, within the statement. */
void posting_change(struct statement *statement, int account, struct account_state *state);

/* decisions.c: the outcome of a mutation that moves no money. */
enum outcome posting_decide(struct statement *statement, struct db_posting *posting);

/* announced.c */
void announcements_begin(void);
void announce(int account);
void read_announced(struct statement *statement);
void forget_announced(const struct statement *statement);

/* fake_store.c */
struct statement *statement_new(enum statement_kind kind);
void statement_release(struct statement *statement);
bool store_link_is_far(const struct store_link *link);
const struct process *store_link_process(const struct store_link *link);
/* 0, or by how much this part of its way is delayed. */
int64_t statement_is_late(const struct statement *statement, enum leg leg);
void statement_answer(struct statement *statement, enum store_status status);
void statements_forget(void);

#endif
