/* The rows and statements of the fake PostgreSQL; see the header. */
#include "database.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/mutant.h"
#include "checker.h"
#include "fake_links.h"
#include "trace.h"

struct account_row {
    struct account_state *versions; /* [0] is version 1 */
    uint64_t count, room;
    const struct statement *holder;
};

struct key_row {
    bool taken;
    struct db_posting posting; /* as it was applied */
    const struct statement *holder;
};

struct era_row {
    struct store_era era;
    int timeline;
};

static struct {
    struct account_row accounts[ACCOUNTS_MAX];
    struct key_row *keys;
    uint64_t key_room;
    uint64_t transfers;
    struct era_row era, old_era;
    const struct statement *era_holder;
    struct lease_row leases[LEASES_ROOM], old_leases[LEASES_ROOM];
    int lease_count, old_lease_count;
    int timeline;
    struct statement *waiting, **waiting_end;
    struct statement *active;
    int64_t down_until, readonly_until, local_until, slow_until;
} db;

void db_begin(void)
{
    free(db.keys);
    for (int i = 0; i < ACCOUNTS_MAX; i++) {
        free(db.accounts[i].versions);
    }
    memset(&db, 0, sizeof db);
    announcements_begin();
    refusals_forget();
    db.waiting_end = &db.waiting;
    db.timeline = 1;
    db.era = (struct era_row){{.id = 1, .state = ERA_DRAINED, .timeline_current = true}, 1};
    db_take_snapshot();
}

bool db_is_up(void)
{
    return world.now >= db.down_until;
}

const struct store_era *db_era(void)
{
    db.era.era.timeline_current = db.era.timeline == db.timeline;
    return &db.era.era;
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

uint64_t db_next_transfer(void)
{
    return ++db.transfers;
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
        trace_note(changed->account, statement->link != NULL ? statement->daemon : "sql",
                   "committed: version, balance", changed->state.version,
                   (uint64_t)changed->state.balance);
    }
    for (int i = 0; i < statement->count; i++) {
        const struct db_posting *posting = &statement->postings[i];
        if (posting->key != 0 && posting->outcome == OUTCOME_OK && !posting->duplicate) {
            struct key_row *row = key_row(posting->key);
            row->taken = true;
            row->posting = *posting;
            checker_applied(posting->key, posting);
        }
    }
}

/* --- era and leases ---------------------------------------------------------------------------*/

static struct lease_row *lease_of(const char *daemon)
{
    for (int i = 0; i < db.lease_count; i++) {
        if (strcmp(db.leases[i].lease.daemon, daemon) == 0) {
            return &db.leases[i];
        }
    }
    return NULL;
}

/* The row as the statement sees it: its own write included. Others see the committed one, which
 * stays in db.leases until the commit. */
static void renew(struct statement *statement)
{
    struct lease_row *row = lease_of(statement->daemon);
    if (row == NULL) {
        assert(db.lease_count < LEASES_ROOM);
        row = &db.leases[db.lease_count++];
        *row = (struct lease_row){.visible = false};
        snprintf(row->lease.daemon, sizeof row->lease.daemon, "%s", statement->daemon);
        snprintf(row->incarnation, sizeof row->incarnation, "%s", statement->incarnation);
    }
    row->holder = statement;
    statement->era = *db_era();
    if (MUTANT(SEENTXN) && statement->era.state != ERA_OPEN &&
        statement->number < statement->era.id) {
        statement->number = statement->era.id;
    }
    for (int i = 0; i < db.lease_count; i++) {
        struct store_lease *lease = &statement->leases[statement->lease_count];
        if (&db.leases[i] != row && !db.leases[i].visible) {
            continue;
        }
        *lease = db.leases[i].lease;
        if (&db.leases[i] == row) {
            lease->renewals++;
            lease->seen = lease->seen > statement->number ? lease->seen : statement->number;
            snprintf(lease->run_id, sizeof lease->run_id, "%s", statement->run_id);
            snprintf(lease->replid, sizeof lease->replid, "%s", statement->replid);
        }
        statement->lease_count++;
    }
}

static void commit_renewal(struct statement *statement)
{
    struct lease_row *row = lease_of(statement->daemon);
    for (int i = 0; row != NULL && i < statement->lease_count; i++) {
        if (strcmp(statement->leases[i].daemon, statement->daemon) == 0) {
            row->lease = statement->leases[i];
            row->visible = true;
        }
    }
}

static void remove_lease(struct lease_row *row)
{
    *row = db.leases[--db.lease_count];
}

/* Computes under the era's lock; what is to be written waits in statement->era. */
static void change_era(struct statement *statement)
{
    struct store_era era = *db_era();
    bool current = era.timeline_current;
    statement->era = era;
    switch (statement->kind) {
    case STATEMENT_ERA_CLOSE:
        statement->effect = era.id == statement->number && era.state == ERA_OPEN;
        statement->era.state = statement->effect ? ERA_CLOSING : era.state;
        break;
    case STATEMENT_ERA_DRAIN:
        statement->effect =
            (era.id == statement->number || MUTANT(NOCAS)) && era.state == ERA_CLOSING && current;
        statement->era.state = statement->effect ? ERA_DRAINED : era.state;
        break;
    case STATEMENT_ERA_REWOUND:
        statement->effect = era.id <= statement->number;
        if (statement->effect) {
            statement->era = (struct store_era){
                .id = statement->number + 1000, .state = ERA_CLOSING, .timeline_current = true};
        }
        break;
    default:
        statement->effect = era.id == statement->number &&
                            (era.state == ERA_DRAINED || MUTANT(OPENEARLY)) &&
                            statement->next_era.id > era.id && current;
        if (statement->effect) {
            statement->era = statement->next_era;
            statement->era.state = ERA_OPEN;
            statement->era.timeline_current = true;
        }
    }
}

