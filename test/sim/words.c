/* See the header. */
#include "words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "checker.h"

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

void words_choose(struct db_posting *words)
{
    static const enum mutation_kind kinds[] = {
        MUTATION_CREDIT,   MUTATION_CREDIT,  MUTATION_CREDIT,   MUTATION_DEBIT,
        MUTATION_DEBIT,    MUTATION_DEBIT,   MUTATION_TRANSFER, MUTATION_TRANSFER,
        MUTATION_TRANSFER, MUTATION_OPEN,    MUTATION_OPEN,     MUTATION_SETFLOOR,
        MUTATION_CLOSE,    MUTATION_REVERSE, MUTATION_MTRANSFER};
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
        words->target++;
        break;
    case MUTATION_CLOSE:
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
    m->has_amount = words->kind != MUTATION_REVERSE || words->amount != 0;
    m->asset = (struct asset){5, "USD/2"};
    m->target = words->target;
    if (words->account >= 0) {
        account_name(&m->account, words->account);
    }
    if (words->kind == MUTATION_TRANSFER || words->kind == MUTATION_CREDIT ||
        words->kind == MUTATION_DEBIT) {
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
        .amount = m->kind == MUTATION_MTRANSFER || (m->kind == MUTATION_REVERSE && !m->has_amount)
                      ? 0
                      : m->amount,
        .target = m->target,
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
