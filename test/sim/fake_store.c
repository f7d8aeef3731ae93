/*
 * store/store.h over the fake PostgreSQL. A statement that has left goes its own way: when its
 * connection breaks it may never arrive, or be executed and commit with nobody to hear of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/mutant.h"
#include "checker.h"
#include "database.h"
#include "fake_links.h"
#include "trace.h"
#include "words.h"

#define LINKS_MAX 8192 /* of one world, dead ones included */
#define HISTORY_MAX 8

struct store_link {
    struct process *process;
    struct store_hooks hooks;
    void *ctx;
    int64_t patience_us;
    bool up, freed;
    uint64_t connection; /* its number; every change of state makes a new one */
    struct statement *in_flight;
    struct statement *left_behind; /* in doubt: what the connection before had under way */
    int64_t deadline;
    bool watching;
};

static struct store_link *links[LINKS_MAX];
static int link_count;
static struct statement *free_statements;
static const struct store_error no_error = {"", ""};
static const struct store_error lock_error = {"55P03", "lock timeout"};

static void try_connect(void *object, uint64_t arg);

void store_links_forget(void)
{
    link_count = 0;
}

/* --- statements -------------------------------------------------------------------------------*/

void statements_forget(void)
{
    free_statements = NULL;
}

struct statement *statement_new(enum statement_kind kind)
{
    struct statement *statement = free_statements;
    if (statement != NULL) {
        free_statements = statement->next;
    } else {
        statement = world_memory(sizeof *statement);
    }
    memset(statement, 0, offsetof(struct statement, accounts));
    statement->kind = kind;
    statement->references = 1;
    statement->number = 0;
    statement->effect = statement->has_lease = statement->gave_up = false;
    statement->change_count = statement->shown_count = statement->lease_count = 0;
    statement->daemon[0] = statement->run_id[0] = statement->replid[0] = '\0';
    return statement;
}

void statement_release(struct statement *statement)
{
    if (--statement->references == 0) {
        statement->next = free_statements;
        free_statements = statement;
    }
}

/* --- up and down ------------------------------------------------------------------------------*/

struct store_link *store_link_create(struct event_base *base, const struct store_options *options,
                                     const struct store_hooks *hooks, void *ctx, char *err,
                                     size_t errlen)
{
    struct store_link *link = world_memory(sizeof *link);
    (void)base;
    (void)err;
    (void)errlen;
    assert(link_count < LINKS_MAX && world.running != NULL);
    links[link_count++] = link;
    link->process = world.running;
    link->hooks = *hooks;
    link->ctx = ctx;
    link->patience_us = (options->statement_timeout_ms + 500) * MS;
    world_after(sim_delay(500), link->process, try_connect, link, ++link->connection);
    return link;
}

static void connected(void *object, uint64_t arg)
{
    struct store_link *link = object;
    if (link->freed || arg != link->connection) {
        return;
    }
    /* Nothing that is sent again may be answered while its first self could still commit. */
    if (link->left_behind != NULL && !MUTANT(OLDBACKEND)) {
        db_terminate(link->left_behind);
    }
    link->up = true;
    if (link->hooks.up != NULL) {
        link->hooks.up(link->ctx, link);
    }
}

static void try_connect(void *object, uint64_t arg)
{
    struct store_link *link = object;
    if (link->freed || arg != link->connection) {
        return;
    }
    bool reachable = db_is_up() && link->process->store_away_until <= world.now;
    world_after(reachable ? sim_delay(1 * MS) : sim_between(50 * MS, 300 * MS), link->process,
                reachable ? connected : try_connect, link, ++link->connection);
}

static void answer(struct store_link *link, struct statement *statement, enum store_status status);

static void go_down(struct store_link *link)
{
    struct statement *lost = link->in_flight;
    bool was_up = link->up;
    link->up = false;
    link->in_flight = NULL;
    link->connection++;
    if (lost != NULL) {
        answer(link, lost, STORE_IN_DOUBT);
        if (link->left_behind != NULL) {
            statement_release(link->left_behind);
        }
        link->left_behind = lost;
    }
    if (!link->freed) {
        if (was_up && link->hooks.down != NULL) {
            link->hooks.down(link->ctx, link, "broken");
        }
        world_after(sim_between(10 * MS, 200 * MS), link->process, try_connect, link,
                    ++link->connection);
    }
}

