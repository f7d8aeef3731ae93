/* SipHash-2-4: the vectors of its authors. SipHash-1-3: what CPython hashes bytes with. */
#include "base/siphash.h"

#include <string.h>

#include "unit.h"

START_TEST(agrees_with_the_vectors_of_the_paper)
{
    static const struct {
        size_t len;
        uint64_t hash;
    } vectors[] = {
        {0, 0x726fdb47dd0e0e31},  {1, 0x74f839c593dc67fd},  {7, 0xab0200f58b01d137},
        {8, 0x93f5f5799a932462},  {15, 0xa129ca6149be45e5}, {16, 0x3f2acc7f57c29bdb},
        {63, 0x958a324ceb064572},
    };
    uint8_t key[SIPHASH_KEY_BYTES], input[64];

    for (size_t i = 0; i < sizeof input; i++) {
        input[i] = (uint8_t)i;
    }
    memcpy(key, input, sizeof key);
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        ck_assert_msg(siphash24(input, vectors[i].len, key) == vectors[i].hash, "length %zu",
                      vectors[i].len);
    }
}
END_TEST

/* `PYTHONHASHSEED=0 python3 -c 'print(hex(hash(bytes(range(N))) & 2**64 - 1))'`: the key is zero. */
START_TEST(agrees_with_cpython)
{
    static const struct {
        size_t len;
        uint64_t hash;
    } vectors[] = {
        {1, 0x68a914128e01e473},  {7, 0x2f098ab0c751325a},  {8, 0xead411e67ebe2eea},
        {9, 0x75927f9d95124362},  {15, 0xf30eb725bb91c9ea}, {16, 0x8972188433a5c5b7},
        {40, 0x95bc321ab41d8206}, {63, 0x385d3e39e5f37359},
    };
    uint8_t key[SIPHASH_KEY_BYTES] = {0}, input[64];

    for (size_t i = 0; i < sizeof input; i++) {
        input[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        ck_assert_msg(siphash13(input, vectors[i].len, key) == vectors[i].hash, "length %zu",
                      vectors[i].len);
    }
}
END_TEST

START_TEST(any_bit_of_key_or_text_changes_it)
{
    uint8_t key[SIPHASH_KEY_BYTES] = {1};
    char text[] = "alice 1 500 0 0 active 7";
    uint64_t hash = siphash24(text, sizeof text, key);

    for (size_t bit = 0; bit < 8 * sizeof text; bit++) {
        text[bit / 8] ^= (char)(1 << bit % 8);
        ck_assert(siphash24(text, sizeof text, key) != hash);
        text[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * sizeof key; bit++) {
        key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert(siphash24(text, sizeof text, key) != hash);
        key[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ck_assert(siphash24(text, sizeof text, key) == hash);
}
END_TEST

UNIT_MAIN("siphash", agrees_with_the_vectors_of_the_paper, agrees_with_cpython,
          any_bit_of_key_or_text_changes_it)
