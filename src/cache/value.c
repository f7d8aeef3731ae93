#include "cache/value.h"

#include <assert.h>
#include <string.h>

#include "base/attributes.h"
#include "base/decimal.h"
#include "base/siphash.h"

#define WRITTEN_CHARS 7 /* of base64url, 6 bits each: until the year 2109 */
#define MAC_CHARS 11    /* 64 bits */
#define SEAL_CHARS (WRITTEN_CHARS + MAC_CHARS)
#define WRITTEN_MAX ((INT64_C(1) << 6 * WRITTEN_CHARS) - 1)

/* Two numbers below 2^53 (16 digits), an asset, three of 64 bits with sign, of which two have a
 * letter, and the status, with a space behind each; then the seal. */
static_assert(CACHE_VALUE_MAX >= 2 * 17 + (ASSET_MAX + 1) + 21 + 2 * 22 + 2 + SEAL_CHARS,
              "the longest value must fit");

static const char base64url[64] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const uint8_t base64url_bits[128] = {
    ['A'] = 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,         11,         12,
    13,         14, 15, 16, 17, 18, 19, 20, 21, 22, 23,         24,         25,
    ['a'] = 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36,         37,         38,
    39,         40, 41, 42, 43, 44, 45, 46, 47, 48, 49,         50,         51,
    ['0'] = 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, ['-'] = 62, ['_'] = 63,
};

/* The lowest bits of a number, the highest of them first. */
static inline void put_base64(char *out, uint64_t bits, int count)
{
#pragma GCC unroll 11
    for (int i = count - 1; i >= 0; i--) {
        out[i] = base64url[bits & 63];
        bits >>= 6;
    }
}

/* What put_base64() wrote; of other bytes, any number. */
static inline int64_t take_base64(const char *bytes, int count)
{
    int64_t bits = 0;

#pragma GCC unroll 11
    for (int i = 0; i < count; i++) {
        bits = bits << 6 | base64url_bits[(unsigned char)bytes[i] & 127];
    }
    return bits;
}

/* Writes the MAC of `id` and `body`; one text alone passes, so that no bit of it is free. */
static void mac_write(char out[MAC_CHARS], const uint8_t mac_key[16], const struct account_id *id,
                      const char *body, size_t len)
{
    char text[ACCOUNT_ID_MAX + 1 + CACHE_VALUE_MAX];
    uint64_t mac;

    assert(id->len >= 1 && id->len <= ACCOUNT_ID_MAX);
    assert(len <= CACHE_VALUE_MAX);
    memcpy(text, id->bytes, sizeof(id->bytes)); /* all of it: a copy of known size is a few loads */
    text[id->len] = '\0';
    memcpy(text + id->len + 1, body, len);
    mac = siphash13(text, (size_t)id->len + 1 + len, mac_key);
    put_base64(out, mac, MAC_CHARS);
}

static char *put_uint64(char *at, uint64_t number)
{
    at += decimal_write_uint64(at, number);
    *at++ = ' ';
    return at;
}

static char *put_int64(char *at, int64_t number)
{
    at += decimal_write_int64(at, number);
    *at++ = ' ';
    return at;
}

static char *put_state(char *at, const struct account_state *state)
{
    assert(state->asset.len >= 1 && state->asset.len <= ASSET_MAX);
    assert(state->held >= 0);
    memcpy(at, state->asset.bytes, state->asset.len);
    at += state->asset.len;
    *at++ = ' ';
    at = put_int64(at, state->balance);
    if (state->held != 0) {
        *at++ = 'h';
        at = put_int64(at, state->held);
    }
    if (state->floor != 0) {
        *at++ = 'f';
        at = put_int64(at, state->floor);
    }
    if (state->status != ACCOUNT_ACTIVE) {
        *at++ = state->status == ACCOUNT_SUSPENDED ? 's' : 'c';
        *at++ = ' ';
    }
    return at;
}

/* A wall clock far off tells nothing anyway. */
static int64_t written_of(int64_t wall_ms)
{
    return wall_ms < 0 ? 0 : wall_ms > WRITTEN_MAX ? WRITTEN_MAX : wall_ms;
}

size_t cache_value_encode(char *out, const uint8_t mac_key[16], const struct account_id *id,
                          uint64_t era, int64_t written_ms, const struct account_state *state)
{
    char *at = out;

    assert(era >= 1 && era <= CACHE_VERSION_MAX);
    assert(state->version <= CACHE_VERSION_MAX);
    at = put_uint64(at, era);
    at = put_uint64(at, state->version);
    if (state->version > 0) {
        at = put_state(at, state);
    }
    put_base64(at, (uint64_t)written_of(written_ms), WRITTEN_CHARS);
    at += WRITTEN_CHARS;
    mac_write(at, mac_key, id, out, (size_t)(at - out));
    return (size_t)(at - out) + MAC_CHARS;
}

/* The fields of a value, taken off its front one by one. What stands before `end` is a separator,
 * so that nothing that stops at one has to look for the end. */
struct fields {
    const char *at;
    const char *end;
};

/* So many digits cannot overflow 64 bits, and no number of ours has more. */
#define DIGITS_MAX 19

