/* Options, times and patterns. */
#include "server/command_args.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *word;
    bool valued;
} option_rows[] = {
#define OPTION_ROW(symbol, has_value) [OPTION_##symbol] = {#symbol, (has_value)},
    OPTION_ROWS(OPTION_ROW)
#undef OPTION_ROW
};

/* --- options ----------------------------------------------------------------------------------*/

static int find_option(const struct resp_slice *word)
{
    for (int option = 0; option < OPTION_COUNT_OF; option++) {
        if (resp_slice_is(word, option_rows[option].word)) {
            return option;
        }
    }
    return -1;
}

bool options_parse(struct options *options, unsigned allowed, const struct resp_slice *words,
                   size_t count, char *err, size_t errlen)
{
    options->given = 0;
    for (size_t i = 0; i < count; i++) {
        int option = find_option(&words[i]);
        if (option < 0 || (allowed & OPTION_BIT(option)) == 0) {
            snprintf(err, errlen, "syntax error: unexpected '%.*s'",
                     (int)(words[i].len < 64 ? words[i].len : 64), words[i].data);
            return false;
        }
        const char *word = option_rows[option].word;
        if (options->given & OPTION_BIT(option)) {
            snprintf(err, errlen, "syntax error: %s is given twice", word);
            return false;
        }
        options->given |= OPTION_BIT(option);
        if (option_rows[option].valued) {
            if (++i == count) {
                snprintf(err, errlen, "syntax error: %s needs a value", word);
                return false;
            }
            options->value[option] = words[i];
        }
    }
    return true;
}

bool options_has(const struct options *options, enum option option)
{
    return (options->given & OPTION_BIT(option)) != 0;
}

const struct resp_slice *options_value(const struct options *options, enum option option)
{
    return options_has(options, option) ? &options->value[option] : NULL;
}

/* --- times ------------------------------------------------------------------------------------*/

/* Reads `digits` digits at *at and moves it on; -1 where there are not so many. */
static int take_number(const char **at, const char *end, int digits)
{
    int value = 0;

    for (int i = 0; i < digits; i++) {
        if (*at == end || **at < '0' || **at > '9') {
            return -1;
        }
        value = value * 10 + (*(*at)++ - '0');
    }
    return value;
}

static bool take_char(const char **at, const char *end, const char *choice)
{
    if (*at == end || **at == '\0' || strchr(choice, **at) == NULL) {
        return false;
    }
    (*at)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

static bool take_date(const char **at, const char *end)
{
    int year = take_number(at, end, 4);
    if (year < 1 || !take_char(at, end, "-")) {
        return false;
    }
    int month = take_number(at, end, 2);
    if (month < 1 || month > 12 || !take_char(at, end, "-")) {
        return false;
    }
    int day = take_number(at, end, 2);
    return day >= 1 && day <= days_in_month(year, month);
}

static bool take_hours_minutes(const char **at, const char *end)
{
    int hour = take_number(at, end, 2);
    if (hour < 0 || hour > 23 || !take_char(at, end, ":")) {
        return false;
    }
    int minute = take_number(at, end, 2);
    return minute >= 0 && minute <= 59;
}

bool time_is_rfc3339(const char *text, size_t len)
{
    const char *at = text;
    const char *end = text + len;

    if (!take_date(&at, end) || !take_char(&at, end, "Tt ") || !take_hours_minutes(&at, end) ||
        !take_char(&at, end, ":")) {
        return false;
    }
    int second = take_number(&at, end, 2);
    if (second < 0 || second > 60) { /* 60: a leap second */
        return false;
    }
    if (take_char(&at, end, ".")) {
        if (take_number(&at, end, 1) < 0) {
            return false;
        }
        while (take_char(&at, end, "0123456789")) {
        }
    }
    if (take_char(&at, end, "Zz")) {
        return at == end;
    }
    return take_char(&at, end, "+-") && take_hours_minutes(&at, end) && at == end;
}

/* --- patterns ---------------------------------------------------------------------------------*/

static char folded(char c, bool fold)
{
    return fold && c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Matches one character against the element of the pattern at *at; moves it on. */
static bool match_class(const char **at, const char *end, char c, bool fold)
{
    const char *p = *at + 1;
    bool negated = p < end && *p == '^';
    bool matched = false;

    p += negated ? 1 : 0;
    while (p < end && *p != ']') {
        if (*p == '\\' && p + 1 < end) {
            p++;
        }
        char low = folded(*p, fold);
        char high = low;
        if (p + 2 < end && p[1] == '-' && p[2] != ']') {
            high = folded(p[2], fold);
            p += 2;
        }
        if (low > high) {
            char swap = low;
            low = high;
            high = swap;
        }
        matched |= c >= low && c <= high;
        p++;
    }
    *at = p < end ? p + 1 : end;
    return matched != negated;
}

static bool match_one(const char **at, const char *end, char c, bool fold)
{
    c = folded(c, fold);
    switch (**at) {
    case '?':
        (*at)++;
        return true;
    case '[':
        return match_class(at, end, c, fold);
    case '\\':
        if (*at + 1 < end) {
            (*at)++;
        }
        break;
    default:
        break;
    }
    return folded(*(*at)++, fold) == c;
}

/* Goes back to the last star only: linear in the text for each star, never exponential. */
bool glob_match(const char *pattern, size_t pattern_len, const char *text, size_t text_len,
                bool fold)
{
    const char *p = pattern, *p_end = pattern + pattern_len;
    const char *t = text, *t_end = text + text_len;
    const char *star = NULL, *star_text = NULL;

    while (t < t_end) {
        if (p < p_end && *p == '*') {
            star = ++p;
            star_text = t;
            continue;
        }
        if (p < p_end && match_one(&p, p_end, *t, fold)) {
            t++;
            continue;
        }
        if (star == NULL) {
            return false;
        }
        p = star;
        t = ++star_text;
    }
    while (p < p_end && *p == '*') {
        p++;
    }
    return p == p_end;
}
