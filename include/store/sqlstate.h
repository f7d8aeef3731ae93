/*
 * store/sqlstate.h (private to the store layer): what an SQLSTATE means for the request that met
 * it. It holds only for an ERROR that ReadyForQuery followed: the transaction is then rolled back.
 * After a FATAL, or with no ReadyForQuery, nobody knows, whatever the code says.
 */
#ifndef BALLAST_STORE_SQLSTATE_H
#define BALLAST_STORE_SQLSTATE_H

#include <stdbool.h>

#include "store/store.h"

struct sqlstate_meaning {
    enum store_status status;
    bool reconnect; /* the session is of no more use: prepared statements or the schema are gone */
};

/* NULL or "" is a code that nobody sent: REFUSED. */
struct sqlstate_meaning sqlstate_classify(const char *sqlstate);

/* The statement's text is at fault: what it names does not exist, or it may not. */
bool sqlstate_blames_statement(const char *sqlstate);

/* Errors of the start: the database or the schema is not what the program needs (fault row 12). */
bool sqlstate_is_schema_missing(const char *sqlstate);

#endif
