/* See the header. */
#include "script_words.h"

#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"

#define NOBODYS 999999 /* an id that no store of a script has given */

size_t script_number(struct script_ids *ids, uint64_t id)
{
    size_t i = 0;
    while (i < ids->count && ids->ids[i] != id) {
        i++;
    }
    if (i == ids->count) {
        assert(i < SCRIPT_NUMBERS_MAX);
        ids->ids[ids->count++] = id;
    }
    return i + 1;
}

static uint64_t id_of(const struct script_ids *ids, const char *word)
{
    size_t number = strtoull(word, NULL, 10);
    return number > 0 && number <= ids->count ? ids->ids[number - 1] : NOBODYS;
}

static bool set_id(struct account_id *id, const char *word)
{
    return account_id_parse(id, word, strlen(word));
}

/* 0: none, where the kind may be without. */
static void set_amount(struct mutation *m, const char *word)
{
    m->amount = strtoll(word, NULL, 10);
    m->has_amount = m->amount != 0 || m->kind == MUTATION_SETFLOOR || m->kind == MUTATION_OPEN;
}

static bool set_legs(struct mutation *m, char **words, int count)
{
    bool right = true;
    m->leg_count = (uint8_t)(count / 3);
    m->legs = calloc((size_t)m->leg_count + 1, sizeof *m->legs);
    for (int i = 0; m->legs != NULL && i < m->leg_count; i++) {
        right = set_id(&m->legs[i].from, words[3 * i]) && right;
        right = set_id(&m->legs[i].to, words[3 * i + 1]) && right;
        m->legs[i].amount = strtoll(words[3 * i + 2], NULL, 10);
    }
    return right && m->legs != NULL && m->leg_count > 0;
}

static bool set_settlement(struct mutation *m, const char *word)
{
    for (int i = SETTLED_SUCCEEDED; i <= SETTLED_UNKNOWN; i++) {
        m->settlement = (enum mutation_settlement)i;
        if (strcmp(word, mutation_settlement_name(m->settlement)) == 0) {
            return true;
        }
    }
    return false;
}

/* Of one account: ID, then an amount or not, then what the kind adds. */
static bool set_single(struct mutation *m, char **words, int count)
{
    bool right = set_id(&m->account, words[0]) && asset_parse(&m->asset, "USD/2", 5);
    m->if_below = m->kind == MUTATION_SUSPEND && count > 1;
    if (count > 1 && !m->if_below) {
        set_amount(m, words[1]);
    }
    if (m->kind == MUTATION_HOLD || m->kind == MUTATION_CHARGE) {
        int64_t last = count == 3 ? strtoll(words[2], NULL, 10) : 0;
        m->ttl_s = m->kind == MUTATION_HOLD ? last : 0;
        m->threshold = m->kind == MUTATION_CHARGE ? last : 0;
        right = right && count == 3;
    }
    return right;
}

static bool set_words(struct mutation *m, const struct script_numbers *numbers, char **words,
                      int count)
{
    bool about_hold = m->kind == MUTATION_CAPTURE || m->kind == MUTATION_RELEASE;
    switch (m->kind) {
    case MUTATION_CREDIT:
    case MUTATION_DEBIT:
        set_amount(m, words[count - 1]);
        return set_id(&m->account, words[0]) && set_id(&m->peer, "@bank") && count == 2;
    case MUTATION_TRANSFER:
        set_amount(m, words[count - 1]);
        return count == 3 && set_id(&m->account, words[0]) && set_id(&m->peer, words[1]);
    case MUTATION_MTRANSFER:
        return set_legs(m, words, count);
    case MUTATION_REVERSE:
    case MUTATION_CAPTURE:
    case MUTATION_RELEASE:
        m->target = id_of(about_hold ? &numbers->holds : &numbers->transfers, words[0]);
        set_amount(m, count > 1 ? words[1] : "0");
        return m->kind != MUTATION_CAPTURE || set_id(&m->peer, "@bank");
    case MUTATION_SETTLE:
        m->target = id_of(&numbers->charges, words[0]);
        return count == 2 && set_settlement(m, words[1]);
    case MUTATION_EXPIRE:
        set_amount(m, words[0]);
        return true;
    default:
        return set_single(m, words, count);
    }
}

bool script_mutation(struct mutation *m, const struct script_numbers *numbers, char **words,
                     int count)
{
    for (m->kind = 0; m->kind < MUTATION_KIND_COUNT; m->kind++) {
        if (strcmp(words[0], mutation_kind_name(m->kind)) == 0) {
            break;
        }
    }
    if (m->kind == MUTATION_KIND_COUNT || count < 3) {
        return false;
    }
    bool keyless = strcmp(words[1], "-") == 0;
    return (keyless || mutation_set_key(m, words[1], strlen(words[1])) == NULL) &&
           set_words(m, numbers, words + 2, count - 2);
}
