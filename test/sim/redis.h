/*
 * Fake Redis processes: keys, the stamp, roles, and what the scripts of src/cache/scripts.c do to
 * them. Commands are executed one after the other at the time at which they arrive; a process that
 * hangs executes what has arrived when it goes on, whether or not anybody still waits for it.
 */
#ifndef BALLAST_SIM_REDIS_H
#define BALLAST_SIM_REDIS_H

#include "cache/cache.h"
#include "world.h"

#define REDIS_NODES 2

enum slot_kind { SLOT_ABSENT, SLOT_VALUE, SLOT_TOKEN, SLOT_POISON };

/* The key of an account. Poison is a value whose checksum is wrong: scripts read its front. */
struct slot {
    enum slot_kind kind;
    uint64_t era;
    uint64_t token;
    int64_t expires_at; /* 0: never */
    int64_t written_ms;
    struct account_state state;
};

struct keyspace {
    char stamp[CACHE_STAMP_MAX]; /* "": absent */
    struct slot slots[ACCOUNTS_MAX];
    uint64_t marks; /* nonce of a rebuild's (T11); 0: absent */
    int64_t marks_expire_at;
    bool marked[ACCOUNTS_MAX];
};

struct redis {
    bool up;
    bool master;
    bool full; /* memory: nothing that needs some is done */
    bool failing;
    int64_t hangs_until;
    struct cache_identity identity;
    struct keyspace keys;
    struct keyspace snapshot; /* as it once was: an RDB file, a replica that lags */
};

extern struct redis redis_nodes[REDIS_NODES];

void redis_begin(void);
/* Where a daemon's address leads to now. */
int redis_address(void);

enum redis_request {
    REDIS_READ,
    REDIS_WRITE,
    REDIS_TOKEN,
    REDIS_STAMP_READ,
    REDIS_STAMP_RAISE,
    REDIS_MARKS,
    REDIS_REBUILD
};

struct redis_entry {
    int account;
    bool force;
    bool held;                  /* by REDIS_TOKEN; written by REDIS_REBUILD */
    struct slot slot;           /* answered by REDIS_READ */
    struct account_state state; /* for REDIS_WRITE, REDIS_REBUILD */
};

/* One command with its answer. */
struct redis_command {
    enum redis_request request;
    char stamp[CACHE_STAMP_MAX]; /* given; of reads: answered */
    uint64_t era;
    uint64_t token; /* 0: a publish; of marks: their nonce */
    bool stand;     /* REDIS_REBUILD: the marks do */
    char replid[CACHE_RUN_ID_MAX];
    int count;
    enum cache_status status;
    struct redis_entry entries[SIM_ENTRIES_MAX];
};

void redis_execute(struct redis *redis, struct redis_command *command);

/* Faults. */
void redis_restart(int node, bool from_snapshot);
void redis_rewind(int node);
void redis_demote(int node, int64_t for_us);
void redis_split(void);
void redis_poison(int node, int account);
void redis_evict(int node, int account);
void redis_evict_marks(int node);
/* After the storm: one healthy master, and every address leads to it. */
void redis_heal(void);

#endif
