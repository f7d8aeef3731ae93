/*
 * What ballast.post_batch() does: plays the mutations of a batch in order and gives each its own
 * outcome. Computes only; the database commits. The statement holds the locks of all that it reads.
 */
#include "database.h"

#include "base/attributes.h"
#include "base/mutant.h"

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

static void show(struct statement *statement, int account)
{
    if (account >= 0) {
        struct account_state state = state_within(statement, account);
        statement->shown[statement->shown_count] = (struct db_change){account, state};
        statement->shown_count += state.version > 0;
    }
}

static enum outcome may_pay(const struct account_state *state, int64_t amount)
{
    return state->version == 0                      ? OUTCOME_NOACCOUNT
           : state->balance - amount < state->floor ? OUTCOME_INSUFFICIENT
                                                    : OUTCOME_OK;
}

static enum outcome apply(struct statement *statement, struct db_posting *posting)
{
    struct account_state state = state_within(statement, posting->account);
    enum outcome outcome = state.version == 0 ? OUTCOME_NOACCOUNT : OUTCOME_OK;
    struct account_state peer = {.version = 0};
    if (posting->peer >= 0) {
        peer = state_within(statement, posting->peer);
        outcome = peer.version == 0 ? OUTCOME_NOACCOUNT : outcome;
    }
    if (outcome == OUTCOME_OK &&
        (posting->kind == MUTATION_DEBIT || posting->kind == MUTATION_TRANSFER)) {
        outcome = may_pay(&state, posting->amount);
    }
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    switch (posting->kind) {
    case MUTATION_CREDIT:
        state.balance += posting->amount;
        break;
    case MUTATION_SETFLOOR:
        state.floor = posting->amount;
        break;
    default:
        state.balance -= posting->amount;
    }
    posting_change(statement, posting->account, &state);
    posting->state = state;
    if (posting->peer >= 0) {
        peer.balance += posting->amount;
        posting_change(statement, posting->peer, &peer);
        posting->peer_state = peer;
    }
    posting->changed = true;
    posting->transfer = posting->kind == MUTATION_SETFLOOR ? 0 : db_next_transfer();
    return OUTCOME_OK;
}

static bool same_words(const struct db_posting *a, const struct db_posting *b)
{
    return a->kind == b->kind && a->account == b->account && a->peer == b->peer &&
           a->amount == b->amount;
}

static void open_account(struct statement *statement, struct db_posting *posting)
{
    struct account_state state = state_within(statement, posting->account);
    if (state.version == 0) {
        state = (struct account_state){.floor = posting->amount, .asset = {5, "USD/2"}};
        posting_change(statement, posting->account, &state);
        posting->changed = true;
    }
    posting->outcome = OUTCOME_OK;
    posting->state = state;
    show(statement, posting->account);
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
    if (posting->kind == MUTATION_OPEN) {
        open_account(statement, posting);
        return;
    }
    const struct db_posting *first = db_key_taken_by(posting->key);
    first = first != NULL ? first : earlier(statement, index);
    if (first != NULL && same_words(first, posting)) {
        *posting = *first;
        posting->duplicate = true;
        if (!MUTANT(DUP)) {
            show(statement, posting->account);
            show(statement, posting->peer);
        }
        return;
    }
    posting->outcome = first != NULL ? OUTCOME_KEYREUSED : apply(statement, posting);
    if (posting->outcome != OUTCOME_OK) {
        posting->state = state_within(statement, posting->account);
        if (MUTANT(REFUSED)) {
            return;
        }
    }
    show(statement, posting->account);
    show(statement, posting->peer);
}

void posting_run(struct statement *statement)
{
    for (int i = 0; i < statement->count; i++) {
        post_one(statement, i);
    }
}
