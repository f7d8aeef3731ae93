/* Postings of the fake PostgreSQL, and the question for what a commit has refused. */
#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "base/mutant.h"
#include "fake_store.h"
#include "words.h"

static const struct store_error lock_error = {"55P03", "lock timeout"};

static void submit_postings(struct store_link *link, enum statement_kind kind,
                            struct store_posting *const *postings, size_t count, int64_t commit,
                            store_post_fn *done, void *arg)
{
    struct statement *statement = statement_new(kind);
    assert(count <= SIM_ENTRIES_MAX);
    statement->count = (int)count;
    statement->number = (uint64_t)commit;
    statement->caller_postings = postings;
    for (size_t i = 0; i < count; i++) {
        words_of_mutation(&statement->postings[i], &postings[i]->mutation);
    }
    statement_submit(link, statement, (void *)done, arg);
}

void store_post(struct store_link *link, struct store_posting *const *postings, size_t count,
                int64_t commit, int64_t forget, store_post_fn *done, void *arg)
{
    (void)forget;
    submit_postings(link, STATEMENT_POST, postings, count, commit, done, arg);
}

void store_read_refusals(struct store_link *link, struct store_posting *const *postings,
                         size_t count, int64_t commit, store_post_fn *done, void *arg)
{
    submit_postings(link, STATEMENT_REFUSALS, postings, count, commit, done, arg);
}

static void set_entry(struct account_entry *entry, int account, const struct account_state *state)
{
    memset(entry, 0, sizeof *entry);
    if (account >= 0 && state->version > 0) {
        account_name(&entry->id, account);
        entry->state = *state;
    }
}

/* The result of the caller's i-th posting, with nothing in it but the outcome. */
static struct mutation_result *begin_result(struct statement *statement, int i)
{
    struct mutation_result *result = &statement->caller_postings[i]->result;
    memset(result, 0, sizeof *result);
    result->outcome = statement->postings[i].outcome;
    return result;
}

static void answer_post(struct statement *statement, enum store_status status)
{
    struct account_entry entries[CHANGES_MAX];
    struct store_posted reply = {entries, 0};
    for (int i = 0; status == STORE_OK && i < statement->count; i++) {
        const struct db_posting *posting = &statement->postings[i];
        struct mutation_result *result = begin_result(statement, i);
        result->duplicate = posting->duplicate;
        result->changed = posting->changed;
        result->transfer = posting->transfer != 0 ? posting->transfer : posting->made;
        if (posting->kind == MUTATION_HOLD && posting->outcome == OUTCOME_OK) {
            snprintf(result->detail, sizeof result->detail, "%lld", (long long)posting->expires_at);
        }
        if (posting->kind == MUTATION_EXPIRE) { /* which ones, for the checker */
            snprintf(result->detail, sizeof result->detail, "%llu %d",
                     (unsigned long long)statement->first_expiry, statement->expired_count);
        }
        set_entry(&result->account, posting->account, &posting->state);
        set_entry(&result->to, posting->peer, &posting->peer_state);
    }
    for (int i = 0; status == STORE_OK && i < statement->shown_count; i++) {
        const struct db_change *shown = &statement->shown[i];
        set_entry(&entries[reply.count++], shown->account, &shown->state);
    }
    mutant_saw_drained = statement->era.state == ERA_DRAINED;
    ((store_post_fn *)statement->callback)(
        statement->arg, status, statement->gave_up ? &lock_error : &fake_no_error, &reply);
}

static void answer_refusals(struct statement *statement, enum store_status status)
{
    struct account_entry entries[SIM_ENTRIES_MAX];
    struct store_posted reply = {entries, 0};
    for (int i = 0; status == STORE_OK && i < statement->count; i++) {
        const struct db_posting *posting = &statement->postings[i];
        (void)begin_result(statement, i);
        if (posting->outcome != OUTCOME_UNKNOWN && posting->state.version > 0) {
            set_entry(&entries[reply.count++], posting->account, &posting->state);
        }
    }
    ((store_post_fn *)statement->callback)(statement->arg, status, &fake_no_error, &reply);
}

void reply_posted(struct statement *statement, enum store_status status)
{
    if (statement->kind == STATEMENT_POST) {
        answer_post(statement, status);
    } else {
        answer_refusals(statement, status);
    }
}
