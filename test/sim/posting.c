/*
 * What ballast.post_batch() does: plays the mutations of a batch in order and gives each its own
 * outcome. Computes only; the database commits. The statement holds the locks of all that it reads.
 */
#include "database.h"

#include <string.h>

#include "base/attributes.h"
#include "base/mutant.h"

static bool is_movement(const struct db_posting *posting)
{
    return posting->kind != MUTATION_OPEN && posting->kind != MUTATION_SETFLOOR &&
           posting->kind != MUTATION_CLOSE;
}

/* Several legs, also where there is but one: no account is the one that the reply names. */
static bool is_multi(const struct db_posting *posting)
{
    const struct db_transfer *target = db_transfer(posting->target);
    return posting->kind == MUTATION_MTRANSFER ||
           (target != NULL && target->kind == MUTATION_MTRANSFER);
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
    default:
        break;
    }
}

int posting_accounts(const struct db_posting *posting, int accounts[POSTING_ACCOUNTS_MAX])
{
    int count = 0;
    if (!is_movement(posting)) {
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

/* What the statement has made of an account so far. */
static struct account_state state_within(const struct statement *statement, int account)
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
    statement->changes[statement->change_count++] = (struct db_change){account, *state};
}

static void show_all(struct statement *statement, const struct db_posting *posting)
{
    int accounts[POSTING_ACCOUNTS_MAX];
    int count = posting_accounts(posting, accounts);
    for (int i = 0; i < count; i++) {
        struct account_state state = state_within(statement, accounts[i]);
        statement->shown[statement->shown_count] = (struct db_change){accounts[i], state};
        statement->shown_count += state.version > 0;
    }
}

/* --- movements --------------------------------------------------------------------------------*/

static enum outcome move(struct statement *statement, struct db_leg *leg)
{
    struct account_state from = {.version = 1}, to = {.version = 1};
    if (leg->from >= 0) {
        from = state_within(statement, leg->from);
    }
    if (leg->to >= 0) {
        to = state_within(statement, leg->to);
    }
    if (from.version == 0 || to.version == 0) {
        return OUTCOME_NOACCOUNT;
    }
    if ((leg->from >= 0 && from.status == ACCOUNT_CLOSED) ||
        (leg->to >= 0 && to.status == ACCOUNT_CLOSED)) {
        return OUTCOME_CLOSED;
    }
    if (leg->from >= 0 && from.balance - from.held - leg->amount < from.floor) {
        return OUTCOME_INSUFFICIENT;
    }
    if (leg->from >= 0) {
        from.balance -= leg->amount;
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
    enum outcome outcome =
        posting->kind == MUTATION_REVERSE ? prepare_reverse(statement, posting) : OUTCOME_OK;
    for (int i = 0; i < posting->leg_count && outcome == OUTCOME_OK; i++) {
        outcome = move(statement, &posting->legs[i]);
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

/* --- what moves no money ----------------------------------------------------------------------*/

static enum outcome open_account(struct statement *statement, struct db_posting *posting,
                                 struct account_state *state)
{
    if (state->version == 0) {
        *state = (struct account_state){.floor = posting->amount, .asset = {5, "USD/2"}};
        posting_change(statement, posting->account, state);
        posting->changed = true;
    }
    return posting->amount == db_opening_floor(statement, posting->account) ? OUTCOME_OK
                                                                            : OUTCOME_EXISTS;
}

static enum outcome set_state(struct statement *statement, struct db_posting *posting)
{
    struct account_state state = state_within(statement, posting->account);
    enum outcome outcome = OUTCOME_OK;
    if (posting->kind == MUTATION_OPEN) {
        outcome = open_account(statement, posting, &state);
    } else if (state.version == 0) {
        outcome = OUTCOME_NOACCOUNT;
    } else if (posting->kind == MUTATION_CLOSE) {
        outcome = state.balance != 0 || state.held != 0 ? OUTCOME_NOTEMPTY : OUTCOME_OK;
        posting->changed = outcome == OUTCOME_OK && state.status != ACCOUNT_CLOSED;
        state.status = outcome == OUTCOME_OK ? ACCOUNT_CLOSED : state.status;
    } else if (state.status == ACCOUNT_CLOSED) {
        outcome = OUTCOME_CLOSED;
    } else {
        posting->changed = state.floor != posting->amount;
        state.floor = posting->amount;
    }
    if (posting->changed && posting->kind != MUTATION_OPEN) {
        posting_change(statement, posting->account, &state);
    }
    posting->state = state;
    return outcome;
}

/* --- the batch --------------------------------------------------------------------------------*/

bool posting_same_words(const struct db_posting *a, const struct db_posting *b)
{
    bool same = a->kind == b->kind && a->amount == b->amount && a->target == b->target;
    if (same && a->kind == MUTATION_MTRANSFER) {
        same = a->leg_count == b->leg_count;
        for (int i = 0; same && i < a->leg_count; i++) {
            same = a->legs[i].from == b->legs[i].from && a->legs[i].to == b->legs[i].to &&
                   a->legs[i].amount == b->legs[i].amount;
        }
    } else if (same && a->kind != MUTATION_REVERSE) {
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
        posting->changed = !is_movement(posting) && first->changed;
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
                                              : set_state(statement, posting);
    if (posting->outcome != OUTCOME_OK) {
        posting->state = posting->account >= 0 ? state_within(statement, posting->account)
                                               : (struct account_state){.version = 0};
        if (MUTANT(REFUSED)) {
            return;
        }
    }
    show_all(statement, posting);
}

void posting_run(struct statement *statement)
{
    for (int i = 0; i < statement->count; i++) {
        post_one(statement, i);
    }
}
