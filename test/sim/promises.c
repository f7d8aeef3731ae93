/* See the header. */
#include "promises.h"

#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "checker.h"
#include "trace.h"

#define OVERDUE_LOOK 256 /* the newest holds: those that end by their time do so soon */

/* Rows by their number; they stay where they are, and go with the world. */
#define ROWS_BLOCK 256
#define ROWS_BLOCKS 1024

static struct {
    struct db_hold *holds[ROWS_BLOCKS];
    struct db_charge *charges[ROWS_BLOCKS];
    uint64_t hold_count, charge_count;
    struct db_hold *open[ACCOUNTS_MAX];
    uint64_t open_charge[ACCOUNTS_MAX]; /* 0: none */
    struct db_expiry *expiries;
    uint64_t expiry_count, expiry_room;
} rows;

void promises_begin(void)
{
    free(rows.expiries);
    memset(&rows, 0, sizeof rows);
}

static struct db_hold *hold_row(uint64_t number)
{
    assert(number / ROWS_BLOCK < ROWS_BLOCKS);
    struct db_hold **block = &rows.holds[number / ROWS_BLOCK];
    *block = *block != NULL ? *block : world_memory(ROWS_BLOCK * sizeof **block);
    return *block + number % ROWS_BLOCK;
}

static struct db_charge *charge_row(uint64_t number)
{
    assert(number / ROWS_BLOCK < ROWS_BLOCKS);
    struct db_charge **block = &rows.charges[number / ROWS_BLOCK];
    *block = *block != NULL ? *block : world_memory(ROWS_BLOCK * sizeof **block);
    return *block + number % ROWS_BLOCK;
}

const struct db_hold *db_hold(uint64_t number)
{
    bool given = number > 0 && number <= rows.hold_count;
    return given && hold_row(number)->begun > 0 ? hold_row(number) : NULL;
}

const struct db_charge *db_charge(uint64_t number)
{
    bool given = number > 0 && number <= rows.charge_count;
    return given && charge_row(number)->amount > 0 ? charge_row(number) : NULL;
}

uint64_t db_hold_count(void)
{
    return rows.hold_count;
}

uint64_t db_charge_count(void)
{
    return rows.charge_count;
}

const struct db_expiry *db_expiry(uint64_t number)
{
    return &rows.expiries[number];
}

uint64_t db_expiry_count(void)
{
    return rows.expiry_count;
}

uint64_t db_next_hold(void)
{
    return ++rows.hold_count;
}

uint64_t db_next_charge(void)
{
    return ++rows.charge_count;
}

/* --- within a statement -----------------------------------------------------------------------*/

static bool is_done(const struct db_posting *posting, enum mutation_kind kind)
{
    return posting->kind == kind && posting->outcome == OUTCOME_OK && !posting->duplicate;
}

const struct db_hold *hold_within(const struct statement *statement,
                                  const struct db_posting *posting)
{
    static struct db_hold copy;
    const struct db_hold *row = db_hold(posting->target);
    if (row == NULL) {
        return NULL;
    }
    copy = *row;
    for (int i = 0; i < statement->expired_count; i++) {
        if (statement->expired[i].hold == posting->target) {
            copy.state = HOLD_EXPIRED;
        }
    }
    for (const struct db_posting *at = statement->postings; at != posting; at++) {
        if (at->target == posting->target && is_done(at, MUTATION_CAPTURE)) {
            copy.state = HOLD_CAPTURED;
        } else if (at->target == posting->target && is_done(at, MUTATION_RELEASE)) {
            copy.state = HOLD_RELEASED;
        }
    }
    return &copy;
}

static enum charge_state state_of(enum mutation_settlement settlement)
{
    return settlement == SETTLED_SUCCEEDED ? CHARGE_SUCCEEDED
           : settlement == SETTLED_FAILED  ? CHARGE_FAILED
                                           : CHARGE_UNKNOWN;
}

static void settle(struct db_charge *charge, const struct db_posting *posting)
{
    charge->state = state_of(posting->settlement);
    charge->settled = charge->state == CHARGE_UNKNOWN ? 0 : posting->state.version;
}

const struct db_charge *charge_within(const struct statement *statement,
                                      const struct db_posting *posting)
{
    static struct db_charge copy;
    const struct db_charge *row = db_charge(posting->target);
    if (row == NULL) {
        return NULL;
    }
    copy = *row;
    for (const struct db_posting *at = statement->postings; at != posting; at++) {
        if (at->target == posting->target && is_done(at, MUTATION_SETTLE)) {
            settle(&copy, at);
        }
    }
    return &copy;
}

bool charge_is_open_within(const struct statement *statement, const struct db_posting *posting)
{
    bool open = rows.open_charge[posting->account] != 0;
    for (const struct db_posting *at = statement->postings; at != posting; at++) {
        if (at->account == posting->account && is_done(at, MUTATION_CHARGE)) {
            open = true;
        } else if (at->account == posting->account && is_done(at, MUTATION_SETTLE)) {
            open = at->settlement == SETTLED_UNKNOWN;
        }
    }
    return open;
}

/* --- time -------------------------------------------------------------------------------------*/

static bool is_due(const struct db_hold *hold)
{
    return hold->expires_at <= world.now;
}

int promises_due(int *accounts, int most)
{
    int count = 0;
    for (int i = 0; i < world.account_count && count < most; i++) {
        const struct db_hold *hold = db_is_locked(i) ? NULL : rows.open[i];
        while (hold != NULL && !is_due(hold)) {
            hold = hold->next;
        }
        accounts[count] = i;
        count += hold != NULL;
    }
    return count;
}

