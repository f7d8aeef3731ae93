/* Words that several commands share. */
#include "server/command_words.h"

#include "base/decimal.h"

bool word_account(struct call *call, const struct resp_slice *word, struct account_id *id)
{
    if (account_id_parse(id, word->data, word->len)) {
        return true;
    }
    call_error(call, "ERR",
               "'%.*s' is not an account: 1 to 64 bytes of A-Z a-z 0-9 _ . : - are, and a leading "
               "@ marks a system account",
               (int)(word->len < 80 ? word->len : 80), word->data);
    return false;
}

bool word_options(struct call *call, struct options *options, unsigned allowed, size_t skip)
{
    char err[128];

    if (options_parse(options, allowed, call->args + skip, call->count - skip, err, sizeof err)) {
        return true;
    }
    call_error(call, "ERR", "%s", err);
    return false;
}

bool word_number(struct call *call, const struct options *options, enum option option,
                 const char *what, int64_t low, int64_t high, int64_t *value)
{
    const struct resp_slice *word = options_value(options, option);
    int64_t number;

    if (word == NULL) {
        return true;
    }
    if (decimal_parse_int64(word->data, word->len, &number) != DECIMAL_OK || number < low ||
        number > high) {
        call_error(call, "ERR", "%s must be an integer from %lld to %lld", what, (long long)low,
                   (long long)high);
        return false;
    }
    *value = number;
    return true;
}
