/* Reads of the fake PostgreSQL: of accounts, histories and announcements. */
#include <stdlib.h>

#include "base/attributes.h"
#include "fake_store.h"

#define HISTORY_MAX 8

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
    statement_submit(link, statement, (void *)done, arg);
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
    statement_submit(link, statement, (void *)done, arg);
}

void store_read_history(struct store_link *link, const struct account_id *account, uint64_t before,
                        int count, store_history_fn *done, void *arg)
{
    struct statement *statement = statement_new(STATEMENT_HISTORY);
    (void)count;
    statement->count = 1;
    statement->accounts[0] = account_of(account);
    statement->number = before;
    statement_submit(link, statement, (void *)done, arg);
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
    statement_submit(link, statement, (void *)done, arg);
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
    statement_submit(link, statement, (void *)done, arg);
}

void store_read_list(struct store_link *link, enum store_list list, const char *const *account,
                     store_rows_fn *done, void *arg)
{
    (void)link, (void)list, (void)account, (void)done, (void)arg;
    abort(); /* no client of the simulator asks */
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
    ((store_accounts_fn *)statement->callback)(statement->arg, status, &fake_no_error, &reply);
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
    ((store_announced_fn *)statement->callback)(statement->arg, status, &fake_no_error, &reply);
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
    ((store_history_fn *)statement->callback)(statement->arg, status, &fake_no_error, &reply);
}

void reply_read(struct statement *statement, enum store_status status)
{
    switch (statement->kind) {
    case STATEMENT_HISTORY:
        answer_history(statement, status);
        break;
    case STATEMENT_ANNOUNCED:
        answer_announced(statement, status);
        break;
    case STATEMENT_FORGET:
        ((store_done_fn *)statement->callback)(statement->arg, status, &fake_no_error);
        break;
    default:
        answer_accounts(statement, status);
    }
}
