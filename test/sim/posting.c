/*
 * What ballast.post_batch() does: ends holds whose time is up, plays the mutations of a batch in order and gives each its own
 * outcome. Computes only; the database commits. The statement holds the locks of all that it reads.
 */
#include "database.h"

#include <string.h>

#include "base/attributes.h"
#include "base/mutant.h"
#include "promises.h"

static bool is_movement(const struct db_posting *posting)
{
    switch (posting->kind) {
    case MUTATION_CREDIT:
    case MUTATION_DEBIT:
    case MUTATION_TRANSFER:
    case MUTATION_MTRANSFER:
    case MUTATION_REVERSE:
    case MUTATION_CAPTURE:
    case MUTATION_SETTLE:
        return true;
    default:
        return false;
    }
}

/* Several legs, also where there is but one: no account is the one that the reply names. */
static bool is_multi(const struct db_posting *posting)
{
    const struct db_transfer *target =
        posting->kind == MUTATION_REVERSE ? db_transfer(posting->target) : NULL;
    return posting->kind == MUTATION_MTRANSFER ||
           (target != NULL && target->kind == MUTATION_MTRANSFER);
}

/* Of what is about a hold or a charge: its account, perhaps with money. */
static void set_promised(struct db_posting *posting)
{
    const struct db_hold *hold = db_hold(posting->target);
    const struct db_charge *charge = db_charge(posting->target);
    bool settles = posting->kind == MUTATION_SETTLE;
    bool there = settles ? charge != NULL : hold != NULL;
    posting->account = !there ? -1 : settles ? charge->account : hold->account;
    posting->leg_count = there && posting->kind != MUTATION_RELEASE;
    if (settles && there) {
        posting->legs[0] =
            (struct db_leg){.from = -1, .to = posting->account, .amount = charge->amount};
    } else if (there) {
        posting->legs[0] =
            (struct db_leg){.from = posting->account,
                            .to = -1,
                            .amount = posting->amount != 0 ? posting->amount : hold->amount};
    }
}

static void set_due(struct db_posting *posting)
{
    int accounts[LEGS_MAX];
    posting->leg_count =
        promises_due(accounts, posting->amount < LEGS_MAX ? (int)posting->amount : LEGS_MAX);
    for (int i = 0; i < posting->leg_count; i++) {
        posting->legs[i] = (struct db_leg){.from = accounts[i], .to = -1};
    }
}

void posting_set_legs(struct db_posting *posting)
{
    const struct db_transfer *target = db_transfer(posting->target);
    switch (posting->kind) {
    case MUTATION_CREDIT:
        posting->legs[0] =
            (struct db_leg){.from = -1, .to = posting->account, .amount = posting->amount};
        posting->leg_count = 1;
        break;
    case MUTATION_DEBIT:
    case MUTATION_TRANSFER:
        posting->legs[0] = (struct db_leg){
            .from = posting->account, .to = posting->peer, .amount = posting->amount};
        posting->leg_count = 1;
        break;
    case MUTATION_REVERSE:
        posting->leg_count = target == NULL ? 0 : target->leg_count;
        for (int i = 0; i < posting->leg_count; i++) {
            const struct db_leg *leg = &target->legs[posting->leg_count - 1 - i];
            posting->legs[i] =
                (struct db_leg){.from = leg->to, .to = leg->from, .amount = posting->amount};
        }
        break;
    case MUTATION_CAPTURE:
    case MUTATION_RELEASE:
    case MUTATION_SETTLE:
        set_promised(posting);
        break;
    case MUTATION_EXPIRE:
        set_due(posting);
        break;
    default:
        break;
    }
}

int posting_accounts(const struct db_posting *posting, int accounts[POSTING_ACCOUNTS_MAX])
{
    int count = 0;
    if (!is_movement(posting) && posting->account >= 0) {
        accounts[count++] = posting->account;
    }
    for (int i = 0; i < posting->leg_count; i++) {
        const int sides[] = {posting->legs[i].from, posting->legs[i].to};
        for (int k = 0; k < 2; k++) {
            bool known = sides[k] < 0;
            for (int n = 0; n < count; n++) {
                known |= accounts[n] == sides[k];
            }
            accounts[count] = sides[k];
            count += !known;
        }
    }
    return count;
}

