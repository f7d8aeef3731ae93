/*
 * Reads: accounts by id and page by page, an account's movements, its balance at a time, and the
 * balances of a system account. A reply that does not fit is REFUSED; no row is ever made up, and
 * an account is only missing where the statement said so.
 */
#include "store/link.h"

#include <string.h>

#include "base/limits.h"
#include "store/rows.h"

#define HISTORY_ROWS_MAX 10000

/* A statement's columns begin with the era's id and state, then the account's seven. */
#define ERA_SHAPE "8t"
#define ERA_COLUMNS 2

static bool read_era(const PGresult *rows, int row, struct store_era_seen *era)
{
    return rows_count(rows, row, 0, &era->id) && rows_era_state(rows, row, 1, &era->state);
}

/* The account in a row where it may be absent: then its id is NULL, and the version 0. */
static bool read_present(const PGresult *rows, int row, int column, struct account_entry *entry)
{
    if (rows_is_null(rows, row, column)) {
        memset(entry, 0, sizeof(*entry));
        return true;
    }
    return rows_account(rows, row, column, entry);
}

/* --- accounts ---------------------------------------------------------------------------------*/

/* With the era in front; the one row of a miss has no account. */
static bool read_accounts_rows(struct store_link *link, const PGresult *rows,
                               struct store_accounts *reply)
{
    int count = PQntuples(rows);
    struct account_entry *entries = link_entries(link, (size_t)count);

    if (!rows_have_shape(rows, ERA_SHAPE ROWS_ACCOUNT) || count == 0 ||
        !read_era(rows, 0, &reply->era)) {
        return false;
    }
    reply->entries = entries;
    if (count == 1 && rows_is_null(rows, 0, ERA_COLUMNS)) {
        return true;
    }
    for (int row = 0; row < count; row++) {
        if (!rows_account(rows, row, ERA_COLUMNS, &entries[row])) {
            return false;
        }
    }
    reply->count = (size_t)count;
    return true;
}

static bool read_page_rows(struct store_link *link, const PGresult *rows,
                           struct store_accounts *reply)
{
    int count = PQntuples(rows);
    struct account_entry *entries = link_entries(link, (size_t)count);

    if (!rows_have_shape(rows, ROWS_ACCOUNT)) {
        return false;
    }
    for (int row = 0; row < count; row++) {
        if (!rows_account(rows, row, 0, &entries[row])) {
            return false;
        }
    }
    reply->entries = entries;
    reply->count = (size_t)count;
    return true;
}

static void accounts_came(struct store_link *link, const struct store_request *request,
                          const struct store_reply *reply)
{
    struct store_accounts accounts = {0};
    bool fits;

    if (reply->status != STORE_OK) {
        request->done.accounts(request->arg, reply->status, reply->error, NULL);
        return;
    }
    fits = request->statement == STATEMENT_READ_ACCOUNTS
               ? read_accounts_rows(link, reply->result, &accounts)
               : read_page_rows(link, reply->result, &accounts);
    if (!fits) {
        struct store_error error = request_misfit(request);

        request->done.accounts(request->arg, STORE_REFUSED, &error, NULL);
        return;
    }
    request->done.accounts(request->arg, STORE_OK, reply->error, &accounts);
}

static void read_by_ids(struct store_link *link, enum statement statement,
                        const struct account_id *const *ids, size_t count, store_accounts_fn *done,
                        void *arg)
{
    struct params *params = request_params(link);

    assert(count <= LIMIT_BATCH_MAX);
    params_array(params, PARAM_TEXT, (int)count);
    for (size_t i = 0; i < count; i++) {
        params_element_text(params, ids[i]->bytes, ids[i]->len);
    }
    request_submit(link, &(struct store_request){.kind = REQUEST_PREPARED,
                                                 .statement = statement,
                                                 .finish = accounts_came,
                                                 .done.accounts = done,
                                                 .arg = arg});
}

