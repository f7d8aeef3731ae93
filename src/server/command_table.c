/*
 * The table of commands, sorted by name. A new command is a row here, its arguments for COMMAND
 * DOCS above it, and a handler.
 */
#include <string.h>

#include "server/command.h"
#include "server/handlers.h"

/* Rows read best as they were laid out: */
/* clang-format off */

/* Arities count the command's own name, and a subcommand's. */
#define AT_LEAST(words) (-(words))

#define ARGUMENTS(...) ((const struct command_argument[]){__VA_ARGS__, {.name = NULL}})

#define WORD(word, kind) {.name = (word), .type = (kind)}
#define WORDS(word, kind) {.name = (word), .type = (kind), .flags = ARGUMENT_MULTIPLE}
#define SOME_WORDS(word, kind)                                                                     \
    {.name = (word), .type = (kind), .flags = ARGUMENT_OPTIONAL | ARGUMENT_MULTIPLE}
#define OPTION(word, spelt, kind)                                                                  \
    {.name = (word), .type = (kind), .token = (spelt), .flags = ARGUMENT_OPTIONAL}
#define NEEDED(word, spelt, kind) {.name = (word), .type = (kind), .token = (spelt)}
#define TOKEN(word, spelt) {.name = (word), .type = "pure-token", .token = (spelt)}

#define ACCOUNT WORD("account", "key")
#define AMOUNT WORD("amount", "integer")
#define KEY NEEDED("key", "KEY", "string")
#define MEMO OPTION("memo", "MEMO", "string")

#define CONNECTION .class = COMMAND_OTHER, .group = "connection", .since = "0.1.0"
#define SERVER .class = COMMAND_OTHER, .group = "server", .since = "0.1.0"
#define READING .class = COMMAND_READ, .group = "read", .since = "0.1.0"
#define MUTATING                                                                                   \
    .class = COMMAND_MUTATION, .role = CONFIG_ROLE_WRITE, .group = "mutation", .since = "0.1.0"
#define ADMIN .role = CONFIG_ROLE_ADMIN
#define KEYS(first, last, step) .first_key = (first), .last_key = (last), .key_step = (step)
#define HELP(container, words)                                                                     \
    {.name = container "|help", .run = command_help, .arity = 2, words,                            \
     .summary = "Shows the subcommands."}

/* --- subcommands ------------------------------------------------------------------------------*/

static const struct command charge_subcommands[] = {
    {.name = "charge|begin", .run = command_charge_begin, .arity = AT_LEAST(6), MUTATING,
     KEYS(2, 2, 1),
     .summary = "Commits the intent to charge a card, if the account is below a threshold (0) and "
                "has no other one open. Call the processor after the reply.",
     .arguments = ARGUMENTS(ACCOUNT, AMOUNT, KEY, OPTION("threshold", "THRESHOLD", "integer"))},
    HELP("charge", READING),
    {.name = "charge|list", .run = command_charge_list, .arity = AT_LEAST(2), READING,
     .summary = "Shows the charges that are not settled, oldest first.",
     .arguments = ARGUMENTS(OPTION("account", NULL, "string"))},
    {.name = "charge|settle", .run = command_charge_settle, .arity = 6, MUTATING,
     .summary = "Says what became of a charge; succeeded credits the account, once.",
     .arguments = ARGUMENTS(WORD("charge", "integer"),
                            {.name = "outcome", .type = "oneof",
                             .parts = ARGUMENTS(TOKEN("succeeded", "SUCCEEDED"),
                                                TOKEN("failed", "FAILED"),
                                                TOKEN("unknown", "UNKNOWN"))}, KEY)},
    {.name = NULL},
};

