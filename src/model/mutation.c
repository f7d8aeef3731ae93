/* The words of a mutation, checked one by one and as a whole. */
#include "model/mutation.h"

#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/decimal.h"

static const char *const kind_names[] = {
#define MUTATION_NAME(symbol, word) [MUTATION_##symbol] = (word),
    MUTATION_ROWS(MUTATION_NAME)
#undef MUTATION_NAME
};

const char *mutation_kind_name(enum mutation_kind kind)
{
    assert((unsigned)kind < MUTATION_KIND_COUNT);
    return kind_names[kind];
}

void mutation_clear(struct mutation *m)
{
    free(m->legs);
    m->legs = NULL;
    m->leg_count = 0;
}

const char *mutation_set_key(struct mutation *m, const char *bytes, size_t len)
{
    if (len == 0 || len > MUTATION_KEY_MAX) {
        return "key must be 1 to 128 printable bytes without space";
    }
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] <= ' ' || bytes[i] > '~') {
            return "key must be 1 to 128 printable bytes without space";
        }
    }
    m->key_len = (uint8_t)len;
    memcpy(m->key, bytes, len);
    return NULL;
}

/* Length of the UTF-8 sequence at bytes, 0 where it is none (overlong, surrogate, cut, NUL):
 * the store would refuse the whole batch for it. RFC 3629, section 4. */
static size_t utf8_sequence(const unsigned char *bytes, size_t len)
{
    static const struct {
        unsigned char first_low, first_high, second_low, second_high;
        size_t length;
    } forms[] = {
        {0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        if (bytes[0] < forms[f].first_low || bytes[0] > forms[f].first_high) {
            continue;
        }
        if (forms[f].length > len) {
            return 0;
        }
        if (forms[f].length > 1 &&
            (bytes[1] < forms[f].second_low || bytes[1] > forms[f].second_high)) {
            return 0;
        }
        for (size_t i = 2; i < forms[f].length; i++) {
            if (bytes[i] < 0x80 || bytes[i] > 0xbf) {
                return 0;
            }
        }
        return forms[f].length;
    }
    return 0;
}

const char *mutation_set_memo(struct mutation *m, const char *bytes, size_t len)
{
    if (len > MUTATION_MEMO_MAX) {
        return "memo must be at most 256 bytes";
    }
    for (size_t at = 0; at < len;) {
        size_t step = utf8_sequence((const unsigned char *)bytes + at, len - at);
        if (step == 0) {
            return "memo must be UTF-8 text without NUL";
        }
        at += step;
    }
    m->memo_len = (uint16_t)len;
    memcpy(m->memo, bytes, len);
    return NULL;
}

const char *mutation_parse_amount(int64_t *amount, const char *bytes, size_t len)
{
    if (decimal_parse_positive(bytes, len, amount) != DECIMAL_OK) {
        return "amount must be an integer of minor units from 1 to 9223372036854775807";
    }
    return NULL;
}

const char *mutation_parse_floor(int64_t *floor, const char *bytes, size_t len)
{
    if (decimal_parse_int64(bytes, len, floor) != DECIMAL_OK) {
        return "floor must be an integer of minor units that fits 64 bits";
    }
    return NULL;
}

static const char *check_sides(const struct account_id *from, const struct account_id *to)
{
    if (from->len == 0 || to->len == 0) {
        return "both accounts are needed";
    }
    if (account_id_equal(from, to)) {
        return "both sides are the same account";
    }
    if (account_id_is_system(from) && account_id_is_system(to)) {
        return "one side must not be a system account";
    }
    return NULL;
}

static const char *check_legs(const struct mutation *m)
{
    if (m->leg_count == 0 || m->leg_count > MUTATION_LEGS_MAX) {
        return "1 to 100 legs are needed";
    }
    for (size_t i = 0; i < m->leg_count; i++) {
        const char *wrong = check_sides(&m->legs[i].from, &m->legs[i].to);
        if (wrong != NULL) {
            return wrong;
        }
        if (m->legs[i].amount <= 0) {
            return "amount must be an integer of minor units from 1 to 9223372036854775807";
        }
    }
    return NULL;
}

const char *mutation_check(const struct mutation *m)
{
    bool needs_account = m->kind != MUTATION_MTRANSFER && m->kind != MUTATION_REVERSE;
    bool moves = m->kind == MUTATION_CREDIT || m->kind == MUTATION_DEBIT ||
                 m->kind == MUTATION_TRANSFER || (m->kind == MUTATION_REVERSE && m->has_amount);
    if (m->kind != MUTATION_OPEN && m->key_len == 0) {
        return "KEY is needed: it makes the request safe to repeat";
    }
    if (needs_account && m->account.len == 0) {
        return "an account is needed";
    }
    if (needs_account && m->kind != MUTATION_TRANSFER && account_id_is_system(&m->account)) {
        return "a system account cannot be changed this way";
    }
    if (moves && (!m->has_amount || m->amount <= 0)) {
        return "amount must be an integer of minor units from 1 to 9223372036854775807";
    }
    switch (m->kind) {
    case MUTATION_OPEN:
        return m->asset.len == 0 ? "an asset is needed" : NULL;
    case MUTATION_CREDIT:
    case MUTATION_DEBIT:
        return account_id_is_system(&m->peer) ? NULL : "the other side must be a system account";
    case MUTATION_TRANSFER:
        return check_sides(&m->account, &m->peer);
    case MUTATION_MTRANSFER:
        return check_legs(m);
    case MUTATION_REVERSE:
        return m->target == 0 ? "a transfer is needed" : NULL;
    case MUTATION_SETFLOOR:
        return m->has_amount ? NULL : "a floor is needed";
    case MUTATION_CLOSE:
        return NULL;
    case MUTATION_KIND_COUNT:
        break;
    }
    return "unknown kind of mutation";
}
