/*
 * Accounts, assets and what a reader may be shown of an account.
 *
 * Everything here is a value: copied freely, no ownership, no allocation, safe in any thread.
 */
#ifndef BALLAST_MODEL_ACCOUNT_H
#define BALLAST_MODEL_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACCOUNT_ID_MAX 64 /* bytes; spec: 1 to 64 of A-Z a-z 0-9 _ . : - , a leading @ = system */
#define ASSET_MAX 15      /* bytes of CODE/SCALE: 12 + '/' + 2 */

struct account_id {
    uint8_t len; /* 1..ACCOUNT_ID_MAX; 0 = no account */
    char bytes[ACCOUNT_ID_MAX];
};

struct asset {
    uint8_t len; /* 1..ASSET_MAX; 0 = none */
    char bytes[ASSET_MAX];
};

enum account_status { ACCOUNT_ACTIVE, ACCOUNT_SUSPENDED, ACCOUNT_CLOSED };

/* One version of an account, whole. version 0 = the store says that there is no such account. */
struct account_state {
    uint64_t version;
    int64_t balance; /* minor units of asset */
    int64_t held;    /* minor units, >= 0 */
    int64_t floor;   /* the lowest available that a debit may leave */
    struct asset asset;
    enum account_status status;
};

/* An account with its state: what the store returns and the cache publishes. */
struct account_entry {
    struct account_id id;
    struct account_state state;
};

/* False, with *id untouched, where the bytes are not an account id. A system id parses too. */
bool account_id_parse(struct account_id *id, const char *bytes, size_t len)
    __attribute__((warn_unused_result));
bool account_id_is_system(const struct account_id *id);
bool account_id_equal(const struct account_id *a, const struct account_id *b);
/* Below 0, 0 or above: in the order of bytes, which is Redis', and PostgreSQL's by COLLATE "C". */
int account_id_compare(const struct account_id *a, const struct account_id *b);
uint32_t account_id_hash(const struct account_id *id);

/* "USD/2". False where the bytes are no asset: CODE of 1 to 12 A-Z0-9, scale 0 to 18 without
 * leading zero. */
bool asset_parse(struct asset *asset, const char *bytes, size_t len)
    __attribute__((warn_unused_result));

/* balance - held. The store keeps it within int64; a value that is not saturates. */
int64_t account_available(const struct account_state *state);

/* Whether the rules let it spend an amount > 0: active, and not below the floor afterwards. */
bool account_can_spend(const struct account_state *state, int64_t amount);

/* "active", "suspended", "closed", and back; parse returns false for any other word. */
const char *account_status_name(enum account_status status);
bool account_status_parse(enum account_status *status, const char *bytes, size_t len)
    __attribute__((warn_unused_result));

#endif
