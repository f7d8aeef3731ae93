/* OPEN CREDIT DEBIT TRANSFER MTRANSFER REVERSE SETFLOOR SUSPEND RESUME CLOSE. */
#include <stdlib.h>
#include <string.h>

#include "server/command_mutation.h"
#include "server/command_words.h"
#include "server/handlers.h"

/* --- commands ---------------------------------------------------------------------------------*/

void command_open(struct call *call)
{
    struct write_item *item = mutating_begin(call, MUTATION_OPEN);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    const struct resp_slice *asset = &call->args[2];
    bool ok = word_account(call, &call->args[1], &m->account);
    if (ok && !asset_parse(&m->asset, asset->data, asset->len)) {
        ok = mutating_fits(call,
                           "an asset is CODE/SCALE like USD/2: 1 to 12 of A-Z 0-9, scale 0 to 18");
    }
    ok = ok && word_options(call, &options, OPTION_BIT(OPTION_FLOOR), 3);
    const struct resp_slice *floor = ok ? options_value(&options, OPTION_FLOOR) : NULL;
    ok = ok && (floor == NULL || mutating_floor(call, floor, &m->amount));
    mutating_submit(call, item, ok);
}

static void move_system(struct call *call, enum mutation_kind kind, enum option side)
{
    struct write_item *item = mutating_begin(call, kind);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    bool ok = word_account(call, &call->args[1], &m->account) &&
              mutating_amount(call, &call->args[2], &m->amount) &&
              mutating_options(call, &options, OPTION_BIT(side) | OPTION_BIT(OPTION_MEMO), 3, m) &&
              mutating_system(call, options_value(&options, side), &m->peer);
    m->has_amount = true;
    mutating_submit(call, item, ok);
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
    struct write_item *item = mutating_begin(call, MUTATION_TRANSFER);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    bool ok = word_account(call, &call->args[1], &m->account) &&
              word_account(call, &call->args[2], &m->peer) &&
              mutating_amount(call, &call->args[3], &m->amount) &&
              mutating_options(call, &options, OPTION_BIT(OPTION_MEMO), 4, m);
    m->has_amount = true;
    mutating_submit(call, item, ok);
}

static bool take_legs(struct call *call, const struct resp_slice *words, size_t count,
                      struct mutation *m)
{
    if (count == 0 || count % 3 != 0 || count / 3 > MUTATION_LEGS_MAX) {
        return mutating_fits(call, "1 to 100 legs are needed, each of from, to and amount");
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
            !mutating_amount(call, &leg[2], &m->legs[i].amount)) {
            return false;
        }
    }
    return true;
}

/* KEY stands in front: behind it, any word may be an account. */
void command_mtransfer(struct call *call)
{
    struct write_item *item = mutating_begin(call, MUTATION_MTRANSFER);

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    const struct resp_slice *key = &call->args[2];
    bool ok =
        resp_slice_is(&call->args[1], "KEY")
            ? mutating_fits(call, mutation_set_key(m, key->data, key->len))
            : mutating_fits(call,
                            "syntax error: MTRANSFER KEY key from to amount [from to amount ...]");
    ok = ok && take_legs(call, call->args + 3, call->count - 3, m);
    mutating_submit(call, item, ok);
}

void command_reverse(struct call *call)
{
    struct write_item *item = mutating_begin(call, MUTATION_REVERSE);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    bool ok = mutating_target(call, &call->args[1], "transfer", &m->target) &&
              mutating_options(call, &options, OPTION_BIT(OPTION_AMOUNT), 2, m);
    const struct resp_slice *amount = ok ? options_value(&options, OPTION_AMOUNT) : NULL;
    if (amount != NULL) {
        m->has_amount = true;
        ok = mutating_amount(call, amount, &m->amount);
    }
    mutating_submit(call, item, ok);
}

void command_setfloor(struct call *call)
{
    struct write_item *item = mutating_begin(call, MUTATION_SETFLOOR);
    struct options options;

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    bool ok = word_account(call, &call->args[1], &m->account) &&
              mutating_floor(call, &call->args[2], &m->amount) &&
              mutating_options(call, &options, 0, 3, m);
    m->has_amount = true;
    mutating_submit(call, item, ok);
}

static void change_status(struct call *call, enum mutation_kind kind, unsigned allowed)
{
    struct write_item *item = mutating_begin(call, kind);
    struct options options = {.given = 0};

    if (item == NULL) {
        return;
    }
    struct mutation *m = &item->posting.mutation;
    bool ok = word_account(call, &call->args[1], &m->account) &&
              mutating_options(call, &options, allowed, 2, m);
    m->if_below = options_has(&options, OPTION_IFBELOW);
    mutating_submit(call, item, ok);
}

void command_suspend(struct call *call)
{
    change_status(call, MUTATION_SUSPEND, OPTION_BIT(OPTION_IFBELOW));
}

void command_resume(struct call *call)
{
    change_status(call, MUTATION_RESUME, 0);
}

void command_close(struct call *call)
{
    change_status(call, MUTATION_CLOSE, 0);
}
