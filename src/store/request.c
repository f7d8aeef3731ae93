/*
 * The one request in flight: from its submission to its end.
 *
 *   NONE -> ADJUSTING -> SENDING     [request_submit]  it wants other settings in the session
 *   NONE -> SENDING                  [request_submit]
 *   SENDING -> SENT                  [flush]           the kernel has all of it
 *   SENDING, SENT -> NONE            [complete]        ReadyForQuery came: the end is definite
 *   any -> NONE                      [request_abandon] the connection is gone
 *
 * A definite end takes ReadyForQuery, which libpq shows as PQgetResult() returning NULL on a
 * connection that is still good: rows come before their commit, and a FATAL may come after it.
 * Without ReadyForQuery the end is in doubt once all has been sent. Before that nothing can have
 * been applied, because a transaction commits at the Sync message, which stands last.
 *
 * What the owner submits while the link is not up takes no part in this: it is set aside, since
 * session.c may have a request on the connection, and is UNSENT in the next turn of the loop.
 */
#include "store/link.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/sqlstate.h"

/* How much longer than the server's own timeout we wait for a server that says nothing. */
#define REQUEST_GRACE_MS 500

/* A session that turned out to be read-only is given up to see whether a new one still is, but
 * not more often than this: reads of the same link go on in between. */
#define LOOK_AGAIN_US 1000000

static void request_send(struct store_link *link);

/* At most one of the owner's, wherever it stands. */
static bool owner_waits(const struct store_link *link)
{
    return link->rejecting || (link->stage != REQUEST_NONE && !link->request.greeting);
}

struct params *request_params(struct store_link *link)
{
    assert(!owner_waits(link));
    params_reset(&link->params);
    return &link->params;
}

static int request_timeout_ms(const struct store_link *link)
{
    return link->request.timeout_ms > 0 ? link->request.timeout_ms
                                        : link->options.statement_timeout_ms;
}

void request_submit(struct store_link *link, const struct store_request *request)
{
    int64_t deadline_ms;
    struct timeval deadline;
    int failed;

    assert(link->state != LINK_CLOSED);
    if (!request->greeting && link->state != LINK_UP) {
        assert(!owner_waits(link));
        link->rejecting = true;
        link->rejected = *request;
        event_active(link->deferred, 0, 0);
        return;
    }
    assert(link->stage == REQUEST_NONE && (request->greeting || !link->rejecting));
    link->request = *request;
    link->copying = false;
    link->replication_cancelled = false;
    if (request->greeting) {
        request_send(link);
        return;
    }
    deadline_ms = (int64_t)request_timeout_ms(link) + REQUEST_GRACE_MS;
    deadline = (struct timeval){deadline_ms / 1000, deadline_ms % 1000 * 1000};
    failed = event_add(link->timer, &deadline);
    assert(!failed);
    request_send(link);
}

/* --- sending ----------------------------------------------------------------------------------*/

/* Of what libpq holds, as much as the socket takes. */
static void flush(struct store_link *link)
{
    int left = PQflush(link->conn);

    if (left < 0) {
        link_fail_broken(link);
    } else if (left > 0) {
        event_add(link->writable, NULL);
    } else if (link->stage == REQUEST_SENDING) {
        link->stage = REQUEST_SENT;
    }
}

static bool send_prepared(struct store_link *link)
{
    struct params *params = &link->params;

    params_seal(params);
    return PQsendQueryPrepared(link->conn, session_statement_name(link->request.statement),
                               params->count, params->values, params->lengths, params->formats, 1);
}

static bool send_prepare(struct store_link *link)
{
    const struct store_request *request = &link->request;
    const Oid *types;
    int count = session_statement_types(request->statement, &types);

    return PQsendPrepare(link->conn, session_statement_name(request->statement), request->sql,
                         count, types);
}

static bool send_by_kind(struct store_link *link)
{
    const struct store_request *request = &link->request;

    switch (request->kind) {
    case REQUEST_PREPARED:
        return send_prepared(link);
    case REQUEST_TEXT:
        return PQsendQueryParams(link->conn, request->sql, request->value_count, NULL,
                                 request->values, NULL, NULL, 0);
    case REQUEST_HELLO:
        return PQsendQueryParams(link->conn, request->sql, 0, NULL, NULL, NULL, NULL, 1);
    case REQUEST_SCRIPT:
    case REQUEST_COPY:
        return PQsendQuery(link->conn, request->sql);
    case REQUEST_PREPARE:
        return send_prepare(link);
    }
    assert(!"a kind of request");
    return false;
}

static bool fits_session(const struct store_link *link)
{
    return request_timeout_ms(link) == link->session_timeout_ms && !link->fuses_are_old;
}

