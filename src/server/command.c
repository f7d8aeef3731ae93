/* From the words of a request to the handler: look-up, arity, permission, order, statistics. */
#include "server/command.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "server/reply.h"
#include "server/session_state.h"
#include "server/slowlog.h"

/* --- look-up ----------------------------------------------------------------------------------*/

/* Open addressing; at most a third is used, so that a probe seldom needs a second look. */
#define LOOKUP_SLOTS 256
#define NAME_BYTES_MAX 16

static const struct command *lookup[LOOKUP_SLOTS];
static pthread_once_t lookup_once = PTHREAD_ONCE_INIT;

static unsigned hash_name(const char *name, size_t len)
{
    unsigned hash = (unsigned)len;

    for (size_t i = 0; i < len; i++) {
        hash = hash * 31 + ((unsigned char)name[i] | 0x20);
    }
    return (hash ^ hash >> 8) % LOOKUP_SLOTS;
}

static void make_lookup(void)
{
    assert(command_count() <= LOOKUP_SLOTS / 3);
    for (size_t i = 0; i < command_count(); i++) {
        const struct command *command = command_at(i);
        size_t len = strlen(command->name);
        assert(len <= NAME_BYTES_MAX);
        unsigned slot = hash_name(command->name, len);
        while (lookup[slot] != NULL) {
            slot = (slot + 1) % LOOKUP_SLOTS;
        }
        lookup[slot] = command;
    }
}

void command_table_prepare(void)
{
    pthread_once(&lookup_once, make_lookup);
}

static bool is_name(const char *name, const char *word, size_t len)
{
    return strncasecmp(name, word, len) == 0 && name[len] == '\0';
}

const struct command *command_find(const char *name, size_t len)
{
    if (len == 0 || len > NAME_BYTES_MAX) {
        return NULL;
    }
    for (unsigned slot = hash_name(name, len); lookup[slot] != NULL;
         slot = (slot + 1) % LOOKUP_SLOTS) {
        if (is_name(lookup[slot]->name, name, len)) {
            return lookup[slot];
        }
    }
    return NULL;
}

const struct command *command_find_sub(const struct command *container, const char *word,
                                       size_t len)
{
    size_t skip = strlen(container->name) + 1;

    for (const struct command *sub = container->subcommands; sub != NULL && sub->name != NULL;
         sub++) {
        if (len > 0 && len <= NAME_BYTES_MAX && is_name(sub->name + skip, word, len)) {
            return sub;
        }
    }
    return NULL;
}

int command_index(const struct command *command)
{
    const struct command *first = command_at(0);

    if (command >= first && command < first + command_count()) {
        return (int)(command - first);
    }
    const char *bar = strchr(command->name, '|');
    assert(bar != NULL);
    return (int)(command_find(command->name, (size_t)(bar - command->name)) - first);
}

bool command_arity_fits(const struct command *command, size_t words)
{
    return command->arity >= 0 ? words == (size_t)command->arity : words >= (size_t)-command->arity;
}

const struct command *command_resolve(const struct resp_slice *args, size_t count)
{
    const struct command *command = command_find(args[0].data, args[0].len);

    if (command != NULL && command->subcommands != NULL && count > 1) {
        const struct command *sub = command_find_sub(command, args[1].data, args[1].len);
        return sub != NULL ? sub : command;
    }
    return command;
}

/* --- order ------------------------------------------------------------------------------------*/

bool command_reads_store(const struct command *command, const struct resp_slice *args, size_t count)
{
    bool fresh = false;

    if ((command->flags & COMMAND_STORE_IF_FRESH) != 0) {
        for (size_t i = (size_t)abs(command->arity); i < count; i++) {
            fresh |= resp_slice_is(&args[i], "FRESH");
        }
    }
    return fresh || (command->flags & COMMAND_STORE) != 0;
}

uint64_t command_accounts(const struct command *command, const struct resp_slice *args,
                          size_t count)
{
    size_t last = command->last_key < 0 ? count - 1 : (size_t)command->last_key;
    uint64_t accounts = 0;
    struct account_id id;

    if (command->first_key == 0) {
        return 0;
    }
    for (size_t i = (size_t)command->first_key; i <= last && i < count;
         i += (size_t)command->key_step) {
        if (account_id_parse(&id, args[i].data, args[i].len)) {
            accounts |= UINT64_C(1) << (account_id_hash(&id) % 64);
        }
    }
    return accounts;
}

bool command_must_wait(const struct session *session, const struct command *command,
                       const struct resp_args *args)
{
    if (session->in_flight == 0) {
        return false;
    }
    if (command->flags & COMMAND_ALONE) {
        return true;
    }
    if (command->class == COMMAND_OTHER || command->class != session->run) {
        return command->class != COMMAND_OTHER;
    }
    if (command_reads_store(command, args->items, args->count)) {
        if (session->in_flight > session->store_reads || session->store_command != command) {
            return true;
        }
        if (command->flags & COMMAND_STORE_IF_FRESH) {
            return false;
        }
    }
    return session->store_reads > 0 &&
           (session->store_accounts & command_accounts(command, args->items, args->count)) != 0;
}