void store_read_accounts(struct store_link *link, const struct account_id *const *ids, size_t count,
                         store_accounts_fn *done, void *arg)
{
    read_by_ids(link, STATEMENT_READ_ACCOUNTS, ids, count, done, arg);
}

void store_read_locked(struct store_link *link, const struct account_id *const *ids, size_t count,
                       store_accounts_fn *done, void *arg)
{
    read_by_ids(link, STATEMENT_LOCKED_ACCOUNTS, ids, count, done, arg);
}

void store_page_accounts(struct store_link *link, const struct account_id *after, int limit,
                         store_accounts_fn *done, void *arg)
{
    struct params *params = request_params(link);

    assert(limit > 0);
    params_text(params, after->bytes, after->len);
    params_int4(params, limit);
    request_submit(link, &(struct store_request){.kind = REQUEST_PREPARED,
                                                 .statement = STATEMENT_ACCOUNT_PAGE,
                                                 .finish = accounts_came,
                                                 .done.accounts = done,
                                                 .arg = arg});
}

/* --- history ----------------------------------------------------------------------------------*/

/* The columns of sql/read_history.sql behind the account. */
enum {
    AT_TRANSFER = ERA_COLUMNS + ROWS_ACCOUNT_COLUMNS,
    AT_LEG,
    AT_VERSION,
    AT_AMOUNT,
    AT_BALANCE,
    AT_COUNTERPARTY,
    AT_KIND,
    AT_KEY,
    AT_MEMO,
    AT_AT
};
#define HISTORY_SHAPE ERA_SHAPE ROWS_ACCOUNT "88888ttttt"

static bool read_movement(const PGresult *rows, int row, struct store_history_row *movement)
{
    movement->counterparty = rows_text(rows, row, AT_COUNTERPARTY);
    movement->kind = rows_text(rows, row, AT_KIND);
    movement->key = rows_text(rows, row, AT_KEY);
    movement->memo = rows_text(rows, row, AT_MEMO);
    movement->at = rows_text(rows, row, AT_AT);
    return rows_count(rows, row, AT_TRANSFER, &movement->transfer) &&
           rows_count(rows, row, AT_VERSION, &movement->version) &&
           rows_int8(rows, row, AT_AMOUNT, &movement->amount) &&
           rows_int8(rows, row, AT_BALANCE, &movement->balance) && movement->counterparty != NULL &&
           movement->kind != NULL && movement->key != NULL && movement->at != NULL;
}

/* One row at least: the account, with NULLs where it has no movement. */
static bool read_history_rows(struct store_link *link, const PGresult *rows,
                              struct store_history *reply)
{
    int count = PQntuples(rows);
    struct store_history_row *movements = link_scratch(link, (size_t)count * sizeof(*movements));

    if (!rows_have_shape(rows, HISTORY_SHAPE) || count == 0 || !read_era(rows, 0, &reply->era) ||
        !read_present(rows, 0, ERA_COLUMNS, &reply->present)) {
        return false;
    }
    reply->rows = movements;
    if (count == 1 && rows_is_null(rows, 0, AT_TRANSFER)) {
        return true;
    }
    for (int row = 0; row < count; row++) {
        if (!read_movement(rows, row, &movements[row])) {
            return false;
        }
    }
    reply->count = (size_t)count;
    return true;
}

static void history_came(struct store_link *link, const struct store_request *request,
                         const struct store_reply *reply)
{
    struct store_history history = {0};

    if (reply->status != STORE_OK) {
        request->done.history(request->arg, reply->status, reply->error, NULL);
    } else if (!read_history_rows(link, reply->result, &history)) {
        struct store_error error = request_misfit(request);

        request->done.history(request->arg, STORE_REFUSED, &error, NULL);
    } else {
        request->done.history(request->arg, STORE_OK, reply->error, &history);
    }
}

