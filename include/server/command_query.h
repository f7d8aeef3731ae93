/*
 * server/command_query.h: how a handler asks the engine for one account, or for what only the store
 * can answer. Both return NULL where an error has been answered.
 */
#ifndef BALLAST_SERVER_COMMAND_QUERY_H
#define BALLAST_SERVER_COMMAND_QUERY_H

#include "core/engine.h"
#include "server/reply.h"

/* A reply whose read item is ready for engine_read(); the caller sets `encode`. */
struct reply *read_request(struct call *call, const struct account_id *id) MUST_CHECK;

/* An item, owned by its reply, that is ready for engine_query(). rows: about so many come. */
struct query_item *query_request(struct call *call, enum query_kind kind,
                                 const struct account_id *id, size_t rows) MUST_CHECK;

/* True where the account is a system account: answered with the error that says so. */
bool query_refuses_system(struct call *call, const struct account_id *id) MUST_CHECK;

#endif