/* --- errors before a command runs -------------------------------------------------------------*/

/* At most so many bytes of what the client sent are shown to it, as in Redis. */
#define QUOTE_BYTES_MAX 128

static int quoted(size_t len)
{
    return (int)(len < QUOTE_BYTES_MAX ? len : QUOTE_BYTES_MAX);
}

static void answer_unknown(struct call *call)
{
    struct buffer words = BUFFER_EMPTY;

    for (size_t i = 1; i < call->count && words.len < QUOTE_BYTES_MAX; i++) {
        const struct resp_slice *arg = &call->args[i];
        buffer_printf(&words, "'%.*s' ", quoted(arg->len), arg->data);
    }
    call_error(call, "ERR", "unknown command '%.*s', with args beginning with: %.*s",
               quoted(call->args[0].len), call->args[0].data, (int)words.len,
               words.len > 0 ? words.data : "");
    buffer_free(&words);
}

static void answer_unknown_sub(struct call *call)
{
    char container[NAME_BYTES_MAX + 1] = {0};

    for (size_t i = 0; call->command->name[i] != '\0'; i++) {
        container[i] = (char)toupper((unsigned char)call->command->name[i]);
    }
    call_error(call, "ERR", "unknown subcommand '%.*s'. Try %s HELP.", quoted(call->args[1].len),
               call->args[1].data, container);
}

/* Answers and returns false where the command may not run. */
static bool is_allowed(struct call *call)
{
    const struct command *command = call->command;
    enum config_role role;

    if (command == NULL) {
        answer_unknown(call);
        return false;
    }
    bool known = session_role(call->session, &role);
    if (!known && !(command->flags & COMMAND_NOAUTH)) {
        call_error(call, "NOAUTH", "Authentication required.");
    } else if (command->subcommands != NULL && call->count > 1) {
        answer_unknown_sub(call); /* else it had been resolved */
    } else if (command->run == NULL || !command_arity_fits(command, call->count)) {
        call_error(call, "ERR", "wrong number of arguments for '%s' command", command->name);
    } else if (known && role < command->role) {
        call_error(call, "NOPERM", "User %s has no permissions to run the '%s' command",
                   call->session->client.user, command->name);
    } else {
        return true;
    }
    return false;
}

/* --- running ----------------------------------------------------------------------------------*/

static void note_if_slow(const struct call *call, int64_t took_us)
{
    const struct client *client = &call->session->client;
    struct slowlog_entry entry;

    if (took_us < LIMIT_SLOW_US || (call->command->flags & COMMAND_SECRET)) {
        return;
    }
    memset(&entry, 0, sizeof entry);
    entry.took_us = took_us;
    for (size_t i = 0; i < call->count; i++) {
        slowlog_word(&entry, call->args[i].data, call->args[i].len);
    }
    memcpy(entry.address, client->address, sizeof entry.address);
    memcpy(entry.name, client->name, sizeof entry.name);
    slowlog_add(&entry);
}

/* Of a command that was answered at once. */
static void count_call(struct call *call, bool allowed, int64_t began_us)
{
    struct session *session = call->session;
    struct session_group *group = session->group;
    struct metrics *metrics = session->worker->metrics;

    if (session->tail != NULL && call->writer.out == &session->tail->text) {
        size_t bytes = call->writer.out->len - call->start;
        session->tail->count += bytes;
        session->text_bytes += bytes;
    }
    metrics_add(&metrics->commands_other, 1);
    if (call->failed) {
        metrics_add(&metrics->command_errors, 1);
    }
    if (!allowed) {
        if (call->command != NULL) {
            command_stats_rejected(group->stats, command_index(call->command));
        }
        return;
    }
    int64_t took_us = clock_boot_us() - began_us;
    histogram_record(&metrics->latency_other, took_us);
    command_stats_called(group->stats, command_index(call->command), took_us, call->failed);
    note_if_slow(call, took_us);
}

void command_dispatch(struct session *session, const struct command *command,
                      const struct resp_slice *args, size_t count)
{
    struct call call = {.session = session, .command = command, .args = args, .count = count};
    bool engine = command != NULL && command->class != COMMAND_OTHER;
    int64_t began_us = engine ? session->turn_us : clock_boot_us();
    bool allowed = is_allowed(&call);

    atomic_store_explicit(&session->client.command, command, memory_order_relaxed);
    atomic_store_explicit(&session->client.active_us, session->turn_us, memory_order_relaxed);
    if (allowed) {
        command->run(&call);
    }
    if (call.answered) {
        count_call(&call, allowed, began_us);
    }
}