static bool send_adjustment(struct store_link *link)
{
    char fuses[SESSION_FUSES_ROOM], sql[sizeof fuses + 64];

    session_put_fuses(link, fuses);
    snprintf(sql, sizeof(sql), "SET statement_timeout = %d;%s", request_timeout_ms(link), fuses);
    return PQsendQuery(link->conn, sql);
}

static void request_send(struct store_link *link)
{
    PGTransactionStatusType transaction = PQtransactionStatus(link->conn);
    bool sent;

    /* Inside a transaction that somebody's store_query() left open nothing would be committed. */
    if (link->request.kind == REQUEST_PREPARED &&
        (transaction == PQTRANS_INTRANS || transaction == PQTRANS_INERROR)) {
        link->stage = REQUEST_SENDING;
        link_fail(link, "a transaction was left open on the connection");
        return;
    }
    if (!link->request.greeting && !fits_session(link)) {
        link->stage = REQUEST_ADJUSTING;
        sent = send_adjustment(link);
    } else {
        link->stage = REQUEST_SENDING;
        sent = send_by_kind(link);
    }
    if (sent) {
        flush(link);
    } else {
        link_fail_broken(link);
    }
}

/* --- the end ----------------------------------------------------------------------------------*/

static void finish(struct store_link *link, enum store_status status,
                   const struct store_error *error)
{
    struct store_request request = link->request;
    PGresult *result = link->result;
    struct store_reply reply = {
        .status = status, .error = error, .result = status == STORE_OK ? result : NULL};

    link->stage = REQUEST_NONE;
    link->result = NULL;
    request.finish(link, &request, &reply);
    PQclear(result);
}

static void describe_error(const PGresult *result, struct store_error *error)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);

    if (primary == NULL) {
        primary = PQresultErrorMessage(result);
    }
    snprintf(error->sqlstate, sizeof(error->sqlstate), "%s", sqlstate == NULL ? "" : sqlstate);
    snprintf(error->text, sizeof(error->text), "%.*s%s%s", (int)strcspn(primary, "\n"), primary,
             detail == NULL ? "" : ": ", detail == NULL ? "" : detail);
}

/* FATAL and PANIC end the session, at any moment, also between a commit and its ReadyForQuery. */
static bool ends_session(const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

    return severity == NULL || strcmp(severity, "ERROR") != 0;
}

/* An ERROR with ReadyForQuery behind it. Where the session is of no more use, the link fails
 * before the callback, so that what the callback submits is UNSENT. */
static enum store_status judge_error(struct store_link *link, const struct store_error *error)
{
    struct sqlstate_meaning meaning = sqlstate_classify(error->sqlstate);

    if (link->request.greeting) {
        return meaning.status;
    }
    if (link->request.kind != REQUEST_PREPARED && sqlstate_blames_statement(error->sqlstate)) {
        return STORE_REFUSED; /* the text was somebody's: it says nothing of the schema */
    }
    if (meaning.reconnect) {
        link_fail(link, "%s (%s)", error->text, error->sqlstate);
    } else if (strcmp(error->sqlstate, "25006") == 0 &&
               clock_boot_us() - link->up_us >= LOOK_AGAIN_US) {
        link->look_again = true;
        link_fail(link, "the database is read-only: looking again");
    }
    return meaning.status;
}

static enum store_status judge(struct store_link *link, struct store_error *error)
{
    switch (PQresultStatus(link->result)) {
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        break;
    case PGRES_FATAL_ERROR:
        describe_error(link->result, error);
        if (!ends_session(link->result)) {
            return judge_error(link, error);
        }
        link_fail(link, "%s", error->text);
        return STORE_IN_DOUBT;
    default:
        snprintf(error->text, sizeof(error->text), "the server's reply is none");
        link_fail(link, "%s", error->text);
        return STORE_IN_DOUBT;
    }
    if (link->request.kind == REQUEST_PREPARED && PQtransactionStatus(link->conn) != PQTRANS_IDLE) {
        snprintf(error->text, sizeof(error->text), "a transaction is left open");
        link_fail(link, "%s", error->text);
        return STORE_IN_DOUBT;
    }
    return link->replication_cancelled ? STORE_LOCAL_ONLY : STORE_OK;
}

static void complete(struct store_link *link)
{
    struct store_error error = {"", ""};
    enum store_status status;

    if (PQstatus(link->conn) != CONNECTION_OK) {
        link_fail_broken(link);
        return;
    }
    if (link->stage == REQUEST_ADJUSTING) {
        if (PQresultStatus(link->result) != PGRES_COMMAND_OK) {
            link_fail(link, "cannot set up the session for a request");
            return;
        }
        PQclear(link->result);
        link->result = NULL;
        link->session_timeout_ms = request_timeout_ms(link);
        request_send(link);
        return;
    }
    if (!link->request.greeting) {
        event_del(link->timer);
    }
    status = judge(link, &error);
    if (status == STORE_LOCAL_ONLY) {
        snprintf(error.text, sizeof(error.text),
                 "committed here, but the wait for the synchronous standby was cancelled");
    }
    finish(link, status, &error);
}

