/*
 * A client has one request open at a time; its reads may arrive in two packets. Everything that it is told goes through the checker at
 * the moment at which the daemon says it: a client on the same machine would know it then.
 */
#include "clients.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "checker.h"
#include "trace.h"
#include "words.h"

#define CLIENTS_MAX 48
#define READS_MAX 8
#define LATE_MAX (130 * MS) /* beyond a deadline: a look at the cache for a stale answer, a tick */
#define PACKET_GAP_US 300
#define PROBE_DEADLINE (2 * SECOND)

enum request_kind { REQUEST_READ, REQUEST_MUTATION, REQUEST_HISTORY };

struct request {
    enum request_kind kind;
    struct process *process;
    uint64_t number; /* an event of an older one means nothing */
    int open;        /* items without an answer; 0: idle */
    int64_t deadline_clock, paused_us;
    struct read_item reads[READS_MAX];
    uint64_t least[READS_MAX]; /* floors at the start */
    bool answered[READS_MAX];
    int read_count, second_packet; /* from that read on; read_count: there is none */
    struct query_item query;
    uint64_t query_version;
    struct account_state history[8];
    struct db_posting words;
    uint64_t floors[ACCOUNTS_MAX]; /* at the start of a mutation */
    bool wrong_words;              /* the key is another mutation's */
    struct mutation_result result;
};

struct client {
    int index;
    int home;
    bool probes;
    bool aimed; /* asks when a schedule wants it to */
    uint64_t retry_key;
    struct request request;
};

static struct client clients[CLIENTS_MAX];
static int client_count;
static bool stopped;
static uint32_t mutation_share, fresh_share, query_share, reuse_share;
static int64_t think_us, timeout_us; /* the timeout is a daemon's setting: one for all */
static uint64_t probes_sent, probes_from_cache;

static void next_request(void *object, uint64_t arg);

/* --- answers ----------------------------------------------------------------------------------*/

static void request_over(struct client *client)
{
    client->request.number++;
    if (!stopped && !client->probes && !client->aimed) {
        world_after(sim_delay(think_us), NULL, next_request, client, 0);
    }
}

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
        checker_shown(
            who, item->source == READ_FROM_CACHE ? "shown from the cache" : "shown from the store",
            account, &item->state, request->least[index]);
        probes_from_cache += client->probes && item->source == READ_FROM_CACHE;
        break;
    case READ_STALE:
        checker_shown_stale(account, &item->state);
        break;
    default:
        break;
    }
    if (--request->open == 0) {
        check_order(request);
        request_over(client);
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
    if (request->wrong_words) {
        if (result->outcome == OUTCOME_OK) {
            checker_fail(words->account, "key k%" PRIu64 " was taken for another mutation",
                         words->key);
        }
    } else if (words->key != 0) {
        checker_key_answered(words->key, result);
    }
    shown_by_mutation(request, &result->account, how, first || refused || words->key == 0);
    shown_by_mutation(request, &result->to, how, first);
    bool again = result->outcome == OUTCOME_UNKNOWN || result->outcome == OUTCOME_UNAVAILABLE;
    client->retry_key = again && words->key != 0 && !request->wrong_words ? words->key : 0;
    request_over(client);
}

