/* What clients are told, at the moment at which the daemon says it; see the header. */
#include "client.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/mutant.h"
#include "checker.h"

#define LATE_MAX (130 * MS) /* beyond a deadline: a look at the cache for a stale answer, a tick */

static void check_time(const struct request *request)
{
    const struct process *process = request->process;
    int64_t late = process_clock(process) - request->deadline_clock;
    int64_t excused = (process->paused_us - request->paused_us) + process->ahead_us;
    if (late > LATE_MAX + excused + excused / 10) {
        checker_fail(-1, "%s: an answer came %" PRId64 " us after its deadline", process->name,
                     late);
    }
}

/* What a connection shows of one account never goes back, in the order of its requests. */
static void check_order(const struct request *request)
{
    for (int later = 1; later < request->read_count; later++) {
        const struct read_item *second = &request->reads[later];
        for (int i = 0; i < later; i++) {
            const struct read_item *first = &request->reads[i];
            if (account_id_equal(&first->id, &second->id) && first->answer == READ_CURRENT &&
                second->answer == READ_CURRENT && first->state.version > second->state.version) {
                checker_fail(account_of(&first->id),
                             "%s: version %" PRIu64 " was shown behind version %" PRIu64,
                             request->process->name, second->state.version, first->state.version);
            }
        }
    }
}

static void read_answered(struct client *client, int index)
{
    struct request *request = &client->request;
    struct read_item *item = &request->reads[index];
    int account = account_of(&item->id);
    const char *who = request->process->name;
    world.operations++;
    switch (item->answer) {
    case READ_CURRENT:
        if (request->kind == REQUEST_CANSPEND) {
            checker_may_spend(account, &item->state, request->words.amount, true);
        }
        checker_shown(
            who, item->source == READ_FROM_CACHE ? "shown from the cache" : "shown from the store",
            account, &item->state, request->least[index]);
        if (client->probes && item->source == READ_FROM_CACHE) {
            client_probe_hit();
        }
        break;
    case READ_STALE:
        checker_shown_stale(account, &item->state);
        break;
    default:
        break;
    }
    if (--request->open == 0) {
        check_order(request);
        client_request_over(client);
    }
}

/* What a mutation says of an account's state; a repetition tells of an older one. */
static void shown_by_mutation(const struct request *request, const struct account_entry *entry,
                              const char *how, bool fresh)
{
    if (entry->state.version > 0) {
        int account = account_of(&entry->id);
        checker_shown(request->process->name, how, account, &entry->state,
                      fresh ? request->floors[account] : 0);
    }
}

static void expired(const char *detail)
{
    char *end;
    uint64_t number = strtoull(detail, &end, 10);
    checker_expired(number, atoi(end));
}

/* What the store has said where a read had not allowed it. */
static void decided(const struct request *request)
{
    const struct mutation_result *result = &request->result;
    const struct account_state *state = &result->account.state;
    bool denied = result->outcome == OUTCOME_INSUFFICIENT || result->outcome == OUTCOME_SUSPENDED ||
                  result->outcome == OUTCOME_CLOSED;
    if (state->version > 0 && (denied || result->outcome == OUTCOME_OK)) {
        checker_may_spend(request->words.account, state, request->words.amount, !denied);
    }
}

static void mutation_answered(struct client *client)
{
    struct request *request = &client->request;
    const struct mutation_result *result = &request->result;
    const struct db_posting *words = &request->words;
    bool first = result->outcome == OUTCOME_OK && !result->duplicate;
    bool refused = result->outcome != OUTCOME_OK;
    const char *how = first ? "acknowledged" : refused ? "shown with a refusal" : "repeated";
    world.operations++;
    request->open = 0;
    if (words->kind == MUTATION_CANSPEND) {
        decided(request);
    }
    if (words->kind == MUTATION_EXPIRE && result->outcome == OUTCOME_OK) {
        expired(result->detail);
    }
    if (request->wrong_words) {
        if (result->outcome == OUTCOME_OK) {
            checker_fail(words->account, "key k%" PRIu64 " was taken for another mutation",
                         words->key);
        }
    } else if (words->key != 0) {
        checker_key_answered(words->key, result);
    }
    if (result->outcome == OUTCOME_INSUFFICIENT && result->account.state.version > 0) {
        checker_refused_for_money(account_of(&result->account.id), &result->account.state,
                                  request->sent_at);
    }
    shown_by_mutation(request, &result->account, how, first || refused || words->key == 0);
    shown_by_mutation(request, &result->to, how, first);
    bool again = result->outcome == OUTCOME_UNKNOWN || result->outcome == OUTCOME_UNAVAILABLE;
    client->retry_key = again && words->key != 0 && !request->wrong_words ? words->key : 0;
    client_request_over(client);
}