/* Digits as decimal_write_...() writes them, up to the next separator. */
static bool take_digits(struct fields *fields, uint64_t *number)
{
    const char *first = fields->at, *at = first;
    uint64_t value = 0;
    unsigned digit;

    if (first == fields->end) {
        return false;
    }
    while ((digit = (unsigned char)*at - (unsigned)'0') <= 9) {
        value = value * 10 + digit;
        at++;
    }
    if (*at != ' ' || at == first || at - first > DIGITS_MAX || (*first == '0' && at - first > 1)) {
        return false;
    }
    fields->at = at + 1;
    *number = value;
    return true;
}

static bool take_count(struct fields *fields, uint64_t *number)
{
    return take_digits(fields, number) && *number <= CACHE_VERSION_MAX;
}

static bool take_int64(struct fields *fields, int64_t *number)
{
    bool negative = fields->at < fields->end && *fields->at == '-';
    uint64_t magnitude;

    fields->at += negative;
    if (!take_digits(fields, &magnitude) || magnitude > (uint64_t)INT64_MAX + negative ||
        (negative && magnitude == 0)) {
        return false;
    }
    *number = (int64_t)(negative ? -magnitude : magnitude);
    return true;
}

/* The next field; false where there is none, or an empty one. */
static bool take(struct fields *fields, const char **bytes, size_t *len)
{
    const char *stop = fields->at;

    if (stop == fields->end) {
        return false;
    }
    while (*stop != ' ') {
        stop++;
    }
    *bytes = fields->at;
    *len = (size_t)(stop - fields->at);
    fields->at = stop + 1;
    return *len > 0;
}

static bool take_asset(struct fields *fields, struct asset *asset)
{
    const char *bytes;
    size_t len;

    return take(fields, &bytes, &len) && asset_parse(asset, bytes, len);
}

/* The letter, if it is the next. */
static bool take_letter(struct fields *fields, char letter)
{
    bool is_it = fields->at < fields->end && *fields->at == letter;

    fields->at += is_it;
    return is_it;
}

/* A number that stands only where it is not zero. */
static bool take_optional(struct fields *fields, char letter, int64_t *number)
{
    *number = 0;
    return !take_letter(fields, letter) || (take_int64(fields, number) && *number != 0);
}

/* A status that stands only where it is not active. */
static bool take_status(struct fields *fields, enum account_status *status)
{
    *status = take_letter(fields, 's')   ? ACCOUNT_SUSPENDED
              : take_letter(fields, 'c') ? ACCOUNT_CLOSED
                                         : ACCOUNT_ACTIVE;
    return *status == ACCOUNT_ACTIVE || take_letter(fields, ' ');
}

/* A token carries no MAC: whatever stands there keeps nobody from anything but filling, and the
 * next publish or fill deletes it. */
static bool decode_token(struct cache_value *value, const char *bytes, size_t len)
{
    const char *space = memchr(bytes, ' ', len);
    struct fields fields = {.at = bytes + 1};

    if (len > CACHE_VALUE_MAX || space == NULL || space + 1 == bytes + len) {
        return false;
    }
    fields.end = space + 1;
    if (!take_count(&fields, &value->era)) {
        return false;
    }
    value->kind = CACHE_TOKEN;
    return true;
}

static bool decode_state(struct cache_value *value, struct fields *fields)
{
    struct account_state *state = &value->state;

    if (!take_count(fields, &value->era) || !take_count(fields, &state->version) ||
        value->era == 0) {
        return false;
    }
    value->kind = CACHE_NEGATIVE;
    if (state->version > 0) {
        value->kind = CACHE_STATE;
        if (!take_asset(fields, &state->asset) || !take_int64(fields, &state->balance) ||
            !take_optional(fields, 'h', &state->held) || state->held < 0 ||
            !take_optional(fields, 'f', &state->floor) || !take_status(fields, &state->status)) {
            return false;
        }
    }
    return fields->at == fields->end;
}

void cache_value_decode(struct cache_value *value, const uint8_t mac_key[16],
                        const struct account_id *id, const char *bytes, size_t len)
{
    char mac[MAC_CHARS];
    struct fields fields = {.at = bytes};

    *value = (struct cache_value){.kind = CACHE_POISON};
    if (len > 0 && bytes[0] == '~') {
        if (!decode_token(value, bytes, len)) {
            *value = (struct cache_value){.kind = CACHE_POISON};
        }
        return;
    }
    if (len <= SEAL_CHARS || len > CACHE_VALUE_MAX) {
        return;
    }
    fields.end = bytes + len - SEAL_CHARS;
    if (fields.end[-1] != ' ') {
        return;
    }
    mac_write(mac, mac_key, id, bytes, len - MAC_CHARS);
    if (memcmp(mac, bytes + len - MAC_CHARS, MAC_CHARS) != 0) {
        return;
    }
    value->written_ms = take_base64(fields.end, WRITTEN_CHARS);
    if (UNLIKELY(!decode_state(value, &fields))) {
        *value = (struct cache_value){.kind = CACHE_POISON};
    }
}