/* --- states -----------------------------------------------------------------------------------*/

struct account_state posting_state(const struct statement *statement, int account)
{
    for (int i = statement->change_count; i-- > 0;) {
        if (statement->changes[i].account == account) {
            return statement->changes[i].state;
        }
    }
    return db_present(account);
}

void posting_change(struct statement *statement, int account, struct account_state *state)
{
    state->version++;
    assert(statement->change_count < CHANGES_MAX);
    statement->changes[statement->change_count++] = (struct db_change){account, *state};
}

static void show(struct statement *statement, int account)
{
    struct account_state state = posting_state(statement, account);
    assert(statement->shown_count < CHANGES_MAX);
    statement->shown[statement->shown_count] = (struct db_change){account, state};
    statement->shown_count += state.version > 0;
}

static void show_all(struct statement *statement, const struct db_posting *posting)
{
    int accounts[POSTING_ACCOUNTS_MAX];
    int count = posting_accounts(posting, accounts);
    for (int i = 0; i < count; i++) {
        show(statement, accounts[i]);
    }
}

/* --- movements --------------------------------------------------------------------------------*/

/* promised: what a capture has held of the payer's until now; -1: it is no capture. */
static enum outcome move(struct statement *statement, struct db_leg *leg, int64_t promised)
{
    struct account_state from = {.version = 1}, to = {.version = 1};
    if (leg->from >= 0) {
        from = posting_state(statement, leg->from);
    }
    if (leg->to >= 0) {
        to = posting_state(statement, leg->to);
    }
    if (from.version == 0 || to.version == 0) {
        return OUTCOME_NOACCOUNT;
    }
    if (leg->from >= 0 && from.status == ACCOUNT_SUSPENDED) {
        return OUTCOME_SUSPENDED;
    }
    if ((leg->from >= 0 && from.status == ACCOUNT_CLOSED) ||
        (leg->to >= 0 && to.status == ACCOUNT_CLOSED)) {
        return OUTCOME_CLOSED;
    }
    if (leg->from >= 0 && promised < 0 && from.balance - from.held - leg->amount < from.floor) {
        return OUTCOME_INSUFFICIENT;
    }
    if (leg->from >= 0) {
        from.balance -= leg->amount;
        from.held -= promised > 0 ? promised : 0;
        posting_change(statement, leg->from, &from);
        leg->from_state = from;
    }
    if (leg->to >= 0) {
        to.balance += leg->amount;
        posting_change(statement, leg->to, &to);
        leg->to_state = to;
    }
    return OUTCOME_OK;
}

/* What is left to reverse of a leg of the target, earlier reverses of this batch included. */
static int64_t left_of(const struct statement *statement, const struct db_posting *posting, int leg)
{
    const struct db_transfer *target = db_transfer(posting->target);
    int64_t left = target->legs[leg].amount - target->reversed[leg];
    for (const struct db_posting *at = statement->postings; at != posting; at++) {
        if (at->kind == MUTATION_REVERSE && at->target == posting->target &&
            at->outcome == OUTCOME_OK && !at->duplicate) {
            left -= at->legs[at->leg_count - 1 - leg].amount;
        }
    }
    return left;
}

static enum outcome prepare_reverse(const struct statement *statement, struct db_posting *posting)
{
    const struct db_transfer *target = db_transfer(posting->target);
    if (target == NULL) {
        return OUTCOME_NOTRANSFER;
    }
    int64_t left = left_of(statement, posting, target->leg_count - 1);
    if (target->kind == MUTATION_REVERSE || (is_multi(posting) && posting->amount != 0) ||
        left == 0 || posting->amount > left) {
        return OUTCOME_ERR;
    }
    for (int i = 0; i < posting->leg_count; i++) {
        posting->legs[i].amount = posting->amount != 0
                                      ? posting->amount
                                      : left_of(statement, posting, posting->leg_count - 1 - i);
    }
    return OUTCOME_OK;
}

