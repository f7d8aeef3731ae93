/*
 * The walk of a rebuild: a few chunks are under way at once, each on its own way:
 *
 *     SLOT_FREE -> SLOT_PAGING     the store's next page: ids, and the rows as they are now
 *               -> SLOT_READING    the rows of given ids, instead of a page (ops/warm.c)
 *               -> SLOT_WAITING    for trust in an era, which is asked for before every chunk
 *               -> SLOT_WRITING    rows that were read under marks go where nothing of the era
 *                                  stands, by rule T11; for what is left:
 *               -> SLOT_LOOKING    what the cache holds of them: right values are kept
 *               -> SLOT_REFILLING  the others, by rule T9 (ops/chunk.c)
 *               -> SLOT_FREE
 *
 * Where the chunk before stood in the cache as a whole (a second rebuild), this one is looked at
 * first. A link that is lost, or an era that ends, takes a chunk back to SLOT_WAITING: it is looked
 * at again as a whole, and only counted when it is through. What is through in an era is nothing to
 * the readers of the next one, even where Redis still has it: then the walk begins anew.
 * rebuild_walk_turn() moves everything on; it is the condition that the job waits for, and so runs
 * after every turn of the loop.
 *
 * A warming has one chunk under way, a small one, and rests between chunks.
 */
#include "ops/rebuild_walk.h"

#include <string.h>

#include "base/clock.h"
#include "gen/sql.h"
#include "ops/compare.h"
#include "ops/known.h"
#include "ops/warming.h"

#define REBUILD_PATIENCE_US (INT64_C(60) * 1000 * 1000)
#define WARMING_PATIENCE_US (INT64_C(5) * 1000 * 1000) /* others may be able to go on */
#define REBUILD_RETRY_US (100 * 1000)                  /* before a chunk is tried again */
#define REBUILD_RECORD_US (1000 * 1000)
#define REBUILD_BROKEN_MAX 10       /* errors of the cache in a row */
#define REBUILD_SLOW_US (50 * 1000) /* a look this slow: Redis has other things to do */
#define FAR_FUTURE_US INT64_MAX

static void end_with(struct rebuild *r, enum job_result outcome)
{
    if (!r->over) {
        r->over = true;
        r->outcome = outcome;
    }
}

/* --- one chunk --------------------------------------------------------------------------------*/

static void slot_again(struct slot *slot, enum chunk_end end)
{
    struct rebuild *r = slot->rebuild;

    slot->step = slot->is_void ? SLOT_FREE : SLOT_WAITING;
    slot->retry_at_us = clock_boot_us() + REBUILD_RETRY_US;
    if (end == CHUNK_BROKEN && ++r->broken >= REBUILD_BROKEN_MAX) {
        end_with(r, job_fail(r->job, JOB_FAILED, "Redis answers with errors: is its memory full?"));
    }
}

static void slot_through(struct slot *slot, size_t written)
{
    struct rebuild *r = slot->rebuild;
    size_t known = 0;

    if (slot->is_void) {
        slot->step = SLOT_FREE;
        return;
    }
    for (size_t i = 0; i < slot->chunk->count; i++) {
        known += slot->chunk->rows[i].version != 0;
    }
    known += slot->plain_written;
    written += slot->plain_written;
    slot->plain_written = 0;
    slot->step = SLOT_FREE;
    r->broken = 0;
    r->moved_us = clock_boot_us();
    if (r->warming != NULL) {
        int64_t rest_us = throttle_rest(&r->warming->throttle, r->moved_us - slot->began_us);
        if (r->next_page_us < r->moved_us + rest_us) {
            r->next_page_us = r->moved_us + rest_us;
        }
    }
    if (slot->recent) {
        r->result->written += written;
        return;
    }
    r->result->era = slot->era.id;
    r->result->accounts += known;
    if (written > known) {
        r->result->dropped += written - known;
        written = known;
    }
    r->result->written += written;
    r->result->kept += known - written;
}

static void on_refilled(struct chunk *chunk, enum chunk_end end)
{
    struct slot *slot = chunk->owner;

    if (end != CHUNK_DONE) {
        slot_again(slot, end);
    } else {
        slot_through(slot, chunk->written);
    }
}

/*
 * Marks what has to be written; returns how many. A value of this era that is not the row's is
 * forced also where its version is higher: it may only be newer than our page, but it is the
 * store that says so. A warming leaves whatever is live to its readers, who count what is wrong.
 */