static void query_answered(struct client *client)
{
    struct request *request = &client->request;
    int account = account_of(&request->query.account);
    world.operations++;
    request->open = 0;
    for (size_t i = request->query.rows; i-- > 0 && request->query.outcome == OUTCOME_OK;) {
        checker_shown_balance(request->process->name, "shown in a history", account,
                              &request->history[i], i == 0 ? request->least[0] : 0);
    }
    if (request->query.outcome == OUTCOME_NOACCOUNT) {
        const struct account_state absent = {.version = 0};
        checker_shown(request->process->name, "history of no account", account, &absent,
                      request->least[0]);
    }
    client_request_over(client);
}

/* Of a request that is one item. Beyond the numbers of reads. */
#define WHAT_MUTATION 100
#define WHAT_QUERY 101
#define WHAT_LIMIT 128

static void tell(void *object, uint64_t arg)
{
    struct client *client = object;
    uint64_t what = arg % WHAT_LIMIT;
    if (arg / WHAT_LIMIT != client->request.number) {
        return; /* the daemon died before the words had left it */
    }
    if (what == WHAT_MUTATION) {
        mutation_answered(client);
    } else if (what == WHAT_QUERY) {
        query_answered(client);
    } else {
        read_answered(client, (int)what);
    }
}

static void told(struct client *client, uint64_t what)
{
    struct request *request = &client->request;
    if (request->process->dead) {
        return; /* nobody hears it */
    }
    check_time(request);
    if (what < READS_MAX) {
        assert(!request->answered[what]);
        request->answered[what] = true;
    }
    what += WHAT_LIMIT * request->number;
    if (request->process->ahead_us == 0) {
        tell(client, what);
    } else {
        world_after(0, NULL, tell, client, what); /* a step that stalled speaks when it goes on */
    }
}

/* A CANSPEND that the read did not allow. */
static void ask_store(struct client *client)
{
    struct request *request = &client->request;
    if (!MUTANT(DENYCACHE) || request->reads[0].state.version == 0) {
        client_ask_store(client);
        return;
    }
    memset(&request->result, 0, sizeof request->result);
    request->result.outcome = OUTCOME_INSUFFICIENT;
    request->result.account =
        (struct account_entry){.id = request->reads[0].id, .state = request->reads[0].state};
    told(client, WHAT_MUTATION);
}

void client_read_done(struct read_item *item)
{
    struct client *client = item->owner;
    struct request *request = &client->request;
    bool stale = item->answer == READ_STALE && MUTANT(ALLOWSTALE);
    if (request->kind == REQUEST_CANSPEND && (item->answer == READ_CURRENT || stale)) {
        item->answer = READ_CURRENT;
        if (!account_can_spend(&item->state, request->words.amount)) {
            ask_store(client);
            return;
        }
    }
    told(client, (uint64_t)(item - request->reads));
}

void client_write_done(struct write_item *item)
{
    struct client *client = item->owner;
    client->request.result = item->posting.result;
    told(client, WHAT_MUTATION);
}

void client_busy(struct client *client)
{
    memset(&client->request.result, 0, sizeof client->request.result);
    client->request.result.outcome = OUTCOME_BUSY;
    told(client, WHAT_MUTATION);
}

void client_query_done(struct query_item *item)
{
    struct client *client = item->owner;
    struct request *request = &client->request;
    for (size_t i = 0; i < item->rows; i++) {
        request->history[i] = (struct account_state){.version = item->history[i].version,
                                                     .balance = item->history[i].balance};
    }
    told(client, WHAT_QUERY);
}
