/* OPEN CREDIT DEBIT TRANSFER MTRANSFER REVERSE SETFLOOR CLOSE. */
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "server/command_words.h"
#include "server/handlers.h"
#include "server/reply_encode.h"
#include "server/session_state.h"
#include "server/slowlog.h"

#define WORLD "@world"

/* --- the answer -------------------------------------------------------------------------------*/

static enum reply_grade encode_write(struct reply *reply, const void *answer,
                                     struct resp_writer *out)
{
    const struct write_item *item = answer;
    const struct mutation_result *result = &item->posting.result;

    (void)reply;
    if (result->outcome == OUTCOME_OK) {
        encode_mutation(out, item->posting.mutation.kind, result);
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

/* A zeroed item; NULL: the queue is full, and that has been answered. */
static struct write_item *begin(struct call *call, enum mutation_kind kind)
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

/* Submits what the words have made of the item, unless they were wrong (answered already). */
static void submit(struct call *call, struct write_item *item, bool words_ok)
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

/* Answers where the model says that something is wrong with a word. */
static bool fits(struct call *call, const char *wrong)
{
    if (wrong != NULL) {
        call_error(call, "ERR", "%s", wrong);
    }
    return wrong == NULL;
}

static bool take_amount(struct call *call, const struct resp_slice *word, int64_t *amount)
{
    return fits(call, mutation_parse_amount(amount, word->data, word->len));
}

static bool take_floor(struct call *call, const struct resp_slice *word, int64_t *floor)
{
    return fits(call, mutation_parse_floor(floor, word->data, word->len));
}

/* KEY and MEMO, where they were given; mutation_check() misses a KEY that is needed. */
static bool take_key_and_memo(struct call *call, const struct options *options, struct mutation *m)
{
    const struct resp_slice *key = options_value(options, OPTION_KEY);
    const struct resp_slice *memo = options_value(options, OPTION_MEMO);

    return (key == NULL || fits(call, mutation_set_key(m, key->data, key->len))) &&
           (memo == NULL || fits(call, mutation_set_memo(m, memo->data, memo->len)));
}

/* The options behind `skip` words; KEY and MEMO go into the mutation. */
static bool take_options(struct call *call, struct options *options, unsigned allowed, size_t skip,
                         struct mutation *m)
{
    return word_options(call, options, allowed | OPTION_BIT(OPTION_KEY), skip) &&
           take_key_and_memo(call, options, m);
}

/* The other side of a CREDIT or DEBIT. */
static bool take_system(struct call *call, const struct resp_slice *word, struct account_id *id)
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

/* --- commands ---------------------------------------------------------------------------------*/

void command_open(struct call *call)
{
    struct write_item *item = begin(call, MUTATION_OPEN);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    const struct resp_slice *asset = &call->args[2];
    bool ok = word_account(call, &call->args[1], &m->account);
    if (ok && !asset_parse(&m->asset, asset->data, asset->len)) {
        ok = fits(call, "an asset is CODE/SCALE like USD/2: 1 to 12 of A-Z 0-9, scale 0 to 18");
    }
    ok = ok && word_options(call, &options, OPTION_BIT(OPTION_FLOOR), 3);
    const struct resp_slice *floor = ok ? options_value(&options, OPTION_FLOOR) : NULL;
    ok = ok && (floor == NULL || take_floor(call, floor, &m->amount));
    submit(call, item, ok);
}

static void move_system(struct call *call, enum mutation_kind kind, enum option side)
{
    struct write_item *item = begin(call, kind);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    bool ok = word_account(call, &call->args[1], &m->account) &&
              take_amount(call, &call->args[2], &m->amount) &&
              take_options(call, &options, OPTION_BIT(side) | OPTION_BIT(OPTION_MEMO), 3, m) &&
              take_system(call, options_value(&options, side), &m->peer);
    m->has_amount = true;
    submit(call, item, ok);
}

void command_credit(struct call *call)
{
    move_system(call, MUTATION_CREDIT, OPTION_FROM);
}

void command_debit(struct call *call)
{
    move_system(call, MUTATION_DEBIT, OPTION_TO);
}

void command_transfer(struct call *call)
{
    struct write_item *item = begin(call, MUTATION_TRANSFER);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    bool ok = word_account(call, &call->args[1], &m->account) &&
              word_account(call, &call->args[2], &m->peer) &&
              take_amount(call, &call->args[3], &m->amount) &&
              take_options(call, &options, OPTION_BIT(OPTION_MEMO), 4, m);
    m->has_amount = true;
    submit(call, item, ok);
}

static bool take_legs(struct call *call, const struct resp_slice *words, size_t count,
                      struct mutation *m)
{
    if (count == 0 || count % 3 != 0 || count / 3 > MUTATION_LEGS_MAX) {
        return fits(call, "1 to 100 legs are needed, each of from, to and amount");
    }
    m->legs = calloc(count / 3, sizeof m->legs[0]);
    if (m->legs == NULL) {
        call_error(call, "BUSY", "out of memory; nothing was applied; try again after a while");
        return false;
    }
    m->leg_count = (uint8_t)(count / 3);
    for (size_t i = 0; i < m->leg_count; i++) {
        const struct resp_slice *leg = words + i * 3;
        if (!word_account(call, &leg[0], &m->legs[i].from) ||
            !word_account(call, &leg[1], &m->legs[i].to) ||
            !take_amount(call, &leg[2], &m->legs[i].amount)) {
            return false;
        }
    }
    return true;
}

/* KEY stands in front: behind it, any word may be an account. */
void command_mtransfer(struct call *call)
{
    struct write_item *item = begin(call, MUTATION_MTRANSFER);

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    const struct resp_slice *key = &call->args[2];
    bool ok =
        resp_slice_is(&call->args[1], "KEY")
            ? fits(call, mutation_set_key(m, key->data, key->len))
            : fits(call, "syntax error: MTRANSFER KEY key from to amount [from to amount ...]");
    ok = ok && take_legs(call, call->args + 3, call->count - 3, m);
    submit(call, item, ok);
}

void command_reverse(struct call *call)
{
    struct write_item *item = begin(call, MUTATION_REVERSE);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    const struct resp_slice *target = &call->args[1];
    bool ok = true;
    if (decimal_parse_uint64(target->data, target->len, &m->target) != DECIMAL_OK ||
        m->target == 0 || m->target > INT64_MAX) {
        ok = fits(call, "transfer must be the number that a reply showed as transfer");
    }
    ok = ok && take_options(call, &options, OPTION_BIT(OPTION_AMOUNT), 2, m);
    const struct resp_slice *amount = ok ? options_value(&options, OPTION_AMOUNT) : NULL;
    if (amount != NULL) {
        m->has_amount = true;
        ok = take_amount(call, amount, &m->amount);
    }
    submit(call, item, ok);
}

void command_setfloor(struct call *call)
{
    struct write_item *item = begin(call, MUTATION_SETFLOOR);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    bool ok = word_account(call, &call->args[1], &m->account) &&
              take_floor(call, &call->args[2], &m->amount) && take_options(call, &options, 0, 3, m);
    m->has_amount = true;
    submit(call, item, ok);
}

void command_close(struct call *call)
{
    struct write_item *item = begin(call, MUTATION_CLOSE);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    bool ok =
        word_account(call, &call->args[1], &m->account) && take_options(call, &options, 0, 2, m);
    submit(call, item, ok);
}
