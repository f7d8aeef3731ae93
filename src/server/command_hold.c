/* HOLD CAPTURE RELEASE: money set aside, and what becomes of it. */
#include "server/command_mutation.h"
#include "server/command_words.h"
#include "server/handlers.h"

void command_hold(struct call *call)
{
    struct write_item *item = mutating_begin(call, MUTATION_HOLD);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    bool ok = word_account(call, &call->args[1], &m->account) &&
              mutating_amount(call, &call->args[2], &m->amount) &&
              mutating_options(call, &options, OPTION_BIT(OPTION_TTL), 3, m) &&
              word_number(call, &options, OPTION_TTL, "TTL", 1, MUTATION_TTL_MAX, &m->ttl_s);
    m->has_amount = true;
    mutating_submit(call, item, ok);
}

/* The amount, the one word without a name, stands before the options. */
void command_capture(struct call *call)
{
    struct write_item *item = mutating_begin(call, MUTATION_CAPTURE);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    m->has_amount = !resp_slice_is(&call->args[2], "KEY") && !resp_slice_is(&call->args[2], "TO");
    bool ok = mutating_target(call, &call->args[1], "hold", &m->target) &&
              (!m->has_amount || mutating_amount(call, &call->args[2], &m->amount)) &&
              mutating_options(call, &options, OPTION_BIT(OPTION_TO), m->has_amount ? 3 : 2, m) &&
              mutating_system(call, options_value(&options, OPTION_TO), &m->peer);
    mutating_submit(call, item, ok);
}

void command_release(struct call *call)
{
    struct write_item *item = mutating_begin(call, MUTATION_RELEASE);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    bool ok = mutating_target(call, &call->args[1], "hold", &m->target) &&
              mutating_options(call, &options, 0, 2, m);
    mutating_submit(call, item, ok);
}
