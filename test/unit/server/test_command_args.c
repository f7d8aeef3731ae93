/* The words behind a command: options, times, patterns. */
#include "server/command_args.h"

#include <string.h>

#include "unit.h"

#define WORDS_MAX 16

/* Splits at spaces; the slices point into text. */
static size_t split(const char *text, struct resp_slice *words)
{
    size_t count = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        ck_assert_uint_lt(count, WORDS_MAX);
        words[count++] = (struct resp_slice){.data = text, .len = len};
        text += len + (text[len] == ' ' ? 1 : 0);
    }
    return count;
}

static struct options options;
static char err[128];

static bool parse(const char *text, unsigned allowed)
{
    static struct resp_slice words[WORDS_MAX];
    size_t count = split(text, words);
    err[0] = '\0';
    return options_parse(&options, allowed, words, count, err, sizeof err);
}

static bool has_value(enum option option, const char *value)
{
    const struct resp_slice *word = options_value(&options, option);
    return word != NULL && word->len == strlen(value) && memcmp(word->data, value, word->len) == 0;
}

START_TEST(options_come_in_any_order_and_case)
{
    unsigned allowed = OPTION_BIT(OPTION_KEY) | OPTION_BIT(OPTION_MEMO) | OPTION_BIT(OPTION_FRESH);
    ck_assert(parse("memo m KeY k1 FRESH", allowed));
    ck_assert(has_value(OPTION_KEY, "k1"));
    ck_assert(has_value(OPTION_MEMO, "m"));
    ck_assert(options_has(&options, OPTION_FRESH));
    ck_assert(parse("", allowed));
    ck_assert(!options_has(&options, OPTION_KEY));
    ck_assert_ptr_null(options_value(&options, OPTION_KEY));
}
END_TEST

START_TEST(a_value_may_look_like_an_option)
{
    ck_assert(parse("KEY MEMO MEMO KEY", OPTION_BIT(OPTION_KEY) | OPTION_BIT(OPTION_MEMO)));
    ck_assert(has_value(OPTION_KEY, "MEMO"));
    ck_assert(has_value(OPTION_MEMO, "KEY"));
}
END_TEST

START_TEST(wrong_options_are_told)
{
    unsigned allowed = OPTION_BIT(OPTION_KEY);
    ck_assert(!parse("KEY a key b", allowed));
    ck_assert_str_eq(err, "syntax error: KEY is given twice");
    ck_assert(!parse("KEY", allowed));
    ck_assert_str_eq(err, "syntax error: KEY needs a value");
    ck_assert(!parse("MEMO m", allowed));
    ck_assert_str_eq(err, "syntax error: unexpected 'MEMO'");
    ck_assert(!parse("KEYS a", allowed));
    ck_assert_str_eq(err, "syntax error: unexpected 'KEYS'");
}
END_TEST

START_TEST(times_of_rfc_3339)
{
    static const char *const good[] = {
        "2024-05-01T12:00:00Z",      "2024-05-01t12:00:00z",           "2024-02-29T23:59:60Z",
        "2024-05-01 12:00:00+02:00", "2024-05-01T12:00:00.123456789Z", "0001-01-01T00:00:00-00:00",
    };
    static const char *const bad[] = {
        "",
        "2024-05-01",
        "2024-05-01T12:00:00",
        "2024-05-01T12:00Z",
        "2024-05-01T12:00:00.Z",
        "2024-05-01T12:00:61Z",
        "2024-05-01T24:00:00Z",
        "2023-02-29T12:00:00Z",
        "1900-02-29T12:00:00Z",
        "2024-13-01T12:00:00Z",
        "2024-00-01T12:00:00Z",
        "2024-01-00T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "2024-05-01T12:00:00+2:00",
        "2024-05-01T12:00:00+02:60",
        "2024-05-01T12:00:00Zx",
        "2024-05-01T12:00:00+02:00 ",
        " 2024-05-01T12:00:00Z",
        "yesterday",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_msg(time_is_rfc3339(good[i], strlen(good[i])), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!time_is_rfc3339(bad[i], strlen(bad[i])), "%s", bad[i]);
    }
    ck_assert(!time_is_rfc3339("2024-05-01T12:00:00\0", 20));
}
END_TEST

START_TEST(a_time_cut_anywhere_is_none)
{
    static const char text[] = "2024-05-01T12:00:00.25+02:00";
    for (size_t len = 0; len < sizeof text - 1; len++) {
        ck_assert_msg(!time_is_rfc3339(text, len), "%zu bytes", len);
    }
    ck_assert(time_is_rfc3339(text, sizeof text - 1));
}
END_TEST

static bool matches(const char *pattern, const char *text)
{
    return glob_match(pattern, strlen(pattern), text, strlen(text), true);
}

START_TEST(patterns)
{
    ck_assert(matches("*", ""));
    ck_assert(matches("*", "limits.clients"));
    ck_assert(matches("limits.*", "limits.clients"));
    ck_assert(matches("*client*", "limits.clients"));
    ck_assert(matches("LIMITS.CLIENTS", "limits.clients"));
    ck_assert(!matches("limits", "limits.clients"));
    ck_assert(!matches("", "x"));
    ck_assert(matches("s?ve", "save"));
    ck_assert(!matches("s?ve", "sve"));
    ck_assert(matches("s[a-c]ve", "save"));
    ck_assert(matches("s[c-a]ve", "save"));
    ck_assert(!matches("s[^a-c]ve", "save"));
    ck_assert(matches("s[^x]ve", "save"));
    ck_assert(matches("a\\*b", "a*b"));
    ck_assert(!matches("a\\*b", "axb"));
    ck_assert(matches("[a\\]]", "]"));
    ck_assert(matches("*a*b*c", "xxaxxbxxbxxc"));
    ck_assert(!glob_match("SAVE", 4, "save", 4, false));
}
END_TEST

START_TEST(broken_patterns_end)
{
    ck_assert(!matches("[", "a"));
    ck_assert(matches("[a", "a"));
    ck_assert(!matches("[^", ""));
    ck_assert(matches("\\", "\\"));
    ck_assert(!matches("[a-", "b"));
}
END_TEST

START_TEST(many_stars_take_no_time)
{
    char text[10000], pattern[2000];
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof pattern; i += 2) {
        pattern[i] = '*';
        pattern[i + 1] = 'a';
    }
    pattern[sizeof pattern - 1] = 'b';
    ck_assert(!glob_match(pattern, sizeof pattern, text, sizeof text, false));
}
END_TEST

UNIT_MAIN("command_args", options_come_in_any_order_and_case, a_value_may_look_like_an_option,
          wrong_options_are_told, times_of_rfc_3339, a_time_cut_anywhere_is_none, patterns,
          broken_patterns_end, many_stars_take_no_time)
