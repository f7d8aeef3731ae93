/* The era's row and the leases; see the header. */
#include "trust_rows.h"

#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "base/mutant.h"
#include "process.h"
#include "schedules.h"
#include "trace.h"

#define TIMELINE_STEP 1048576 /* by how much a new timeline raises the era's id */

struct era_row {
    struct store_era era;
    int timeline, settled, accepted;
};

struct lease_row {
    struct store_lease lease;
    uint64_t published;
    const struct statement *holder; /* has written it and not committed */
    int sharers;                    /* postings under way: FOR KEY SHARE */
    bool visible;                   /* committed once: an insert in progress is not */
};

static struct {
    struct era_row era, old_era;
    const struct statement *era_holder;
    struct lease_row leases[LEASES_ROOM], old_leases[LEASES_ROOM];
    int lease_count, old_lease_count;
    uint64_t born, departed, old_departed;
    int timeline;
    bool switch_off; /* the operator's will: the row follows */
} rows;

/* --- the era ----------------------------------------------------------------------------------*/

const struct store_era *db_era(void)
{
    rows.era.era.timeline_current = rows.era.timeline == rows.timeline || MUTANT(NOTL);
    return &rows.era.era;
}

static void notify_era(void)
{
    static const char *const words[] = {"era open", "era closing", "era drained"};
    trace_note(-1, "store", words[rows.era.era.state], rows.era.era.id, 0);
    for (int i = 0; i <= daemon_count; i++) {
        if (daemons[i] != NULL && !schedule_is_deaf(i) && !fault_strikes(FAULT_NOTIFY_LOST)) {
            process_notify_era(daemons[i]);
        }
    }
}

void db_take_snapshot(void)
{
    if (rows.era.era.state != ERA_OPEN && rows.old_era.timeline != 0) {
        return;
    }
    rows.old_era = rows.era;
    memcpy(rows.old_leases, rows.leases, sizeof rows.leases);
    rows.old_lease_count = rows.lease_count;
    rows.old_departed = rows.departed;
    for (int i = 0; i < rows.old_lease_count; i++) {
        rows.old_leases[i].holder = NULL;
        rows.old_leases[i].sharers = 0;
    }
}

void trust_rows_begin(void)
{
    memset(&rows, 0, sizeof rows);
    rows.timeline = 1;
    rows.era = (struct era_row){{.state = ERA_DRAINED}, 1, 1, 1};
    db_take_snapshot();
}

/* ballast.note_timeline(): the first to touch the rows closes what stands in them. */
static void note_timeline(void)
{
    struct era_row *row = &rows.era;
    if (row->timeline != rows.timeline && !MUTANT(NOTL)) {
        row->era.id += TIMELINE_STEP;
        row->era.nonce[0] = '\0';
        row->era.state = ERA_CLOSING;
        row->timeline = rows.timeline;
        notify_era();
    }
}

/* Computes under the era's lock; what is to be written waits in statement->era. */
static void change_era(struct statement *statement)
{
    struct store_era era = *db_era();
    statement->era = era;
    switch (statement->kind) {
    case STATEMENT_ERA_CLOSE:
        statement->effect = era.id == statement->number && era.state == ERA_OPEN;
        statement->era.state = statement->effect ? ERA_CLOSING : era.state;
        break;
    case STATEMENT_ERA_DRAIN:
        statement->effect =
            (era.id == statement->number || MUTANT(NOCAS)) && era.state == ERA_CLOSING;
        statement->era.state = statement->effect ? ERA_DRAINED : era.state;
        break;
    case STATEMENT_ERA_REWOUND:
        statement->effect = era.id <= statement->number;
        if (statement->effect) {
            statement->era = (struct store_era){.id = statement->number + TIMELINE_STEP,
                                                .state = ERA_CLOSING,
                                                .switched_off = era.switched_off,
                                                .timeline_current = true};
        }
        break;
    case STATEMENT_ERA_OPEN:
        statement->effect = era.id == statement->number &&
                            (era.state == ERA_DRAINED || MUTANT(OPENEARLY)) &&
                            statement->next_era.id > era.id && !era.switched_off;
        if (statement->effect) {
            statement->era = statement->next_era;
            statement->era.state = ERA_OPEN;
            statement->era.timeline_current = true;
        }
        break;
    default:
        break;
    }
}