void store_link_free(struct store_link *link)
{
    link->freed = true;
    go_down(link);
}

bool store_link_is_up(const struct store_link *link)
{
    return link->up;
}

bool store_link_ready(const struct store_link *link)
{
    return link->up && link->in_flight == NULL;
}

const char *store_link_why(const struct store_link *link)
{
    return link->up ? "" : "not connected";
}

static void broken(void *object, uint64_t arg)
{
    struct store_link *link = object;
    if (!link->freed && arg == link->connection && link->up) {
        go_down(link);
    }
}

void store_links_cut(const struct process *process)
{
    for (int i = 0; i < link_count; i++) {
        struct store_link *link = links[i];
        if (!link->freed && link->up && (process == NULL || link->process == process) &&
            (process == NULL || sim_chance(600000))) {
            world_after(sim_delay(300), link->process, broken, link, link->connection);
        }
    }
}

static void watch_deadline(void *object, uint64_t arg)
{
    struct store_link *link = object;
    (void)arg;
    link->watching = false;
    if (link->freed || link->in_flight == NULL) {
        return;
    }
    if (link->deadline <= world_now()) {
        go_down(link);
    } else {
        link->watching = true;
        world_at(link->deadline, link->process, watch_deadline, link, 0);
    }
}

bool store_link_is_far(const struct store_link *link)
{
    return link->process->store_far_until > world.now;
}

const struct process *store_link_process(const struct store_link *link)
{
    return link->process;
}

/* --- sending ----------------------------------------------------------------------------------*/

static void arrive(void *object, uint64_t arg)
{
    struct statement *statement = object;
    (void)arg;
    db_arrive(statement);
}

static void unsent(void *object, uint64_t arg)
{
    struct statement *statement = object;
    struct store_link *link = statement->link;
    (void)arg;
    if (link->in_flight == statement) {
        link->in_flight = NULL;
        answer(link, statement, STORE_UNSENT);
        statement_release(statement);
        if (!link->freed && link->up) {
            go_down(link);
        }
    }
    statement_release(statement);
}

static void submit(struct store_link *link, struct statement *statement, void *callback, void *arg)
{
    assert(link->in_flight == NULL && !link->freed);
    statement->link = link;
    statement->connection = link->connection;
    statement->callback = callback;
    statement->arg = arg;
    statement->references++;
    if (statement->daemon[0] == '\0') {
        snprintf(statement->daemon, sizeof statement->daemon, "%s", link->process->name);
    }
    link->in_flight = statement;
    link->deadline = world_now() + link->patience_us;
    if (!link->watching) {
        link->watching = true;
        world_at(link->deadline, link->process, watch_deadline, link, 0);
    }
    if (!link->up || (world.storm && sim_chance(world.rate[FAULT_STORE_CUT] / 4))) {
        world_after(0, link->process, unsent, statement, 0);
        return;
    }
    if (fault_strikes(FAULT_STORE_CUT)) {
        world_after(sim_delay(300), link->process, broken, link, link->connection);
        if (sim_chance(300000)) {
            statement_release(statement); /* never arrives */
            return;
        }
    }
    world_after(sim_delay(150) + statement_is_late(statement, LEG_THERE), NULL, arrive, statement,
                0);
}

static void answered(void *object, uint64_t arg)
{
    struct statement *statement = object;
    struct store_link *link = statement->link;
    (void)arg;
    if (link->in_flight == statement && link->connection == statement->connection) {
        link->in_flight = NULL;
        answer(link, statement, statement->status);
        statement_release(statement);
    }
    statement_release(statement);
}

void statement_answer(struct statement *statement, enum store_status status)
{
    struct store_link *link = statement->link;
    statement->status = status;
    if (link == NULL || fault_strikes(FAULT_STORE_SILENT)) {
        return;
    }
    statement->references++;
    world_after(sim_delay(150) + statement_is_late(statement, LEG_BACK), link->process, answered,
                statement, 0);
}

/* --- requests and their replies ---------------------------------------------------------------*/

