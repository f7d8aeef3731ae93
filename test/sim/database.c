/* The rows and statements of the fake PostgreSQL; see the header. */
#include "database.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "checker.h"
#include "fake_links.h"
#include "promises.h"
#include "schedules.h"
#include "trace.h"
#include "trust_rows.h"

struct account_row {
    struct account_state *versions; /* [0] is version 1 */
    uint64_t count, room;
    uint64_t changed_by; /* a transaction */
    const struct statement *holder;
};

struct key_row {
    bool taken;
    struct db_posting posting; /* as it was applied */
    const struct statement *holder;
};

static struct {
    struct account_row accounts[ACCOUNTS_MAX];
    struct key_row *keys;
    uint64_t key_room;
    uint64_t transfers, transactions;
    struct db_transfer *transfer_rows;
    uint64_t transfer_room;
    struct statement *waiting, **waiting_end;
    struct statement *active;
    int64_t down_until, readonly_until, local_until, slow_until;
} db;

void db_begin(void)
{
    free(db.keys);
    free(db.transfer_rows);
    for (int i = 0; i < ACCOUNTS_MAX; i++) {
        free(db.accounts[i].versions);
    }
    memset(&db, 0, sizeof db);
    announcements_begin();
    refusals_forget();
    promises_begin();
    db.waiting_end = &db.waiting;
    trust_rows_begin();
}

bool db_is_up(void)
{
    return world.now >= db.down_until;
}

uint64_t db_version(int account)
{
    return db.accounts[account].count;
}

const struct account_state *db_state(int account, uint64_t version)
{
    const struct account_row *row = &db.accounts[account];
    return version == 0 || version > row->count ? NULL : &row->versions[version - 1];
}

struct account_state db_present(int account)
{
    const struct account_state *state = db_state(account, db_version(account));
    return state != NULL ? *state : (struct account_state){.version = 0};
}

static struct key_row *key_row(uint64_t key)
{
    if (key >= db.key_room) {
        uint64_t room = db.key_room == 0 ? 1024 : db.key_room;
        while (key >= room) {
            room *= 2;
        }
        db.keys = realloc(db.keys, room * sizeof *db.keys);
        if (db.keys == NULL) {
            abort();
        }
        memset(db.keys + db.key_room, 0, (room - db.key_room) * sizeof *db.keys);
        db.key_room = room;
    }
    return &db.keys[key];
}

const struct db_posting *db_key_taken_by(uint64_t key)
{
    const struct key_row *row = key_row(key);
    return row->taken ? &row->posting : NULL;
}

bool db_is_locked(int account)
{
    return db.accounts[account].holder != NULL;
}

uint64_t db_changed_by(int account)
{
    return db.accounts[account].changed_by;
}

uint64_t db_next_transfer(void)
{
    return ++db.transfers;
}

uint64_t db_transfer_count(void)
{
    return db.transfers;
}

const struct db_transfer *db_transfer(uint64_t number)
{
    bool there = number != 0 && number < db.transfer_room && db.transfer_rows[number].leg_count > 0;
    return there ? &db.transfer_rows[number] : NULL;
}

int64_t db_opening_floor(const struct statement *statement, int account)
{
    const struct account_state *first = db_state(account, 1);
    for (int i = 0; first == NULL && i < statement->change_count; i++) {
        if (statement->changes[i].account == account && statement->changes[i].state.version == 1) {
            first = &statement->changes[i].state;
        }
    }
    return first != NULL ? first->floor : 0;
}

static void commit_transfer(const struct db_posting *posting)
{
    if (posting->transfer >= db.transfer_room) {
        uint64_t room = 2 * posting->transfer + 1024;
        db.transfer_rows = realloc(db.transfer_rows, room * sizeof *db.transfer_rows);
        if (db.transfer_rows == NULL) {
            abort();
        }
        memset(db.transfer_rows + db.transfer_room, 0,
               (room - db.transfer_room) * sizeof *db.transfer_rows);
        db.transfer_room = room;
    }
    struct db_transfer *row = &db.transfer_rows[posting->transfer];
    *row = (struct db_transfer){.kind = posting->kind, .leg_count = posting->leg_count};
    memcpy(row->legs, posting->legs, sizeof row->legs);
    for (int i = 0; posting->kind == MUTATION_REVERSE && i < posting->leg_count; i++) {
        struct db_transfer *target = &db.transfer_rows[posting->target];
        target->reversed[posting->leg_count - 1 - i] += posting->legs[i].amount;
    }
}

