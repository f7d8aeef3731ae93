/* The table of commands: sorted, documented, found, and consistent with itself. */
#include "server/command.h"

#include <string.h>

#include "unit.h"

typedef void check_fn(const struct command *command);

static void each_command(check_fn *check)
{
    for (size_t i = 0; i < command_count(); i++) {
        const struct command *command = command_at(i);
        check(command);
        for (const struct command *sub = command->subcommands; sub != NULL && sub->name != NULL;
             sub++) {
            check(sub);
        }
    }
}

static const struct command *resolve(const char *first, const char *second)
{
    struct resp_slice words[2] = {{.data = first, .len = strlen(first)},
                                  {.data = second, .len = second != NULL ? strlen(second) : 0}};
    return command_resolve(words, second != NULL ? 2 : 1);
}

START_TEST(the_table_is_sorted)
{
    for (size_t i = 1; i < command_count(); i++) {
        ck_assert_str_lt(command_at(i - 1)->name, command_at(i)->name);
    }
    for (size_t i = 0; i < command_count(); i++) {
        const struct command *sub = command_at(i)->subcommands;
        while (sub != NULL && sub->name != NULL && sub[1].name != NULL) {
            ck_assert_str_lt(sub->name, sub[1].name);
            sub++;
        }
    }
}
END_TEST

static void check_name(const struct command *command)
{
    ck_assert_uint_eq(strspn(command->name, "abcdefghijklmnopqrstuvwxyz-|"), strlen(command->name));
}

static void check_docs(const struct command *command)
{
    ck_assert_msg(command->summary != NULL && strlen(command->summary) > 10, "%s", command->name);
    ck_assert_msg(command->summary[strlen(command->summary) - 1] == '.', "%s", command->name);
    ck_assert_msg(command->group != NULL && command->since != NULL, "%s", command->name);
}

/* Words that the arguments need at least; -1 where one is a kind that is not known. */
static int least_words(const struct command_argument *arguments)
{
    int words = 0;
    for (; arguments != NULL && arguments->name != NULL; arguments++) {
        if (arguments->flags & ARGUMENT_OPTIONAL) {
            continue;
        }
        words += arguments->token != NULL ? 1 : 0;
        if (strcmp(arguments->type, "block") == 0) {
            words += least_words(arguments->parts);
        } else if (strcmp(arguments->type, "pure-token") != 0) {
            words++;
        }
    }
    return words;
}

static bool is_open_ended(const struct command_argument *arguments)
{
    for (; arguments != NULL && arguments->name != NULL; arguments++) {
        if (arguments->flags != ARGUMENT_ONCE) {
            return true;
        }
    }
    return false;
}

static void check_arity(const struct command *command)
{
    int own = strchr(command->name, '|') != NULL ? 2 : 1;
    if (command->subcommands != NULL) {
        ck_assert(command->arity == (command->run != NULL ? -1 : -2));
        return;
    }
    int least = own + least_words(command->arguments);
    int arity = command->arity < 0 ? -command->arity : command->arity;
    /* What the handler refuses itself (no filter for CLIENT KILL) may need more than the docs. */
    ck_assert_msg(arity >= least, "%s: %d words are needed", command->name, least);
    if (command->arity > 0) {
        ck_assert_msg(arity == least && !is_open_ended(command->arguments), "%s", command->name);
    }
}

static void check_kind(const struct command *command)
{
    ck_assert_msg((command->run != NULL) || command->subcommands != NULL, "%s", command->name);
    if (command->class == COMMAND_MUTATION) {
        ck_assert_int_eq(command->role, CONFIG_ROLE_WRITE);
        ck_assert_str_eq(command->group, "mutation");
    } else if (command->class == COMMAND_READ) {
        ck_assert_int_eq(command->role, CONFIG_ROLE_READ);
    }
    if (command->flags & COMMAND_NOAUTH) {
        ck_assert(command->class == COMMAND_OTHER && command->role == CONFIG_ROLE_READ);
    }
    ck_assert((command->key_step > 0) == (command->first_key > 0));
}

static void check_row(const struct command *command)
{
    check_name(command);
    check_docs(command);
    check_arity(command);
    check_kind(command);
}

START_TEST(every_row_is_whole)
{
    each_command(check_row);
}
END_TEST

START_TEST(every_command_is_found)
{
    command_table_prepare();
    for (size_t i = 0; i < command_count(); i++) {
        const struct command *command = command_at(i);
        ck_assert_ptr_eq(command_find(command->name, strlen(command->name)), command);
        ck_assert_int_eq(command_index(command), (int)i);
    }
    ck_assert_ptr_eq(resolve("GeT", "a"), resolve("get", NULL));
    ck_assert_ptr_null(resolve("", NULL));
    ck_assert_ptr_null(resolve("ge", NULL));
    ck_assert_ptr_null(resolve("gett", NULL));
    ck_assert_ptr_null(resolve("a command name that is far too long", NULL));
    ck_assert_ptr_null(command_find("get\0", 4));
}
END_TEST

START_TEST(subcommands_are_found)
{
    command_table_prepare();
    ck_assert_str_eq(resolve("CLIENT", "list")->name, "client|list");
    ck_assert_str_eq(resolve("client", "NO-EVICT")->name, "client|no-evict");
    ck_assert_str_eq(resolve("client", "nothing")->name, "client");
    ck_assert_str_eq(resolve("client", NULL)->name, "client");
    ck_assert_ptr_null(resolve("client|list", NULL));
    ck_assert_int_eq(command_index(resolve("client", "list")),
                     command_index(resolve("client", "")));
}
END_TEST

START_TEST(arities)
{
    struct command exact = {.arity = 2}, least = {.arity = -2};
    ck_assert(command_arity_fits(&exact, 2));
    ck_assert(!command_arity_fits(&exact, 1) && !command_arity_fits(&exact, 3));
    ck_assert(command_arity_fits(&least, 2) && command_arity_fits(&least, 300));
    ck_assert(!command_arity_fits(&least, 1));
}
END_TEST

UNIT_MAIN("command_table", the_table_is_sorted, every_row_is_whole, every_command_is_found,
          subcommands_are_found, arities)