static const struct command client_subcommands[] = {
    {.name = "client|getname", .run = command_client_getname, .arity = 2, CONNECTION,
     .summary = "Shows the connection's name."},
    HELP("client", CONNECTION),
    {.name = "client|id", .run = command_client_id, .arity = 2, CONNECTION,
     .summary = "Shows the connection's id."},
    {.name = "client|info", .run = command_client_info, .arity = 2, CONNECTION,
     .summary = "Describes the connection."},
    {.name = "client|kill", .run = command_client_kill, .arity = AT_LEAST(3), CONNECTION, ADMIN,
     .summary = "Closes connections.",
     .arguments = ARGUMENTS(OPTION("ip:port", NULL, "string"), OPTION("id", "ID", "integer"),
                            OPTION("address", "ADDR", "string"),
                            OPTION("local-address", "LADDR", "string"),
                            OPTION("user", "USER", "string"), OPTION("type", "TYPE", "string"),
                            OPTION("skipme", "SKIPME", "string"))},
    {.name = "client|list", .run = command_client_list, .arity = AT_LEAST(2), CONNECTION, ADMIN,
     .summary = "Describes all connections, of all workers.",
     .arguments = ARGUMENTS(OPTION("type", "TYPE", "string"), OPTION("id", "ID", "integer"))},
    {.name = "client|no-evict", .run = command_client_no_effect, .arity = 3, CONNECTION,
     .summary = "Does nothing: no connection is evicted for memory.",
     .arguments = ARGUMENTS(WORD("enabled", "string"))},
    {.name = "client|no-touch", .run = command_client_no_effect, .arity = 3, CONNECTION,
     .summary = "Does nothing: reads leave no trace that eviction could use.",
     .arguments = ARGUMENTS(WORD("enabled", "string"))},
    {.name = "client|setinfo", .run = command_client_setinfo, .arity = 4, CONNECTION,
     .summary = "Names the client's library (LIB-NAME) or its version (LIB-VER).",
     .arguments = ARGUMENTS(WORD("attribute", "string"), WORD("value", "string"))},
    {.name = "client|setname", .run = command_client_setname, .arity = 3, CONNECTION,
     .summary = "Names the connection.",
     .arguments = ARGUMENTS(WORD("name", "string"))},
    {.name = "client|stale", .run = command_client_stale, .arity = 3, CONNECTION,
     .flags = COMMAND_ALONE,
     .summary = "Whether GET, MGET and EXISTS may answer with the last cached value while the "
                "store cannot be asked.",
     .arguments = ARGUMENTS(WORD("yes-or-no", "string"))},
    {.name = "client|tracking", .run = command_client_tracking, .arity = AT_LEAST(3), CONNECTION,
     .summary = "An error: clients must not keep balances.",
     .arguments = ARGUMENTS(WORD("enabled", "string"))},
    {.name = NULL},
};

static const struct command command_subcommands[] = {
    {.name = "command|count", .run = command_command_count, .arity = 2, SERVER,
     .summary = "Counts the commands."},
    {.name = "command|docs", .run = command_command_docs, .arity = AT_LEAST(2), SERVER,
     .summary = "Documents commands.",
     .arguments = ARGUMENTS(SOME_WORDS("command-name", "string"))},
    {.name = "command|getkeys", .run = command_command_getkeys, .arity = AT_LEAST(3), SERVER,
     .summary = "Finds the accounts in a whole command.",
     .arguments = ARGUMENTS(WORD("command", "string"), SOME_WORDS("arg", "string"))},
    HELP("command", SERVER),
    {.name = "command|info", .run = command_command_info, .arity = AT_LEAST(2), SERVER,
     .summary = "Describes commands.",
     .arguments = ARGUMENTS(SOME_WORDS("command-name", "string"))},
    {.name = "command|list", .run = command_command_list, .arity = AT_LEAST(2), SERVER,
     .summary = "Names the commands.",
     .arguments = ARGUMENTS(OPTION("filterby", "FILTERBY", "string"),
                            OPTION("pattern", NULL, "string"))},
    {.name = NULL},
};

static const struct command config_subcommands[] = {
    {.name = "config|get", .run = command_config_get, .arity = AT_LEAST(3), SERVER, ADMIN,
     .summary = "Shows settings whose names match.",
     .arguments = ARGUMENTS(WORDS("pattern", "string"))},
    HELP("config", SERVER),
    {.name = "config|resetstat", .run = command_config_resetstat, .arity = 2, SERVER, ADMIN,
     .summary = "Sets the statistics of commands to zero."},
    {.name = "config|set", .run = command_config_set, .arity = AT_LEAST(4), SERVER, ADMIN,
     .summary = "An error that says how settings are changed.",
     .arguments = ARGUMENTS(WORD("name", "string"), WORD("value", "string"))},
    {.name = NULL},
};

