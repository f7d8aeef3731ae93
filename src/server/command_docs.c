/* COMMAND and the HELP of containers: what the table says, for clients and for people. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "server/command_args.h"
#include "server/handlers.h"
#include "server/reply.h"
#include "server/session_state.h"

/* --- COMMAND INFO -----------------------------------------------------------------------------*/

static bool is_container(const struct command *command)
{
    return command->subcommands != NULL;
}

static size_t count_subcommands(const struct command *command)
{
    size_t count = 0;

    while (is_container(command) && command->subcommands[count].name != NULL) {
        count++;
    }
    return count;
}

/* At most so many words describe one command. */
#define WORDS_MAX 8

struct words {
    const char *items[WORDS_MAX];
    size_t count;
};

static void add_word(struct words *words, const char *word)
{
    assert(words->count < WORDS_MAX);
    words->items[words->count++] = word;
}

static void write_words(struct resp_writer *out, const struct words *words)
{
    resp_set(out, words->count);
    for (size_t i = 0; i < words->count; i++) {
        resp_simple(out, words->items[i]);
    }
}

static struct words flags_of(const struct command *command)
{
    struct words words = {.count = 0};

    if (command->class == COMMAND_READ) {
        add_word(&words, "readonly");
    } else if (command->class == COMMAND_MUTATION) {
        add_word(&words, "write");
    } else {
        add_word(&words, "loading");
        add_word(&words, "stale");
    }
    if (command->role == CONFIG_ROLE_ADMIN) {
        add_word(&words, "admin");
    }
    if (command->flags & COMMAND_FAST) {
        add_word(&words, "fast");
    }
    if (command->flags & COMMAND_NOAUTH) {
        add_word(&words, "no_auth");
    }
    return words;
}

static struct words categories_of(const struct command *command)
{
    struct words words = {.count = 0};

    if (command->class == COMMAND_READ) {
        add_word(&words, "@read");
    } else if (command->class == COMMAND_MUTATION) {
        add_word(&words, "@write");
    } else if (strcmp(command->group, "connection") == 0) {
        add_word(&words, "@connection");
    }
    if (command->role == CONFIG_ROLE_ADMIN) {
        add_word(&words, "@admin");
        add_word(&words, "@dangerous");
    }
    add_word(&words, command->flags & COMMAND_FAST ? "@fast" : "@slow");
    return words;
}

static void write_info(struct resp_writer *out, const struct command *command)
{
    struct words flags = flags_of(command);
    struct words categories = categories_of(command);

    resp_array(out, 10);
    resp_bulk_text(out, command->name);
    resp_int(out, command->arity);
    write_words(out, &flags);
    resp_int(out, command->first_key);
    resp_int(out, command->last_key);
    resp_int(out, command->key_step);
    write_words(out, &categories);
    resp_array(out, 0); /* tips */
    resp_array(out, 0); /* key specifications: the positions above say it all */
    resp_array(out, count_subcommands(command));
    for (size_t i = 0; i < count_subcommands(command); i++) {
        write_info(out, &command->subcommands[i]);
    }
}

void command_command(struct call *call)
{
    struct resp_writer *out = call_writer(call);

    resp_array(out, command_count());
    for (size_t i = 0; i < command_count(); i++) {
        write_info(out, command_at(i));
    }
}

void command_command_count(struct call *call)
{
    resp_int(call_writer(call), (int64_t)command_count());
}

/* "get", and "client|list" too. */
static const struct command *find_named(const struct resp_slice *name)
{
    const char *bar = memchr(name->data, '|', name->len);

    if (bar == NULL) {
        return command_find(name->data, name->len);
    }
    size_t len = (size_t)(bar - name->data);
    const struct command *container = command_find(name->data, len);
    return container == NULL ? NULL : command_find_sub(container, bar + 1, name->len - len - 1);
}