static size_t mark(struct chunk *chunk, uint64_t era, bool warming)
{
    size_t count = 0;

    for (size_t i = 0; i < chunk->count; i++) {
        const struct cache_value *value = &chunk->looks[i].value;
        bool live = compare_is_live(value, era);
        bool exists = chunk->rows[i].version != 0;
        bool right = value->kind == CACHE_STATE
                         ? compare_states_equal(&value->state, &chunk->rows[i])
                         : value->kind == CACHE_NEGATIVE && !exists;

        right = right || warming;
        chunk->refill[i] = live ? !right : exists && value->kind != CACHE_TOKEN;
        chunk->force[i] = live && !right;
        count += chunk->refill[i];
    }
    return count;
}

/* Redis has answered: after how long, from when it had answered what went before. */
static void observe_cache(struct slot *slot)
{
    struct rebuild *r = slot->rebuild;
    int64_t now_us = clock_boot_us();
    int64_t since_us = slot->looked_at_us > r->heard_us ? slot->looked_at_us : r->heard_us;

    r->heard_us = now_us;
    r->slow = now_us - since_us > REBUILD_SLOW_US;
    if (r->warming != NULL) {
        throttle_observe(&r->warming->throttle, THROTTLE_CACHE, now_us - since_us);
    }
}

static void on_looked(struct chunk *chunk, enum chunk_end end)
{
    struct slot *slot = chunk->owner;
    struct rebuild *r = slot->rebuild;
    bool same_era = strcmp(chunk->stamp, slot->era.stamp) == 0;

    observe_cache(slot);
    if (end == CHUNK_DONE && !same_era && !r->options->dry_run) {
        job_suspect(r->job, slot->era.id); /* flushed or rewound: FENCE */
        end = CHUNK_AGAIN;
    }
    if (end != CHUNK_DONE) {
        slot_again(slot, end);
        return;
    }
    size_t wanting = mark(chunk, same_era ? slot->era.id : 0, r->warming != NULL);
    if (wanting == 0 || r->options->dry_run) {
        slot_through(slot, wanting);
        return;
    }
    r->standing = false;
    slot->step = SLOT_REFILLING;
    chunk_refill(chunk, &slot->era, on_refilled);
}

static void look(struct slot *slot)
{
    slot->step = SLOT_LOOKING;
    slot->looked_at_us = clock_boot_us();
    chunk_look(slot->chunk, on_looked);
}

static void on_written(struct chunk *chunk, enum chunk_end end)
{
    struct slot *slot = chunk->owner;
    struct rebuild *r = slot->rebuild;
    observe_cache(slot);
    slot->plain = false; /* once: whether it was written is not known where the link was lost */
    if (end != CHUNK_DONE) {
        slot_again(slot, end);
        return;
    }
    if (!chunk->marks_stand) {
        r->marks.stand = false;
    }
    slot->plain_written = chunk->written;
    r->standing = chunk->marks_stand && chunk->written == 0;
    if (chunk->count == 0) {
        slot_through(slot, 0);
    } else {
        look(slot);
    }
}

static bool has_rows(const struct chunk *chunk)
{
    bool has = false;

    for (size_t i = 0; i < chunk->count && !has; i++) {
        has = chunk->rows[i].version > 0;
    }
    return has;
}

static void slot_look(struct slot *slot, int64_t now_us)
{
    struct rebuild *r = slot->rebuild;

    if (now_us < slot->retry_at_us) {
        return;
    }
    if (r->options->dry_run) {
        slot->era = r->dry_era;
    } else if (!job_trusts(r->job, &slot->era)) {
        return;
    } else if (r->warming != NULL && slot->era.id != r->warming->options->era) {
        end_with(r, job_fail(r->job, JOB_LATER, "the era is over"));
        return;
    }
    if (rebuild_begins_anew(r, slot->era.id)) {
        return;
    }
    if (slot->plain && !r->standing && slot->marked_era == slot->era.id && has_rows(slot->chunk)) {
        slot->step = SLOT_WRITING;
        slot->looked_at_us = now_us;
        chunk_write(slot->chunk, &slot->era, slot->nonce, on_written);
    } else {
        look(slot);
    }
}

/* --- pages ------------------------------------------------------------------------------------*/

