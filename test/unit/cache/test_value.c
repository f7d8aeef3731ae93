/* What stands in Redis for an account: exactly what was written there is believed, and no more. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "cache/value.h"
#include "unit.h"

#define WRITTEN_MAX ((INT64_C(1) << 42) - 1)

static const uint8_t mac_key[16] = "0123456789abcde";

static struct account_id id_of(const char *text)
{
    struct account_id id;

    ck_assert(account_id_parse(&id, text, strlen(text)));
    return id;
}

static struct account_state state_of(uint64_t version, int64_t balance, int64_t held, int64_t floor,
                                     const char *asset, enum account_status status)
{
    struct account_state state = {
        .version = version,
        .balance = balance,
        .held = held,
        .floor = floor,
        .status = status,
    };

    ck_assert(asset_parse(&state.asset, asset, strlen(asset)));
    return state;
}

static struct account_state ordinary(void)
{
    return state_of(1042, 250000, 0, -5000, "USD/2", ACCOUNT_ACTIVE);
}

static enum cache_value_kind kind_of(const struct account_id *id, const char *bytes, size_t len)
{
    struct cache_value value;

    memset(&value, 0xa5, sizeof(value));
    cache_value_decode(&value, mac_key, id, bytes, len);
    return value.kind;
}

static void check_round_trip(const char *name, uint64_t era, int64_t written_ms,
                             const struct account_state *state)
{
    struct account_id id = id_of(name);
    struct cache_value value;
    char bytes[CACHE_VALUE_MAX];
    size_t len = cache_value_encode(bytes, mac_key, &id, era, written_ms, state);

    ck_assert_uint_le(len, sizeof(bytes));
    cache_value_decode(&value, mac_key, &id, bytes, len);
    ck_assert_int_eq(value.kind, state->version == 0 ? CACHE_NEGATIVE : CACHE_STATE);
    ck_assert_uint_eq(value.era, era);
    ck_assert_int_eq(value.written_ms, written_ms);
    ck_assert_uint_eq(value.state.version, state->version);
    if (state->version > 0) {
        ck_assert_int_eq(value.state.balance, state->balance);
        ck_assert_int_eq(value.state.held, state->held);
        ck_assert_int_eq(value.state.floor, state->floor);
        ck_assert_int_eq(value.state.status, state->status);
        ck_assert_uint_eq(value.state.asset.len, state->asset.len);
        ck_assert_mem_eq(value.state.asset.bytes, state->asset.bytes, state->asset.len);
    }
}

START_TEST(reads_back_what_was_written)
{
    static const enum account_status statuses[] = {ACCOUNT_ACTIVE, ACCOUNT_SUSPENDED,
                                                   ACCOUNT_CLOSED};
    struct account_state state = ordinary();

    for (size_t i = 0; i < 3; i++) {
        state.status = statuses[i];
        check_round_trip("alice", 7, 1374105600123, &state);
    }
}
END_TEST

START_TEST(holds_the_extremes)
{
    char longest[ACCOUNT_ID_MAX + 1];
    struct account_state lowest = state_of(CACHE_VERSION_MAX, INT64_MIN, INT64_MAX, INT64_MIN,
                                           "ABCDEFGHIJKL/18", ACCOUNT_SUSPENDED);
    struct account_state highest = state_of(1, INT64_MAX, 0, INT64_MAX, "A/0", ACCOUNT_CLOSED);
    struct account_state unknown = {.version = 0};

    memset(longest, 'z', ACCOUNT_ID_MAX);
    longest[ACCOUNT_ID_MAX] = '\0';
    check_round_trip(longest, CACHE_VERSION_MAX, WRITTEN_MAX, &lowest);
    check_round_trip("a", 1, 0, &highest);
    check_round_trip(longest, CACHE_VERSION_MAX, WRITTEN_MAX, &unknown);
    check_round_trip("a", 1, 0, &unknown);
}
END_TEST

/* A clock that is wrong by so much is held at the end of what can be said. */
START_TEST(holds_no_more_than_its_time)
{
    struct account_state state = ordinary();
    struct account_id id = id_of("alice");
    struct cache_value value;
    char bytes[CACHE_VALUE_MAX];

    cache_value_decode(&value, mac_key, &id, bytes,
                       cache_value_encode(bytes, mac_key, &id, 7, INT64_MAX, &state));
    ck_assert_int_eq(value.kind, CACHE_STATE);
    ck_assert_int_eq(value.written_ms, WRITTEN_MAX);
    cache_value_decode(&value, mac_key, &id, bytes,
                       cache_value_encode(bytes, mac_key, &id, 7, INT64_MIN, &state));
    ck_assert_int_eq(value.kind, CACHE_STATE);
    ck_assert_int_eq(value.written_ms, 0);
}
END_TEST

