/*
 * cache/link.h: the inside of a link, for the files of this layer alone.
 *
 * The life of a link; every change goes through link.c:
 *
 *   LINK_DOWN             no connection; the timer waits for the next attempt
 *    -> LINK_CONNECTING   a connection is being made [link.c: connect_now]
 *    -> LINK_VERIFYING    connected; one write asks whom we talk to [cache_link_on_connected]
 *    -> LINK_UP           verified, scripts loaded; requests are taken [cache_link_set_up]
 *   and from each, through LINK_CLOSING where it was us who closed [cache_link_close], back to
 *   LINK_DOWN [link.c: link_lost]: the only way out.
 *
 * A command is what is sent in one go and answered by one reply or several; a request of the
 * engine is one command, or several parts. Commands stand on `sent` from cache_link_send() on, in
 * the order of their replies, and leave it when their last reply is in, or all at once when the
 * connection is lost. Those submitted while there is none stand on `refused` until the next turn
 * of the loop, so that no callback ever runs inside the call that asked for it.
 *
 * Replies are never turned into objects: the functions of hiredis' reader are replaced, and hand
 * each element, as it is parsed, to the command whose reply it belongs to.
 */
#ifndef BALLAST_CACHE_LINK_H
#define BALLAST_CACHE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/async.h>

#include "base/address.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/list.h"
#include "base/pool.h"
#include "cache/cache.h"
#include "cache/limits.h"
#include "cache/scripts.h"

struct event;

#define LINK_WHY_MAX 160 /* bytes of a reason with its NUL */

/* --- replies ----------------------------------------------------------------------------------*/

/* One element of a reply. An array comes before its elements, with their number in `number`. */
struct link_item {
    int type;          /* REDIS_REPLY_STRING, _STATUS, _ERROR, _INTEGER, _NIL, _ARRAY */
    int depth;         /* 0: the reply itself, 1: an element of it, 2: an element of that */
    int index;         /* among its siblings, from 0; depth 0: 0 */
    int parent_index;  /* the same of the array that it stands in */
    const char *bytes; /* of strings, statuses and errors; in the reader's buffer, without NUL */
    size_t len;
    long long number; /* of integers and arrays */
};

/* --- commands ---------------------------------------------------------------------------------*/

struct link_command;

struct link_command_ops {
    /*
     * One element of a reply of this command, number command->reply from 0. Must not submit, and
     * calls nobody back. False where such a reply makes no sense: the connection is dropped.
     */
    bool (*item)(struct link_command *command, const struct link_item *item);
    /* Called once, after the last reply or the loss: tells whoever asked and frees the command.
     * Status is command->status, or CACHE_LOST. */
    void (*end)(struct link_command *command, enum cache_status status);
    /* The account whose value is the next element; NULL where no value of an account is. */
    const struct account_id *(*expects)(const struct link_command *command);
};

/* Embedded as the first member of what a command needs beyond it. */
struct link_command {
    const struct link_command_ops *ops;
    struct cache_link *link;
    struct list place; /* on cache_link.sent or .refused */
    int64_t deadline_us;
    int replies;              /* that it is answered with */
    int reply;                /* the one that comes next, from 0 */
    enum cache_status status; /* CACHE_OK until an item says otherwise; the first one counts */
};

/* Zeroed memory; out of memory aborts. */
void *cache_allocate(size_t size) MUST_CHECK;

/*
 * Sends link->out, which holds the commands that `replies` replies answer, and empties it. Where
 * the link is not up (for cache_link_verify_ops: not being verified), nothing is sent and the
 * command is LOST on the next turn. command->link must be set.
 */
void cache_link_send(struct link_command *command, const struct link_command_ops *ops, int replies,
                     int64_t deadline_us);

/* Sends nothing: the command is LOST on the next turn. */
void cache_link_refuse(struct link_command *command, const struct link_command_ops *ops);

/* Now and so many milliseconds, on clock_boot_us(). */
int64_t cache_link_deadline(int timeout_ms);

/* Notes an error reply: its class becomes the command's status, and its code is logged now and
 * then. Always true, to end an item function with. */
bool cache_command_fail(struct link_command *command, const struct link_item *item);
/* Notes that the Redis behind the link is not the one that was verified. Always true. */
bool cache_command_moved(struct link_command *command, const char *why);
/* Whether the item is an error with this code, its first word. */
bool cache_item_is_error(const struct link_item *item, const char *code);

/* The bytes of an error that a why has room for, as printf() wants them. */
static inline int cache_item_why_len(const struct link_item *item)
{
    return item->len < LINK_WHY_MAX ? (int)item->len : LINK_WHY_MAX - 1;
}

/* --- the link ---------------------------------------------------------------------------------*/

enum link_state {
    LINK_DOWN,
    LINK_CONNECTING,
    LINK_VERIFYING,
    LINK_UP,
    LINK_CLOSING /* closed by us, and hiredis has not let go of it yet */
};

