/*
 * server/command.h: the commands of the protocol: one table drives dispatch, permissions, COMMAND,
 * statistics and documentation.
 */
#ifndef BALLAST_SERVER_COMMAND_H
#define BALLAST_SERVER_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/config.h"
#include "wire/resp.h"

struct call;
struct session;

/* What a session must not have in flight together: reads and mutations exclude each other. */
enum command_class {
    COMMAND_OTHER, /* answered at once, whatever is in flight */
    COMMAND_READ,
    COMMAND_MUTATION,
};

enum command_flag {
    COMMAND_FAST = 1 << 0,
    COMMAND_NOAUTH = 1 << 1,         /* before AUTH too */
    COMMAND_ALONE = 1 << 2,          /* waits until everything before it is answered: it changes how
                                replies are shown */
    COMMAND_SECRET = 1 << 3,         /* its arguments are never noted */
    COMMAND_STORE = 1 << 4,          /* a read that goes past the cache, or may */
    COMMAND_STORE_IF_FRESH = 1 << 5, /* the same, where it says FRESH; among themselves the engine
                                         keeps their order, as that of what asks the cache */
};

/* One argument for COMMAND DOCS. Lists end with a name of NULL. */
struct command_argument {
    const char *name;
    const char *type;  /* "key", "string", "integer", "pure-token", "block", "oneof" */
    const char *token; /* the word before it; NULL: positional */
    enum { ARGUMENT_ONCE, ARGUMENT_OPTIONAL = 1, ARGUMENT_MULTIPLE = 2 } flags;
    const struct command_argument *parts; /* of a block or oneof */
};

struct command {
    const char *name;               /* lower case; of a subcommand "client|list" */
    void (*run)(struct call *call); /* NULL: a container without an own meaning */
    int arity; /* words with the name (and the subcommand's); negative: at least so many */
    enum command_class class;
    enum config_role role; /* the least that may run it */
    unsigned flags;
    int first_key, last_key, key_step; /* accounts, as COMMAND INFO counts them; 0: none */
    const char *group, *since, *summary;
    const struct command_argument *arguments; /* NULL: none */
    const struct command *subcommands;        /* NULL: none; ends with a name of NULL */
};

/* The table, sorted by name. */
size_t command_count(void);
const struct command *command_at(size_t index);

/* The index in the table of this command, or of the container of this subcommand. */
int command_index(const struct command *command);

/* By name in any case; NULL: unknown. */
const struct command *command_find(const char *name, size_t len);

/* By the word behind the container's name; NULL: unknown. */
const struct command *command_find_sub(const struct command *container, const char *word,
                                       size_t len);

bool command_arity_fits(const struct command *command, size_t words);

/*
 * What the first words of a request name: the command, or the subcommand where the command has
 * some; the container where the subcommand is unknown or missing; NULL where it is unknown.
 */
const struct command *command_resolve(const struct resp_slice *args, size_t count);

/* Whether, with these words, it is a read that goes past the cache. */
bool command_reads_store(const struct command *command, const struct resp_slice *args,
                         size_t count);

/* The accounts that it names, a bit of the hash each. */
uint64_t command_accounts(const struct command *command, const struct resp_slice *args,
                          size_t count);

/* Whether the session may not run it before what is in flight has come back. */
bool command_must_wait(const struct session *session, const struct command *command,
                       const struct resp_args *args);

/* Runs it, or answers with the error that says why not. `command` is command_resolve()'s result. */
void command_dispatch(struct session *session, const struct command *command,
                      const struct resp_slice *args, size_t count);

/* Makes the lookup table; idempotent, any thread. */
void command_table_prepare(void);

#endif
