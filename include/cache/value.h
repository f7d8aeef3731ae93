/*
 * What stands in Redis for an account, and how far it can be believed.
 *
 *     value     ERA VERSION ASSET BALANCE [hHELD] [fFLOOR] [s|c] SEAL
 *               7 1042 USD/2 250000 f-5000 T_vE4B7Zk3v0lq_8Fs
 *     negative  ERA 0 SEAL                      the store says: no such account (rule T10)
 *     token     ~ERA UNIQUE                     a fill is under way (rule T9)
 *
 * Numbers are decimal. What is held, the floor, and the status (s suspended, c closed) stand only
 * where they are not 0, 0 and active: with 44 bytes, which an ordinary value does not exceed, Redis
 * keeps key and value in two allocations instead of three. The SEAL is 18 characters of base64url:
 * seven for when it was written (ms since 1970), eleven for the MAC, which is SipHash-1-3 over the
 * account id, a zero byte and everything before it, keyed from the store: garbage, a neighbour's
 * value or a human's edit is poison, never an answer. Scripts in Redis read ERA and VERSION from
 * the front. Versions and eras stay below 2^53, where Redis' Lua counts exactly.
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
    int64_t written_ms; /* wall clock of the daemon that read it from the store; 0 to 2^42-1 */
    struct account_state state;
};

/* Encodes state (version 0: a negative entry). Returns the length, at most CACHE_VALUE_MAX. */
size_t cache_value_encode(char *out, const uint8_t mac_key[16], const struct account_id *id,
                          uint64_t era, int64_t written_ms, const struct account_state *state);

/* Never fails: what cannot be believed is CACHE_POISON. */
void cache_value_decode(struct cache_value *value, const uint8_t mac_key[16],
                        const struct account_id *id, const char *bytes, size_t len);

#endif
