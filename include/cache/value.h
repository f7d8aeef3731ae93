/*
 * What stands in Redis for an account, and how far it can be believed.
 *
 *     value     ERA VERSION ASSET BALANCE HELD FLOOR STATUS WRITTEN_MS MAC
 *               7 1042 USD/2 250000 0 -5000 a 1374105600123 Zk3v0lq_8Fs
 *     negative  ERA 0 WRITTEN_MS MAC            the store says: no such account (rule T10)
 *     token     ~ERA UNIQUE                     a fill is under way (rule T9)
 *
 * Numbers are decimal, STATUS is a, s or c, MAC is SipHash-2-4 in base64url over the account id, a
 * zero byte and everything before the MAC, keyed from the store: garbage, a neighbour's value or a
 * human's edit is poison, never an answer. Scripts in Redis read ERA and VERSION from the front.
 * Versions and eras stay below 2^53, where Redis' Lua counts exactly.
 *
 * Pure: no clock, no allocation, any thread.
 */
#ifndef BALLAST_CACHE_VALUE_H
#define BALLAST_CACHE_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "model/account.h"

#define CACHE_VALUE_MAX 192 /* longest encoded value, bytes */
#define CACHE_VERSION_MAX ((UINT64_C(1) << 53) - 1)

enum cache_value_kind {
    CACHE_ABSENT,   /* no key */
    CACHE_STATE,    /* era and state hold */
    CACHE_NEGATIVE, /* era holds: no such account */
    CACHE_TOKEN,    /* a fill is under way */
    CACHE_POISON    /* anything else: garbage, wrong checksum, wrong type */
};

struct cache_value {
    enum cache_value_kind kind;
    uint64_t era;
    int64_t written_ms; /* wall clock of the daemon that read it from the store */
    struct account_state state;
};

/* Encodes state (version 0: a negative entry). Returns the length, at most CACHE_VALUE_MAX. */
size_t cache_value_encode(char *out, const uint8_t mac_key[16], const struct account_id *id,
                          uint64_t era, int64_t written_ms, const struct account_state *state);

/* Never fails: what cannot be believed is CACHE_POISON. */
void cache_value_decode(struct cache_value *value, const uint8_t mac_key[16],
                        const struct account_id *id, const char *bytes, size_t len);

#endif
