/*
 * From "connected" to "up", one request after the other:
 *
 *   settings   what the session must be like whatever the server, database and role say; a link
 *              that posts also takes its lock, once its earlier backend is gone
 *   hello      whom we talk to: a primary, durable, with the schema of this program
 *   prepare    every statement, once
 *   listen     on the channel that the link's owner wants to hear
 *
 * Anything that is not as it has to be fails the link with the reason; most reasons pass, a few
 * only an operator can mend (fault rows 12 and 13). A database that is merely read-only is taken:
 * reads go on, posting is refused by the server until it takes writes again (fault row 6).
 */
#include "store/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gen/sql.h"
#include "store/rows.h"
#include "store/sqlstate.h"

#define SERVER_VERSION_MIN 150000 /* PostgreSQL 15 */

/* Room for the settings, and for what prepare_statement() puts around a statement. */
#define FRAME_BYTES_MAX 2048
#define WRITER_LOCK_BYTES_MAX 768

struct statement_row {
    const char *name;
    const char *sql;
    bool era_row; /* the result is the era row: its timeline goes with it */
    int count;
    Oid types[PARAMS_MAX];
};

static const struct statement_row statements[] = {
    [STATEMENT_POST_BATCH] = {"post_batch",
                              sql_post_batch,
                              false,
                              11,
                              {PARAM_TEXT_ARRAY, PARAM_TEXT_ARRAY, PARAM_TEXT_ARRAY,
                               PARAM_TEXT_ARRAY, PARAM_TEXT_ARRAY, PARAM_INT8_ARRAY,
                               PARAM_INT8_ARRAY, PARAM_TEXT_ARRAY, PARAM_INT4_ARRAY, PARAM_INT8,
                               PARAM_INT8}},
    [STATEMENT_READ_REFUSALS] = {"read_refusals", sql_read_refusals, false, 1, {PARAM_INT8}},
    [STATEMENT_LOCKED_ACCOUNTS] =
        {"locked_accounts", sql_locked_accounts, false, 1, {PARAM_TEXT_ARRAY}},
    [STATEMENT_READ_ACCOUNTS] = {"read_accounts", sql_read_accounts, false, 1, {PARAM_TEXT_ARRAY}},
    [STATEMENT_ACCOUNT_PAGE] =
        {"account_page", sql_account_page, false, 2, {PARAM_TEXT, PARAM_INT4}},
    [STATEMENT_READ_HISTORY] =
        {"read_history", sql_read_history, false, 3, {PARAM_TEXT, PARAM_INT8, PARAM_INT8}},
    [STATEMENT_READ_BALANCE_AT] =
        {"read_balance_at", sql_read_balance_at, false, 2, {PARAM_TEXT, PARAM_TEXT}},
    [STATEMENT_READ_SYSTEM_BALANCE] =
        {"read_system_balance", sql_read_system_balance, false, 1, {PARAM_TEXT}},
    [STATEMENT_ANNOUNCED] = {"announced", sql_announced, false, 2, {PARAM_TEXT, PARAM_INT4}},
    [STATEMENT_FORGET_ANNOUNCED] =
        {"forget_announced", sql_forget_announced, false, 2, {PARAM_TEXT_ARRAY, PARAM_INT8_ARRAY}},
    [STATEMENT_LEASE_RENEW] = {"lease_renew",
                               sql_lease_renew,
                               false,
                               7,
                               {PARAM_TEXT, PARAM_TEXT, PARAM_INT8, PARAM_TEXT, PARAM_TEXT,
                                PARAM_TEXT, PARAM_INT8}},
    [STATEMENT_LEASE_DROP] = {"lease_drop", sql_lease_drop, false, 1, {PARAM_TEXT}},
    [STATEMENT_LEASE_EXPEL] = {"lease_expel",
                               sql_lease_expel,
                               false,
                               4,
                               {PARAM_TEXT, PARAM_INT8, PARAM_INT8, PARAM_INT8}},
    [STATEMENT_ERA_READ] = {"era_read", sql_era_read, true, 0, {0}},
    [STATEMENT_ERA_CLOSE] = {"era_close", sql_era_close, true, 1, {PARAM_INT8}},
    [STATEMENT_ERA_DRAIN] = {"era_drain", sql_era_drain, true, 1, {PARAM_INT8}},
    [STATEMENT_ERA_OPEN] = {"era_open",
                            sql_era_open,
                            true,
                            5,
                            {PARAM_INT8, PARAM_INT8, PARAM_TEXT, PARAM_TEXT, PARAM_TEXT}},
    [STATEMENT_ERA_REWOUND] = {"era_rewound", sql_era_rewound, true, 1, {PARAM_INT8}},
};