/* Of several statements the last one's result counts, but an error before all. */
static void keep_result(struct store_link *link, PGresult *result)
{
    if (link->result != NULL && PQresultStatus(link->result) == PGRES_FATAL_ERROR) {
        PQclear(result);
        return;
    }
    PQclear(link->result);
    link->result = result;
}

static bool is_copy(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/* Hands on the rows of a COPY that have arrived; false while more are to come. */
static bool copy_has_ended(struct store_link *link)
{
    char *line;
    int len;

    while ((len = PQgetCopyData(link->conn, &line, true)) > 0) {
        link->request.line(link->request.arg, line, (size_t)len - 1); /* a newline ends it */
        PQfreemem(line);
    }
    if (len == -2) {
        link_fail_broken(link);
        return false;
    }
    link->copying = len == 0;
    return !link->copying;
}

void request_advance(struct store_link *link)
{
    if (link->stage == REQUEST_NONE) {
        (void)PQisBusy(link->conn); /* has libpq read notices and notifications */
        return;
    }
    if (PQstatus(link->conn) == CONNECTION_OK) {
        flush(link);
    }
    while (link->state != LINK_FAILING && (!link->copying || copy_has_ended(link)) &&
           !PQisBusy(link->conn)) {
        PGresult *result = PQgetResult(link->conn);

        if (result == NULL) {
            complete(link);
            return;
        }
        if (PQresultStatus(result) == PGRES_COPY_OUT && link->request.kind == REQUEST_COPY) {
            PQclear(result);
            link->copying = true;
            continue;
        }
        if (is_copy(result)) { /* libpq would return it for ever */
            PQclear(result);
            link_fail(link, "COPY cannot be done on this connection");
            return;
        }
        keep_result(link, result);
    }
}

void request_expire(struct store_link *link)
{
    link_fail(link, "no answer within %d ms", request_timeout_ms(link) + REQUEST_GRACE_MS);
}

void request_reject(struct store_link *link)
{
    struct store_request request = link->rejected;
    struct store_error error = {"", ""};

    if (link->rejecting) {
        link->rejecting = false;
        snprintf(error.text, sizeof(error.text), "%s",
                 link->state == LINK_UP ? "the store was not connected yet" : link->why);
        request.finish(link, &request,
                       &(struct store_reply){.status = STORE_UNSENT, .error = &error});
    }
}

void request_abandon(struct store_link *link)
{
    struct store_error error = {"", ""};
    enum request_stage stage = link->stage;

    if (stage == REQUEST_NONE || link->request.greeting) {
        PQclear(link->result);
        link->result = NULL;
        link->stage = REQUEST_NONE;
        return;
    }
    if (link->result != NULL && PQresultStatus(link->result) == PGRES_FATAL_ERROR) {
        describe_error(link->result, &error);
    } else {
        snprintf(error.text, sizeof(error.text), "%s", link->why);
    }
    finish(link, stage == REQUEST_SENT ? STORE_IN_DOUBT : STORE_UNSENT, &error);
}

struct store_error request_misfit(const struct store_request *request)
{
    const char *name = session_statement_name(request->statement);
    struct store_error error = {"", ""};

    log_event(LOG_LEVEL_ERROR, "store-reply-refused", "statement=%s", name);
    snprintf(error.text, sizeof(error.text), "the store's reply to %s is refused: it does not fit",
             name);
    return error;
}

/*
 * Fault row 5: a cancelled wait for a synchronous standby comes as a WARNING with the commit's
 * ordinary reply. The function's name in the server's source is the same in every language.
 */
void request_note(void *arg, const PGresult *notice)
{
    struct store_link *link = arg;
    const char *function = PQresultErrorField(notice, PG_DIAG_SOURCE_FUNCTION);
    const char *primary = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);

    if ((function != NULL && strcmp(function, "SyncRepWaitForLSN") == 0) ||
        (primary != NULL && strstr(primary, "wait for synchronous replication") != NULL)) {
        link->replication_cancelled = true;
    }
    if (ends_session(notice) && link->stage == REQUEST_NONE && primary != NULL) {
        const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);

        if (severity != NULL && strcmp(severity, "FATAL") == 0) {
            snprintf(link->parting, sizeof(link->parting), "%s", primary);
        }
    }
}