static void check_front(const char *wanted, const struct account_state *state)
{
    struct account_id id = id_of("alice");
    char bytes[CACHE_VALUE_MAX];
    size_t len = cache_value_encode(bytes, mac_key, &id, 7, 1374105600123, state);

    ck_assert_uint_eq(len, strlen(wanted) + 11);
    ck_assert_mem_eq(bytes, wanted, strlen(wanted));
}

/* Redis' scripts and people read it: the fields stand where the header says. */
START_TEST(is_readable)
{
    struct account_state plain = state_of(1042, 250000, 0, 0, "USD/2", ACCOUNT_ACTIVE);
    struct account_state full = state_of(3, -5, 40, 1, "X/0", ACCOUNT_SUSPENDED);
    struct account_state closed = state_of(4, 0, 0, 0, "X/0", ACCOUNT_CLOSED);
    struct account_state unknown = {.version = 0};

    check_front("7 1042 USD/2 250000 T_vE4B7", &plain);
    check_front("7 3 X/0 -5 h40 f1 s T_vE4B7", &full);
    check_front("7 4 X/0 0 c T_vE4B7", &closed);
    check_front("7 0 T_vE4B7", &unknown);
}
END_TEST

START_TEST(every_flipped_bit_is_poison)
{
    struct account_state state = ordinary();
    struct account_id id = id_of("alice");
    char bytes[CACHE_VALUE_MAX];
    size_t len = cache_value_encode(bytes, mac_key, &id, 7, 1374105600123, &state);

    for (size_t bit = 0; bit < len * 8; bit++) {
        enum cache_value_kind kind;

        bytes[bit / 8] ^= (char)(1 << (bit % 8));
        kind = kind_of(&id, bytes, len);
        ck_assert_msg(kind == CACHE_POISON, "bit %zu: kind %d", bit, kind);
        bytes[bit / 8] ^= (char)(1 << (bit % 8));
    }
    ck_assert_int_eq(kind_of(&id, bytes, len), CACHE_STATE);
}
END_TEST

START_TEST(every_cut_and_addition_is_poison)
{
    struct account_state state = ordinary();
    struct account_id id = id_of("alice");
    char bytes[CACHE_VALUE_MAX];
    size_t len = cache_value_encode(bytes, mac_key, &id, 7, 1374105600123, &state);

    for (size_t cut = 0; cut < len; cut++) {
        ck_assert_int_eq(kind_of(&id, bytes, cut), CACHE_POISON);
        ck_assert_int_eq(kind_of(&id, bytes + len - cut, cut), CACHE_POISON);
    }
    for (int byte = 0; byte < 256; byte++) {
        bytes[len] = (char)byte;
        ck_assert_int_eq(kind_of(&id, bytes, len + 1), CACHE_POISON);
    }
}
END_TEST

START_TEST(belongs_to_its_account_and_its_key)
{
    static const char *const others[] = {"alic", "alicf", "alice1", "Alice", "bob", "@alice"};
    struct account_state state = ordinary();
    struct account_id id = id_of("alice");
    struct cache_value value;
    uint8_t other_key[16];
    char bytes[CACHE_VALUE_MAX];
    size_t len = cache_value_encode(bytes, mac_key, &id, 7, 1374105600123, &state);

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct account_id other = id_of(others[i]);

        ck_assert_int_eq(kind_of(&other, bytes, len), CACHE_POISON);
    }
    memcpy(other_key, mac_key, sizeof(other_key));
    other_key[15] ^= 1;
    cache_value_decode(&value, other_key, &id, bytes, len);
    ck_assert_int_eq(value.kind, CACHE_POISON);
}
END_TEST

/* Writes a body with the MAC that it would have had: what the fields alone must refuse. */
static size_t sign(char *out, const struct account_id *id, const char *body)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char text[512];
    size_t len = strlen(body);
    uint64_t mac;

    memcpy(text, id->bytes, id->len);
    text[id->len] = '\0';
    memcpy(text + id->len + 1, body, len);
    mac = siphash13(text, (size_t)id->len + 1 + len, mac_key);
    memcpy(out, body, len);
    for (int i = 10; i >= 0; i--) {
        out[len + (size_t)i] = digits[mac & 63];
        mac >>= 6;
    }
    return len + 11;
}