_Static_assert(sizeof(statements) / sizeof(statements[0]) == STATEMENT_COUNT,
               "every statement has its row");

const char *session_statement_name(enum statement statement)
{
    return statements[statement].name;
}

int session_statement_types(enum statement statement, const Oid **types)
{
    *types = statements[statement].types;
    return statements[statement].count;
}

/* --- the last steps: prepare, listen ----------------------------------------------------------*/

static void listening(struct store_link *link, const struct store_request *request,
                      const struct store_reply *reply)
{
    (void)request;
    if (reply->status != STORE_OK) {
        link_fail(link, "cannot listen: %s", reply->error->text);
        return;
    }
    link_come_up(link);
}

static void listen_or_come_up(struct store_link *link)
{
    if (link->options.listen == NULL) {
        link_come_up(link);
        return;
    }
    char *sql = link_scratch(link, FRAME_BYTES_MAX);
    snprintf(sql, FRAME_BYTES_MAX, "LISTEN %s", link->options.listen);
    request_submit(link,
                   &(struct store_request){
                       .kind = REQUEST_SCRIPT, .greeting = true, .sql = sql, .finish = listening});
}

static void prepare_statement(struct store_link *link);

static void prepared(struct store_link *link, const struct store_request *request,
                     const struct store_reply *reply)
{
    if (reply->status != STORE_OK) {
        const char *name = statements[request->statement].name;

        if (sqlstate_is_schema_missing(reply->error->sqlstate)) {
            link_refuse(link,
                        "the schema does not fit this program (%s: %s): run `ballast migrate`",
                        name, reply->error->text);
        } else {
            link_fail(link, "cannot prepare %s: %s", name, reply->error->text);
        }
        return;
    }
    if (++link->preparing < STATEMENT_COUNT) {
        prepare_statement(link);
    } else {
        listen_or_come_up(link);
    }
}

/* The outer statement's snapshot is older than what the inner function did: on a new timeline the
 * first reply says so, later ones find it noted. */
static void prepare_statement(struct store_link *link)
{
    const struct statement_row *row = &statements[link->preparing];
    size_t size = strlen(row->sql) + FRAME_BYTES_MAX;
    char *sql = link_scratch(link, size);

    snprintf(sql, size,
             row->era_row ? "SELECT r.*, e.timeline = ballast.timeline()\n"
                            "FROM (%s) AS r CROSS JOIN ballast.era AS e"
                          : "%s",
             row->sql);
    request_submit(link, &(struct store_request){.kind = REQUEST_PREPARE,
                                                 .greeting = true,
                                                 .statement = link->preparing,
                                                 .sql = sql,
                                                 .finish = prepared});
}

/* --- hello ------------------------------------------------------------------------------------*/

struct hello {
    bool in_recovery;
    bool fsync;
    bool read_only;
    int32_t schema_version;
    int32_t server_version;
};

static bool parse_hex(const char *text, uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char digits[3] = {text[2 * i], text[2 * i] == '\0' ? '\0' : text[2 * i + 1], '\0'};
        char *rest;

        if (strspn(digits, "0123456789abcdefABCDEF") != 2) {
            return false;
        }
        out[i] = (uint8_t)strtoul(digits, &rest, 16);
    }
    return text[2 * size] == '\0';
}

static bool parse_switch(const PGresult *result, int column, bool *on)
{
    const char *text = rows_text(result, 0, column);

    if (text == NULL || (strcmp(text, "on") != 0 && strcmp(text, "off") != 0)) {
        return false;
    }
    *on = strcmp(text, "on") == 0;
    return true;
}

