/*
 * store/store.h over the fake PostgreSQL. A statement that has left goes its own way: when its
 * connection breaks it may never arrive, or be executed and commit with nobody to hear of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/mutant.h"
#include "database.h"
#include "fake_links.h"
#include "fake_store.h"

#define LINKS_MAX 8192 /* of one world, dead ones included */

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
const struct store_error fake_no_error = {"", ""};

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
    statement->number = statement->born = statement->from = statement->published = 0;
    statement->transaction = statement->departed = 0;
    statement->effect = statement->has_lease = statement->gave_up = false;
    statement->change_count = statement->shown_count = statement->lease_count = 0;
    statement->expired_count = 0;
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

static void answer(struct statement *statement, enum store_status status)
{
    switch (statement->kind) {
    case STATEMENT_ACCOUNTS:
    case STATEMENT_PAGE:
    case STATEMENT_LOCKED:
    case STATEMENT_HISTORY:
    case STATEMENT_ANNOUNCED:
    case STATEMENT_FORGET:
        reply_read(statement, status);
        break;
    case STATEMENT_POST:
    case STATEMENT_REFUSALS:
        reply_posted(statement, status);
        break;
    default:
        reply_trust(statement, status);
    }
}

static void go_down(struct store_link *link)
{
    struct statement *lost = link->in_flight;
    bool was_up = link->up;
    link->up = false;
    link->in_flight = NULL;
    link->connection++;
    if (lost != NULL) {
        answer(lost, STORE_IN_DOUBT);
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
        answer(statement, STORE_UNSENT);
        statement_release(statement);
        if (!link->freed && link->up) {
            go_down(link);
        }
    }
    statement_release(statement);
}

void statement_submit(struct store_link *link, struct statement *statement, void *callback,
                      void *arg)
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
        answer(statement, statement->status);
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