void store_read_history(struct store_link *link, const struct account_id *account, uint64_t before,
                        int count, store_history_fn *done, void *arg)
{
    struct params *params = request_params(link);

    assert(count > 0 && count <= HISTORY_ROWS_MAX);
    params_text(params, account->bytes, account->len);
    if (before == 0 || before > INT64_MAX) {
        params_null(params);
    } else {
        params_int8(params, (int64_t)before);
    }
    params_int8(params, count);
    request_submit(link, &(struct store_request){.kind = REQUEST_PREPARED,
                                                 .statement = STATEMENT_READ_HISTORY,
                                                 .finish = history_came,
                                                 .done.history = done,
                                                 .arg = arg});
}

/* --- the balance at a time --------------------------------------------------------------------*/

static bool read_balance_at_row(const PGresult *rows, struct store_balance_at *reply)
{
    const int balance = ERA_COLUMNS + ROWS_ACCOUNT_COLUMNS;

    if (!rows_have_shape(rows, ERA_SHAPE ROWS_ACCOUNT "88") || PQntuples(rows) != 1 ||
        !read_era(rows, 0, &reply->era) || !read_present(rows, 0, ERA_COLUMNS, &reply->present)) {
        return false;
    }
    if (rows_is_null(rows, 0, balance) && rows_is_null(rows, 0, balance + 1)) {
        return true;
    }
    return rows_int8(rows, 0, balance, &reply->balance) &&
           rows_count(rows, 0, balance + 1, &reply->version) && reply->version > 0;
}

static void balance_at_came(struct store_link *link, const struct store_request *request,
                            const struct store_reply *reply)
{
    struct store_balance_at balance_at = {0};

    (void)link;
    if (reply->status != STORE_OK) {
        request->done.balance_at(request->arg, reply->status, reply->error, NULL);
    } else if (!read_balance_at_row(reply->result, &balance_at)) {
        struct store_error error = request_misfit(request);

        request->done.balance_at(request->arg, STORE_REFUSED, &error, NULL);
    } else {
        request->done.balance_at(request->arg, STORE_OK, reply->error, &balance_at);
    }
}

void store_read_balance_at(struct store_link *link, const struct account_id *account,
                           const char *time, store_balance_at_fn *done, void *arg)
{
    struct params *params = request_params(link);

    params_text(params, account->bytes, account->len);
    params_text(params, time, strlen(time));
    request_submit(link, &(struct store_request){.kind = REQUEST_PREPARED,
                                                 .statement = STATEMENT_READ_BALANCE_AT,
                                                 .finish = balance_at_came,
                                                 .done.balance_at = done,
                                                 .arg = arg});
}

/* --- system accounts --------------------------------------------------------------------------*/

static bool read_system_rows(const PGresult *rows, struct store_system_balance *balances)
{
    if (!rows_have_shape(rows, "tt")) {
        return false;
    }
    for (int row = 0; row < PQntuples(rows); row++) {
        balances[row].asset = rows_text(rows, row, 0);
        balances[row].balance = rows_text(rows, row, 1);
        if (balances[row].asset == NULL || balances[row].balance == NULL) {
            return false;
        }
    }
    return true;
}

static void system_came(struct store_link *link, const struct store_request *request,
                        const struct store_reply *reply)
{
    struct store_system_balance *balances;
    size_t count;

    if (reply->status != STORE_OK) {
        request->done.system(request->arg, reply->status, reply->error, NULL, 0);
        return;
    }
    count = (size_t)PQntuples(reply->result);
    balances = link_scratch(link, count * sizeof(*balances));
    if (!read_system_rows(reply->result, balances)) {
        struct store_error error = request_misfit(request);

        request->done.system(request->arg, STORE_REFUSED, &error, NULL, 0);
        return;
    }
    request->done.system(request->arg, STORE_OK, reply->error, balances, count);
}

void store_read_system(struct store_link *link, const struct account_id *account,
                       store_system_fn *done, void *arg)
{
    struct params *params = request_params(link);

    params_text(params, account->bytes, account->len);
    request_submit(link, &(struct store_request){.kind = REQUEST_PREPARED,
                                                 .statement = STATEMENT_READ_SYSTEM_BALANCE,
                                                 .finish = system_came,
                                                 .done.system = done,
                                                 .arg = arg});
}