/* The key is kept in the link. */
static bool parse_hello(struct store_link *link, const PGresult *result, struct hello *hello)
{
    const char *key;

    if (!rows_have_shape(result, "btt44ttt") || PQntuples(result) != 1) {
        return false;
    }
    key = rows_text(result, 0, 5);
    return rows_bool(result, 0, 0, &hello->in_recovery) && parse_switch(result, 1, &hello->fsync) &&
           parse_switch(result, 2, &hello->read_only) &&
           rows_int4(result, 0, 3, &hello->schema_version) &&
           rows_int4(result, 0, 4, &hello->server_version) && key != NULL &&
           parse_hex(key, link->mac_key, sizeof(link->mac_key));
}

/* False, with the link failed, where the server or its schema is not for us. */
static bool accept_hello(struct store_link *link, const struct hello *hello)
{
    const char *database = PQdb(link->conn);
    int wanted = sql_migrations[sql_migrations_count - 1].version;

    if (hello->server_version < SERVER_VERSION_MIN) {
        link_refuse(link, "PostgreSQL 15 or later is needed, the server's version is %d",
                    hello->server_version);
    } else if (hello->in_recovery) {
        link_fail(link, "the server is a standby: only a primary can be asked");
    } else if (!hello->fsync && !link->options.allow_fsync_off) {
        link_refuse(link, "fsync is off in the server: commits would not be durable");
    } else if (hello->schema_version < wanted) {
        link_refuse(link,
                    "the schema in database %s has version %d, %d is needed: "
                    "run `ballast migrate`",
                    database, hello->schema_version, wanted);
    } else if (hello->schema_version > wanted) {
        link_refuse(link,
                    "the schema in database %s has version %d, newer than this program's %d: "
                    "upgrade the program",
                    database, hello->schema_version, wanted);
    } else {
        return true;
    }
    return false;
}

static void greeted(struct store_link *link, const struct store_request *request,
                    const struct store_reply *reply)
{
    struct hello hello;

    (void)request;
    if (reply->status != STORE_OK) {
        if (sqlstate_is_schema_missing(reply->error->sqlstate)) {
            link_refuse(link, "database %s has no schema ballast: run `ballast migrate`",
                        PQdb(link->conn));
        } else {
            link_fail(link, "cannot ask the server for its state: %s", reply->error->text);
        }
        return;
    }
    if (!parse_hello(link, reply->result, &hello)) {
        link_refuse(link, "database %s: daemon_hello gave an unexpected result", PQdb(link->conn));
        return;
    }
    if (!accept_hello(link, &hello)) {
        return;
    }
    link->schema_version = hello.schema_version;
    link->read_only = hello.read_only;
    link->preparing = 0;
    prepare_statement(link);
}

/* --- settings ---------------------------------------------------------------------------------*/

/* A pooler between us gives a connection's statements to any backend: neither settings nor
 * prepared statements nor LISTEN would hold (fault row 17). The process id that it made up for us
 * is not that of the backend. */
static bool is_pooled(const struct store_link *link, const PGresult *result)
{
    return PQntuples(result) != 1 || PQnfields(result) != 1 ||
           atoi(PQgetvalue(result, 0, 0)) != PQbackendPID(link->conn);
}

static void settings_made(struct store_link *link, const struct store_request *request,
                          const struct store_reply *reply)
{
    (void)request;
    if (reply->status != STORE_OK) {
        link_fail(link, "cannot set up the session: %s", reply->error->text);
    } else if (is_pooled(link, reply->result)) {
        link_fail(link, "a connection pooler stands between: give the address of PostgreSQL");
    } else if (link->bare) {
        link_come_up(link);
    } else {
        request_submit(link, &(struct store_request){.kind = REQUEST_HELLO,
                                                     .greeting = true,
                                                     .sql = sql_daemon_hello,
                                                     .finish = greeted});
    }
}