static void on_page(void *arg, enum store_status status, const struct store_error *error,
                    const struct store_accounts *page)
{
    struct slot *slot = arg;
    struct rebuild *r = slot->rebuild;

    r->at_store = false;
    slot->step = SLOT_FREE;
    slot->recent = false;
    if (status == STORE_REFUSED) {
        end_with(r, job_fail(r->job, JOB_FAILED, "PostgreSQL: %s", error->text));
    }
    if (status != STORE_OK) {
        r->next_page_us = clock_boot_us() + REBUILD_RETRY_US;
        return;
    }
    if (slot->is_void) {
        return;
    }
    r->moved_us = clock_boot_us();
    if (r->warming != NULL) {
        throttle_observe(&r->warming->throttle, THROTTLE_STORE, r->moved_us - slot->began_us);
    }
    r->end = page->count == 0;
    if (page->count == 0) {
        return;
    }
    chunk_clear(slot->chunk);
    for (size_t i = 0; i < page->count; i++) {
        chunk_add(slot->chunk, &page->entries[i].id, &page->entries[i].state);
        if (r->known != NULL) {
            known_add(r->known, &page->entries[i].id);
        }
    }
    r->cursor = page->entries[page->count - 1].id;
    slot->retry_at_us = 0;
    slot->step = SLOT_WAITING;
}

/* The rows of accounts that changed last. Where they cannot be read, the pages come by them. */
static void on_rows(struct chunk *chunk, enum chunk_end end)
{
    struct slot *slot = chunk->owner;

    slot->step = end == CHUNK_DONE ? SLOT_WAITING : SLOT_FREE;
    slot->recent = true;
    slot->retry_at_us = 0;
}

static int page_size(const struct rebuild *r)
{
    int64_t quarter_second = r->rate / 4;
    int most = r->warming != NULL ? WARMING_CHUNK_MAX : CHUNK_ACCOUNTS_MAX;

    if (r->rate == 0 || quarter_second > most) {
        return most;
    }
    return quarter_second > 0 ? (int)quarter_second : 1;
}

static void start_page(struct rebuild *r, int64_t now_us)
{
    struct slot *free_slot = NULL;
    int busy = 0, size = page_size(r);
    bool alone = r->slow || r->warming != NULL;

    for (size_t i = 0; i < REBUILD_SLOTS; i++) {
        busy += r->slots[i].step != SLOT_FREE;
        free_slot = r->slots[i].step == SLOT_FREE ? &r->slots[i] : free_slot;
    }
    if (free_slot == NULL || (alone && busy > 0) || !rebuild_marks_settled(r, now_us)) {
        return;
    }
    if (now_us < r->next_page_us) {
        job_turn_by(r->job, r->next_page_us);
        return;
    }
    if (r->rate > 0) {
        /* From the last due time, so that the average holds; not from long ago, after a pause. */
        int64_t from_us = now_us - r->next_page_us < 1000000 ? r->next_page_us : now_us;
        r->next_page_us = from_us + (int64_t)size * 1000000 / r->rate;
    }
    free_slot->began_us = now_us;
    free_slot->is_void = false;
    free_slot->plain_written = 0;
    free_slot->plain = r->marks.stand;
    free_slot->marked_era = r->marks.era.id;
    memcpy(free_slot->nonce, r->marks.nonce, sizeof free_slot->nonce);
    if (r->warming != NULL && warming_take_recent(r->warming, free_slot->chunk, (size_t)size)) {
        free_slot->step = SLOT_READING;
        chunk_read(free_slot->chunk, on_rows);
        return;
    }
    r->at_store = true;
    free_slot->step = SLOT_PAGING;
    store_page_accounts(r->job->store, &r->cursor, size, on_page, free_slot);
}

/* --- the whole --------------------------------------------------------------------------------*/

static void on_wanted(void *arg, enum store_status status, const struct store_error *error,
                      const struct store_rows *rows)
{
    struct rebuild *r = arg;

    (void)error;
    r->at_store = false;
    if (status == STORE_OK && strcmp(rows->value(rows, 0, 0), "t") == 0) {
        end_with(r, job_fail(r->job, JOB_LATER, "a rebuild takes over"));
    }
}

static void on_recorded(void *arg, enum store_status status, const struct store_error *error,
                        const struct store_rows *rows)
{
    struct rebuild *r = arg;

    (void)error, (void)rows; /* progress only: the end is recorded for certain */
    r->at_store = false;
    if (r->warming != NULL && status == STORE_OK) {
        r->at_store = true;
        store_query(r->job->store, sql_rebuild_wanted, NULL, 0, 0, on_wanted, r);
    }
}

static void record_progress(struct rebuild *r, int64_t now_us)
{
    r->recorded_us = now_us;
    r->at_store = true;
    rebuild_record_fill(&r->record, r->run, r->result, "running");
    store_query(r->job->store, sql_rebuild_progress, r->record.params, 4, 0, on_recorded, r);
}

