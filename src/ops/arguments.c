/* The command line by tables. See the header. */
#include "ops/arguments.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"

#define HELP_COLUMN 24 /* where the text of an option begins */

static const struct argument *find(const struct argument_set *sets, size_t set_count,
                                   const char *name, size_t len, char letter, void **into)
{
    for (size_t s = 0; s < set_count; s++) {
        for (size_t i = 0; i < sets[s].count; i++) {
            const struct argument *row = &sets[s].rows[i];
            bool same = letter != 0 ? row->letter == letter
                                    : strlen(row->name) == len && memcmp(row->name, name, len) == 0;
            if (same) {
                *into = (char *)sets[s].into + row->offset;
                return row;
            }
        }
    }
    return NULL;
}

static bool parse_percent(const char *text, double *value)
{
    char *end;

    /* strtod alone would take "inf", "0x1p3" and spaces. */
    if (text[0] == '\0' || text[strspn(text, "0123456789.")] != '\0') {
        return false;
    }
    errno = 0;
    double number = strtod(text, &end);
    if (errno != 0 || *end != '\0' || !(number > 0 && number <= 100)) {
        return false;
    }
    *value = number;
    return true;
}

/* Puts the value where it belongs. False with err set where it is none. */
static bool store_value(const struct argument *row, const char *value, void *into, char *err,
                        size_t errlen)
{
    int64_t number;

    switch (row->type) {
    case ARGUMENT_FLAG:
        *(bool *)into = true;
        return true;
    case ARGUMENT_TEXT:
        *(const char **)into = value;
        return true;
    case ARGUMENT_INT:
        if (decimal_parse_int64(value, strlen(value), &number) != DECIMAL_OK || number < row->min ||
            number > row->max) {
            snprintf(err, errlen,
                     "--%s must be an integer from %" PRId64 " to %" PRId64 ", not '%s'", row->name,
                     row->min, row->max, value);
            return false;
        }
        *(int64_t *)into = number;
        return true;
    case ARGUMENT_PERCENT:
        if (!parse_percent(value, into)) {
            snprintf(err, errlen, "--%s must be more than 0 and at most 100, not '%s'", row->name,
                     value);
            return false;
        }
        return true;
    }
    abort();
}

static bool is_word(const char *text)
{
    return text[0] != '-' || text[1] == '\0' || isdigit((unsigned char)text[1]);
}

/* Takes the option at argv[*at] and, where it has one, its value; *at moves to the last taken. */
static bool take_option(const struct argument_set *sets, size_t set_count, int argc,
                        char *const *argv, int *at, char *err, size_t errlen)
{
    const char *text = argv[*at], *value = NULL;
    const struct argument *row;
    void *into = NULL;

    if (text[1] == '-') {
        size_t len = strcspn(text + 2, "=");
        row = find(sets, set_count, text + 2, len, 0, &into);
        value = text[2 + len] == '=' ? text + 3 + len : NULL;
    } else {
        row = find(sets, set_count, NULL, 0, text[1], &into);
        value = text[2] != '\0' ? text + 2 : NULL;
    }
    if (row == NULL) {
        snprintf(err, errlen, "unknown option '%s'", text);
        return false;
    }
    if (row->type == ARGUMENT_FLAG && value != NULL) {
        snprintf(err, errlen, "--%s takes no value", row->name);
        return false;
    }
    if (row->type != ARGUMENT_FLAG && value == NULL) {
        if (*at + 1 == argc) {
            snprintf(err, errlen, "--%s needs a value: %s", row->name, row->value);
            return false;
        }
        value = argv[++*at];
    }
    return store_value(row, value, into, err, errlen);
}

bool arguments_parse(const struct argument_set *sets, size_t set_count, int argc, char *const *argv,
                     bool first_word_ends, struct argument_words *words, char *err, size_t errlen)
{
    bool only_words = false;

    words->count = 0;
    for (int i = 0; i < argc; i++) {
        if (only_words || is_word(argv[i])) {
            words->items[words->count++] = argv[i];
            only_words = only_words || first_word_ends;
        } else if (strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!take_option(sets, set_count, argc, argv, &i, err, errlen)) {
            return false;
        }
    }
    return true;
}

void arguments_help(const struct argument *rows, size_t count, struct buffer *out)
{
    for (size_t i = 0; i < count; i++) {
        char left[64];
        int len =
            snprintf(left, sizeof left, "  %c%c%s--%s%s%s", rows[i].letter != 0 ? '-' : ' ',
                     rows[i].letter != 0 ? rows[i].letter : ' ', rows[i].letter != 0 ? ", " : "  ",
                     rows[i].name, rows[i].value != NULL ? " " : "",
                     rows[i].value != NULL ? rows[i].value : "");
        buffer_printf(out, "%-*s %s\n", len > HELP_COLUMN ? 0 : HELP_COLUMN, left, rows[i].help);
    }
}