void command_command_info(struct call *call)
{
    struct resp_writer *out;

    if (call->count == 2) {
        command_command(call);
        return;
    }
    out = call_writer(call);
    resp_array(out, call->count - 2);
    for (size_t i = 2; i < call->count; i++) {
        const struct command *command = find_named(&call->args[i]);
        if (command == NULL) {
            resp_nil_array(out);
        } else {
            write_info(out, command);
        }
    }
}

/* --- COMMAND DOCS -----------------------------------------------------------------------------*/

static void write_argument(struct resp_writer *out, const struct command_argument *argument);

static void write_arguments(struct resp_writer *out, const struct command_argument *arguments)
{
    size_t count = 0;

    while (arguments[count].name != NULL) {
        count++;
    }
    resp_bulk_text(out, "arguments");
    resp_array(out, count);
    for (size_t i = 0; i < count; i++) {
        write_argument(out, &arguments[i]);
    }
}

static void write_argument(struct resp_writer *out, const struct command_argument *argument)
{
    struct words flags = {.count = 0};

    if (argument->flags & ARGUMENT_OPTIONAL) {
        add_word(&flags, "optional");
    }
    if (argument->flags & ARGUMENT_MULTIPLE) {
        add_word(&flags, "multiple");
    }
    resp_map(out, 2 + (argument->token != NULL ? 1 : 0) + (flags.count > 0 ? 1 : 0) +
                      (argument->parts != NULL ? 1 : 0));
    resp_bulk_text(out, "name");
    resp_bulk_text(out, argument->name);
    resp_bulk_text(out, "type");
    resp_bulk_text(out, argument->type);
    if (argument->token != NULL) {
        resp_bulk_text(out, "token");
        resp_bulk_text(out, argument->token);
    }
    if (flags.count > 0) {
        resp_bulk_text(out, "flags");
        write_words(out, &flags);
    }
    if (argument->parts != NULL) {
        write_arguments(out, argument->parts);
    }
}

static void write_docs(struct resp_writer *out, const struct command *command)
{
    resp_bulk_text(out, command->name);
    resp_map(out, 3 + (command->arguments != NULL ? 1 : 0) + (is_container(command) ? 1 : 0));
    resp_bulk_text(out, "summary");
    resp_bulk_text(out, command->summary);
    resp_bulk_text(out, "since");
    resp_bulk_text(out, command->since);
    resp_bulk_text(out, "group");
    resp_bulk_text(out, command->group);
    if (command->arguments != NULL) {
        write_arguments(out, command->arguments);
    }
    if (is_container(command)) {
        resp_bulk_text(out, "subcommands");
        resp_map(out, count_subcommands(command));
        for (size_t i = 0; i < count_subcommands(command); i++) {
            write_docs(out, &command->subcommands[i]);
        }
    }
}

void command_command_docs(struct call *call)
{
    struct resp_writer *out = call_writer(call);
    size_t known = 0;

    if (call->count == 2) {
        resp_map(out, command_count());
        for (size_t i = 0; i < command_count(); i++) {
            write_docs(out, command_at(i));
        }
        return;
    }
    for (size_t i = 2; i < call->count; i++) {
        known += find_named(&call->args[i]) != NULL ? 1 : 0;
    }
    resp_map(out, known);
    for (size_t i = 2; i < call->count; i++) {
        const struct command *command = find_named(&call->args[i]);
        if (command != NULL) {
            write_docs(out, command);
        }
    }
}

/* --- COMMAND LIST and GETKEYS -----------------------------------------------------------------*/

