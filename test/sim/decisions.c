/*
 * Mutations that move no money, as ballast.objection() and ballast.changes() decide them: opening,
 * floors, statuses, holds and charges. Fuses are not simulated.
 */
#include "database.h"

#include "base/attributes.h"
#include "promises.h"

#define HOLD_SECONDS 604800 /* of a hold that does not say */

static enum outcome open_account(struct statement *statement, struct db_posting *posting,
                                 struct account_state *state)
{
    if (state->version == 0) {
        *state = (struct account_state){.floor = posting->amount, .asset = {5, "USD/2"}};
        posting->changed = true;
        posting_change(statement, posting->account, state);
    }
    return posting->amount == db_opening_floor(statement, posting->account) ? OUTCOME_OK
                                                                            : OUTCOME_EXISTS;
}

static enum outcome object_to_release(const struct statement *statement,
                                      const struct db_posting *posting)
{
    const struct db_hold *hold = hold_within(statement, posting);
    return hold == NULL || hold->state != HOLD_HELD ? OUTCOME_NOHOLD : OUTCOME_OK;
}

static enum outcome object_to_close(const struct statement *statement,
                                    const struct db_posting *posting,
                                    const struct account_state *state)
{
    return state->balance != 0 || state->held != 0     ? OUTCOME_NOTEMPTY
           : charge_is_open_within(statement, posting) ? OUTCOME_OPENCHARGE
                                                       : OUTCOME_OK;
}

static enum outcome object(const struct statement *statement, const struct db_posting *posting,
                           const struct account_state *state)
{
    int64_t available = state->balance - state->held;
    if (posting->kind == MUTATION_RELEASE) {
        return object_to_release(statement, posting);
    }
    if (state->version == 0) {
        return OUTCOME_NOACCOUNT;
    }
    if (posting->kind == MUTATION_CLOSE) {
        return object_to_close(statement, posting, state);
    }
    if (state->status == ACCOUNT_CLOSED) {
        return OUTCOME_CLOSED;
    }
    switch (posting->kind) {
    case MUTATION_HOLD:
    case MUTATION_CANSPEND:
        return state->status == ACCOUNT_SUSPENDED           ? OUTCOME_SUSPENDED
               : available - posting->amount < state->floor ? OUTCOME_INSUFFICIENT
                                                            : OUTCOME_OK;
    case MUTATION_CHARGE:
        return charge_is_open_within(statement, posting) ? OUTCOME_OPENCHARGE
               : available >= posting->limit             ? OUTCOME_NOTDUE
                                                         : OUTCOME_OK;
    default:
        return OUTCOME_OK;
    }
}

/* Whether it makes a version. */
static bool changes(const struct db_posting *posting, const struct account_state *state)
{
    switch (posting->kind) {
    case MUTATION_SETFLOOR:
        return state->floor != posting->amount;
    case MUTATION_CLOSE:
        return state->status != ACCOUNT_CLOSED;
    case MUTATION_SUSPEND:
        return state->status == ACCOUNT_ACTIVE &&
               (!posting->if_below || state->balance - state->held < state->floor);
    case MUTATION_RESUME:
        return state->status == ACCOUNT_SUSPENDED;
    default:
        return posting->kind == MUTATION_HOLD || posting->kind == MUTATION_RELEASE;
    }
}

static void decide(const struct statement *statement, struct db_posting *posting,
                   struct account_state *state)
{
    switch (posting->kind) {
    case MUTATION_SETFLOOR:
        state->floor = posting->amount;
        break;
    case MUTATION_CLOSE:
        state->status = ACCOUNT_CLOSED;
        break;
    case MUTATION_SUSPEND:
        state->status = posting->changed ? ACCOUNT_SUSPENDED : state->status;
        break;
    case MUTATION_RESUME:
        state->status = ACCOUNT_ACTIVE;
        break;
    case MUTATION_HOLD:
        state->held += posting->amount;
        posting->made = db_next_hold();
        posting->expires_at =
            world.now + (posting->limit != 0 ? posting->limit : HOLD_SECONDS) * SECOND;
        break;
    case MUTATION_RELEASE:
        state->held -= hold_within(statement, posting)->amount;
        break;
    case MUTATION_CHARGE:
        posting->made = db_next_charge();
        break;
    default:
        break;
    }
}

enum outcome posting_decide(struct statement *statement, struct db_posting *posting)
{
    struct account_state state = {.version = 0};
    enum outcome outcome = OUTCOME_OK;
    if (posting->kind == MUTATION_EXPIRE) { /* was done as the batch began */
        posting->made = (uint64_t)posting->leg_count;
        return OUTCOME_OK;
    }
    if (posting->account >= 0) {
        state = posting_state(statement, posting->account);
    }
    if (posting->kind == MUTATION_OPEN) {
        outcome = open_account(statement, posting, &state);
    } else {
        outcome = object(statement, posting, &state);
        if (outcome == OUTCOME_OK) {
            posting->changed = changes(posting, &state);
            decide(statement, posting, &state);
        }
        if (posting->changed) {
            posting_change(statement, posting->account, &state);
        }
    }
    posting->state = state;
    return outcome;
}