START_TEST(signed_nonsense_is_poison)
{
    static const char *const bodies[] = {
        "",
        "T_vE4B7",
        " T_vE4B7",
        "7 T_vE4B7",
        "7 1042 T_vE4B7",
        "0 1042 USD/2 250000 h1 f-5000 s T_vE4B7",
        "07 1042 USD/2 250000 h1 f-5000 s T_vE4B7",
        "-7 1042 USD/2 250000 h1 f-5000 s T_vE4B7",
        "7  1042 USD/2 250000 h1 f-5000 s T_vE4B7",
        " 7 1042 USD/2 250000 h1 f-5000 s T_vE4B7",
        "7 1042 USD/2 250000 h1 f-5000 sT_vE4B7",
        "7 1042 USD/2 250000 h1 f-5000 s  T_vE4B7",
        "7 1042 USD/2 250000 h1 f-5000 s 1 T_vE4B7",
        "7 1042 USD/2 250000 h1 f-5000 s s T_vE4B7",
        "7 1042 USD/2 250000 h-1 f-5000 s T_vE4B7",
        "7 1042 USD/2 250000 h0 f-5000 s T_vE4B7",
        "7 1042 USD/2 250000 h1 f0 s T_vE4B7",
        "7 1042 USD/2 250000 f-5000 h1 s T_vE4B7",
        "7 1042 USD/2 250000 h1 h1 s T_vE4B7",
        "7 1042 USD/2 250000 h f-5000 s T_vE4B7",
        "7 1042 USD/2 250000 1 f-5000 s T_vE4B7",
        "7 1042 usd/2 250000 h1 f-5000 s T_vE4B7",
        "7 1042 USD 250000 h1 f-5000 s T_vE4B7",
        "7 1042 USD/2 250000 h1 f-5000 a T_vE4B7",
        "7 1042 USD/2 250000 h1 f-5000 x T_vE4B7",
        "7 1042 USD/2 250000 h1 f-5000 sc T_vE4B7",
        "7 1042 USD/2 T_vE4B7",
        "7 1042 USD/2 h1 f-5000 s T_vE4B7",
        "7 1042 USD/2 9223372036854775808 h1 f-5000 s T_vE4B7",
        "7 1042 USD/2 250000 h1 f-9223372036854775809 s T_vE4B7",
        "7 9007199254740992 USD/2 250000 h1 f-5000 s T_vE4B7",
        "9007199254740992 1042 USD/2 250000 h1 f-5000 s T_vE4B7",
        "7 0 USD/2 250000 h1 f-5000 s T_vE4B7",
        "7 0 s T_vE4B7",
        "7 0 1 T_vE4B7",
    };
    struct account_id id = id_of("alice");
    char bytes[CACHE_VALUE_MAX];

    ck_assert_int_eq(
        kind_of(&id, bytes, sign(bytes, &id, "7 1042 USD/2 250000 h1 f-5000 s T_vE4B7")),
        CACHE_STATE);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        enum cache_value_kind kind = kind_of(&id, bytes, sign(bytes, &id, bodies[i]));

        ck_assert_msg(kind == CACHE_POISON, "\"%s\": kind %d", bodies[i], kind);
    }
}
END_TEST

START_TEST(knows_tokens)
{
    static const char *const garbage[] = {"~", "~7", "~7 ", "~ 7 x", "~x y", "~-1 y", "~07 y"};
    struct account_id id = id_of("alice");
    struct cache_value value;

    cache_value_decode(&value, mac_key, &id, "~7 5f00000000000001-1", 21);
    ck_assert_int_eq(value.kind, CACHE_TOKEN);
    ck_assert_uint_eq(value.era, 7);
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        ck_assert_int_eq(kind_of(&id, garbage[i], strlen(garbage[i])), CACHE_POISON);
    }
}
END_TEST

START_TEST(random_bytes_are_poison)
{
    static const char alphabet[] = "0123456789 ~-/abcUSD_\r\n";
    struct account_id id = id_of("alice");
    char bytes[2 * CACHE_VALUE_MAX];

    srandom(1);
    for (int round = 0; round < 50000; round++) {
        size_t len = (size_t)random() % sizeof(bytes);
        enum cache_value_kind kind;

        for (size_t i = 0; i < len; i++) {
            bytes[i] = round % 2 == 0 ? (char)random()
                                      : alphabet[(size_t)random() % (sizeof(alphabet) - 1)];
        }
        kind = kind_of(&id, bytes, len);
        ck_assert(kind == CACHE_POISON || (kind == CACHE_TOKEN && bytes[0] == '~'));
    }
}
END_TEST

UNIT_MAIN("value", reads_back_what_was_written, holds_the_extremes, holds_no_more_than_its_time,
          is_readable, every_flipped_bit_is_poison, every_cut_and_addition_is_poison,
          belongs_to_its_account_and_its_key, signed_nonsense_is_poison, knows_tokens,
          random_bytes_are_poison)