static bool is_expired_within(const struct statement *statement, int account)
{
    bool expired = false;
    for (int i = 0; i < statement->expired_count; i++) {
        expired |= statement->expired[i].account == account;
    }
    return expired;
}

/* By their numbers: a version each. */
void promises_expire(struct statement *statement, int account)
{
    struct account_state state = db_present(account);
    uint64_t last = 0;
    if (rows.open[account] == NULL || is_expired_within(statement, account)) {
        return;
    }
    for (;;) {
        uint64_t next = 0;
        for (const struct db_hold *hold = rows.open[account]; hold != NULL; hold = hold->next) {
            bool later = is_due(hold) && hold->number > last;
            next = later && (next == 0 || hold->number < next) ? hold->number : next;
        }
        if (next == 0) {
            return;
        }
        last = next;
        state.held -= db_hold(next)->amount;
        posting_change(statement, account, &state);
        assert(statement->expired_count < EXPIRED_MAX);
        statement->expired[statement->expired_count++] =
            (struct db_expiry){next, account, state.version};
    }
}

/* --- the commit -------------------------------------------------------------------------------*/

static void begin_hold(const struct db_posting *posting)
{
    struct db_hold *hold = hold_row(posting->made);
    struct db_hold **head = &rows.open[posting->account];
    *hold = (struct db_hold){.number = posting->made,
                             .account = posting->account,
                             .amount = posting->amount,
                             .expires_at = posting->expires_at,
                             .begun = posting->state.version,
                             .next = *head,
                             .self = head};
    if (hold->next != NULL) {
        hold->next->self = &hold->next;
    }
    *head = hold;
}

static void end_hold(uint64_t number, enum hold_state state, uint64_t version)
{
    struct db_hold *hold = hold_row(number);
    if (hold->state != HOLD_HELD) {
        checker_fail(hold->account, "hold %llu ends twice", (unsigned long long)number);
        return;
    }
    hold->state = state;
    hold->ended = version;
    *hold->self = hold->next;
    if (hold->next != NULL) {
        hold->next->self = hold->self;
    }
}

static void begin_charge(const struct db_posting *posting)
{
    if (rows.open_charge[posting->account] != 0) {
        checker_fail(posting->account, "a second charge is begun");
    }
    rows.open_charge[posting->account] = posting->made;
    *charge_row(posting->made) =
        (struct db_charge){.account = posting->account, .amount = posting->amount};
}

static void settle_charge(const struct db_posting *posting)
{
    struct db_charge *charge = charge_row(posting->target);
    if (charge->state == CHARGE_SUCCEEDED || charge->state == CHARGE_FAILED) {
        checker_fail(charge->account, "charge %llu is settled twice",
                     (unsigned long long)posting->target);
    }
    settle(charge, posting);
    if (charge->settled != 0) {
        rows.open_charge[charge->account] = 0;
    }
}

static void commit_posting(const struct db_posting *posting)
{
    switch (posting->kind) {
    case MUTATION_HOLD:
        begin_hold(posting);
        break;
    case MUTATION_CAPTURE:
        end_hold(posting->target, HOLD_CAPTURED, posting->state.version);
        break;
    case MUTATION_RELEASE:
        end_hold(posting->target, HOLD_RELEASED, posting->state.version);
        break;
    case MUTATION_CHARGE:
        begin_charge(posting);
        break;
    case MUTATION_SETTLE:
        settle_charge(posting);
        break;
    default:
        break;
    }
}

static void note_expiry(const struct db_expiry *expiry)
{
    if (rows.expiry_count == rows.expiry_room) {
        rows.expiry_room = rows.expiry_room == 0 ? 256 : 2 * rows.expiry_room;
        rows.expiries = realloc(rows.expiries, rows.expiry_room * sizeof *rows.expiries);
        if (rows.expiries == NULL) {
            abort();
        }
    }
    rows.expiries[rows.expiry_count++] = *expiry;
    trace_note(expiry->account, "store", "expired: hold, version", expiry->hold, expiry->version);
}

/* held = the sum of open holds. */
static void check_held(int account)
{
    int64_t sum = 0;
    for (const struct db_hold *hold = rows.open[account]; hold != NULL; hold = hold->next) {
        sum += hold->amount;
    }
    if (db_present(account).held != sum) {
        checker_fail(account, "held %lld, and open holds of %lld",
                     (long long)db_present(account).held, (long long)sum);
    }
}

void promises_commit(const struct statement *statement)
{
    for (int i = 0; i < statement->expired_count; i++) {
        const struct db_expiry *expiry = &statement->expired[i];
        end_hold(expiry->hold, HOLD_EXPIRED, expiry->version);
        note_expiry(expiry);
    }
    for (int i = 0; i < statement->count; i++) {
        const struct db_posting *posting = &statement->postings[i];
        if (posting->outcome == OUTCOME_OK && !posting->duplicate) {
            commit_posting(posting);
        }
    }
    for (int i = 0; i < statement->change_count; i++) {
        check_held(statement->changes[i].account);
    }
}

bool promises_overdue(int account, uint64_t version, int64_t at_us)
{
    bool overdue = false;
    uint64_t last = rows.hold_count;
    for (uint64_t number = last; number > 0 && number + OVERDUE_LOOK > last; number--) {
        const struct db_hold *hold = db_hold(number);
        overdue |= hold != NULL && hold->account == account && hold->expires_at <= at_us &&
                   hold->begun <= version && (hold->ended == 0 || hold->ended > version);
    }
    return overdue;
}