static void read_by_ids(struct store_link *link, enum statement_kind kind,
                        const struct account_id *const *ids, size_t count, store_accounts_fn *done,
                        void *arg)
{
    struct statement *statement = statement_new(kind);
    assert(count <= SIM_ENTRIES_MAX);
    statement->count = (int)count;
    for (size_t i = 0; i < count; i++) {
        statement->accounts[i] = account_of(ids[i]);
    }
    submit(link, statement, (void *)done, arg);
}

void store_read_accounts(struct store_link *link, const struct account_id *const *ids, size_t count,
                         store_accounts_fn *done, void *arg)
{
    read_by_ids(link, STATEMENT_ACCOUNTS, ids, count, done, arg);
}

void store_read_locked(struct store_link *link, const struct account_id *const *ids, size_t count,
                       store_accounts_fn *done, void *arg)
{
    read_by_ids(link, STATEMENT_LOCKED, ids, count, done, arg);
}

void store_page_accounts(struct store_link *link, const struct account_id *after, int limit,
                         store_accounts_fn *done, void *arg)
{
    struct statement *statement = statement_new(STATEMENT_PAGE);
    int next = after->len == 0 ? 0 : account_of(after) + 1;
    statement->count = 0;
    while (next < world.account_count && statement->count < limit &&
           statement->count < SIM_ENTRIES_MAX) {
        statement->accounts[statement->count] = next;
        statement->count += db_version(next++) > 0;
    }
    submit(link, statement, (void *)done, arg);
}

void store_read_history(struct store_link *link, const struct account_id *account, uint64_t before,
                        int count, store_history_fn *done, void *arg)
{
    struct statement *statement = statement_new(STATEMENT_HISTORY);
    (void)count;
    statement->count = 1;
    statement->accounts[0] = account_of(account);
    statement->number = before;
    submit(link, statement, (void *)done, arg);
}

void store_read_balance_at(struct store_link *link, const struct account_id *account,
                           const char *time, store_balance_at_fn *done, void *arg)
{
    (void)link, (void)account, (void)time, (void)done, (void)arg;
    abort(); /* no client of the simulator asks */
}

void store_read_system(struct store_link *link, const struct account_id *account,
                       store_system_fn *done, void *arg)
{
    (void)link, (void)account, (void)done, (void)arg;
    abort(); /* no client of the simulator asks */
}

void store_read_announced(struct store_link *link, const struct account_id *after, int limit,
                          store_announced_fn *done, void *arg)
{
    struct statement *statement = statement_new(STATEMENT_ANNOUNCED);
    assert(limit <= SIM_ENTRIES_MAX);
    statement->count = limit;
    statement->number = after->len == 0 ? 0 : (uint64_t)account_of(after) + 1;
    submit(link, statement, (void *)done, arg);
}

void store_forget_announced(struct store_link *link, const struct account_entry *entries,
                            const int64_t *marks, size_t count, store_done_fn *done, void *arg)
{
    struct statement *statement = statement_new(STATEMENT_FORGET);
    assert(count <= SIM_ENTRIES_MAX);
    statement->count = (int)count;
    for (size_t i = 0; i < count; i++) {
        statement->accounts[i] = account_of(&entries[i].id);
        statement->marks[i] = marks[i];
    }
    submit(link, statement, (void *)done, arg);
}

void store_read_list(struct store_link *link, enum store_list list, const char *const *account,
                     store_rows_fn *done, void *arg)
{
    (void)link, (void)list, (void)account, (void)done, (void)arg;
    abort(); /* no client of the simulator asks */
}

static void submit_postings(struct store_link *link, enum statement_kind kind,
                            struct store_posting *const *postings, size_t count, int64_t commit,
                            store_post_fn *done, void *arg)
{
    struct statement *statement = statement_new(kind);
    assert(count <= SIM_ENTRIES_MAX);
    statement->count = (int)count;
    statement->number = (uint64_t)commit;
    statement->caller_postings = postings;
    for (size_t i = 0; i < count; i++) {
        words_of_mutation(&statement->postings[i], &postings[i]->mutation);
    }
    submit(link, statement, (void *)done, arg);
}

