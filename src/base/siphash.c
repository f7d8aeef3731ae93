#include "base/siphash.h"

#include <endian.h>
#include <string.h>

struct sip_state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t sip_rotate(uint64_t value, int bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static inline void sip_round(struct sip_state *s)
{
    s->v0 += s->v1;
    s->v1 = sip_rotate(s->v1, 13) ^ s->v0;
    s->v0 = sip_rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = sip_rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = sip_rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = sip_rotate(s->v1, 17) ^ s->v2;
    s->v2 = sip_rotate(s->v2, 32);
}

/* The paper reads words in little-endian order. */
static inline uint64_t sip_word(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return le64toh(word);
}

static inline void sip_rounds(struct sip_state *s, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        sip_round(s);
    }
}

static inline void sip_compress(struct sip_state *s, uint64_t word, int rounds)
{
    s->v3 ^= word;
    sip_rounds(s, rounds);
    s->v0 ^= word;
}

static inline uint64_t siphash(const void *data, size_t len, const uint8_t key[SIPHASH_KEY_BYTES],
                               int word_rounds, int end_rounds)
{
    const uint8_t *at = data;
    uint64_t k0 = sip_word(key), k1 = sip_word(key + 8);
    struct sip_state s = {
        .v0 = k0 ^ 0x736f6d6570736575, /* "somepseudorandomlygeneratedbytes" */
        .v1 = k1 ^ 0x646f72616e646f6d,
        .v2 = k0 ^ 0x6c7967656e657261,
        .v3 = k1 ^ 0x7465646279746573,
    };
    uint64_t last = (uint64_t)len << 56;
    size_t left = len;

    for (; left >= 8; left -= 8, at += 8) {
        sip_compress(&s, sip_word(at), word_rounds);
    }
    if (left > 0 && len >= 8) {
        last |= sip_word(at + left - 8) >> (8 * (8 - left)); /* the last word, less what is done */
    } else {
        for (size_t i = 0; i < left; i++) {
            last |= (uint64_t)at[i] << (8 * i);
        }
    }
    sip_compress(&s, last, word_rounds);
    s.v2 ^= 0xff;
    sip_rounds(&s, end_rounds);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t siphash24(const void *data, size_t len, const uint8_t key[SIPHASH_KEY_BYTES])
{
    return siphash(data, len, key, 2, 4);
}

uint64_t siphash13(const void *data, size_t len, const uint8_t key[SIPHASH_KEY_BYTES])
{
    return siphash(data, len, key, 1, 3);
}
