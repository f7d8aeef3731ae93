/*
 * CHARGE BEGIN, SETTLE, LIST: the intent to charge a card, which is committed before anybody calls
 * the processor, and what came of it.
 */
#include "server/command_mutation.h"
#include "server/command_query.h"
#include "server/command_words.h"
#include "server/handlers.h"
#include "server/session_state.h"

void command_charge_begin(struct call *call)
{
    struct write_item *item = mutating_begin(call, MUTATION_CHARGE);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    bool ok = word_account(call, &call->args[2], &m->account) &&
              mutating_amount(call, &call->args[3], &m->amount) &&
              mutating_options(call, &options, OPTION_BIT(OPTION_THRESHOLD), 4, m) &&
              word_number(call, &options, OPTION_THRESHOLD, "THRESHOLD", INT64_MIN, INT64_MAX,
                          &m->threshold);
    m->has_amount = true;
    mutating_submit(call, item, ok);
}

static bool take_settlement(struct call *call, const struct resp_slice *word, struct mutation *m)
{
    if (resp_slice_is(word, "SUCCEEDED")) {
        m->settlement = SETTLED_SUCCEEDED;
    } else if (resp_slice_is(word, "FAILED")) {
        m->settlement = SETTLED_FAILED;
    } else if (resp_slice_is(word, "UNKNOWN")) {
        m->settlement = SETTLED_UNKNOWN;
    } else {
        return mutating_fits(call, "what became of the charge is SUCCEEDED, FAILED or UNKNOWN");
    }
    return true;
}

void command_charge_settle(struct call *call)
{
    struct write_item *item = mutating_begin(call, MUTATION_SETTLE);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    bool ok = mutating_target(call, &call->args[2], "charge", &m->target) &&
              take_settlement(call, &call->args[3], m) && mutating_options(call, &options, 0, 4, m);
    mutating_submit(call, item, ok);
}

void command_charge_list(struct call *call)
{
    struct account_id id = {.len = 0};

    if (call->count > 3) {
        call_error(call, "ERR", "syntax error: CHARGE LIST [account]");
        return;
    }
    if (call->count > 2 &&
        (!word_account(call, &call->args[2], &id) || query_refuses_system(call, &id))) {
        return;
    }
    struct query_item *item = query_request(call, QUERY_CHARGES, &id, 1);
    if (item != NULL) {
        engine_query(call->session->worker->engine, item);
    }
}
