/* The table of outcomes, looked up both ways. */
#include "model/outcome.h"

#include <string.h>

#include "base/attributes.h"

static const struct {
    const char *word;
    int http;
    const char *advice;
} outcomes[] = {
#define OUTCOME_ROW(symbol, word, http, advice) [OUTCOME_##symbol] = {word, http, advice},
    OUTCOME_ROWS(OUTCOME_ROW)
#undef OUTCOME_ROW
};

const char *outcome_word(enum outcome outcome)
{
    assert((unsigned)outcome < OUTCOME_COUNT);
    return outcomes[outcome].word;
}

const char *outcome_advice(enum outcome outcome)
{
    assert((unsigned)outcome < OUTCOME_COUNT);
    return outcomes[outcome].advice;
}

int outcome_http_status(enum outcome outcome)
{
    assert((unsigned)outcome < OUTCOME_COUNT);
    return outcomes[outcome].http;
}

bool outcome_parse(enum outcome *outcome, const char *word, size_t len)
{
    for (size_t i = 0; i < OUTCOME_COUNT; i++) {
        if (strlen(outcomes[i].word) == len && memcmp(outcomes[i].word, word, len) == 0) {
            *outcome = (enum outcome)i;
            return true;
        }
    }
    return false;
}