static const struct command latency_subcommands[] = {
    HELP("latency", SERVER),
    {.name = "latency|histogram", .run = command_latency_histogram, .arity = AT_LEAST(2), SERVER,
     ADMIN, .summary = "Shows how long commands took, in powers of two of a microsecond.",
     .arguments = ARGUMENTS(SOME_WORDS("command", "string"))},
    {.name = NULL},
};

static const struct command slowlog_subcommands[] = {
    {.name = "slowlog|get", .run = command_slowlog_get, .arity = AT_LEAST(2), SERVER, ADMIN,
     .summary = "Shows the last slow requests.",
     .arguments = ARGUMENTS(OPTION("count", NULL, "integer"))},
    HELP("slowlog", SERVER),
    {.name = "slowlog|len", .run = command_slowlog_len, .arity = 2, SERVER, ADMIN,
     .summary = "Counts the slow requests that are kept."},
    {.name = "slowlog|reset", .run = command_slowlog_reset, .arity = 2, SERVER, ADMIN,
     .summary = "Forgets the slow requests."},
    {.name = NULL},
};

/* --- the table --------------------------------------------------------------------------------*/

static const struct command table[] = {
    {.name = "auth", .run = command_auth, .arity = AT_LEAST(2), CONNECTION,
     .flags = COMMAND_FAST | COMMAND_NOAUTH | COMMAND_SECRET,
     .summary = "Authenticates the connection.",
     .arguments = ARGUMENTS(OPTION("user", NULL, "string"), WORD("password", "string"))},
    {.name = "balance", .run = command_balance, .arity = AT_LEAST(2), READING,
     .flags = COMMAND_FAST | COMMAND_STORE_IF_FRESH, KEYS(1, 1, 1),
     .summary = "Shows an account: balance, held, available, floor, status, version, and where "
                "the answer comes from. Of a system account: its balances, one an asset.",
     .arguments = ARGUMENTS(ACCOUNT, OPTION("fresh", "FRESH", "pure-token"),
                            OPTION("version", "MINVERSION", "integer"),
                            OPTION("ms", "MAXAGE", "integer"))},
    {.name = "balanceat", .run = command_balanceat, .arity = 3, READING,
     .flags = COMMAND_STORE, KEYS(1, 1, 1),
     .summary = "Shows the balance at a time (RFC 3339), from the journal.",
     .arguments = ARGUMENTS(ACCOUNT, WORD("time", "string"))},
    {.name = "canspend", .run = command_canspend, .arity = 3, READING,
     .flags = COMMAND_FAST | COMMAND_STORE, KEYS(1, 1, 1),
     .summary = "Whether an account may spend an amount: ALLOW, DENY (from the store alone) or "
                "UNKNOWN (the store cannot be asked: decide nothing against the account), with the "
                "reason, available, version and source.",
     .arguments = ARGUMENTS(ACCOUNT, AMOUNT)},
    {.name = "capture", .run = command_capture, .arity = AT_LEAST(4), MUTATING,
     .summary = "Moves what a hold holds, or less, to a system account (@world); the rest is free "
                "again.",
     .arguments = ARGUMENTS(WORD("hold", "integer"), OPTION("amount", NULL, "integer"), KEY,
                            OPTION("system-account", "TO", "string"))},
    {.name = "charge", .arity = AT_LEAST(2), READING,
     .summary = "Commands about charges of cards.", .subcommands = charge_subcommands},
    {.name = "client", .arity = AT_LEAST(2), CONNECTION,
     .summary = "Commands about connections.", .subcommands = client_subcommands},
    {.name = "close", .run = command_close, .arity = 4, MUTATING, KEYS(1, 1, 1),
     .summary = "Closes an empty account for good.", .arguments = ARGUMENTS(ACCOUNT, KEY)},
    {.name = "command", .run = command_command, .arity = AT_LEAST(1), SERVER,
     .summary = "Describes all commands.", .subcommands = command_subcommands},
    {.name = "config", .arity = AT_LEAST(2), SERVER,
     .summary = "Commands about settings.", .subcommands = config_subcommands},
    {.name = "credit", .run = command_credit, .arity = AT_LEAST(5), MUTATING, KEYS(1, 1, 1),
     .summary = "Moves an amount from a system account (@world) to an account.",
     .arguments = ARGUMENTS(ACCOUNT, AMOUNT, KEY, OPTION("system-account", "FROM", "string"),
                            MEMO)},
    {.name = "debit", .run = command_debit, .arity = AT_LEAST(5), MUTATING, KEYS(1, 1, 1),
     .summary = "Moves an amount from an account to a system account (@world).",
     .arguments = ARGUMENTS(ACCOUNT, AMOUNT, KEY, OPTION("system-account", "TO", "string"), MEMO)},
    {.name = "echo", .run = command_echo, .arity = 2, CONNECTION, .flags = COMMAND_FAST,
     .summary = "Answers with the message.", .arguments = ARGUMENTS(WORD("message", "string"))},
    {.name = "exists", .run = command_exists, .arity = AT_LEAST(2), READING,
     .flags = COMMAND_FAST, KEYS(1, -1, 1), .summary = "Counts the accounts that are known.",
     .arguments = ARGUMENTS(WORDS("account", "key"))},
    {.name = "get", .run = command_get, .arity = 2, READING, .flags = COMMAND_FAST, KEYS(1, 1, 1),
     .summary = "Shows the posted balance of an account in minor units; nil where the store has "
                "just said that there is no such account.",
     .arguments = ARGUMENTS(ACCOUNT)},
    {.name = "hello", .run = command_hello, .arity = AT_LEAST(1), CONNECTION,
     .flags = COMMAND_FAST | COMMAND_NOAUTH | COMMAND_ALONE | COMMAND_SECRET,
     .summary = "Chooses RESP2 or RESP3; authenticates and names the connection.",
     .arguments = ARGUMENTS({.name = "arguments", .type = "block", .flags = ARGUMENT_OPTIONAL,
                             .parts = ARGUMENTS(
                                 WORD("protover", "integer"),
                                 {.name = "auth", .type = "block", .token = "AUTH",
                                  .flags = ARGUMENT_OPTIONAL,
                                  .parts = ARGUMENTS(WORD("user", "string"),
                                                     WORD("password", "string"))},
                                 OPTION("clientname", "SETNAME", "string"))})},
    {.name = "history", .run = command_history, .arity = AT_LEAST(2), READING,
     .flags = COMMAND_STORE, KEYS(1, 1, 1),
     .summary = "Shows the movements of an account, newest first.",
     .arguments = ARGUMENTS(ACCOUNT, OPTION("version", "BEFORE", "integer"),
                            OPTION("count", "COUNT", "integer"))},
    {.name = "hold", .run = command_hold, .arity = AT_LEAST(5), MUTATING, KEYS(1, 1, 1),
     .summary = "Sets an amount aside until it is captured, released, or the time is up (a week).",
     .arguments = ARGUMENTS(ACCOUNT, AMOUNT, KEY, OPTION("seconds", "TTL", "integer"))},
    {.name = "info", .run = command_info, .arity = AT_LEAST(1), SERVER,
     .summary = "Shows the state of the daemon.",
     .arguments = ARGUMENTS(SOME_WORDS("section", "string"))},
    {.name = "latency", .arity = AT_LEAST(2), SERVER,
     .summary = "Commands about latency.", .subcommands = latency_subcommands},
    {.name = "mget", .run = command_mget, .arity = AT_LEAST(2), READING, .flags = COMMAND_FAST,
     KEYS(1, -1, 1), .summary = "GET of several accounts: all of them, or one error.",
     .arguments = ARGUMENTS(WORDS("account", "key"))},
    {.name = "mtransfer", .run = command_mtransfer, .arity = AT_LEAST(6), MUTATING,
     .summary = "Up to 100 transfers, all or none.",
     .arguments = ARGUMENTS(KEY, {.name = "leg", .type = "block", .flags = ARGUMENT_MULTIPLE,
                                  .parts = ARGUMENTS(WORD("from", "key"), WORD("to", "key"),
                                                     AMOUNT)})},
    {.name = "open", .run = command_open, .arity = AT_LEAST(3), MUTATING, KEYS(1, 1, 1),
     .summary = "Opens an account of an asset (CODE/SCALE, like USD/2).",
     .arguments = ARGUMENTS(ACCOUNT, WORD("asset", "string"),
                            OPTION("floor", "FLOOR", "integer"))},
    {.name = "ping", .run = command_ping, .arity = AT_LEAST(1), CONNECTION, .flags = COMMAND_FAST,
     .summary = "Answers PONG, or the message.",
     .arguments = ARGUMENTS(OPTION("message", NULL, "string"))},
    {.name = "quit", .run = command_quit, .arity = AT_LEAST(1), CONNECTION,
     .flags = COMMAND_FAST | COMMAND_NOAUTH,
     .summary = "Closes the connection when everything before it is answered."},
    {.name = "release", .run = command_release, .arity = 4, MUTATING,
     .summary = "Ends a hold: what it held is free again.",
     .arguments = ARGUMENTS(WORD("hold", "integer"), KEY)},
    {.name = "reset", .run = command_reset, .arity = 1, CONNECTION,
     .flags = COMMAND_FAST | COMMAND_NOAUTH | COMMAND_ALONE,
     .summary = "Makes the connection as it was when it was new."},
    {.name = "resume", .run = command_resume, .arity = 4, MUTATING, KEYS(1, 1, 1),
     .summary = "Ends the suspension of an account.", .arguments = ARGUMENTS(ACCOUNT, KEY)},
    {.name = "reverse", .run = command_reverse, .arity = AT_LEAST(4), MUTATING,
     .summary = "Moves back what a transfer moved, in part or whole.",
     .arguments = ARGUMENTS(WORD("transfer", "integer"), KEY,
                            OPTION("amount", "AMOUNT", "integer"))},
    {.name = "select", .run = command_select, .arity = 2, CONNECTION, .flags = COMMAND_FAST,
     .summary = "Does nothing: database 0 is the only one.",
     .arguments = ARGUMENTS(WORD("index", "integer"))},
    {.name = "setfloor", .run = command_setfloor, .arity = 5, MUTATING, KEYS(1, 1, 1),
     .summary = "Sets the lowest available balance that a debit may leave.",
     .arguments = ARGUMENTS(ACCOUNT, WORD("floor", "integer"), KEY)},
    {.name = "slowlog", .arity = AT_LEAST(2), SERVER,
     .summary = "Commands about slow requests.", .subcommands = slowlog_subcommands},
    {.name = "suspend", .run = command_suspend, .arity = AT_LEAST(4), MUTATING, KEYS(1, 1, 1),
     .summary = "Lets an account take credits and no debits; with IFBELOW only if the store shows "
                "it below its floor.",
     .arguments = ARGUMENTS(ACCOUNT, KEY, OPTION("if-below", "IFBELOW", "pure-token"))},
    {.name = "time", .run = command_time, .arity = 1, SERVER, .flags = COMMAND_FAST,
     .summary = "Shows the daemon's wall clock: seconds and microseconds."},
    {.name = "transfer", .run = command_transfer, .arity = AT_LEAST(6), MUTATING, KEYS(1, 2, 1),
     .summary = "Moves an amount from one account to another of the same asset.",
     .arguments = ARGUMENTS(WORD("from", "key"), WORD("to", "key"), AMOUNT, KEY, MEMO)},
};

/* clang-format on */

size_t command_count(void)
{
    return sizeof table / sizeof table[0];
}

const struct command *command_at(size_t index)
{
    assert(index < command_count());
    return &table[index];
}
