/* The command line by tables. */
#include "ops/arguments.h"

#include <string.h>

#include "unit.h"

struct values {
    bool json;
    const char *file;
    int64_t rate;
    double sample;
};

static const struct argument rows[] = {
    {"json", 0, ARGUMENT_FLAG, offsetof(struct values, json), NULL, "prints JSON", 0, 0},
    {"config", 'c', ARGUMENT_TEXT, offsetof(struct values, file), "FILE", "the file", 0, 0},
    {"rate", 0, ARGUMENT_INT, offsetof(struct values, rate), "N", "a second", -5, 1000},
    {"sample", 0, ARGUMENT_PERCENT, offsetof(struct values, sample), "P", "percent", 0, 0},
};

static struct values values;
static const char *items[16];
static struct argument_words words = {items, 0};
static char err[128];

/* Parses "a b c" split at its spaces. */
static bool parse(const char *line, bool first_word_ends)
{
    static char text[256];
    char *argv[16];
    int argc = 0;
    struct argument_set set = {rows, sizeof rows / sizeof rows[0], &values};

    values = (struct values){.file = "default", .sample = 100};
    err[0] = '\0';
    strcpy(text, line);
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    return arguments_parse(&set, 1, argc, argv, first_word_ends, &words, err, sizeof err);
}

START_TEST(options_stand_anywhere)
{
    ck_assert(parse("one --json -c x.conf two --rate=7", false));
    ck_assert(values.json);
    ck_assert_str_eq(values.file, "x.conf");
    ck_assert_int_eq(values.rate, 7);
    ck_assert_int_eq(words.count, 2);
    ck_assert_str_eq(words.items[1], "two");
    ck_assert(parse("-cy.conf --sample 0.5", false));
    ck_assert_str_eq(values.file, "y.conf");
    ck_assert(values.sample == 0.5);
}
END_TEST

START_TEST(negative_numbers_and_dashes_are_words)
{
    ck_assert(parse("alice -100 - -- --json", false));
    ck_assert_int_eq(words.count, 4);
    ck_assert_str_eq(words.items[1], "-100");
    ck_assert_str_eq(words.items[2], "-");
    ck_assert_str_eq(words.items[3], "--json");
    ck_assert(!values.json);
    ck_assert(parse("--rate -5", false));
    ck_assert_int_eq(values.rate, -5);
}
END_TEST

START_TEST(first_word_can_end_the_options)
{
    ck_assert(parse("--json get --what", true));
    ck_assert(values.json);
    ck_assert_int_eq(words.count, 2);
    ck_assert_str_eq(words.items[1], "--what");
}
END_TEST

START_TEST(mistakes_are_named)
{
    ck_assert(!parse("--nope", false));
    ck_assert_str_eq(err, "unknown option '--nope'");
    ck_assert(!parse("-x", false));
    ck_assert_str_eq(err, "unknown option '-x'");
    ck_assert(!parse("--json=1", false));
    ck_assert_str_eq(err, "--json takes no value");
    ck_assert(!parse("a --rate", false));
    ck_assert_str_eq(err, "--rate needs a value: N");
    ck_assert(!parse("--rate 1001", false));
    ck_assert_str_eq(err, "--rate must be an integer from -5 to 1000, not '1001'");
    ck_assert(!parse("--rate 1.5", false));
    static const char *const percents[] = {"0", "101", "-1", "inf", "0x10", "5e1", "1.2.3"};
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        char line[64] = "--sample ";
        ck_assert_msg(!parse(strcat(line, percents[i]), false), "%s", percents[i]);
    }
}
END_TEST

START_TEST(help_is_one_line_an_option)
{
    struct buffer out = BUFFER_EMPTY;

    arguments_help(rows, 2, &out);
    buffer_append_byte(&out, '\0');
    ck_assert_str_eq(out.data, "      --json             prints JSON\n"
                               "  -c, --config FILE      the file\n");
    buffer_free(&out);
}
END_TEST

UNIT_MAIN("arguments", options_stand_anywhere, negative_numbers_and_dashes_are_words,
          first_word_can_end_the_options, mistakes_are_named, help_is_one_line_an_option)
