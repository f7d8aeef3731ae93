/*
 * CANSPEND: whether an account may spend an amount. Good news may come from the cache, bad news
 * only from the store (invariant 6):
 *
 *   read, as for a GET ── enough ───────────────────────────────────────────> ALLOW
 *                      ── not enough, or no such account
 *                         └─> asked of the store in a batch of mutations,
 *                             which ends holds whose time is up and records
 *                             a denial ────────────────────> ALLOW, DENY or NOACCOUNT
 *                      ── the store cannot be asked ──────────────────> UNKNOWN
 *
 * UNKNOWN is no denial: the client keeps serving. So is a limit that was reached on the way.
 */
#include "server/command_mutation.h"
#include "server/command_query.h"
#include "server/command_words.h"
#include "server/handlers.h"
#include "server/reply_encode.h"
#include "server/session_state.h"

/* state NULL, or without a version: nothing is known of the account. A denial of which only the outcome
 * came back from the store (its commit's answer was lost) bears none either. */
static void encode_answer(struct resp_writer *out, const char *answer, const char *reason,
                          const struct account_state *state, const char *source)
{
    resp_array(out, 5);
    resp_bulk_text(out, answer);
    resp_bulk_text(out, reason);
    if (state == NULL || state->version == 0) {
        resp_nil(out);
        resp_nil(out);
    } else {
        resp_bulk_int64(out, account_available(state));
        resp_bulk_uint64(out, state->version);
    }
    if (source == NULL) {
        resp_nil(out);
    } else {
        resp_bulk_text(out, source);
    }
}

static enum reply_grade encode_allow(struct resp_writer *out, struct metrics *metrics,
                                     const struct account_state *state, const char *source)
{
    metrics_add(&metrics->canspend_allow, 1);
    encode_answer(out, "ALLOW", "OK", state, source);
    return REPLY_FINE;
}

static enum reply_grade encode_unknown(struct resp_writer *out, struct metrics *metrics,
                                       enum outcome reason, const struct account_state *last)
{
    metrics_add(&metrics->canspend_unknown, 1);
    encode_answer(out, "UNKNOWN", outcome_word(reason), last,
                  last != NULL && last->version > 0 ? "cache" : NULL);
    return REPLY_STALE;
}

/* What the store has decided. */
static enum reply_grade encode_decided(struct resp_writer *out, struct metrics *metrics,
                                       const struct mutation_result *result)
{
    switch (result->outcome) {
    case OUTCOME_OK:
        return encode_allow(out, metrics, &result->account.state, "sql");
    case OUTCOME_INSUFFICIENT:
    case OUTCOME_SUSPENDED:
    case OUTCOME_CLOSED:
        metrics_add(&metrics->canspend_deny, 1);
        metrics_add(&metrics->decisions_deny, 1);
        encode_answer(out, "DENY", outcome_word(result->outcome), &result->account.state, "sql");
        return REPLY_FINE;
    case OUTCOME_UNAVAILABLE:
    case OUTCOME_UNKNOWN:
    case OUTCOME_BUSY:
        return encode_unknown(out, metrics, result->outcome, NULL);
    default:
        encode_refusal(out, result->outcome, result->detail);
        return REPLY_ERROR;
    }
}

static enum reply_grade encode_canspend(struct reply *reply, const void *answer,
                                        struct resp_writer *out)
{
    struct metrics *metrics = reply->session->worker->metrics;
    const struct read_item *read = &reply->read;

    if (answer != NULL) {
        return encode_decided(out, metrics, &((const struct write_item *)answer)->posting.result);
    }
    switch (read->answer) {
    case READ_CURRENT:
        if (account_can_spend(&read->state, reply->amount)) {
            return encode_allow(out, metrics, &read->state,
                                read->source == READ_FROM_CACHE ? "cache" : "sql");
        }
        return encode_unknown(out, metrics, OUTCOME_BUSY, NULL); /* no room to ask for more */
    case READ_BUSY:
        return encode_unknown(out, metrics, OUTCOME_BUSY, NULL);
    case READ_STALE:
    case READ_UNAVAILABLE:
        break;
    }
    return encode_unknown(out, metrics, OUTCOME_UNAVAILABLE,
                          read->answer == READ_STALE ? &read->state : NULL);
}

static void decided(struct write_item *item)
{
    reply_finish_now(item->owner, item);
}

static void ask_store(struct reply *reply)
{
    struct engine *engine = reply->session->worker->engine;
    struct write_item *item = engine_write_new(engine);

    if (item == NULL) {
        reply_finish(reply);
        return;
    }
    struct mutation *m = &item->posting.mutation;
    m->kind = MUTATION_CANSPEND;
    m->account = reply->read.id;
    m->has_amount = true;
    m->amount = reply->amount;
    item->received_us = reply->received_us;
    item->deadline_us = reply->read.deadline_us;
    item->done = decided;
    item->owner = reply;
    item->stream = reply->session->client.id;
    engine_write(engine, item);
}

static void have_read(struct read_item *item)
{
    struct reply *reply = item->owner;

    if (item->answer != READ_CURRENT || account_can_spend(&item->state, reply->amount) ||
        reply->session->state == SESSION_CLOSED) {
        reply_finish(reply);
    } else {
        ask_store(reply);
    }
}

void command_canspend(struct call *call)
{
    struct account_id id;
    int64_t amount;

    if (!word_account(call, &call->args[1], &id) || query_refuses_system(call, &id) ||
        !mutating_amount(call, &call->args[2], &amount)) {
        return;
    }
    struct reply *reply = read_request(call, &id);
    if (reply != NULL) {
        reply->encode = encode_canspend;
        reply->amount = amount;
        reply->read.done = have_read;
        engine_read(call->session->worker->engine, &reply->read);
    }
}
