/*
 * cache/guarded.h: a guarded write under way, for the files that send one: write.c, gated.c.
 */
#ifndef BALLAST_CACHE_GUARDED_H
#define BALLAST_CACHE_GUARDED_H

#include "cache/link.h"

/* "~ERA NONCE-NUMBER": no other connection, of any daemon, has the nonce. */
#define GUARDED_TOKEN_MAX 80

enum guarded_kind { GUARDED_PUBLISH, GUARDED_TOKEN, GUARDED_FILL, GUARDED_REBUILD };

struct guarded {
    struct cache_link *link;
    enum guarded_kind kind;
    uint64_t era;
    int64_t deadline_us;
    const struct account_entry *published; /* publish, rebuild */
    const struct cache_fill_entry *filled; /* fill */
    struct cache_fill_entry *wanted;       /* token */
    bool *written, *stand;                 /* rebuild */
    size_t count;
    size_t parts_left;
    enum cache_status status; /* the worst of the parts that are in */
    cache_done_fn *done;
    void *arg;
    char token[GUARDED_TOKEN_MAX]; /* "": a publish; of a rebuild, the nonce of its marks */
    char stamp[CACHE_STAMP_MAX];
};

/* Some of its accounts, that leave as one call. */
struct guarded_part {
    struct link_command command;
    struct guarded *whole;
    size_t first;
    size_t count;
    bool is_forgotten; /* Redis does not know the script */
    bool is_repeated;
    uint64_t open; /* gated: a bit a gate that let its accounts through */
};

/* Another part of it; somebody must send it. */
struct guarded_part *cache_part_create(struct guarded *whole, size_t first, size_t count);
/* Sends it as a call of the script of its kind. */
void cache_part_send_script(struct guarded_part *part);
/* Sends a part of a rebuild behind gates; what they do not let through follows by the script. */
void cache_part_send_gated(struct guarded_part *part);
/* It is over; with the last one the caller hears of the whole. */
void cache_part_end(struct guarded_part *part, enum cache_status status);

/* Appends the key of an account of a rebuild, by its number in the whole, and its value. */
void cache_guarded_put_entry(struct guarded *whole, size_t i, int64_t now_ms);

#endif
