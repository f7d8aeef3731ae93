/*
 * Holds and charges of the fake PostgreSQL: what is promised of an account's money, and what
 * sql/migrations/0007_holds.sql and 0008_charges.sql do to it. Rows change under the lock of their
 * account alone, so that a statement that holds it may read what stands.
 */
#ifndef BALLAST_SIM_PROMISES_H
#define BALLAST_SIM_PROMISES_H

#include "database.h"

enum hold_state { HOLD_HELD, HOLD_CAPTURED, HOLD_RELEASED, HOLD_EXPIRED };
enum charge_state { CHARGE_BEGUN, CHARGE_UNKNOWN, CHARGE_SUCCEEDED, CHARGE_FAILED };

struct db_hold {
    uint64_t number;
    int account;
    int64_t amount;
    int64_t expires_at;           /* by the clock of the store, which is the world's */
    uint64_t begun, ended;        /* versions of the account; ended 0: held */
    struct db_hold *next, **self; /* of the open ones of the account */
    enum hold_state state;
};

struct db_charge {
    int account;
    int64_t amount;
    enum charge_state state;
    uint64_t settled; /* version of the account; 0: not settled */
};

void promises_begin(void);

/* NULL: none of that number was committed. */
const struct db_hold *db_hold(uint64_t number);
const struct db_charge *db_charge(uint64_t number);
/* The last number given, committed or not. */
uint64_t db_hold_count(void);
uint64_t db_charge_count(void);
uint64_t db_next_hold(void);
uint64_t db_next_charge(void);

/* As a mutation finds it that is the next one of its statement. NULL, or a copy until the next call. */
const struct db_hold *hold_within(const struct statement *statement,
                                  const struct db_posting *posting);
const struct db_charge *charge_within(const struct statement *statement,
                                      const struct db_posting *posting);
/* Whether the posting's account has an intent that is not settled. */
bool charge_is_open_within(const struct statement *statement, const struct db_posting *posting);

/* Accounts, at most so many, that nobody has locked and that have holds whose time is up. */
int promises_due(int *accounts, int most);
/* Posts those expiries within the statement, which holds the lock. */
void promises_expire(struct statement *statement, int account);
/* What the statement has made of holds and charges, once its versions are there. */
void promises_commit(const struct statement *statement);

/* The expiries that were committed, from 0. */
const struct db_expiry *db_expiry(uint64_t number);
uint64_t db_expiry_count(void);

/* Whether a hold was open at that version of the account whose time was up by then. */
bool promises_overdue(int account, uint64_t version, int64_t at_us);

#endif
