/*
 * Statements with results in text: those of jobs and operators, and lists that people and monitors
 * ask for. None is on the path of a movement or a balance.
 */
#include "store/link.h"

#include "gen/sql.h"

static const char *value_of(const struct store_rows *self, size_t row, size_t column)
{
    const PGresult *result = self->opaque;

    assert(row < self->rows && column < self->columns);
    if (PQgetisnull(result, (int)row, (int)column)) {
        return NULL;
    }
    return PQgetvalue(result, (int)row, (int)column);
}

static void rows_came(struct store_link *link, const struct store_request *request,
                      const struct store_reply *reply)
{
    struct store_rows rows;

    (void)link;
    if (reply->status != STORE_OK) {
        request->done.rows(request->arg, reply->status, reply->error, NULL);
        return;
    }
    rows = (struct store_rows){
        .rows = (size_t)PQntuples(reply->result),
        .columns = (size_t)PQnfields(reply->result),
        .value = value_of,
        .opaque = (void *)reply->result,
    };
    request->done.rows(request->arg, STORE_OK, reply->error, &rows);
}

/* Without parameters the text goes by the simple protocol, which takes several statements. */
void store_query(struct store_link *link, const char *sql, const char *const *params, int count,
                 int timeout_ms, store_rows_fn *done, void *arg)
{
    assert(count >= 0 && timeout_ms >= 0);
    request_submit(link, &(struct store_request){.kind = count == 0 ? REQUEST_SCRIPT : REQUEST_TEXT,
                                                 .sql = sql,
                                                 .values = params,
                                                 .value_count = count,
                                                 .timeout_ms = timeout_ms,
                                                 .finish = rows_came,
                                                 .done.rows = done,
                                                 .arg = arg});
}

void store_read_list(struct store_link *link, enum store_list list, const char *const *account,
                     store_rows_fn *done, void *arg)
{
    const char *sql = list == STORE_LIST_CHARGES ? sql_charge_list : sql_watch;

    store_query(link, sql, account, 1, 0, done, arg);
}
