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

const char *mutation_settlement_name(enum mutation_settlement settlement)
{
    static const char *const names[] = {[SETTLED_SUCCEEDED] = "succeeded",
                                        [SETTLED_FAILED] = "failed",
                                        [SETTLED_UNKNOWN] = "unknown"};

    assert((unsigned)settlement < sizeof names / sizeof names[0]);
    return names[settlement];
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

/* What each kind is about, and what it must have with it. */
enum { NEEDS_KEY = 1, NEEDS_ACCOUNT = 2, NEEDS_AMOUNT = 4, MAY_AMOUNT = 8, NEEDS_TARGET = 16 };

static unsigned needs_of(enum mutation_kind kind)
{
    switch (kind) {
    case MUTATION_OPEN:
        return NEEDS_ACCOUNT;
    case MUTATION_CREDIT:
    case MUTATION_DEBIT:
    case MUTATION_TRANSFER:
    case MUTATION_HOLD:
    case MUTATION_CHARGE:
        return NEEDS_KEY | NEEDS_ACCOUNT | NEEDS_AMOUNT;
    case MUTATION_SETFLOOR:
    case MUTATION_CLOSE:
    case MUTATION_SUSPEND:
    case MUTATION_RESUME:
        return NEEDS_KEY | NEEDS_ACCOUNT;
    case MUTATION_MTRANSFER:
        return NEEDS_KEY;
    case MUTATION_REVERSE:
    case MUTATION_CAPTURE:
        return NEEDS_KEY | NEEDS_TARGET | MAY_AMOUNT;
    case MUTATION_RELEASE:
    case MUTATION_SETTLE:
        return NEEDS_KEY | NEEDS_TARGET;
    case MUTATION_CANSPEND:
        return NEEDS_ACCOUNT | NEEDS_AMOUNT;
    case MUTATION_EXPIRE:
        return NEEDS_AMOUNT;
    case MUTATION_KIND_COUNT:
        break;
    }
    return 0;
}

static const char *check_needs(const struct mutation *m)
{
    unsigned needs = needs_of(m->kind);

    if ((needs & NEEDS_KEY) && m->key_len == 0) {
        return "KEY is needed: it makes the request safe to repeat";
    }
    if ((needs & NEEDS_ACCOUNT) && m->account.len == 0) {
        return "an account is needed";
    }
    if ((needs & NEEDS_ACCOUNT) && m->kind != MUTATION_TRANSFER &&
        account_id_is_system(&m->account)) {
        return "a system account cannot be changed this way";
    }
    if (((needs & NEEDS_AMOUNT) || ((needs & MAY_AMOUNT) && m->has_amount)) &&
        (!m->has_amount || m->amount <= 0)) {
        return "amount must be an integer of minor units from 1 to 9223372036854775807";
    }
    if ((needs & NEEDS_TARGET) && m->target == 0) {
        return "what it is about is needed: the number that a reply showed";
    }
    return NULL;
}

const char *mutation_check(const struct mutation *m)
{
    const char *wrong = check_needs(m);

    if (wrong != NULL) {
        return wrong;
    }
    switch (m->kind) {
    case MUTATION_OPEN:
        return m->asset.len == 0 ? "an asset is needed" : NULL;
    case MUTATION_CREDIT:
    case MUTATION_DEBIT:
    case MUTATION_CAPTURE:
        return account_id_is_system(&m->peer) ? NULL : "the other side must be a system account";
    case MUTATION_TRANSFER:
        return check_sides(&m->account, &m->peer);
    case MUTATION_MTRANSFER:
        return check_legs(m);
    case MUTATION_SETFLOOR:
        return m->has_amount ? NULL : "a floor is needed";
    case MUTATION_HOLD:
        return m->ttl_s >= 0 && m->ttl_s <= MUTATION_TTL_MAX
                   ? NULL
                   : "TTL must be from 1 to 315360000 seconds";
    case MUTATION_EXPIRE:
        return m->amount <= MUTATION_EXPIRE_MAX ? NULL : "too many holds for one batch";
    case MUTATION_REVERSE:
    case MUTATION_CLOSE:
    case MUTATION_SUSPEND:
    case MUTATION_RESUME:
    case MUTATION_RELEASE:
    case MUTATION_CHARGE:
    case MUTATION_SETTLE:
    case MUTATION_CANSPEND:
        return NULL;
    case MUTATION_KIND_COUNT:
        break;
    }
    return "unknown kind of mutation";
}