static bool has_category(const struct command *command, const struct resp_slice *category)
{
    struct words words = categories_of(command);

    for (size_t i = 0; i < words.count; i++) {
        const char *word = words.items[i] + 1; /* without the @ */
        if (strlen(word) == category->len &&
            strncasecmp(word, category->data, category->len) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether COMMAND LIST's filter, if there is one, lets the command through. */
static bool is_listed(const struct call *call, const struct command *command)
{
    if (call->count == 2) {
        return true;
    }
    const struct resp_slice *by = &call->args[3];
    const struct resp_slice *what = &call->args[4];
    if (resp_slice_is(by, "PATTERN")) {
        return glob_match(what->data, what->len, command->name, strlen(command->name), true);
    }
    return resp_slice_is(by, "ACLCAT") && has_category(command, what);
}

void command_command_list(struct call *call)
{
    size_t count = 0;

    if (call->count != 2 &&
        (call->count != 5 || !resp_slice_is(&call->args[2], "FILTERBY") ||
         !(resp_slice_is(&call->args[3], "PATTERN") || resp_slice_is(&call->args[3], "ACLCAT") ||
           resp_slice_is(&call->args[3], "MODULE")))) {
        call_error(call, "ERR", "syntax error");
        return;
    }
    for (size_t i = 0; i < command_count(); i++) {
        count += is_listed(call, command_at(i)) ? 1 : 0;
    }
    resp_array(call_writer(call), count);
    for (size_t i = 0; i < command_count(); i++) {
        if (is_listed(call, command_at(i))) {
            resp_bulk_text(call_writer(call), command_at(i)->name);
        }
    }
}

void command_command_getkeys(struct call *call)
{
    const struct resp_slice *words = call->args + 2;
    int count = (int)call->count - 2;
    const struct command *command = command_resolve(words, (size_t)count);

    if (command == NULL) {
        call_error(call, "ERR", "Invalid command specified");
    } else if (command->key_step == 0) {
        call_error(call, "ERR", "The command has no key arguments");
    } else if (!command_arity_fits(command, (size_t)count)) {
        call_error(call, "ERR", "Invalid number of arguments specified for command");
    } else {
        int last = command->last_key < 0 ? count + command->last_key : command->last_key;
        resp_array(call_writer(call),
                   (size_t)((last - command->first_key) / command->key_step + 1));
        for (int i = command->first_key; i <= last; i += command->key_step) {
            resp_bulk(call_writer(call), words[i].data, words[i].len);
        }
    }
}

/* --- HELP -------------------------------------------------------------------------------------*/

static void append_upper(struct buffer *out, const char *word, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        buffer_append_byte(out, (char)toupper((unsigned char)word[i]));
    }
}

static void append_usage(struct buffer *out, const struct command_argument *argument)
{
    bool optional = (argument->flags & ARGUMENT_OPTIONAL) != 0;

    buffer_printf(out, " %s%s%s<%s>%s%s", optional ? "[" : "",
                  argument->token != NULL ? argument->token : "",
                  argument->token != NULL ? " " : "", argument->name,
                  argument->flags & ARGUMENT_MULTIPLE ? " ..." : "", optional ? "]" : "");
}

void command_help(struct call *call)
{
    const char *bar = strchr(call->command->name, '|');
    const struct command *container =
        command_find(call->command->name, (size_t)(bar - call->command->name));
    size_t count = count_subcommands(container);
    struct resp_writer *out = call_writer(call);
    struct buffer line = BUFFER_EMPTY;

    resp_array(out, 1 + 2 * count);
    append_upper(&line, container->name, strlen(container->name));
    buffer_printf(&line, " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:%c", '\0');
    resp_simple(out, line.data);
    for (size_t i = 0; i < count; i++) {
        const struct command *sub = &container->subcommands[i];
        const char *word = strchr(sub->name, '|') + 1;
        buffer_clear(&line);
        append_upper(&line, word, strlen(word));
        for (const struct command_argument *argument = sub->arguments;
             argument != NULL && argument->name != NULL; argument++) {
            append_usage(&line, argument);
        }
        buffer_append_byte(&line, '\0');
        resp_simple(out, line.data);
        buffer_clear(&line);
        buffer_printf(&line, "    %s%c", sub->summary, '\0');
        resp_simple(out, line.data);
    }
    buffer_free(&line);
}