static enum outcome prepare_capture(const struct statement *statement,
                                    const struct db_posting *posting, int64_t *promised)
{
    const struct db_hold *hold = hold_within(statement, posting);
    if (hold == NULL || hold->state != HOLD_HELD) {
        return OUTCOME_NOHOLD;
    }
    *promised = hold->amount;
    return posting->amount > hold->amount ? OUTCOME_INSUFFICIENT : OUTCOME_OK;
}

/* The account as that version left it, which may be of this statement. */
static struct account_state state_at(const struct statement *statement, int account,
                                     uint64_t version)
{
    for (int i = statement->change_count; i-- > 0;) {
        const struct db_change *change = &statement->changes[i];
        if (change->account == account && change->state.version == version) {
            return change->state;
        }
    }
    return *db_state(account, version);
}

/* Settled again in the same way, by another key: as it was then, and nothing is done. */
static enum outcome prepare_settle(const struct statement *statement, struct db_posting *posting)
{
    static const enum charge_state states[] = {[SETTLED_SUCCEEDED] = CHARGE_SUCCEEDED,
                                               [SETTLED_FAILED] = CHARGE_FAILED,
                                               [SETTLED_UNKNOWN] = CHARGE_UNKNOWN};
    const struct db_charge *charge = charge_within(statement, posting);
    if (charge == NULL) {
        return OUTCOME_NOCHARGE;
    }
    posting->duplicate = charge->state == states[posting->settlement];
    posting->state = posting_state(statement, charge->account);
    if (posting->duplicate && charge->settled != 0) {
        posting->state = state_at(statement, charge->account, charge->settled);
    }
    return posting->duplicate || charge->settled == 0 ? OUTCOME_OK : OUTCOME_SETTLED;
}

static enum outcome prepare(const struct statement *statement, struct db_posting *posting,
                            int64_t *promised)
{
    switch (posting->kind) {
    case MUTATION_REVERSE:
        return prepare_reverse(statement, posting);
    case MUTATION_CAPTURE:
        return prepare_capture(statement, posting, promised);
    case MUTATION_SETTLE:
        return prepare_settle(statement, posting);
    default:
        return OUTCOME_OK;
    }
}

/* The account that the reply names, and the other side. */
static void name_sides(struct db_posting *posting)
{
    const struct db_leg *leg = &posting->legs[0];
    bool payer = leg->from >= 0;
    if (posting->leg_count == 0 || is_multi(posting)) {
        posting->account = posting->peer = -1;
        return;
    }
    posting->account = payer ? leg->from : leg->to;
    posting->peer = payer ? leg->to : -1;
}

static enum outcome apply(struct statement *statement, struct db_posting *posting)
{
    int before = statement->change_count;
    int64_t promised = -1;
    enum outcome outcome = prepare(statement, posting, &promised);
    if (outcome == OUTCOME_OK && posting->kind == MUTATION_SETTLE &&
        (posting->duplicate || posting->settlement != SETTLED_SUCCEEDED)) {
        return OUTCOME_OK;
    }
    for (int i = 0; i < posting->leg_count && outcome == OUTCOME_OK; i++) {
        outcome = move(statement, &posting->legs[i], promised);
    }
    if (outcome != OUTCOME_OK) {
        statement->change_count = before; /* the legs before it are taken back */
        return outcome;
    }
    if (posting->account >= 0) {
        const struct db_leg *leg = &posting->legs[0];
        posting->state = leg->from >= 0 ? leg->from_state : leg->to_state;
        posting->peer_state = posting->peer >= 0 ? leg->to_state : posting->peer_state;
    }
    posting->changed = true;
    posting->transfer = db_next_transfer();
    return OUTCOME_OK;
}

/* --- the batch --------------------------------------------------------------------------------*/

bool posting_same_words(const struct db_posting *a, const struct db_posting *b)
{
    bool same = a->kind == b->kind && a->amount == b->amount && a->target == b->target &&
                a->limit == b->limit && a->if_below == b->if_below &&
                a->settlement == b->settlement;
    if (same && a->kind == MUTATION_MTRANSFER) {
        same = a->leg_count == b->leg_count;
        for (int i = 0; same && i < a->leg_count; i++) {
            same = a->legs[i].from == b->legs[i].from && a->legs[i].to == b->legs[i].to &&
                   a->legs[i].amount == b->legs[i].amount;
        }
    } else if (same && a->target == 0) {
        same = a->account == b->account && a->peer == b->peer;
    }
    return same;
}