void store_post(struct store_link *link, struct store_posting *const *postings, size_t count,
                int64_t commit, int64_t forget, store_post_fn *done, void *arg)
{
    (void)forget;
    submit_postings(link, STATEMENT_POST, postings, count, commit, done, arg);
}

void store_read_refusals(struct store_link *link, struct store_posting *const *postings,
                         size_t count, int64_t commit, store_post_fn *done, void *arg)
{
    submit_postings(link, STATEMENT_REFUSALS, postings, count, commit, done, arg);
}

void store_lease_renew(struct store_link *link, const char *daemon, const char *incarnation,
                       uint64_t seen, const char *run_id, const char *replid, store_leases_fn *done,
                       void *arg)
{
    struct statement *statement = statement_new(STATEMENT_RENEW);
    snprintf(statement->daemon, sizeof statement->daemon, "%s", daemon);
    snprintf(statement->incarnation, sizeof statement->incarnation, "%s", incarnation);
    snprintf(statement->run_id, sizeof statement->run_id, "%s", run_id);
    snprintf(statement->replid, sizeof statement->replid, "%s", replid);
    statement->number = seen;
    submit(link, statement, (void *)done, arg);
}

static void era_request(struct store_link *link, enum statement_kind kind, uint64_t id,
                        store_era_fn *done, void *arg)
{
    struct statement *statement = statement_new(kind);
    statement->count = 0;
    statement->number = id;
    submit(link, statement, (void *)done, arg);
}

void store_era_read(struct store_link *link, store_era_fn *done, void *arg)
{
    era_request(link, STATEMENT_ERA_READ, 0, done, arg);
}

void store_era_close(struct store_link *link, uint64_t id, store_era_fn *done, void *arg)
{
    era_request(link, STATEMENT_ERA_CLOSE, id, done, arg);
}

void store_era_drain(struct store_link *link, uint64_t id, store_era_fn *done, void *arg)
{
    era_request(link, STATEMENT_ERA_DRAIN, id, done, arg);
}

void store_era_rewound(struct store_link *link, uint64_t known, store_era_fn *done, void *arg)
{
    era_request(link, STATEMENT_ERA_REWOUND, known, done, arg);
}

void store_era_open(struct store_link *link, uint64_t drained, const struct store_era *next,
                    store_era_fn *done, void *arg)
{
    struct statement *statement = statement_new(STATEMENT_ERA_OPEN);
    statement->number = drained;
    statement->next_era = *next;
    submit(link, statement, (void *)done, arg);
}

void store_lease_drop(struct store_link *link, const char *daemon, store_done_fn *done, void *arg)
{
    struct statement *statement = statement_new(STATEMENT_LEASE_DROP);
    snprintf(statement->daemon, sizeof statement->daemon, "%s", daemon);
    submit(link, statement, (void *)done, arg);
}

void store_lease_expel(struct store_link *link, const char *daemon, uint64_t renewals,
                       store_done_fn *done, void *arg)
{
    struct statement *statement = statement_new(STATEMENT_LEASE_EXPEL);
    snprintf(statement->daemon, sizeof statement->daemon, "%s", daemon);
    statement->number = renewals;
    submit(link, statement, (void *)done, arg);
}

static void answer_accounts(struct statement *statement, enum store_status status)
{
    struct account_entry entries[SIM_ENTRIES_MAX];
    struct store_accounts reply = {{statement->era.id, statement->era.state}, entries, 0};
    for (int i = 0; status == STORE_OK && i < statement->count; i++) {
        if (statement->states[i].version > 0) {
            account_name(&entries[reply.count].id, statement->accounts[i]);
            entries[reply.count++].state = statement->states[i];
        }
    }
    ((store_accounts_fn *)statement->callback)(statement->arg, status, &no_error, &reply);
}

static void answer_announced(struct statement *statement, enum store_status status)
{
    struct account_entry entries[SIM_ENTRIES_MAX];
    struct store_announced reply = {{statement->era.id, statement->era.state},
                                    entries,
                                    statement->marks,
                                    (size_t)statement->count};
    for (int i = 0; status == STORE_OK && i < statement->count; i++) {
        account_name(&entries[i].id, statement->accounts[i]);
        entries[i].state = statement->states[i];
    }
    ((store_announced_fn *)statement->callback)(statement->arg, status, &no_error, &reply);
}

