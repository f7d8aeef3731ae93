/* The trust protocol's statements to the fake PostgreSQL. */
#include <stdio.h>

#include "fake_store.h"

void store_lease_renew(struct store_link *link, const char *daemon, const char *incarnation,
                       uint64_t seen, const char *run_id, const char *replid, uint64_t published,
                       store_leases_fn *done, void *arg)
{
    struct statement *statement = statement_new(STATEMENT_RENEW);
    snprintf(statement->daemon, sizeof statement->daemon, "%s", daemon);
    snprintf(statement->incarnation, sizeof statement->incarnation, "%s", incarnation);
    snprintf(statement->run_id, sizeof statement->run_id, "%s", run_id);
    snprintf(statement->replid, sizeof statement->replid, "%s", replid);
    statement->number = seen;
    statement->published = published;
    statement_submit(link, statement, (void *)done, arg);
}

static void era_request(struct store_link *link, enum statement_kind kind, uint64_t id,
                        store_era_fn *done, void *arg)
{
    struct statement *statement = statement_new(kind);
    statement->count = 0;
    statement->number = id;
    statement_submit(link, statement, (void *)done, arg);
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
    statement_submit(link, statement, (void *)done, arg);
}

void store_lease_drop(struct store_link *link, const char *daemon, store_done_fn *done, void *arg)
{
    struct statement *statement = statement_new(STATEMENT_LEASE_DROP);
    snprintf(statement->daemon, sizeof statement->daemon, "%s", daemon);
    statement_submit(link, statement, (void *)done, arg);
}

void store_lease_expel(struct store_link *link, const struct store_lease *lease, uint64_t from,
                       store_expelled_fn *done, void *arg)
{
    struct statement *statement = statement_new(STATEMENT_LEASE_EXPEL);
    snprintf(statement->daemon, sizeof statement->daemon, "%s", lease->daemon);
    statement->number = lease->renewals;
    statement->born = lease->born;
    statement->from = from;
    statement_submit(link, statement, (void *)done, arg);
}

void reply_trust(struct statement *statement, enum store_status status)
{
    const struct store_leases leases = {
        .era = statement->era,
        .leases = statement->leases,
        .count = (size_t)statement->lease_count,
        .departed = statement->departed,
        .transaction = statement->transaction,
    };
    switch (statement->kind) {
    case STATEMENT_RENEW:
        ((store_leases_fn *)statement->callback)(statement->arg, status, &fake_no_error, &leases);
        break;
    case STATEMENT_LEASE_EXPEL:
        ((store_expelled_fn *)statement->callback)(statement->arg, status, &fake_no_error,
                                                   &statement->step);
        break;
    case STATEMENT_LEASE_DROP:
        ((store_done_fn *)statement->callback)(statement->arg, status, &fake_no_error);
        break;
    default:
        ((store_era_fn *)statement->callback)(statement->arg, status, &fake_no_error,
                                              &statement->era);
    }
}
