/* A table of hashes with open addressing; 0 marks a free place. See the header. */
#include "ops/known.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/random.h"
#include "base/siphash.h"

#define KNOWN_ROOM_FIRST 1024 /* a power of two, as every size after it */

struct known {
    uint8_t key[SIPHASH_KEY_BYTES]; /* nobody can choose ids that fall together */
    uint64_t *hashes;
    size_t room, count;
};

static uint64_t *allocate(size_t room)
{
    uint64_t *hashes = calloc(room, sizeof *hashes);

    if (hashes == NULL) {
        abort();
    }
    return hashes;
}

struct known *known_create(void)
{
    struct known *known = calloc(1, sizeof *known);

    if (known == NULL) {
        abort();
    }
    random_bytes(known->key, sizeof known->key);
    known->room = KNOWN_ROOM_FIRST;
    known->hashes = allocate(known->room);
    return known;
}

void known_free(struct known *known)
{
    if (known != NULL) {
        free(known->hashes);
        free(known);
    }
}

static uint64_t hash_of(const struct known *known, const struct account_id *id)
{
    uint64_t hash = siphash13(id->bytes, id->len, known->key);

    return hash != 0 ? hash : 1;
}

/* Where the hash stands, or the free place where it would. */
static size_t place_of(const struct known *known, uint64_t hash)
{
    size_t at = hash & (known->room - 1);

    while (known->hashes[at] != 0 && known->hashes[at] != hash) {
        at = (at + 1) & (known->room - 1);
    }
    return at;
}

static void grow(struct known *known)
{
    uint64_t *before = known->hashes;
    size_t room = known->room;

    known->room = 2 * room;
    known->hashes = allocate(known->room);
    for (size_t i = 0; i < room; i++) {
        if (before[i] != 0) {
            known->hashes[place_of(known, before[i])] = before[i];
        }
    }
    free(before);
}

void known_add(struct known *known, const struct account_id *id)
{
    uint64_t hash = hash_of(known, id);
    size_t at = place_of(known, hash);

    if (known->hashes[at] != 0) {
        return;
    }
    known->hashes[at] = hash;
    known->count++;
    if (known->count > known->room / 4 * 3) {
        grow(known);
    }
}

bool known_has(const struct known *known, const struct account_id *id)
{
    return known->hashes[place_of(known, hash_of(known, id))] != 0;
}