/* A key that an earlier mutation of this very batch has taken. */
static const struct db_posting *earlier(const struct statement *statement, int index)
{
    for (int i = 0; i < index; i++) {
        const struct db_posting *other = &statement->postings[i];
        if (other->key == statement->postings[index].key && other->outcome == OUTCOME_OK) {
            return other;
        }
    }
    return NULL;
}

static void post_one(struct statement *statement, int index)
{
    struct db_posting *posting = &statement->postings[index];
    const struct db_posting *first = posting->key != 0 ? db_key_taken_by(posting->key) : NULL;
    first = first != NULL || posting->key == 0 ? first : earlier(statement, index);
    if (first != NULL && posting_same_words(first, posting)) {
        *posting = *first;
        posting->duplicate = true;
        posting->takes_key = false;
        posting->changed =
            !is_movement(posting) && posting->kind != MUTATION_HOLD && first->changed;
        if (!MUTANT(DUP)) {
            show_all(statement, posting);
        }
        return;
    }
    if (is_movement(posting)) {
        name_sides(posting);
    }
    posting->outcome = first != NULL          ? OUTCOME_KEYREUSED
                       : is_movement(posting) ? apply(statement, posting)
                                              : posting_decide(statement, posting);
    posting->takes_key = posting->outcome == OUTCOME_OK;
    if (posting->outcome != OUTCOME_OK) {
        posting->state = posting->account >= 0 ? posting_state(statement, posting->account)
                                               : (struct account_state){.version = 0};
        if (MUTANT(REFUSED)) {
            return;
        }
    }
    if (posting->kind != MUTATION_EXPIRE) {
        show_all(statement, posting);
    }
}

/* Batches of nothing but credits and debits, and of nothing but holds, are posted at once. */
static bool may_go_at_once(const struct statement *statement)
{
    bool holds = statement->postings[0].kind == MUTATION_HOLD, at_once = true;
    for (int i = 0; i < statement->count; i++) {
        enum mutation_kind kind = statement->postings[i].kind;
        at_once = at_once && (holds ? kind == MUTATION_HOLD
                                    : kind == MUTATION_CREDIT || kind == MUTATION_DEBIT);
    }
    return at_once;
}

/* ballast.bears(): whether an account can take its part of such a batch as it is. */
static bool bears(const struct statement *statement, int account)
{
    struct account_state state = db_present(account);
    int64_t available = state.balance - state.held;
    bool bears = state.version > 0 && state.status != ACCOUNT_CLOSED;
    for (int i = 0; i < statement->count && bears; i++) {
        const struct db_posting *posting = &statement->postings[i];
        if (posting->account != account) {
            continue;
        }
        bool credit = posting->kind == MUTATION_CREDIT;
        available += credit ? posting->amount : -posting->amount;
        bears = db_key_taken_by(posting->key) == NULL &&
                (credit || (state.status == ACCOUNT_ACTIVE && available >= state.floor));
    }
    return bears;
}

/* Whatever does not go at once begins with the holds on its accounts whose time is up. */
static void expire_holds(struct statement *statement)
{
    bool at_once = may_go_at_once(statement);
    for (int i = 0; i < statement->count; i++) {
        int accounts[POSTING_ACCOUNTS_MAX];
        int count = posting_accounts(&statement->postings[i], accounts);
        for (int k = 0; k < count; k++) {
            if (!at_once || !bears(statement, accounts[k])) {
                promises_expire(statement, accounts[k]);
            }
        }
    }
}

void posting_run(struct statement *statement)
{
    expire_holds(statement);
    for (int i = 0; i < statement->count; i++) {
        post_one(statement, i);
    }
    for (int i = 0; i < statement->expired_count && !MUTANT(EXPIREHIDE); i++) {
        show(statement, statement->expired[i].account);
    }
}
