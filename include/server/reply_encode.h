/*
 * server/reply_encode.h: what the answers of the engine look like on the wire.
 */
#ifndef BALLAST_SERVER_REPLY_ENCODE_H
#define BALLAST_SERVER_REPLY_ENCODE_H

#include "core/engine.h"
#include "server/reply.h"

/* An error with what happened, whether anything was applied, and what to do. */
void encode_refusal(struct resp_writer *out, enum outcome outcome, const char *detail);

/* The error of a read that has no current value (with stale_ok: none at all); OUTCOME_OK where
 * the state may be shown. */
enum outcome encode_read_outcome(const struct read_item *item, bool stale_ok);
enum reply_grade encode_read_error(struct resp_writer *out, enum outcome outcome);

void encode_balance(struct resp_writer *out, const struct read_item *item);
void encode_history(struct resp_writer *out, const struct query_item *item);
void encode_balance_at(struct resp_writer *out, const struct query_item *item);
void encode_charges(struct resp_writer *out, const struct query_item *item);
void encode_system_balance(struct resp_writer *out, const struct query_item *item);
void encode_mutation(struct resp_writer *out, const struct mutation *m,
                     const struct mutation_result *result);

#endif
