/*
 * One connection to the cache (Redis), through hiredis' asynchronous API, on one event loop.
 *
 * A link connects by itself, proves whom it talks to (rule T13: role master, run_id, replid,
 * writable, eviction policy noted), loads its scripts, and reconnects with jittered backoff for
 * ever. Requests are pipelined without limit of its own: the engine bounds them.
 *
 * Every submitted request gets its callback exactly once, failures included, and never before the
 * submitting call has returned. A request whose deadline passes fails, and so does everything else
 * in flight, because the connection is dropped with it: a late reply can never pair with another
 * request (fault row 29). Arrays handed in must stay until the callback.
 *
 * The simulator links another implementation of this header.
 */
#ifndef BALLAST_CACHE_CACHE_H
#define BALLAST_CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/value.h"
#include "model/account.h"

struct event_base;
struct cache_link;

#define CACHE_STAMP_MAX 64 /* bytes with NUL of "ID:NONCE" */
#define CACHE_RUN_ID_MAX 48

struct cache_options {
    const char *address; /* "ip:port" or a socket path; copied */
    const char *prefix;
    const char *user;          /* NULL: none */
    const char *password;      /* NULL: none */
    const char *password_file; /* read again at every attempt to connect; NULL: none */
    int connect_timeout_ms;
    int timeout_ms;         /* of reads, tokens and fills */
    int publish_timeout_ms; /* of publishes: a hung Redis may delay an acknowledgement so much */
};

/* The Redis behind the link, as verified at connect. */
struct cache_identity {
    char run_id[CACHE_RUN_ID_MAX];
    char replid[CACHE_RUN_ID_MAX];
};

struct cache_hooks {
    void (*up)(void *ctx, struct cache_link *link);
    void (*down)(void *ctx, struct cache_link *link, const char *why);
};

struct cache_link *cache_link_create(struct event_base *base, const struct cache_options *options,
                                     const struct cache_hooks *hooks, void *ctx)
    __attribute__((warn_unused_result));
/* Requests in flight get their callbacks (LOST) before this returns. */
void cache_link_free(struct cache_link *link);
bool cache_link_is_up(const struct cache_link *link);
const char *cache_link_why(const struct cache_link *link); /* why it is down; "" when up */
/* NULL while down. */
const struct cache_identity *cache_link_identity(const struct cache_link *link);
/* Checksums are keyed from the store: until the key is given, every value reads as poison. */
void cache_link_set_mac_key(struct cache_link *link, const uint8_t key[16]);

enum cache_status {
    CACHE_OK,
    CACHE_REFUSED, /* the stamp in Redis is another: nothing was written */
    CACHE_MOVED,   /* not a master any more, or its replid changed: the link drops itself */
    CACHE_FAILED,  /* an error reply; the link stays */
    CACHE_LOST     /* down, broken or past the deadline: applied or not, nobody knows */
};

/* --- reads: T6, T13 ---------------------------------------------------------------------------*/

struct cache_lookup {
    const struct account_id *id; /* in */
    struct cache_value value;    /* out */
};

typedef void cache_read_fn(void *arg, enum cache_status status, const char *stamp);
/*
 * MULTI, GETEX of the stamp, INFO replication, MGET of the keys, EXEC, in one write. GETEX is a
 * write to Redis' eyes: a demoted master answers -READONLY on this very batch. INFO inside the
 * MULTI names the replid under which these very values were read: a master that was made a replica
 * and promoted again between two batches has another. Either is CACHE_MOVED.
 * Values are decoded into the lookups only with CACHE_OK; stamp is then what the stamp key held
 * ("" = absent), valid during the callback. At most 4,096 lookups.
 */
void cache_read(struct cache_link *link, struct cache_lookup *const *lookups, size_t count,
                cache_read_fn *done, void *arg);

/* --- guarded writes: T8, T9, T10 --------------------------------------------------------------*/

typedef void cache_done_fn(void *arg, enum cache_status status);

