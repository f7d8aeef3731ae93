#include "checker.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "promises.h"
#include "trace.h"

struct key {
    struct db_posting words;
    struct db_posting applied_as;
    bool cursed, applied, acknowledged;
    int submitted; /* how often */
    int open;      /* of them: not answered yet */
    int doubtful;  /* of them: answered UNKNOWN, or never */
};

static struct key *keys; /* number 0 is no key */
static uint64_t key_count, key_room;
static uint64_t floors[ACCOUNTS_MAX];

void checker_begin(void)
{
    key_count = 1;
    memset(floors, 0, sizeof floors);
}

void checker_fail(int account, const char *fmt, ...)
{
    va_list args;
    if (world.failed) {
        return;
    }
    world.failed = true;
    if (account >= 0) {
        trace_show(account);
    }
    printf("VIOLATION seed=%" PRIu64 " at=%.6f ", world.seed, (double)world_now() / 1e6);
    if (account >= 0) {
        printf("account=a%02d ", account);
    }
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

/* --- versions ---------------------------------------------------------------------------------*/

uint64_t checker_floor(int account)
{
    return floors[account];
}

static void raise_floor(int account, uint64_t version)
{
    if (account >= 0 && floors[account] < version) {
        floors[account] = version;
    }
}

static bool is_of_the_store(int account, const struct account_state *state, bool whole)
{
    const struct account_state *there = db_state(account, state->version);
    if (state->version == 0) {
        return true;
    }
    return there != NULL && there->balance == state->balance &&
           (!whole || (there->held == state->held && there->floor == state->floor &&
                       there->status == state->status));
}

static void shown(const char *who, const char *how, int account, const struct account_state *state,
                  uint64_t least, bool whole)
{
    trace_note(account, who, how, state->version, (uint64_t)state->balance);
    if (state->version < least) {
        checker_fail(account, "%s: %s version %" PRIu64 ", %" PRIu64 " was shown before", who, how,
                     state->version, least);
    } else if (!is_of_the_store(account, state, whole)) {
        checker_fail(account,
                     "%s: %s version %" PRIu64 " with balance %" PRId64 ", held %" PRId64
                     ": the store never had it",
                     who, how, state->version, state->balance, state->held);
    }
    raise_floor(account, state->version);
}

void checker_shown(const char *who, const char *how, int account, const struct account_state *state,
                   uint64_t least)
{
    shown(who, how, account, state, least, true);
}

void checker_shown_balance(const char *who, const char *how, int account,
                           const struct account_state *state, uint64_t least)
{
    shown(who, how, account, state, least, false);
}

void checker_shown_stale(int account, const struct account_state *state)
{
    if (!is_of_the_store(account, state, true)) {
        checker_fail(account, "a stale answer that the store never had");
    }
}

void checker_expired(uint64_t first, int count)
{
    for (int i = 0; i < count; i++) {
        const struct db_expiry *expiry = db_expiry(first + (uint64_t)i);
        raise_floor(expiry->account, expiry->version);
    }
}

/* --- what hurts -------------------------------------------------------------------------------*/

void checker_may_spend(int account, const struct account_state *state, int64_t amount, bool may)
{
    const struct account_state *there = db_state(account, state->version);
    if (there == NULL || account_can_spend(there, amount) != may) {
        checker_fail(account, "%s to spend %" PRId64 " by version %" PRIu64,
                     may ? "allowed" : "denied", amount, state->version);
    }
}

void checker_refused_for_money(int account, const struct account_state *state, int64_t sent_at)
{
    if (promises_overdue(account, state->version, sent_at)) {
        checker_fail(account, "refused by version %" PRIu64 ", though a hold's time was up",
                     state->version);
    }
}

/* The rules once more: posting.c has decided by them before. */
static void check_paid(const struct db_posting *posting, const struct db_leg *leg)
{
    const struct account_state *before = db_state(leg->from, leg->from_state.version - 1);
    const struct account_state *after = &leg->from_state;
    if (before->status != ACCOUNT_ACTIVE) {
        checker_fail(leg->from, "paid while it was %s", account_status_name(before->status));
    } else if (posting->kind != MUTATION_CAPTURE && after->balance - after->held < after->floor) {
        checker_fail(leg->from, "paid below its floor");
    }
}

static void check_rules(const struct db_posting *posting)
{
    const struct account_state *state = &posting->state;
    for (int i = 0; i < posting->leg_count && posting->transfer != 0; i++) {
        if (posting->legs[i].from >= 0) {
            check_paid(posting, &posting->legs[i]);
        }
    }
    if (posting->kind == MUTATION_HOLD &&
        (state->status != ACCOUNT_ACTIVE || state->balance - state->held < state->floor)) {
        checker_fail(posting->account, "a hold that is not within the rules");
    }
    if (posting->kind == MUTATION_CHARGE && state->balance - state->held >= posting->limit) {
        checker_fail(posting->account, "a charge that is not due");
    }
}

/* --- keys -------------------------------------------------------------------------------------*/

uint64_t checker_key_new(const struct db_posting *words, bool cursed)
{
    if (key_count == key_room || key_room == 0) {
        key_room = key_room == 0 ? 4096 : 2 * key_room;
        keys = realloc(keys, key_room * sizeof *keys);
        if (keys == NULL) {
            abort();
        }
    }
    keys[key_count] = (struct key){.words = *words, .cursed = cursed};
    keys[key_count].words.key = key_count;
    return key_count++;
}

uint64_t checker_key_count(void)
{
    return key_count;
}

const struct db_posting *checker_key_words(uint64_t key)
{
    return &keys[key].words;
}

bool checker_key_is_applied(uint64_t key)
{
    return keys[key].applied;
}

bool checker_key_is_cursed(uint64_t key)
{
    return key != 0 && keys[key].cursed;
}

uint64_t checker_key_number(const char *text, size_t len)
{
    uint64_t number = 0;
    bool right = len > 1 && text[0] == 'k';
    for (size_t i = 1; i < len; i++) {
        right = right && text[i] >= '0' && text[i] <= '9';
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    if (!right || number == 0 || number >= key_count) {
        checker_fail(-1, "the store was sent a key that no client used: %.*s", (int)len, text);
        return 0;
    }
    return number;
}

void checker_key_submitted(uint64_t key)
{
    keys[key].submitted++;
    keys[key].open++;
}

void checker_key_lost(uint64_t key)
{
    keys[key].open--;
    keys[key].doubtful++;
}

void checker_applied(uint64_t key, const struct db_posting *posting)
{
    struct key *row = &keys[key];
    if (row->applied) {
        checker_fail(posting->account, "key k%" PRIu64 " was applied twice", key);
    } else if (row->open == 0 && row->doubtful == 0) {
        checker_fail(posting->account,
                     "key k%" PRIu64 " is applied after everybody was told that it was not", key);
    }
    check_rules(posting);
    row->applied = true;
    row->applied_as = *posting;
}

static void check_acknowledged(uint64_t key, const struct mutation_result *result)
{
    struct key *row = &keys[key];
    const struct db_posting *as = &row->applied_as;
    int account = row->words.account;
    if (!row->applied) {
        checker_fail(account, "key k%" PRIu64 " is acknowledged and was not applied", key);
    } else if (result->transfer != (as->transfer != 0 ? as->transfer : as->made) ||
               result->account.state.held != as->state.held ||
               result->account.state.version != as->state.version ||
               result->account.state.balance != as->state.balance) {
        checker_fail(account, "key k%" PRIu64 " is acknowledged as something else", key);
    } else if (!result->duplicate && row->acknowledged) {
        checker_fail(account, "key k%" PRIu64 " is acknowledged as new for the second time", key);
    }
    row->acknowledged |= !result->duplicate;
    for (int i = 0; i < as->leg_count; i++) { /* a reply of several legs names no account */
        raise_floor(as->legs[i].from, as->legs[i].from_state.version);
        raise_floor(as->legs[i].to, as->legs[i].to_state.version);
    }
}

void checker_key_answered(uint64_t key, const struct mutation_result *result)
{
    struct key *row = &keys[key];
    row->open--;
    trace_note(row->words.account, "client", outcome_word(result->outcome), key, 0);
    if (result->outcome == OUTCOME_OK) {
        check_acknowledged(key, result);
    } else if (result->outcome == OUTCOME_UNKNOWN) {
        row->doubtful++;
    } else if (row->applied && row->submitted == 1) {
        checker_fail(row->words.account, "key k%" PRIu64 " was applied and answered %s", key,
                     outcome_word(result->outcome));
    }
}