static void answer_history(struct statement *statement, enum store_status status)
{
    struct store_history_row rows[HISTORY_MAX];
    struct store_history reply = {.era = {statement->era.id, statement->era.state}, .rows = rows};
    if (status == STORE_OK) {
        reply.present.state = statement->states[0];
        account_name(&reply.present.id, statement->accounts[0]);
        uint64_t version = reply.present.state.version;
        while (version > 0 && reply.count < HISTORY_MAX) {
            rows[reply.count++] = (struct store_history_row){
                .version = version,
                .balance = db_state(statement->accounts[0], version)->balance,
                .counterparty = "@bank",
                .kind = "credit",
                .key = "k",
                .at = "",
            };
            version--;
        }
    }
    ((store_history_fn *)statement->callback)(statement->arg, status, &no_error, &reply);
}

static void set_entry(struct account_entry *entry, int account, const struct account_state *state)
{
    memset(entry, 0, sizeof *entry);
    if (account >= 0 && state->version > 0) {
        account_name(&entry->id, account);
        entry->state = *state;
    }
}

static void answer_post(struct statement *statement, enum store_status status)
{
    struct account_entry entries[CHANGES_MAX];
    struct store_posted reply = {entries, 0};
    for (int i = 0; status == STORE_OK && i < statement->count; i++) {
        const struct db_posting *posting = &statement->postings[i];
        struct mutation_result *result = &statement->caller_postings[i]->result;
        memset(result, 0, sizeof *result);
        result->outcome = posting->outcome;
        result->duplicate = posting->duplicate;
        result->changed = posting->changed;
        result->transfer = posting->transfer;
        set_entry(&result->account, posting->account, &posting->state);
        set_entry(&result->to, posting->peer, &posting->peer_state);
    }
    for (int i = 0; status == STORE_OK && i < statement->shown_count; i++) {
        const struct db_change *shown = &statement->shown[i];
        set_entry(&entries[reply.count++], shown->account, &shown->state);
    }
    mutant_saw_drained = statement->era.state == ERA_DRAINED;
    ((store_post_fn *)statement->callback)(statement->arg, status,
                                           statement->gave_up ? &lock_error : &no_error, &reply);
}

static void answer_refusals(struct statement *statement, enum store_status status)
{
    struct account_entry entries[SIM_ENTRIES_MAX];
    struct store_posted reply = {entries, 0};
    for (int i = 0; status == STORE_OK && i < statement->count; i++) {
        const struct db_posting *posting = &statement->postings[i];
        struct mutation_result *result = &statement->caller_postings[i]->result;
        memset(result, 0, sizeof *result);
        result->outcome = posting->outcome;
        if (posting->outcome != OUTCOME_UNKNOWN && posting->state.version > 0) {
            set_entry(&entries[reply.count++], posting->account, &posting->state);
        }
    }
    ((store_post_fn *)statement->callback)(statement->arg, status, &no_error, &reply);
}

static void answer(struct store_link *link, struct statement *statement, enum store_status status)
{
    const struct store_leases leases = {statement->era, statement->leases,
                                        (size_t)statement->lease_count};
    (void)link;
    switch (statement->kind) {
    case STATEMENT_ACCOUNTS:
    case STATEMENT_PAGE:
    case STATEMENT_LOCKED:
        answer_accounts(statement, status);
        break;
    case STATEMENT_HISTORY:
        answer_history(statement, status);
        break;
    case STATEMENT_ANNOUNCED:
        answer_announced(statement, status);
        break;
    case STATEMENT_POST:
        answer_post(statement, status);
        break;
    case STATEMENT_REFUSALS:
        answer_refusals(statement, status);
        break;
    case STATEMENT_RENEW:
        ((store_leases_fn *)statement->callback)(statement->arg, status, &no_error, &leases);
        break;
    case STATEMENT_FORGET:
    case STATEMENT_LEASE_DROP:
    case STATEMENT_LEASE_EXPEL:
        ((store_done_fn *)statement->callback)(statement->arg, status, &no_error);
        break;
    default:
        ((store_era_fn *)statement->callback)(statement->arg, status, &no_error, &statement->era);
    }
}