static void query_answered(struct client *client)
{
    struct request *request = &client->request;
    int account = account_of(&request->query.account);
    world.operations++;
    request->open = 0;
    for (size_t i = request->query.rows; i-- > 0 && request->query.outcome == OUTCOME_OK;) {
        checker_shown(request->process->name, "shown in a history", account, &request->history[i],
                      i == 0 ? request->least[0] : 0);
    }
    if (request->query.outcome == OUTCOME_NOACCOUNT) {
        const struct account_state absent = {.version = 0};
        checker_shown(request->process->name, "history of no account", account, &absent,
                      request->least[0]);
    }
    request_over(client);
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

static void read_done(struct read_item *item)
{
    struct client *client = item->owner;
    told(client, (uint64_t)(item - client->request.reads));
}

static void write_done(struct write_item *item)
{
    struct client *client = item->owner;
    client->request.result = item->posting.result;
    told(client, WHAT_MUTATION);
}

static void query_done(struct query_item *item)
{
    struct client *client = item->owner;
    struct request *request = &client->request;
    for (size_t i = 0; i < item->rows; i++) {
        request->history[i] = (struct account_state){.version = item->history[i].version,
                                                     .balance = item->history[i].balance};
    }
    told(client, WHAT_QUERY);
}

/* --- at the daemon ----------------------------------------------------------------------------*/

static struct worker *worker_of(const struct client *client)
{
    struct process *process = client->request.process;
    return &process->workers[client->index % process->worker_count];
}

static void submit_mutation(struct client *client, struct engine *engine, int64_t deadline)
{
    struct request *request = &client->request;
    const struct db_posting *words = &request->words;
    struct write_item *item = engine_write_new(engine);
    if (item == NULL) {
        memset(&request->result, 0, sizeof request->result);
        request->result.outcome = OUTCOME_BUSY;
        told(client, WHAT_MUTATION);
        return;
    }
    words_to_mutation(&item->posting.mutation, words);
    item->received_us = clock_boot_us();
    item->deadline_us = deadline;
    item->done = write_done;
    item->owner = client;
    item->stream = (uint64_t)client->index;
    engine_write(engine, item);
}

static void submit_reads(struct client *client, struct engine *engine, int from, int to)
{
    struct request *request = &client->request;
    for (int i = from; i < to; i++) {
        struct read_item *item = &request->reads[i];
        item->deadline_us = request->deadline_clock;
        request->least[i] = checker_floor(account_of(&item->id));
        engine_read(engine, item);
    }
}

static void submit_second_packet(void *object, uint64_t arg)
{
    struct client *client = object;
    struct request *request = &client->request;
    if (arg == request->number && !request->process->dead) {
        submit_reads(client, worker_of(client)->engine, request->second_packet,
                     request->read_count);
    }
}

static void submit(void *object, uint64_t arg)
{
    struct client *client = object;
    struct request *request = &client->request;
    if (arg != request->number) {
        return;
    }
    struct process *process = request->process;
    struct worker *worker = worker_of(client);
    int64_t deadline = clock_boot_us() + (client->probes ? PROBE_DEADLINE : timeout_us);
    request->deadline_clock = deadline;
    request->paused_us = process->paused_us;
    switch (request->kind) {
    case REQUEST_READ:
        submit_reads(client, worker->engine, 0, request->second_packet);
        if (request->second_packet < request->read_count) {
            world_after(sim_delay(PACKET_GAP_US), process, submit_second_packet, client, arg);
        }
        break;
    case REQUEST_MUTATION:
        submit_mutation(client, worker->engine, deadline);
        break;
    case REQUEST_HISTORY:
        request->query.deadline_us = deadline;
        engine_query(worker->engine, &request->query);
        break;
    }
}

/* --- at the client ----------------------------------------------------------------------------*/

static void want_read(struct client *client, int index, int account, bool fresh)
{
    struct request *request = &client->request;
    struct read_item *item = &request->reads[index];
    memset(item, 0, sizeof *item);
    account_name(&item->id, account);
    item->fresh = fresh;
    item->max_age_ms = -1;
    item->done = read_done;
    item->owner = client;
    item->stream = (uint64_t)client->index;
    request->answered[index] = false;
    request->least[index] = checker_floor(account);
}

static void choose_reads(struct client *client)
{
    struct request *request = &client->request;
    bool fresh = sim_chance(fresh_share);
    request->kind = REQUEST_READ;
    request->read_count = (int)sim_between(1, READS_MAX);
    request->open = request->read_count;
    request->second_packet =
        sim_chance(500000) ? (int)sim_between(1, request->read_count) : request->read_count;
    for (int i = 0; i < request->read_count; i++) {
        struct read_item *item = &request->reads[i];
        want_read(client, i, any_account(), fresh);
        item->max_age_ms = sim_chance(10000) ? 5 : -1;
        item->min_version = sim_chance(20000) ? request->least[i] : 0;
    }
}

/* The words stand. */
static void want_mutation(struct client *client)
{
    struct request *request = &client->request;
    request->kind = REQUEST_MUTATION;
    request->open = 1;
    if (request->words.key != 0 && !request->wrong_words) {
        checker_key_submitted(request->words.key);
    }
    for (int i = 0; i < world.account_count; i++) {
        request->floors[i] = checker_floor(i);
    }
}

static void choose_mutation(struct client *client)
{
    struct request *request = &client->request;
    uint64_t count = checker_key_count();
    request->wrong_words = false;
    if (client->retry_key != 0 && sim_chance(700000)) {
        request->words = *checker_key_words(client->retry_key);
    } else if (count > 1 && sim_chance(reuse_share)) {
        uint64_t back = 1 + sim_below(count > 24 ? 23 : (uint32_t)(count - 1));
        request->words = *checker_key_words(count - back);
        if (checker_key_is_applied(request->words.key) && sim_chance(100000)) {
            request->wrong_words = true;
            words_alter(&request->words);
        }
    } else {
        words_choose(&request->words);
    }
    want_mutation(client);
}

static void choose_query(struct client *client)
{
    struct request *request = &client->request;
    int account = any_account();
    memset(&request->query, 0, sizeof request->query);
    request->kind = REQUEST_HISTORY;
    request->open = 1;
    request->query.kind = QUERY_HISTORY;
    request->query.count = 8;
    account_name(&request->query.account, account);
    request->query.done = query_done;
    request->query.owner = client;
    request->least[0] = checker_floor(account);
}

static void send_to(struct client *client, struct process *process)
{
    struct request *request = &client->request;
    request->process = process;
    memset(request->answered, 0, sizeof request->answered);
    world_after((int64_t)sim_below(50), process, submit, client, request->number);
}

static void next_request(void *object, uint64_t arg)
{
    struct client *client = object;
    (void)arg;
    if (stopped) {
        return;
    }
    if (sim_chance(100000)) {
        client->home = (int)sim_below((uint32_t)daemon_count);
    }
    struct process *process = daemons[client->home];
    if (process == NULL) {
        client->home = (int)sim_below((uint32_t)daemon_count);
        world_after(sim_delay(2 * MS), NULL, next_request, client, 0);
        return;
    }
    if (sim_chance(mutation_share)) {
        choose_mutation(client);
    } else if (sim_chance(query_share)) {
        choose_query(client);
    } else {
        choose_reads(client);
    }
    send_to(client, process);
}

static void abandon(struct client *client)
{
    struct request *request = &client->request;
    if (request->kind == REQUEST_MUTATION && request->words.key != 0 && !request->wrong_words) {
        checker_key_lost(request->words.key);
        client->retry_key = request->words.key;
    }
    request->open = 0;
    request_over(client);
}

void clients_lost_daemon(const struct process *process)
{
    for (int i = 0; i < CLIENTS_MAX; i++) {
        if (clients[i].request.open > 0 && clients[i].request.process == process) {
            abandon(&clients[i]);
        }
    }
}

/* --- life -------------------------------------------------------------------------------------*/

void clients_begin(void)
{
    memset(clients, 0, sizeof clients);
    stopped = false;
    probes_sent = probes_from_cache = 0;
    client_count = (int)sim_between(4, world.staged ? 8 : CLIENTS_MAX / 2);
    mutation_share = (uint32_t)sim_between(30000, 400000);
    fresh_share = (uint32_t)sim_between(0, 60000);
    query_share = (uint32_t)sim_between(0, 30000);
    reuse_share = (uint32_t)sim_between(0, 300000);
    think_us = sim_between(200, 1000) << (world.staged ? 5 + sim_below(3) : sim_below(6));
    timeout_us = sim_between(250 * MS, 2 * SECOND);
    for (int i = 0; i < client_count; i++) {
        clients[i].index = i;
        clients[i].home = i % daemon_count;
        world_after(sim_delay(10 * MS), NULL, next_request, &clients[i], 0);
    }
}

void clients_stop(void)
{
    stopped = true;
}

void clients_check_all_answered(void)
{
    for (int i = 0; i < CLIENTS_MAX; i++) {
        if (clients[i].request.open > 0) {
            checker_fail(-1, "%s: a request of client %d was never answered",
                         clients[i].request.process->name, i);
        }
    }
}

void clients_probe(void)
{
    for (int d = 0; d < daemon_count; d++) {
        struct client *client = &clients[CLIENTS_MAX - 1 - d];
        struct request *request = &client->request;
        if (daemons[d] == NULL || request->open > 0) {
            continue;
        }
        client->probes = true;
        client->index = (int)sim_below(WORKERS_MAX);
        choose_reads(client);
        for (int i = 0; i < request->read_count; i++) {
            request->reads[i].fresh = false;
            request->reads[i].max_age_ms = -1;
        }
        probes_sent += (uint64_t)request->read_count;
        send_to(client, daemons[d]);
    }
}

/* Between the clients of the storm and those that probe. */
static struct client *aimed_client(int daemon)
{
    for (int i = client_count; i < CLIENTS_MAX - DAEMONS_MAX && daemons[daemon] != NULL; i++) {
        struct client *client = &clients[i];
        if (client->request.open == 0) {
            client->index = i;
            client->home = daemon;
            client->aimed = true;
            return client;
        }
    }
    return NULL;
}

void clients_ask_read(int daemon, int account)
{
    struct client *client = aimed_client(daemon);
    if (client != NULL) {
        client->request.kind = REQUEST_READ;
        client->request.open = client->request.read_count = 1;
        client->request.second_packet = 1;
        want_read(client, 0, account, false);
        send_to(client, daemons[daemon]);
    }
}

void clients_ask_posting(int daemon, enum mutation_kind kind, int account, int64_t amount)
{
    struct client *client = aimed_client(daemon);
    if (client != NULL) {
        struct db_posting words = {.kind = MUTATION_OPEN, .account = account, .peer = -1};
        if (db_version(account) > 0) {
            words.kind = kind;
            words.amount = amount;
            words.key = checker_key_new(&words, false);
        }
        client->request.words = words;
        client->request.wrong_words = false;
        want_mutation(client);
        send_to(client, daemons[daemon]);
    }
}

uint64_t clients_probes_sent(void)
{
    return probes_sent;
}

uint64_t clients_probes_from_cache(void)
{
    return probes_from_cache;
}
