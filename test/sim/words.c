/* See the header. */
#include "words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "checker.h"
#include "promises.h"

static void choose_legs(struct db_posting *words)
{
    words->leg_count = (int)sim_between(1, LEGS_MAX);
    for (int i = 0; i < words->leg_count; i++) {
        struct db_leg *leg = &words->legs[i];
        *leg = (struct db_leg){
            .from = any_account(), .to = any_account(), .amount = sim_between(1, 10)};
        if (leg->from == leg->to) {
            leg->from = -1;
        }
    }
}

/* One of the last holds or charges, whether or not it was committed. */
static void choose_promise(struct db_posting *words)
{
    bool settles = words->kind == MUTATION_SETTLE;
    uint64_t last = 1 + (settles ? db_charge_count() : db_hold_count());
    words->account = -1;
    words->target = last - sim_below(last > 12 ? 12 : (uint32_t)last);
    words->amount = words->kind == MUTATION_CAPTURE && sim_chance(400000) ? sim_between(1, 20) : 0;
    words->settlement = settles ? (enum mutation_settlement)sim_below(3) : SETTLED_SUCCEEDED;
}

void words_choose(struct db_posting *words)
{
    static const enum mutation_kind kinds[] = {
        MUTATION_CREDIT,   MUTATION_CREDIT,  MUTATION_CREDIT,    MUTATION_DEBIT,
        MUTATION_DEBIT,    MUTATION_DEBIT,   MUTATION_TRANSFER,  MUTATION_TRANSFER,
        MUTATION_TRANSFER, MUTATION_OPEN,    MUTATION_OPEN,      MUTATION_SETFLOOR,
        MUTATION_CLOSE,    MUTATION_REVERSE, MUTATION_MTRANSFER, MUTATION_HOLD,
        MUTATION_HOLD,     MUTATION_HOLD,    MUTATION_HOLD,      MUTATION_CAPTURE,
        MUTATION_RELEASE,  MUTATION_SUSPEND, MUTATION_RESUME,    MUTATION_RESUME,
        MUTATION_CHARGE,   MUTATION_CHARGE,  MUTATION_SETTLE,    MUTATION_EXPIRE};
    *words = (struct db_posting){.kind = kinds[sim_below(sizeof kinds / sizeof kinds[0])],
                                 .account = any_account(),
                                 .peer = -1,
                                 .amount = sim_between(1, 30)};
    switch (words->kind) {
    case MUTATION_OPEN:
        words->amount = 0;
        return;
    case MUTATION_SETFLOOR:
        words->amount = -sim_between(0, 50);
        break;
    case MUTATION_TRANSFER:
        words->peer = any_account();
        if (words->peer == words->account) {
            words->peer = (words->account + 1) % world.account_count;
        }
        break;
    case MUTATION_MTRANSFER:
        words->account = -1;
        words->amount = 0;
        choose_legs(words);
        break;
    case MUTATION_REVERSE:
        words->account = -1;
        words->amount = sim_chance(500000) ? 0 : sim_between(1, 10);
        words->target = 1 + sim_below((uint32_t)db_transfer_count() + 1);
        break;
    case MUTATION_CLOSE:
        words->amount = 0;
        words->account = sim_chance(200000) ? words->account : 0; /* for good: few are enough */
        break;
    case MUTATION_HOLD:
        words->limit = sim_chance(900000) ? 1 + sim_below(1 + sim_below(3)) : 0;
        break;
    case MUTATION_CAPTURE:
    case MUTATION_RELEASE:
    case MUTATION_SETTLE:
        choose_promise(words);
        break;
    case MUTATION_CHARGE:
        words->limit = sim_between(-20, 30);
        break;
    case MUTATION_SUSPEND:
    case MUTATION_RESUME:
        words->amount = 0;
        words->if_below = words->kind == MUTATION_SUSPEND && sim_chance(500000);
        break;
    case MUTATION_EXPIRE:
        words->account = -1;
        words->amount = sim_between(1, LEGS_MAX);
        return;
    default:
        break;
    }
    words->key = checker_key_new(words, fault_strikes(FAULT_STORE_CURSED));
}

void words_alter(struct db_posting *words)
{
    switch (words->kind) {
    case MUTATION_MTRANSFER:
        words->legs[0].amount++;
        break;
    case MUTATION_REVERSE:
    case MUTATION_CAPTURE:
    case MUTATION_RELEASE:
    case MUTATION_SETTLE:
        words->target++;
        break;
    case MUTATION_CLOSE:
    case MUTATION_SUSPEND:
    case MUTATION_RESUME:
        words->account = (words->account + 1) % world.account_count;
        break;
    default:
        words->amount++;
    }
}

static void name_side(struct account_id *id, int account)
{
    if (account >= 0) {
        account_name(id, account);
    } else {
        *id = (struct account_id){5, "@bank"};
    }
}

void words_to_mutation(struct mutation *m, const struct db_posting *words)
{
    m->kind = words->kind;
    m->amount = words->amount;
    m->has_amount = words->amount != 0 || words->kind == MUTATION_SETFLOOR;
    m->asset = (struct asset){5, "USD/2"};
    m->target = words->target;
    m->ttl_s = words->kind == MUTATION_HOLD ? words->limit : 0;
    m->threshold = words->kind == MUTATION_CHARGE ? words->limit : 0;
    m->if_below = words->if_below;
    m->settlement = words->settlement;
    if (words->account >= 0) {
        account_name(&m->account, words->account);
    }
    if (words->kind == MUTATION_TRANSFER || words->kind == MUTATION_CREDIT ||
        words->kind == MUTATION_DEBIT || words->kind == MUTATION_CAPTURE) {
        name_side(&m->peer, words->peer);
    }
    if (words->kind == MUTATION_MTRANSFER) {
        m->legs = calloc((size_t)words->leg_count, sizeof *m->legs);
        if (m->legs == NULL) {
            abort();
        }
        m->leg_count = (uint8_t)words->leg_count;
        for (int i = 0; i < words->leg_count; i++) {
            name_side(&m->legs[i].from, words->legs[i].from);
            name_side(&m->legs[i].to, words->legs[i].to);
            m->legs[i].amount = words->legs[i].amount;
        }
    }
    if (words->key != 0) {
        m->key_len = (uint8_t)snprintf(m->key, sizeof m->key, "k%" PRIu64, words->key);
    }
}

void words_of_mutation(struct db_posting *words, const struct mutation *m)
{
    *words = (struct db_posting){
        .kind = m->kind,
        .account = m->account.len > 0 ? account_of(&m->account) : -1,
        .peer = m->kind == MUTATION_TRANSFER ? account_of(&m->peer) : -1,
        .amount = m->kind == MUTATION_MTRANSFER || (!m->has_amount && m->kind != MUTATION_OPEN)
                      ? 0
                      : m->amount,
        .target = m->target,
        .limit = m->kind == MUTATION_HOLD ? m->ttl_s : m->threshold,
        .if_below = m->if_below,
        .settlement = m->settlement,
        .leg_count = m->leg_count,
        .key = m->key_len == 0 ? 0 : checker_key_number(m->key, m->key_len),
    };
    assert(m->leg_count <= LEGS_MAX);
    for (int i = 0; i < m->leg_count; i++) {
        words->legs[i] = (struct db_leg){.from = account_of(&m->legs[i].from),
                                         .to = account_of(&m->legs[i].to),
                                         .amount = m->legs[i].amount};
    }
    posting_set_legs(words);
}