/* How much longer than usual a step takes. */
int64_t statement_is_late(const struct statement *statement)
{
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

static void notify_era(void)
{
    static const char *const words[] = {"era open", "era closing", "era drained"};
    trace_note(-1, "store", words[db.era.era.state], db.era.era.id, 0);
    for (int i = 0; i < daemon_count; i++) {
        if (daemons[i] != NULL && !fault_strikes(FAULT_NOTIFY_LOST)) {
            process_notify_era(daemons[i]);
        }
    }
}

/* --- statements -------------------------------------------------------------------------------*/

static bool may_begin(struct statement *statement)
{
    const struct lease_row *lease;
    switch (statement->kind) {
    case STATEMENT_POST:
        for (int i = 0; i < statement->count; i++) {
            const struct db_posting *posting = &statement->postings[i];
            if (db.accounts[posting->account].holder != NULL ||
                (posting->peer >= 0 && db.accounts[posting->peer].holder != NULL) ||
                (posting->key != 0 && key_row(posting->key)->holder != NULL)) {
                return false;
            }
        }
        return true;
    case STATEMENT_RENEW:
    case STATEMENT_LEASE_DROP:
    case STATEMENT_LEASE_EXPEL:
        lease = lease_of(statement->daemon);
        return lease == NULL || lease->holder == NULL;
    default:
        return db.era_holder == NULL;
    }
}

static void set_holders(struct statement *statement, const struct statement *holder)
{
    struct lease_row *lease;
    switch (statement->kind) {
    case STATEMENT_POST:
        for (int i = 0; i < statement->count; i++) {
            const struct db_posting *posting = &statement->postings[i];
            db.accounts[posting->account].holder = holder;
            if (posting->peer >= 0) {
                db.accounts[posting->peer].holder = holder;
            }
            if (posting->key != 0) {
                key_row(posting->key)->holder = holder;
            }
        }
        break;
    case STATEMENT_RENEW:
    case STATEMENT_LEASE_DROP:
    case STATEMENT_LEASE_EXPEL:
        lease = lease_of(statement->daemon);
        if (lease != NULL) {
            lease->holder = holder;
            if (holder == NULL && !lease->visible) {
                remove_lease(lease); /* an insert that was rolled back */
            }
        }
        break;
    default:
        db.era_holder = holder;
    }
}

static void commit(struct statement *statement)
{
    struct lease_row *lease;
    switch (statement->kind) {
    case STATEMENT_POST:
        commit_changes(statement);
        refusals_note(statement);
        break;
    case STATEMENT_RENEW:
        commit_renewal(statement);
        break;
    case STATEMENT_LEASE_DROP:
    case STATEMENT_LEASE_EXPEL:
        lease = lease_of(statement->daemon);
        if (lease != NULL &&
            (statement->kind == STATEMENT_LEASE_DROP ||
             (lease->lease.renewals == statement->number && db.era.era.state == ERA_DRAINED))) {
            trace_note(-1, statement->daemon, "lease deleted", 0, 0);
            remove_lease(lease);
        }
        break;
    default:
        if (statement->effect) {
            db.era = (struct era_row){statement->era, db.timeline};
            db_take_snapshot();
            notify_era();
        }
    }
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
        if (commits) {
            commit(end);
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
    if (statement->kind == STATEMENT_RENEW) {
        renew(statement);
    } else {
        set_holders(statement, statement);
    }
    if (statement->kind == STATEMENT_POST) {
        statement->era = *db_era();
        posting_run(statement);
    } else if (statement->kind >= STATEMENT_ERA_CLOSE && statement->kind <= STATEMENT_ERA_REWOUND) {
        change_era(statement);
    }
    int64_t wait = sim_delay(world.now < db.slow_until ? 20 * MS : 200);
    wait += statement_is_late(statement);
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
    case STATEMENT_HISTORY:
    case STATEMENT_LOCKED:
    case STATEMENT_ERA_READ:
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

/* What a failover may fall back to: always an era that is open, so that it forgets the close. */
void db_take_snapshot(void)
{
    if (db.era.era.state != ERA_OPEN) {
        return;
    }
    db.old_era = db.era;
    memcpy(db.old_leases, db.leases, sizeof db.leases);
    db.old_lease_count = db.lease_count;
    for (int i = 0; i < db.old_lease_count; i++) {
        db.old_leases[i].holder = NULL;
    }
}

void db_failover(void)
{
    trace_note(-1, "store", "failover: era now, era then", db.era.era.id, db.old_era.era.id);
    db_crash(sim_between(0, 200 * MS));
    if (db.old_era.era.state == ERA_OPEN) { /* what it forgets is the close, and what came after */
        db.era = db.old_era;
        memcpy(db.leases, db.old_leases, sizeof db.leases);
        db.lease_count = db.old_lease_count;
    }
    db.timeline++;
}

void db_accept_timeline(void)
{
    if (db.era.timeline != db.timeline) {
        db.era.era.id += 1000;
        db.era.era.state = ERA_CLOSING;
        db.era.era.nonce[0] = '\0';
        db.era.timeline = db.timeline;
        db_take_snapshot();
        notify_era();
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
    posting_change(statement, account, &state);
    commit_changes(statement);
    statement_release(statement);
    announce(account);
    for (int i = 0; i < daemon_count; i++) {
        if (daemons[i] != NULL && !fault_strikes(FAULT_NOTIFY_LOST)) {
            process_notify_posting(daemons[i]);
        }
    }
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
    db_accept_timeline();
}
