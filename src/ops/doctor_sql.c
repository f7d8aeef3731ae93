/* Questions to PostgreSQL, one after the other, over a link that takes any database. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "ops/doctor_parts.h"
#include "ops/link_options.h"
#include "store/bare.h"
#include "store/conninfo.h"

#define LOCK_WAIT_MS 100

static const char not_yet[] = "not connected yet"; /* what a new link says */

static void describe(struct doctor_sql *sql, const char *conninfo)
{
    static const struct {
        const char *keyword, *option;
    } parts[] = {
        {"hostaddr", "-h"}, {"host", "-h"}, {"port", "-p"}, {"user", "-U"}, {"dbname", "-d"}};
    char value[64];
    bool has_host = false;
    size_t len = (size_t)snprintf(sql->psql, sizeof sql->psql, "psql");

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        bool is_host = parts[i].option[1] == 'h';
        if (!store_conninfo_get(conninfo, parts[i].keyword, value, sizeof value) ||
            value[0] == '\0' || (is_host && has_host)) {
            continue;
        }
        has_host |= is_host;
        len += (size_t)snprintf(sql->psql + len, sizeof sql->psql - len, " %s %s", parts[i].option,
                                value);
        if (len >= sizeof sql->psql) {
            return;
        }
    }
}

bool doctor_sql_open(struct doctor_sql *sql, const struct config *config, int64_t until_us,
                     char why[DOCTOR_WHY_ROOM])
{
    static const struct store_hooks no_hooks;
    struct store_options options = store_options_of(config, "ballast doctor");

    options.connect_timeout_ms = DOCTOR_CONNECT_MS;
    options.statement_timeout_ms = DOCTOR_STATEMENT_MS;
    options.lock_timeout_ms = LOCK_WAIT_MS;
    describe(sql, options.conninfo);
    doctor_loop_open(&sql->loop, until_us);
    sql->link =
        store_link_create_bare(sql->loop.base, &options, &no_hooks, NULL, why, DOCTOR_WHY_ROOM);
    if (sql->link == NULL) {
        return false;
    }
    while (!store_link_is_up(sql->link)) {
        if (strcmp(store_link_why(sql->link), not_yet) != 0) {
            snprintf(why, DOCTOR_WHY_ROOM, "%s", store_link_why(sql->link));
            return false;
        }
        if (!doctor_loop_turn(&sql->loop)) {
            snprintf(why, DOCTOR_WHY_ROOM, "no connection in time");
            return false;
        }
    }
    why[0] = '\0';
    return true;
}

static void forget_rows(struct doctor_sql *sql)
{
    for (size_t i = 0; i < sql->rows * sql->columns; i++) {
        free(sql->cells[i]);
    }
    free(sql->cells);
    sql->cells = NULL;
    sql->rows = sql->columns = 0;
}

void doctor_sql_close(struct doctor_sql *sql)
{
    store_link_free(sql->link); /* a question under way is answered into the exam, which is there */
    doctor_loop_close(&sql->loop);
    forget_rows(sql);
}

static void take_rows(void *arg, enum store_status status, const struct store_error *error,
                      const struct store_rows *rows)
{
    struct doctor_sql *sql = arg;

    sql->asking = false;
    sql->status = status;
    sql->timed_out = strcmp(error->sqlstate, "57014") == 0 || strcmp(error->sqlstate, "55P03") == 0;
    if (status != STORE_OK) {
        snprintf(sql->why, sizeof sql->why, "%.*s (%.5s)", DOCTOR_WHY_ROOM - 12, error->text,
                 error->sqlstate);
        return;
    }
    sql->rows = rows->rows < DOCTOR_ROWS_MAX ? rows->rows : DOCTOR_ROWS_MAX;
    sql->columns = rows->columns;
    sql->cells = calloc(sql->rows * sql->columns + 1, sizeof *sql->cells);
    if (sql->cells == NULL) {
        abort();
    }
    for (size_t i = 0; i < sql->rows * sql->columns; i++) {
        const char *value = rows->value(rows, i / sql->columns, i % sql->columns);
        sql->cells[i] = value != NULL ? strdup(value) : NULL;
    }
}

bool doctor_sql_ask(struct doctor_sql *sql, const char *text, int timeout_ms)
{
    bool in_time = true;

    forget_rows(sql);
    sql->timed_out = false;
    if (sql->link == NULL || !store_link_ready(sql->link)) {
        snprintf(sql->why, sizeof sql->why, "the connection is closed");
        return false;
    }
    sql->asking = true;
    sql->status = STORE_UNSENT;
    store_query(sql->link, text, NULL, 0, timeout_ms, take_rows, sql);
    while (sql->asking && in_time) {
        in_time = doctor_loop_turn(&sql->loop);
    }
    if (sql->asking) {
        sql->timed_out = true;
        snprintf(sql->why, sizeof sql->why, "no answer in time");
        return false;
    }
    return sql->status == STORE_OK;
}

const char *doctor_sql_cell(const struct doctor_sql *sql, size_t row, size_t column)
{
    assert(row < sql->rows && column < sql->columns);
    const char *cell = sql->cells[row * sql->columns + column];

    return cell != NULL ? cell : "";
}

int64_t doctor_sql_number(const struct doctor_sql *sql, size_t row, size_t column)
{
    const char *cell = doctor_sql_cell(sql, row, column);
    int64_t value;

    return decimal_parse_int64(cell, strlen(cell), &value) == DECIMAL_OK ? value : 0;
}