static void commit_changes(struct statement *statement)
{
    for (int i = 0; i < statement->change_count; i++) {
        const struct db_change *changed = &statement->changes[i];
        struct account_row *row = &db.accounts[changed->account];
        if (row->count == row->room) {
            row->room = row->room == 0 ? 256 : 2 * row->room;
            row->versions = realloc(row->versions, row->room * sizeof *row->versions);
            if (row->versions == NULL) {
                abort();
            }
        }
        assert(changed->state.version == row->count + 1);
        row->versions[row->count++] = changed->state;
        row->changed_by = statement->transaction;
        trace_note(changed->account, statement->link != NULL ? statement->daemon : "sql",
                   "committed: version, balance", changed->state.version,
                   (uint64_t)changed->state.balance);
    }
    for (int i = 0; i < statement->count; i++) {
        const struct db_posting *posting = &statement->postings[i];
        if (posting->key != 0 && posting->takes_key) {
            struct key_row *row = key_row(posting->key);
            row->taken = true;
            row->posting = *posting;
            if (posting->transfer != 0) {
                commit_transfer(posting);
            }
            checker_applied(posting->key, posting);
        }
    }
    statement->first_expiry = db_expiry_count();
    promises_commit(statement);
}

/* --- statements -------------------------------------------------------------------------------*/

/* How much longer than usual a step takes. */
int64_t statement_is_late(const struct statement *statement, enum leg leg)
{
    int64_t planned = schedule_delay(statement, leg);
    if (planned > 0) {
        return planned;
    }
    bool trouble = statement->kind >= STATEMENT_RENEW  ? world.lease_trouble
                   : statement->kind == STATEMENT_POST ? false
                                                       : world.read_trouble;
    const struct store_link *link = statement->link;
    if (link != NULL && store_link_is_far(link) && sim_chance(650000)) {
        return sim_between(5 * MS, 450 * MS);
    }
    if (world.storm && trouble && sim_chance(60000)) {
        fault_count(FAULT_STORE_LATE);
    } else if (!fault_strikes(FAULT_STORE_LATE)) {
        return 0;
    }
    return sim_chance(500000) ? sim_between(MS, 300 * MS) : sim_between(10 * MS, 3 * SECOND);
}

static bool is_free(const struct db_posting *posting)
{
    int accounts[POSTING_ACCOUNTS_MAX];
    int count = posting_accounts(posting, accounts);
    bool free_now = posting->key == 0 || key_row(posting->key)->holder == NULL;
    for (int i = 0; i < count && free_now; i++) {
        free_now = db.accounts[accounts[i]].holder == NULL;
    }
    return free_now;
}

static bool may_begin(struct statement *statement)
{
    for (int i = 0; statement->kind == STATEMENT_POST && i < statement->count; i++) {
        posting_set_legs(&statement->postings[i]); /* a reverse's target may have come meanwhile */
        if (!is_free(&statement->postings[i])) {
            return false;
        }
    }
    return trust_rows_are_free(statement);
}

static void hold_posting(const struct db_posting *posting, const struct statement *holder)
{
    int accounts[POSTING_ACCOUNTS_MAX];
    int count = posting_accounts(posting, accounts);
    for (int i = 0; i < count; i++) {
        db.accounts[accounts[i]].holder = holder;
    }
    if (posting->key != 0) {
        key_row(posting->key)->holder = holder;
    }
}

static void set_holders(struct statement *statement, const struct statement *holder)
{
    for (int i = 0; statement->kind == STATEMENT_POST && i < statement->count; i++) {
        hold_posting(&statement->postings[i], holder);
    }
    trust_rows_hold(statement, holder);
}

static void begin(struct statement *statement);

static void wake_waiting(void)
{
    struct statement *waiting = db.waiting;
    db.waiting = NULL;
    db.waiting_end = &db.waiting;
    while (waiting != NULL) {
        struct statement *statement = waiting;
        waiting = statement->next;
        statement->next = NULL;
        begin(statement);
    }
}

static void leave_active(struct statement *statement)
{
    struct statement **place = &db.active;
    while (*place != statement) {
        place = &(*place)->next;
    }
    *place = statement->next;
    statement->next = NULL;
    statement->active = false;
    set_holders(statement, NULL);
}

static void end_of_transaction(void *object, uint64_t arg)
{
    struct statement *statement = object;
    if (!statement->aborted) {
        enum store_status status = (enum store_status)arg;
        bool commits = status == STORE_OK || status == STORE_LOCAL_ONLY;
        struct statement *end = statement;
        end->status = status;
        if (commits && end->kind == STATEMENT_POST) {
            commit_changes(end);
            refusals_note(end);
        } else if (commits) {
            trust_rows_commit(end);
        }
        leave_active(end);
        statement_answer(end, status);
        wake_waiting();
    }
    statement_release(statement);
}

static enum store_status fate(const struct statement *statement)
{
    if (world.now < db.readonly_until) {
        return STORE_READONLY;
    }
    if (statement->kind == STATEMENT_POST && !trust_rows_take_postings()) {
        return STORE_READONLY;
    }
    if (statement->kind == STATEMENT_POST && !statement->has_lease) {
        return STORE_TRANSIENT;
    }
    if (statement->kind == STATEMENT_POST) {
        for (int i = 0; i < statement->count; i++) {
            if (checker_key_is_cursed(statement->postings[i].key)) {
                fault_count(FAULT_STORE_CURSED);
                return STORE_REFUSED;
            }
        }
    }
    if (fault_strikes(FAULT_STORE_TRANSIENT)) {
        return STORE_TRANSIENT;
    }
    return world.now < db.local_until ? STORE_LOCAL_ONLY : STORE_OK;
}

