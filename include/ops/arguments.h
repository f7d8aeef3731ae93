/*
 * ops/arguments.h: the command line by tables. A row names an option, says where its value goes
 * and what it is for; parsing and `--help` are both driven by it.
 *
 * Options may stand anywhere among the words: `--name value`, `--name=value`, `-c value`. A lone
 * "-" is a word, and so is anything that begins with "-" and a digit (a negative amount); "--"
 * makes words of all that follows.
 */
#ifndef BALLAST_OPS_ARGUMENTS_H
#define BALLAST_OPS_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/buffer.h"

enum argument_type {
    ARGUMENT_FLAG,    /* bool: becomes true */
    ARGUMENT_TEXT,    /* const char *: the argument itself, not copied */
    ARGUMENT_INT,     /* int64_t from min to max */
    ARGUMENT_PERCENT, /* double: more than 0, at most 100, decimals allowed */
};

struct argument {
    const char *name; /* without its dashes */
    char letter;      /* 0: none */
    enum argument_type type;
    size_t offset;     /* of the field in the struct of its set */
    const char *value; /* what --help calls the value: "FILE"; NULL for flags */
    const char *help;
    int64_t min, max; /* ARGUMENT_INT */
};

/* A table and the struct that it fills; the struct holds the defaults. */
struct argument_set {
    const struct argument *rows;
    size_t count;
    void *into;
};

/* What is left when the options are taken out. */
struct argument_words {
    const char **items; /* into the array that the caller gave, at least argc long */
    int count;
};

/*
 * Reads argv[0..argc-1] (no program name). With first_word_ends, everything from the first word on
 * is left alone and becomes words, options too. False with err set: a sentence for the user.
 */
bool arguments_parse(const struct argument_set *sets, size_t set_count, int argc, char *const *argv,
                     bool first_word_ends, struct argument_words *words, char *err,
                     size_t errlen) MUST_CHECK;

/* Appends a line an option, aligned. */
void arguments_help(const struct argument *rows, size_t count, struct buffer *out);

#endif