static void give_up(struct rebuild *r)
{
    struct job *job = r->job;

    if (!store_link_is_up(job->store)) {
        end_with(r, job_fail(job, JOB_UNREACHABLE, "PostgreSQL cannot be reached: %s",
                             store_link_why(job->store)));
    } else if (!r->options->dry_run) {
        end_with(r, job_fail(job, JOB_UNREACHABLE, "no era of the cache can be trusted: %s",
                             job_distrust_why(job)));
    } else {
        end_with(r, job_fail(job, JOB_UNREACHABLE, "Redis cannot be used: %s",
                             cache_link_why(job->cache)));
    }
}

bool rebuild_walk_is_idle(void *arg)
{
    const struct rebuild *r = arg;
    bool idle = !r->at_store && !r->marks.asked && (r->warming == NULL || !r->warming->asking);

    for (size_t i = 0; i < REBUILD_SLOTS; i++) {
        enum slot_step step = r->slots[i].step;
        idle = idle && (step == SLOT_FREE || step == SLOT_WAITING || step == SLOT_PAGING);
    }
    return idle;
}

static void show(struct rebuild *r, int64_t now_us)
{
    r->result->seconds = (double)(now_us - r->started_us) / 1e6;
    if (r->options->progress != NULL) {
        double done = (double)r->result->accounts;
        double share = r->estimate > 0 ? done / (double)r->estimate : -1;
        r->options->progress(r->options->ctx, r->result, share > 0.99 ? 0.99 : share);
    }
}

/* Whether a warming rests now, or is over. */
static bool check_warming(struct rebuild *r, int64_t now_us)
{
    bool rests = false;

    if (r->warming != NULL && !r->over) {
        enum job_result end = warming_check(r->warming, now_us, &r->rate, &rests);
        if (end != JOB_OK || r->warming->full) {
            end_with(r, end);
        }
    }
    return rests || r->over;
}

bool rebuild_walk_turn(void *arg)
{
    struct rebuild *r = arg;
    int64_t now_us = clock_boot_us();
    int64_t patience_us = r->warming != NULL ? WARMING_PATIENCE_US : REBUILD_PATIENCE_US;
    bool waiting = false, rests = check_warming(r, now_us);

    /* The next page first: the store reads it while the one before is made into values. */
    if (!r->over && !r->at_store && store_link_ready(r->job->store)) {
        if (r->run != 0 && now_us - r->recorded_us >= REBUILD_RECORD_US) {
            record_progress(r, now_us);
        } else if (!r->end && !rests) {
            start_page(r, now_us);
        }
    }
    for (size_t i = 0; i < REBUILD_SLOTS && !r->over; i++) {
        if (r->slots[i].step == SLOT_WAITING && !rests) {
            slot_look(&r->slots[i], now_us);
        }
        waiting = waiting || r->slots[i].step == SLOT_WAITING;
    }
    if (!r->over && r->run != 0 && r->job->store_downs != r->lock_downs) {
        /* The lock went with the session: another one may run by now. */
        end_with(r, job_fail(r->job, JOB_LATER, "the connection that held the lock was lost"));
    }
    if (!r->over && r->end && !waiting && rebuild_walk_is_idle(r)) {
        end_with(r, JOB_OK);
    }
    if (!r->over && now_us - r->moved_us > patience_us) {
        give_up(r);
    }
    show(r, now_us);
    return r->over;
}

void rebuild_slots_create(struct rebuild *r)
{
    for (size_t i = 0; i < REBUILD_SLOTS; i++) {
        r->slots[i].rebuild = r;
        r->slots[i].chunk = chunk_create(r->job, &r->slots[i]);
    }
}

void rebuild_slots_free(struct rebuild *r)
{
    for (size_t i = 0; i < REBUILD_SLOTS; i++) {
        chunk_free(r->slots[i].chunk);
    }
}

void rebuild_walk_begin(struct rebuild *r)
{
    r->over = false;
    r->moved_us = clock_boot_us();
}

enum job_result rebuild_walk(struct rebuild *r)
{
    rebuild_walk_begin(r);
    if (job_wait(r->job, rebuild_walk_turn, r, FAR_FUTURE_US) == JOB_SIGNAL) {
        end_with(r, job_fail(r->job, JOB_INTERRUPTED, "interrupted"));
    }
    job_finish(r->job, rebuild_walk_is_idle, r);
    return r->outcome;
}