/* Takes the locks and computes, or queues for them. */
static void begin(struct statement *statement)
{
    if (statement->aborted) {
        statement_release(statement);
        return;
    }
    if (!may_begin(statement)) {
        if (world.now >= statement->gives_up_at) {
            statement->gave_up = true;
            statement_answer(statement, STORE_TRANSIENT);
            statement_release(statement);
            return;
        }
        statement->next = NULL;
        *db.waiting_end = statement;
        db.waiting_end = &statement->next;
        return;
    }
    statement->next = db.active;
    db.active = statement;
    statement->active = true;
    set_holders(statement, statement);
    statement->transaction = ++db.transactions;
    statement->era = *db_era();
    if (statement->kind == STATEMENT_POST) {
        posting_run(statement);
    } else {
        trust_rows_run(statement);
    }
    int64_t wait = sim_delay(world.now < db.slow_until ? 20 * MS : 200);
    wait += statement_is_late(statement, LEG_STAY);
    world_after(wait, NULL, end_of_transaction, statement, (uint64_t)fate(statement));
}

static void read_rows(struct statement *statement)
{
    statement->era = *db_era();
    for (int i = 0; i < statement->count; i++) {
        statement->states[i] = db_present(statement->accounts[i]);
        if (statement->kind == STATEMENT_LOCKED && !db_is_locked(statement->accounts[i])) {
            statement->states[i].version = 0;
        }
    }
}

static void lock_timeout(void *object, uint64_t arg)
{
    (void)object;
    (void)arg;
    wake_waiting();
}

/* pg_terminate_backend(): whatever it has not committed it never will. */
void db_terminate(struct statement *statement)
{
    statement->aborted = true;
    if (statement->active) {
        leave_active(statement);
        wake_waiting();
    }
}

void db_arrive(struct statement *statement)
{
    if (!db_is_up() || statement->aborted) {
        statement_release(statement);
        return;
    }
    switch (statement->kind) {
    case STATEMENT_REFUSALS:
        refusals_read(statement);
        statement_answer(statement, STORE_OK);
        statement_release(statement);
        break;
    case STATEMENT_ACCOUNTS:
    case STATEMENT_PAGE:
    case STATEMENT_HISTORY:
    case STATEMENT_LOCKED:
        read_rows(statement);
        statement_answer(statement, STORE_OK);
        statement_release(statement);
        break;
    case STATEMENT_ANNOUNCED:
        read_announced(statement);
        statement_answer(statement, STORE_OK);
        statement_release(statement);
        break;
    case STATEMENT_FORGET:
        forget_announced(statement);
        statement_answer(statement, STORE_OK);
        statement_release(statement);
        break;
    default:
        statement->gives_up_at = world.now + 300 * MS;
        begin(statement);
        if (!statement->active) {
            world_after(300 * MS, NULL, lock_timeout, NULL, 0);
        }
    }
}

/* --- faults -----------------------------------------------------------------------------------*/

void db_crash(int64_t for_us)
{
    trace_note(-1, "store", "crash, for us", (uint64_t)for_us, 0);
    db.down_until = world.now + for_us;
    while (db.active != NULL) {
        struct statement *statement = db.active;
        statement->aborted = true;
        leave_active(statement);
    }
    while (db.waiting != NULL) {
        struct statement *statement = db.waiting;
        db.waiting = statement->next;
        statement_release(statement);
    }
    db.waiting_end = &db.waiting;
    store_links_cut(NULL);
}

void db_failover(void)
{
    db_crash(sim_between(0, 200 * MS));
    trust_rows_fail_over();
}

void db_notify_announced(void)
{
    for (int i = 0; i < daemon_count; i++) {
        if (daemons[i] != NULL && !fault_strikes(FAULT_NOTIFY_LOST)) {
            process_notify_posting(daemons[i]);
        }
    }
}

void db_post_in_sql(int account, int64_t amount)
{
    if (db.accounts[account].holder != NULL || db_version(account) == 0) {
        return;
    }
    struct statement *statement = statement_new(STATEMENT_POST);
    struct account_state state = db_present(account);
    state.balance += amount;
    statement->transaction = ++db.transactions;
    posting_change(statement, account, &state);
    commit_changes(statement);
    statement_release(statement);
    announce(account);
    db_notify_announced();
}

void db_set_readonly(int64_t for_us)
{
    db.readonly_until = world.now + for_us;
}

void db_set_local_only(int64_t for_us)
{
    db.local_until = world.now + for_us;
}

void db_set_slow(int64_t for_us)
{
    db.slow_until = world.now + for_us;
}

void db_heal(void)
{
    db.down_until = db.readonly_until = db.local_until = db.slow_until = 0;
    trust_rows_heal();
}