static void by_hand(void *object, uint64_t accepts);

static void commit_era(const struct statement *statement)
{
    if (statement->effect) {
        rows.era.era = statement->era;
        if (statement->kind == STATEMENT_ERA_DRAIN) {
            rows.era.settled = rows.era.timeline;
        } else if (statement->kind == STATEMENT_ERA_REWOUND) {
            rows.era.settled = rows.era.accepted = 0;
            world_after(sim_between(500 * MS, 2 * SECOND), NULL, by_hand, NULL, true);
        }
        db_take_snapshot();
        notify_era();
    }
}

/* --- leases -----------------------------------------------------------------------------------*/

static struct lease_row *lease_of(const char *daemon)
{
    for (int i = 0; i < rows.lease_count; i++) {
        if (strcmp(rows.leases[i].lease.daemon, daemon) == 0) {
            return &rows.leases[i];
        }
    }
    return NULL;
}

static void remove_lease(struct lease_row *row)
{
    *row = rows.leases[--rows.lease_count];
}

/* The rows as the statement sees them: its own write included. Others see the committed one, which
 * stays in rows.leases until the commit. */
static void renew(struct statement *statement)
{
    struct lease_row *row = lease_of(statement->daemon);
    if (row == NULL) {
        assert(rows.lease_count < LEASES_ROOM);
        row = &rows.leases[rows.lease_count++];
        *row = (struct lease_row){.visible = false};
        snprintf(row->lease.daemon, sizeof row->lease.daemon, "%s", statement->daemon);
        row->lease.born = ++rows.born;
        row->published = statement->published > 0 ? statement->published : statement->transaction;
    }
    row->holder = statement;
    statement->departed = rows.departed;
    statement->era = *db_era();
    if (MUTANT(SEENTXN) && statement->era.state != ERA_OPEN &&
        statement->number < statement->era.id) {
        statement->number = statement->era.id;
    }
    for (int i = 0; i < rows.lease_count; i++) {
        struct store_lease *lease = &statement->leases[statement->lease_count];
        if (&rows.leases[i] != row && !rows.leases[i].visible) {
            continue;
        }
        *lease = rows.leases[i].lease;
        if (&rows.leases[i] == row && !row->lease.fenced) {
            lease->renewals++;
            lease->seen = lease->seen > statement->number ? lease->seen : statement->number;
            snprintf(lease->run_id, sizeof lease->run_id, "%s", statement->run_id);
            snprintf(lease->replid, sizeof lease->replid, "%s", statement->replid);
        }
        statement->lease_count++;
    }
}

static void commit_renewal(const struct statement *statement)
{
    struct lease_row *row = lease_of(statement->daemon);
    for (int i = 0; row != NULL && i < statement->lease_count; i++) {
        if (strcmp(statement->leases[i].daemon, statement->daemon) == 0) {
            row->lease = statement->leases[i];
            row->visible = true;
            if (row->published < statement->published) {
                row->published = statement->published;
            }
        }
    }
}

static void drop_lease(const struct statement *statement)
{
    struct lease_row *row = lease_of(statement->daemon);
    if (row != NULL && row->visible) {
        trace_note(-1, statement->daemon, "lease deleted", 0, 0);
        remove_lease(row);
    }
}

/* Half of the accounts, in each of two steps. */
static void announce_what_it_changed(const struct lease_row *row, uint64_t step)
{
    int half = (ACCOUNTS_MAX + 1) / 2;
    for (int i = step == 0 ? 0 : half; i < (step == 0 ? half : ACCOUNTS_MAX); i++) {
        if (db_changed_by(i) >= row->published && !MUTANT(UNANNOUNCED)) {
            announce(i);
        }
    }
    db_notify_announced();
}

static void expel(struct statement *statement)
{
    struct lease_row *row = lease_of(statement->daemon);
    statement->step = (struct store_expelling){.another = true};
    if (row == NULL || !row->visible || row->lease.renewals != statement->number ||
        (row->lease.born != statement->born && !MUTANT(EXPELOPEN))) {
        return;
    }
    statement->step.another = false;
    if (rows.era.era.state != ERA_DRAINED || rows.era.timeline != rows.timeline) {
        row->lease.fenced = true;
        announce_what_it_changed(row, statement->from);
        if (statement->from == 0) {
            statement->step.next = 1;
            return;
        }
    }
    trace_note(-1, statement->daemon, "lease taken over", 0, 0);
    rows.departed++;
    remove_lease(row);
}

