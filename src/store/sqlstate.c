/*
 * The one table of SQLSTATEs. A row of five characters stands before the row of its class.
 */
#include "store/sqlstate.h"

#include <stddef.h>
#include <string.h>

struct sqlstate_row {
    const char *prefix; /* five characters, or the two of a class */
    enum store_status status;
    bool reconnect;
};

static const struct sqlstate_row rows[] = {
    /* Connection exceptions, among them 08007, transaction resolution unknown. */
    {"08", STORE_IN_DOUBT, true},
    /* "cached plan must not change result type": a migration passed under a live session. */
    {"0A000", STORE_TRANSIENT, true},
    {"25006", STORE_READONLY, false},  /* read-only transaction; link.c looks again by itself */
    {"25P02", STORE_TRANSIENT, true},  /* an aborted transaction was left open: not by us */
    {"26000", STORE_TRANSIENT, true},  /* prepared statement gone: DISCARD ALL, or a pooler */
    {"3F000", STORE_READONLY, true},   /* schema gone while live (row 12): no writes */
    {"40001", STORE_TRANSIENT, false}, /* serialization failure */
    {"40003", STORE_IN_DOUBT, true},   /* statement completion unknown */
    {"40P01", STORE_TRANSIENT, false}, /* deadlock */
    {"42501", STORE_READONLY, false}, /* privilege lost (row 11): of no single operation's making */
    {"42703", STORE_READONLY, true},  /* column, function, table gone while live (row 12) */
    {"42883", STORE_READONLY, true},
    {"42P01", STORE_READONLY, true},
    {"53100", STORE_READONLY, false},  /* disk full */
    {"53", STORE_TRANSIENT, false},    /* out of memory, of connections, of configured room */
    {"55P03", STORE_TRANSIENT, false}, /* lock timeout */
    {"57014", STORE_TRANSIENT, false}, /* statement timeout, or a DBA's pg_cancel_backend */
    {"57", STORE_IN_DOUBT, true},      /* shutdown, crash, database dropped, starting up */
    {"58", STORE_READONLY, false},     /* I/O errors of the server's disk */
};

struct sqlstate_meaning sqlstate_classify(const char *sqlstate)
{
    struct sqlstate_meaning refused = {STORE_REFUSED, false};

    if (sqlstate == NULL || strlen(sqlstate) != 5) {
        return refused;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strncmp(sqlstate, rows[i].prefix, strlen(rows[i].prefix)) == 0) {
            return (struct sqlstate_meaning){rows[i].status, rows[i].reconnect};
        }
    }
    return refused;
}

bool sqlstate_blames_statement(const char *sqlstate)
{
    return strncmp(sqlstate, "42", 2) == 0 || strcmp(sqlstate, "3F000") == 0 ||
           strcmp(sqlstate, "0A000") == 0;
}

bool sqlstate_is_schema_missing(const char *sqlstate)
{
    static const char *const missing[] = {"3D000", "3F000", "42703", "42883", "42P01"};

    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        if (strcmp(sqlstate, missing[i]) == 0) {
            return true;
        }
    }
    return false;
}
