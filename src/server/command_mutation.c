/* What commands that change the store have in common. */
#include "server/command_mutation.h"

#include <string.h>

#include "base/decimal.h"
#include "server/command_words.h"
#include "server/reply_encode.h"
#include "server/session_state.h"
#include "server/slowlog.h"

#define WORLD "@world"

/* --- the answer -------------------------------------------------------------------------------*/

/* What was decided against an account. */
static void count_decision(struct metrics *metrics, enum mutation_kind kind,
                           const struct mutation_result *result)
{
    if (result->outcome == OUTCOME_FUSE) {
        metrics_add(&metrics->decisions_fuse, 1);
    } else if (result->outcome != OUTCOME_OK || result->duplicate) {
        return;
    } else if (kind == MUTATION_SUSPEND && result->changed) {
        metrics_add(&metrics->decisions_suspend, 1);
    } else if (kind == MUTATION_CHARGE) {
        metrics_add(&metrics->decisions_charge, 1);
    }
}

static enum reply_grade encode_write(struct reply *reply, const void *answer,
                                     struct resp_writer *out)
{
    const struct write_item *item = answer;
    const struct mutation_result *result = &item->posting.result;

    count_decision(reply->session->worker->metrics, item->posting.mutation.kind, result);
    if (result->outcome == OUTCOME_OK) {
        encode_mutation(out, &item->posting.mutation, result);
        return REPLY_FINE;
    }
    encode_refusal(out, result->outcome, result->detail);
    return result->outcome == OUTCOME_UNAVAILABLE || result->outcome == OUTCOME_UNKNOWN
               ? REPLY_FAILED
               : REPLY_ERROR;
}

static void describe_write(const struct reply *reply, const void *answer,
                           struct slowlog_entry *entry)
{
    const struct mutation *m = &((const struct write_item *)answer)->posting.mutation;
    char amount[DECIMAL_ROOM];

    (void)reply;
    if (m->account.len > 0) {
        slowlog_word(entry, m->account.bytes, m->account.len);
    }
    if (m->kind == MUTATION_TRANSFER) {
        slowlog_word(entry, m->peer.bytes, m->peer.len);
    }
    if (m->amount != 0) {
        slowlog_word(entry, amount, decimal_write_int64(amount, m->amount));
    }
    if (m->key_len > 0) {
        slowlog_word(entry, "KEY", strlen("KEY"));
        slowlog_word(entry, m->key, m->key_len);
    }
}

static void write_done(struct write_item *item)
{
    reply_finish_now(item->owner, item);
}

/* --- the request ------------------------------------------------------------------------------*/

struct write_item *mutating_begin(struct call *call, enum mutation_kind kind)
{
    struct write_item *item = engine_write_new(call->session->worker->engine);

    if (item == NULL) {
        encode_refusal(call_writer(call), OUTCOME_BUSY, "");
        call->failed = true;
        return NULL;
    }
    item->posting.mutation.kind = kind;
    return item;
}

static void discard(struct call *call, struct write_item *item)
{
    engine_write_discard(call->session->worker->engine, item);
}

void mutating_submit(struct call *call, struct write_item *item, bool words_ok)
{
    const char *wrong = words_ok ? mutation_check(&item->posting.mutation) : NULL;

    if (wrong != NULL) {
        call_error(call, "ERR", "%s", wrong);
    }
    struct reply *reply = words_ok && wrong == NULL ? call_request(call, 1) : NULL;
    if (reply == NULL) {
        discard(call, item);
        return;
    }
    reply->encode = encode_write;
    reply->describe = describe_write;
    item->received_us = reply->received_us;
    item->deadline_us = call_deadline_us(call);
    item->done = write_done;
    item->owner = reply;
    item->stream = call->session->client.id;
    engine_write(call->session->worker->engine, item);
}

/* --- words ------------------------------------------------------------------------------------*/

bool mutating_fits(struct call *call, const char *wrong)
{
    if (wrong != NULL) {
        call_error(call, "ERR", "%s", wrong);
    }
    return wrong == NULL;
}

bool mutating_amount(struct call *call, const struct resp_slice *word, int64_t *amount)
{
    return mutating_fits(call, mutation_parse_amount(amount, word->data, word->len));
}

bool mutating_target(struct call *call, const struct resp_slice *word, const char *what,
                     uint64_t *target)
{
    if (decimal_parse_uint64(word->data, word->len, target) == DECIMAL_OK && *target > 0 &&
        *target <= INT64_MAX) {
        return true;
    }
    call_error(call, "ERR", "%s must be the number that a reply showed as %s", what, what);
    return false;
}

bool mutating_floor(struct call *call, const struct resp_slice *word, int64_t *floor)
{
    return mutating_fits(call, mutation_parse_floor(floor, word->data, word->len));
}

/* KEY and MEMO, where they were given; mutation_check() misses a KEY that is needed. */
static bool take_key_and_memo(struct call *call, const struct options *options, struct mutation *m)
{
    const struct resp_slice *key = options_value(options, OPTION_KEY);
    const struct resp_slice *memo = options_value(options, OPTION_MEMO);

    return (key == NULL || mutating_fits(call, mutation_set_key(m, key->data, key->len))) &&
           (memo == NULL || mutating_fits(call, mutation_set_memo(m, memo->data, memo->len)));
}

bool mutating_options(struct call *call, struct options *options, unsigned allowed, size_t skip,
                      struct mutation *m)
{
    return word_options(call, options, allowed | OPTION_BIT(OPTION_KEY), skip) &&
           take_key_and_memo(call, options, m);
}

bool mutating_system(struct call *call, const struct resp_slice *word, struct account_id *id)
{
    static const struct resp_slice world = {.data = WORLD, .len = sizeof WORLD - 1};

    if (!word_account(call, word != NULL ? word : &world, id)) {
        return false;
    }
    if (!account_id_is_system(id)) {
        call_error(call, "ERR",
                   "%.*s is not a system account: between accounts, TRANSFER moves amounts",
                   (int)id->len, id->bytes);
        return false;
    }
    return true;
}
