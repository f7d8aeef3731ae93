/*
 * A mutation: the words of one request that changes the store, and the store's result for it.
 *
 * The words are checked here, before anything is queued; what depends on the books is checked by
 * the store alone (invariant 6). A mutation owns its legs; everything else is inline, so that it
 * can wait in a batch, be sent again with the same key after a lost connection, and outlive the
 * client that asked.
 */
#ifndef BALLAST_MODEL_MUTATION_H
#define BALLAST_MODEL_MUTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/account.h"
#include "model/outcome.h"

#define MUTATION_KEY_MAX 128  /* bytes, printable ASCII without space */
#define MUTATION_MEMO_MAX 256 /* bytes of UTF-8 without NUL */
#define MUTATION_LEGS_MAX 100 /* of one MTRANSFER (spec) */
#define MUTATION_DETAIL_MAX 120
#define MUTATION_TTL_MAX 315360000  /* seconds: ten years; of a HOLD */
#define MUTATION_EXPIRE_MAX 1000000 /* holds that one EXPIRE ends */

/*
 * X(symbol, word in the store). The two last ones are no mutations to the eyes of a client, but have
 * to be decided by the store in the transaction that records it: CANSPEND leaves a record where it
 * is denied, EXPIRE (of a daemon, not of a client) posts the expiries of holds. Both have no key.
 */
#define MUTATION_ROWS(X)                                                                           \
    X(OPEN, "open")                                                                                \
    X(CREDIT, "credit")                                                                            \
    X(DEBIT, "debit")                                                                              \
    X(TRANSFER, "transfer")                                                                        \
    X(MTRANSFER, "mtransfer")                                                                      \
    X(REVERSE, "reverse")                                                                          \
    X(SETFLOOR, "setfloor")                                                                        \
    X(CLOSE, "close")                                                                              \
    X(SUSPEND, "suspend")                                                                          \
    X(RESUME, "resume")                                                                            \
    X(HOLD, "hold")                                                                                \
    X(CAPTURE, "capture")                                                                          \
    X(RELEASE, "release")                                                                          \
    X(CHARGE, "charge")                                                                            \
    X(SETTLE, "settle")                                                                            \
    X(CANSPEND, "canspend")                                                                        \
    X(EXPIRE, "expire")

enum mutation_kind {
#define MUTATION_ENUM(symbol, word) MUTATION_##symbol,
    MUTATION_ROWS(MUTATION_ENUM)
#undef MUTATION_ENUM
        MUTATION_KIND_COUNT
};

/* What a client has learnt of a charge from the processor. */
enum mutation_settlement { SETTLED_SUCCEEDED, SETTLED_FAILED, SETTLED_UNKNOWN };

struct mutation_leg {
    struct account_id from;
    struct account_id to;
    int64_t amount;
};

struct mutation {
    enum mutation_kind kind;
    struct account_id account; /* all but MTRANSFER and those with a target; TRANSFER: the payer */
    struct account_id peer;    /* CREDIT: from @system; DEBIT, CAPTURE: to @system; TRANSFER: the
                                  payee */
    struct asset asset;        /* OPEN */
    bool has_amount;           /* REVERSE and CAPTURE of the whole have none */
    int64_t amount;            /* minor units, 1..2^63-1; OPEN, SETFLOOR: the floor, any int64;
                                  EXPIRE: at most so many holds */
    uint64_t target;           /* REVERSE: the transfer; CAPTURE, RELEASE: the hold; SETTLE: the
                                  charge */
    int64_t ttl_s;             /* HOLD: seconds; 0: the store's default, a week */
    int64_t threshold;         /* CHARGE: it is due while available is below this */
    bool if_below;             /* SUSPEND: only where available is below the floor */
    enum mutation_settlement settlement; /* SETTLE */
    uint8_t key_len;                     /* 0: OPEN, CANSPEND, EXPIRE, which need none */
    uint16_t memo_len;                   /* 0: none */
    uint8_t leg_count;                   /* MTRANSFER */
    struct mutation_leg *legs;           /* MTRANSFER: malloc'ed, leg_count of them, owned */
    char key[MUTATION_KEY_MAX];
    char memo[MUTATION_MEMO_MAX];
};

/* What the store said. Accounts with len 0 and states with version 0 are not part of the reply. */
struct mutation_result {
    enum outcome outcome;
    bool duplicate;
    bool changed;                     /* OPEN: created; others without money: a version was made */
    uint64_t transfer;                /* 0 where nothing moved; HOLD, CHARGE: the id of what was
                                         begun; EXPIRE: how many accounts had holds to end */
    struct account_entry account;     /* as the reply shows it: after this mutation */
    struct account_entry to;          /* TRANSFER: the payee */
    char detail[MUTATION_DETAIL_MAX]; /* refusals: what the store saw; HOLD: when it expires, RFC
                                         3339; NUL-terminated */
};

const char *mutation_kind_name(enum mutation_kind kind);

/* "succeeded", "failed", "unknown". */
const char *mutation_settlement_name(enum mutation_settlement settlement);

/* Frees what the mutation owns, not the mutation. */
void mutation_clear(struct mutation *m);

/*
 * Setters that check one word each. They return NULL, or a constant text that says what is wrong
 * with it ("amount must be an integer from 1 to 9223372036854775807").
 */
const char *mutation_set_key(struct mutation *m, const char *bytes, size_t len)
    __attribute__((warn_unused_result));
const char *mutation_set_memo(struct mutation *m, const char *bytes, size_t len)
    __attribute__((warn_unused_result));
const char *mutation_parse_amount(int64_t *amount, const char *bytes, size_t len)
    __attribute__((warn_unused_result));
/* Any int64, a leading '-' allowed. */
const char *mutation_parse_floor(int64_t *floor, const char *bytes, size_t len)
    __attribute__((warn_unused_result));

/*
 * Checks the whole: required words present, sides differ, system accounts only where they may
 * stand. NULL, or a constant text. Called once, before the mutation is queued.
 */
const char *mutation_check(const struct mutation *m) __attribute__((warn_unused_result));

#endif