struct cache_link {
    /* given */
    struct event_base *base;
    struct cache_hooks hooks;
    void *ctx;
    struct address address;
    char prefix[CACHE_PREFIX_MAX + 1];
    size_t prefix_len;
    char *user;     /* NULL: none */
    char *password; /* NULL: none */
    char *password_file;
    int connect_timeout_ms;
    int timeout_ms;
    int publish_timeout_ms;
    bool is_bare; /* cache/bare.h */
    bool has_mac_key;
    uint8_t mac_key[16];

    /* the connection */
    enum link_state state;
    redisAsyncContext *redis; /* NULL: none, or no more */
    struct event *readable;
    struct event *writable;
    bool is_write_awaited; /* `writable` is added */
    bool is_writing;       /* inside redisAsyncHandleWrite() */
    struct event *turn;    /* the rest of this turn: writes, and ends what was refused */
    struct event *timer;   /* next attempt, or the earliest deadline or one before it */
    int64_t timer_due_us;  /* INT64_MAX: not armed */
    int64_t connect_deadline_us;
    int retry_ms;
    struct list sent;
    struct list refused;
    struct buffer out;                    /* scratch: the commands being built */
    struct pool *reads, *guarded, *parts; /* requests under way: read.c, guarded.h */

    /* known once it is up */
    struct cache_identity identity;
    char script_sha[SCRIPT_COUNT][SCRIPT_SHA_CHARS];
    uint64_t token_nonce; /* of this connection */
    uint64_t token_next;
    uint64_t token_floor; /* tokens below are of connections before this one */
    int gates_rest;       /* parts of rebuilds that do without gates: see gated.c */

    /* why not */
    bool is_announced;             /* hooks.up has been called, hooks.down not yet */
    char why[LINK_WHY_MAX];        /* "" while up */
    char cause[LINK_WHY_MAX];      /* of the drop that is under way; "": what hiredis says */
    char why_logged[LINK_WHY_MAX]; /* one line a change */
    char error_logged[24];         /* code of the error reply that was logged last... */
    int64_t error_logged_us;       /* ...and when */
    struct account_id oversized;   /* len > 0: holds more than CACHE_REPLY_ITEM_MAX */

    /* calls in progress */
    bool is_serving; /* an event of this link is being handled */
    bool is_freed;   /* the owner is gone: the memory follows when is_serving ends */
};

/* Names the cause of a drop; the first cause counts. */
void cache_link_blame(struct cache_link *link, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Closes the connection; what is under way is LOST before the loop goes on. Within events only,
 * never within a call of the engine. */
void cache_link_close(struct cache_link *link);

/* Called by the verification when all is proven. */
void cache_link_set_up(struct cache_link *link, const char *policy);

/* Of the objects in link->reads, ->guarded and ->parts. */
size_t cache_read_size(void);
size_t cache_guarded_size(void);
size_t cache_part_size(void);

/* verify.c: asks everything in one write; ends in cache_link_set_up() or cache_link_close(). */
void cache_link_verify(struct cache_link *link);
extern const struct link_command_ops cache_link_verify_ops;

/* Appends the key of an account, or of ours ("~era"), as one argument. */
void cache_link_put_key(struct cache_link *link, const struct account_id *id);
void cache_link_put_own_key(struct cache_link *link, const char *name);
#define LINK_STAMP_KEY "~era"
#define LINK_MARKS_KEY "~rebuild"
#define LINK_GATE_KEY "~gate:%zu"

/* Copies what the stamp key held; "" for nothing, another type, or what cannot be a stamp. */
void cache_link_copy_stamp(char out[CACHE_STAMP_MAX], const struct link_item *item);

/* --- transport.c: hiredis, its events and its reader ------------------------------------------*/

/* Starts connecting. False, with the cause blamed and nothing open, where even that failed. */
bool cache_transport_open(struct cache_link *link) MUST_CHECK;
/* Closes at once, or when control is back in hiredis, if it called us. */
void cache_transport_close(struct cache_link *link);
/* Appends to what is written in this turn of the loop, and expects so many replies. */
void cache_transport_send(struct cache_link *link, const char *bytes, size_t len, int replies);
/* Writes what waits; reads once what is there. Both may find the connection broken. */
void cache_transport_write(struct cache_link *link);
void cache_transport_read(struct cache_link *link);
bool cache_transport_is_readable(const struct cache_link *link); /* bytes are there */

/* --- link.c, for the transport ----------------------------------------------------------------*/

/* Around whatever an event does with a link: the end of it finds a connection that has gone. */
void cache_link_enter(struct cache_link *link);
void cache_link_leave(struct cache_link *link);
void cache_link_on_connected(struct cache_link *link);
/* A reply of the first command on `sent` is complete. */
void cache_link_on_reply(struct cache_link *link);

#endif