/*
 * A posting whose connection broke may still be waiting in its old backend, and be carried out after
 * the same keys were sent again and refused (invariant 2: "in progress" is not "aborted"). So a link
 * that posts holds a session lock of its own, and a new connection of it first ends the backend that
 * still holds the lock, and waits for its end. pg_locks names exactly that backend. Behind a pooler,
 * which is found out by the same reply, the backend is not ours, and neither is the lock.
 */
static int put_writer_lock(const struct store_link *link, char *out, size_t size)
{
    if (link->options.lease == NULL) {
        return snprintf(out, size, "%s", "");
    }
    uint64_t id = (uint64_t)link->writer_id;
    return snprintf(out, size,
                    "DO $$ BEGIN IF pg_backend_pid() = %d THEN "
                    "PERFORM pg_terminate_backend(l.pid) FROM pg_locks AS l"
                    " WHERE l.locktype = 'advisory' AND l.objsubid = 1"
                    " AND l.classid = %" PRIu64 "::text::oid AND l.objid = %" PRIu64 "::text::oid"
                    " AND l.database = (SELECT d.oid FROM pg_database AS d"
                    " WHERE d.datname = current_database());"
                    "PERFORM pg_advisory_lock(%" PRId64 ");"
                    "END IF; END $$;",
                    PQbackendPID(link->conn), id >> 32, id & UINT32_MAX, link->writer_id);
}

/* What ballast.fuse_limits() reads. */
void session_put_fuses(struct store_link *link, char out[SESSION_FUSES_ROOM])
{
    const struct store_fuses *fuses = &link->options.fuses;
    int len = 0;

    link->fuses_are_old = false;
    out[0] = '\0';
    if (fuses->window_ms > 0) {
        len = snprintf(out, SESSION_FUSES_ROOM,
                       "SET ballast.fuses = 'charges=%" PRId64 ",%" PRId64 " suspensions=%" PRId64
                       ",%" PRId64 " window=%" PRId64 ".%03d';",
                       fuses->charges, fuses->charges_percent, fuses->suspensions,
                       fuses->suspensions_percent, fuses->window_ms / 1000,
                       (int)(fuses->window_ms % 1000));
    }
    assert(len >= 0 && len < SESSION_FUSES_ROOM);
}

void store_link_set_fuses(struct store_link *link, const struct store_fuses *fuses)
{
    if (memcmp(&link->options.fuses, fuses, sizeof *fuses) != 0) {
        link->options.fuses = *fuses;
        link->fuses_are_old = true;
    }
}

/*
 * Made by SET rather than in the start-up packet: a pooler may drop unknown start-up settings
 * without a word. client_min_messages lets the warning through that says that a commit is local
 * only (fault row 5).
 */
void session_greet(struct store_link *link)
{
    char *sql = link_scratch(link, FRAME_BYTES_MAX), lock[WRITER_LOCK_BYTES_MAX];
    char fuses[SESSION_FUSES_ROOM];
    int len = put_writer_lock(link, lock, sizeof lock);

    assert(len >= 0 && (size_t)len < sizeof lock);
    session_put_fuses(link, fuses);
    len = snprintf(sql, FRAME_BYTES_MAX,
                   "SET synchronous_commit = on;"
                   "SET client_min_messages = warning;"
                   "SET statement_timeout = %d;"
                   "SET lock_timeout = %d;"
                   "SET default_transaction_isolation = 'read committed';"
                   "SET jit = off;"
                   "SET search_path = ballast, pg_temp;"
                   "SET standard_conforming_strings = on;"
                   "SET DateStyle = ISO;"
                   "SET TimeZone = UTC;"
                   "SET ballast.lease = '%s';"
                   "%s%s"
                   "SELECT pg_backend_pid()",
                   link->options.statement_timeout_ms, link->options.lock_timeout_ms,
                   link->options.lease != NULL ? link->options.lease : "", fuses, lock);
    assert(len >= 0 && len < FRAME_BYTES_MAX);
    link->session_timeout_ms = link->options.statement_timeout_ms;
    request_submit(
        link, &(struct store_request){
                  .kind = REQUEST_SCRIPT, .greeting = true, .sql = sql, .finish = settings_made});
}
