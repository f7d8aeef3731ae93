/*
 * ops/rebuild_walk.h: the walk of a rebuild over all accounts, and the state that the files of
 * rebuild share.
 */
#ifndef BALLAST_OPS_REBUILD_WALK_H
#define BALLAST_OPS_REBUILD_WALK_H

#include "ops/chunk.h"
#include "ops/rebuild.h"
#include "ops/rebuild_record.h"

#define REBUILD_SLOTS 4 /* one at the store, two at the cache, one between them */

enum slot_step {
    SLOT_FREE,
    SLOT_PAGING,
    SLOT_READING,
    SLOT_WAITING,
    SLOT_WRITING,
    SLOT_LOOKING,
    SLOT_REFILLING
};

/* Of the marks that rule T11 wants set before rows are read. */
struct marks {
    bool stand; /* as far as we know */
    bool asked; /* they are being set */
    struct trust_era era;
    char nonce[CACHE_MARKS_NONCE_MAX];
    int64_t retry_at_us;
};

struct slot {
    struct rebuild *rebuild;
    struct chunk *chunk;
    enum slot_step step;
    bool recent;  /* accounts that the walk will come by again: not counted */
    bool is_void; /* begun before the walk began anew: does not count */
    bool plain;   /* rows were read under these marks; else they only name accounts */
    uint64_t marked_era;
    char nonce[CACHE_MARKS_NONCE_MAX];
    size_t plain_written; /* accounts that are through already */
    int64_t retry_at_us;
    int64_t began_us;
    int64_t looked_at_us;
    struct trust_era era; /* of this attempt */
};

struct known;
struct warming;

struct rebuild {
    struct job *job;
    const struct rebuild_options *options;
    struct rebuild_result *result;
    struct warming *warming; /* NULL: a rebuild */
    struct slot slots[REBUILD_SLOTS];
    struct marks marks;
    struct known *known;      /* the accounts of the walk; NULL: nobody asks */
    uint64_t era;             /* that the walk writes for; 0: none yet */
    struct trust_era dry_era; /* the row, for a dry run, which takes no lease */
    uint64_t lock_downs;      /* job->store_downs when the lock was taken */
    int64_t run;              /* of ballast.rebuild_run; 0: none */
    uint64_t estimate;        /* accounts, about */
    int64_t rate;             /* of now */
    int64_t heard_us;         /* when Redis answered last */
    int64_t started_us, moved_us, next_page_us, recorded_us;
    struct account_id cursor;
    bool slow;     /* Redis answers slowly: one chunk at a time */
    bool standing; /* of the last chunk all stood in the cache already: look before writing */
    bool at_store; /* a page or a record is under way */
    bool end;      /* the last page has been read */
    bool over;
    int broken; /* errors of the cache in a row */
    enum job_result outcome;
    struct rebuild_record record;
};

/* Sets the marks where they do not stand. True where pages may be read now: with marks, or, where
 * they cannot be had, without. */
bool rebuild_marks_settled(struct rebuild *r, int64_t now_us);

/* A chunk is about to be looked at or written under this era. True where accounts have been through in
 * an earlier one: the walk then begins with the first account again, and what is under way is void. */
bool rebuild_begins_anew(struct rebuild *r, uint64_t era);

void rebuild_slots_create(struct rebuild *r);
void rebuild_slots_free(struct rebuild *r);

/*
 * Walks from the cursor to the last account, or, where r->end is set, only over what waits in the
 * slots. JOB_LATER: the lock was lost with the session, and the walk can be gone on with; or a
 * warming is not wanted any more.
 */
enum job_result rebuild_walk(struct rebuild *r) MUST_CHECK;

/* Its steps, for whoever has a loop of his own (the simulator): begin; turn until that is true, the
 * walk is over; and on until it is idle, nothing is under way any more. arg: the struct rebuild. */
void rebuild_walk_begin(struct rebuild *r);
bool rebuild_walk_turn(void *arg);
bool rebuild_walk_is_idle(void *arg);

#endif
