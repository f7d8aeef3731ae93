/*
 * Accounts that were changed in SQL: the page of those that nobody has published yet, and taking
 * away what was. A reply that does not fit is REFUSED.
 */
#include "store/link.h"

#include "base/limits.h"
#include "store/rows.h"

/* The columns of sql/announced.sql: the era's two, the account's seven, the mark. */
enum { AT_ERA, AT_STATE, AT_ACCOUNT, AT_MARK = AT_ACCOUNT + ROWS_ACCOUNT_COLUMNS };
#define ANNOUNCED_SHAPE "8t" ROWS_ACCOUNT "8"

static bool read_announced(struct store_link *link, const PGresult *rows,
                           struct store_announced *reply)
{
    int count = PQntuples(rows);
    struct account_entry *entries = link_entries(link, (size_t)count);
    int64_t *marks = link_scratch(link, (size_t)count * sizeof(*marks));

    if (!rows_have_shape(rows, ANNOUNCED_SHAPE) || count == 0 ||
        !rows_count(rows, 0, AT_ERA, &reply->era.id) ||
        !rows_era_state(rows, 0, AT_STATE, &reply->era.state)) {
        return false;
    }
    reply->entries = entries;
    reply->marks = marks;
    if (count == 1 && rows_is_null(rows, 0, AT_ACCOUNT)) {
        return true;
    }
    for (int row = 0; row < count; row++) {
        if (!rows_account(rows, row, AT_ACCOUNT, &entries[row]) ||
            !rows_int8(rows, row, AT_MARK, &marks[row])) {
            return false;
        }
    }
    reply->count = (size_t)count;
    return true;
}

static void announced_came(struct store_link *link, const struct store_request *request,
                           const struct store_reply *reply)
{
    struct store_announced announced = {0};

    if (reply->status != STORE_OK) {
        request->done.announced(request->arg, reply->status, reply->error, NULL);
    } else if (!read_announced(link, reply->result, &announced)) {
        struct store_error error = request_misfit(request);

        request->done.announced(request->arg, STORE_REFUSED, &error, NULL);
    } else {
        request->done.announced(request->arg, STORE_OK, reply->error, &announced);
    }
}

void store_read_announced(struct store_link *link, const struct account_id *after, int limit,
                          store_announced_fn *done, void *arg)
{
    struct params *params = request_params(link);

    assert(limit > 0 && limit <= LIMIT_BATCH_MAX);
    params_text(params, after->bytes, after->len);
    params_int4(params, limit);
    request_submit(link, &(struct store_request){.kind = REQUEST_PREPARED,
                                                 .statement = STATEMENT_ANNOUNCED,
                                                 .finish = announced_came,
                                                 .done.announced = done,
                                                 .arg = arg});
}

static void forgotten(struct store_link *link, const struct store_request *request,
                      const struct store_reply *reply)
{
    (void)link;
    request->done.done(request->arg, reply->status, reply->error);
}

void store_forget_announced(struct store_link *link, const struct account_entry *entries,
                            const int64_t *marks, size_t count, store_done_fn *done, void *arg)
{
    struct params *params = request_params(link);

    assert(count > 0 && count <= LIMIT_BATCH_MAX);
    params_array(params, PARAM_TEXT, (int)count);
    for (size_t i = 0; i < count; i++) {
        params_element_text(params, entries[i].id.bytes, entries[i].id.len);
    }
    params_array(params, PARAM_INT8, (int)count);
    for (size_t i = 0; i < count; i++) {
        params_element_int8(params, marks[i]);
    }
    request_submit(link, &(struct store_request){.kind = REQUEST_PREPARED,
                                                 .statement = STATEMENT_FORGET_ANNOUNCED,
                                                 .finish = forgotten,
                                                 .done.done = done,
                                                 .arg = arg});
}