/*
 * T8, one script: stamp other than given: CACHE_REFUSED. Value of this era: overwritten where its
 * version is lower. Absent: left absent. A token, an older era, anything else: deleted. Never
 * creates a key. On -OOM: plain DEL of the keys on the same connection.
 */
void cache_publish(struct cache_link *link, const char *stamp, uint64_t era,
                   const struct account_entry *entries, size_t count, cache_done_fn *done,
                   void *arg);

struct cache_fill_entry {
    struct account_entry entry; /* id: in from the token on; state: in for the fill */
    bool force;                 /* token: overwrite also a value of this era (poison, FRESH) */
    bool token_held;            /* out of the token step, in for the fill */
};

/*
 * T9, first half, one script: sets a token (unique to this link and call, PX 2 s) in every key that
 * is absent or holds neither a value of this era nor another's token; force overwrites anything.
 * token_held says where it stands. *token_id is the number to hand to the fill.
 */
void cache_token(struct cache_link *link, const char *stamp, uint64_t era,
                 struct cache_fill_entry *entries, size_t count, uint64_t *token_id,
                 cache_done_fn *done, void *arg);
/*
 * T9, second half, on the same connection: where our token stands, the value of the token's era is
 * written; everywhere else it behaves as a publish. Entries of version 0 become negative entries
 * (PX 60 s), only over our own token. CACHE_LOST at once if the link has reconnected since.
 */
void cache_fill(struct cache_link *link, const char *stamp, uint64_t era, uint64_t token_id,
                const struct cache_fill_entry *entries, size_t count, cache_done_fn *done,
                void *arg);

/* --- a rebuild's writes: T11 ------------------------------------------------------------------*/

#define CACHE_MARKS_NONCE_MAX 20

/* Begins marking, under a nonce of its own, for CACHE_MARKS_MS from now and from each write: every
 * publish and fill marks its accounts from then on. REFUSED: another stamp. */
void cache_marks_begin(struct cache_link *link, const char *stamp,
                       char nonce[CACHE_MARKS_NONCE_MAX], cache_done_fn *done, void *arg);
/*
 * Writes rows that were read after cache_marks_begin() had ended, where the key is absent or of an
 * older era and the account is not marked; written[i] says where. *stand is false where the marks
 * have gone: nothing was written from then on, and rows have to be read again, after new marks. No
 * entry of version 0.
 */
void cache_rebuild(struct cache_link *link, const char *stamp, uint64_t era, const char *nonce,
                   const struct account_entry *entries, size_t count, bool *written, bool *stand,
                   cache_done_fn *done, void *arg);

/* --- the stamp (control link): T5 -------------------------------------------------------------*/

typedef cache_read_fn cache_stamp_fn;
/* A read batch without accounts: proves the link as one with accounts does. */
void cache_stamp_read(struct cache_link *link, cache_stamp_fn *done, void *arg);
/* Sets the stamp where the one there is absent, garbage or of a lower id; else CACHE_REFUSED. */
void cache_stamp_raise(struct cache_link *link, const char *stamp, cache_done_fn *done, void *arg);

/* --- jobs and operators -----------------------------------------------------------------------*/

struct cache_scan_page {
    uint64_t next_cursor;         /* 0: the scan is over */
    const struct account_id *ids; /* account keys only: what stands under the prefix and parses */
    size_t count;
};
typedef void cache_scan_fn(void *arg, enum cache_status status, const struct cache_scan_page *page);
void cache_scan(struct cache_link *link, uint64_t cursor, cache_scan_fn *done, void *arg);

/* The raw bytes of one key for `ballast explain` ("" and present = false where absent). */
typedef void cache_raw_fn(void *arg, enum cache_status status, bool present, const char *bytes,
                          size_t len);
void cache_raw(struct cache_link *link, const struct account_id *id, cache_raw_fn *done, void *arg);

/* INFO and CONFIG GET as text, for doctor and status. */
typedef void cache_text_fn(void *arg, enum cache_status status, const char *text);
void cache_info(struct cache_link *link, const char *section, cache_text_fn *done, void *arg);

#endif