/* --- statements -------------------------------------------------------------------------------*/

static bool ends_lease(const struct statement *statement)
{
    return statement->kind == STATEMENT_LEASE_DROP || statement->kind == STATEMENT_LEASE_EXPEL;
}

bool trust_rows_are_free(const struct statement *statement)
{
    const struct lease_row *row = lease_of(statement->daemon);
    bool new_timeline = rows.era.timeline != rows.timeline && rows.era_holder != NULL;
    switch (statement->kind) {
    case STATEMENT_POST:
        return row == NULL || row->holder == NULL || !ends_lease(row->holder);
    case STATEMENT_RENEW:
        return (row == NULL || row->holder == NULL) && !new_timeline;
    case STATEMENT_LEASE_DROP:
    case STATEMENT_LEASE_EXPEL:
        return row == NULL || (row->holder == NULL && row->sharers == 0);
    case STATEMENT_ERA_READ:
        return !new_timeline;
    default:
        return rows.era_holder == NULL;
    }
}

void trust_rows_hold(struct statement *statement, const struct statement *holder)
{
    struct lease_row *row = lease_of(statement->daemon);
    switch (statement->kind) {
    case STATEMENT_POST:
        if (statement->has_lease) {
            row->sharers--; /* nobody can have ended it */
        }
        statement->has_lease = holder != NULL && row != NULL && row->visible && !row->lease.fenced;
        if (statement->has_lease) {
            row->sharers++;
        }
        break;
    case STATEMENT_RENEW:
    case STATEMENT_LEASE_DROP:
    case STATEMENT_LEASE_EXPEL:
        if (row != NULL) {
            row->holder = holder;
            if (holder == NULL && !row->visible) {
                remove_lease(row); /* an insert that was rolled back */
            }
        }
        break;
    case STATEMENT_ERA_READ:
        break;
    default:
        rows.era_holder = holder;
    }
}

void trust_rows_run(struct statement *statement)
{
    if (!ends_lease(statement)) {
        note_timeline();
    }
    if (statement->kind == STATEMENT_RENEW) {
        renew(statement);
    } else {
        change_era(statement);
    }
}

void trust_rows_commit(struct statement *statement)
{
    if (statement->kind == STATEMENT_RENEW) {
        commit_renewal(statement);
    } else if (statement->kind == STATEMENT_LEASE_DROP) {
        drop_lease(statement);
    } else if (statement->kind == STATEMENT_LEASE_EXPEL) {
        expel(statement);
    } else {
        commit_era(statement);
    }
}

bool trust_rows_take_postings(void)
{
    return (rows.era.settled == rows.timeline && rows.era.accepted == rows.timeline) ||
           MUTANT(NOTL);
}

/* --- faults and operators ---------------------------------------------------------------------*/

void trust_rows_fail_over(void)
{
    trace_note(-1, "store", "failover: era now, era then", rows.era.era.id, rows.old_era.era.id);
    if (rows.old_era.era.state == ERA_OPEN) { /* forgotten: the close, and what came after */
        rows.era = rows.old_era;
        memcpy(rows.leases, rows.old_leases, sizeof rows.leases);
        rows.lease_count = rows.old_lease_count;
        rows.departed = rows.old_departed;
    }
    rows.timeline++;
}

/* Whoever changes the era by hand waits for its row's lock as everybody does. */
static void by_hand(void *object, uint64_t accepts)
{
    (void)object;
    if (rows.era_holder != NULL) {
        world_after(200, NULL, by_hand, NULL, accepts);
        return;
    }
    note_timeline();
    if (accepts) {
        rows.era.accepted = rows.timeline;
    } else if (rows.era.era.switched_off != rows.switch_off) {
        rows.era.era.switched_off = rows.switch_off;
        if (rows.switch_off && rows.era.era.state == ERA_OPEN) {
            rows.era.era.state = ERA_CLOSING;
        }
    }
    notify_era();
}

void db_accept_timeline(void)
{
    if (rows.era.accepted != rows.timeline) {
        by_hand(NULL, true);
    }
}

void db_switch(bool off)
{
    rows.switch_off = off;
    by_hand(NULL, false);
}

void trust_rows_heal(void)
{
    db_switch(false);
    db_accept_timeline();
}
