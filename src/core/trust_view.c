/* The lock-free side of trust that workers read; see the header for who may call what. */
#include "core/trust_view.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"

struct worker_cache {
    bool present;
    struct cache_identity redis;
};

struct trust_view {
    struct trust_view_hooks hooks;
    void *ctx;
    int worker_count;

    /* Read by every worker at every batch; written by the control thread. valid_until is written
     * before era on a grant, so whoever sees the era sees a time that belongs to it. */
    _Atomic uint64_t era;
    _Atomic int64_t valid_until_us;

    _Atomic uint64_t fences_requested;
    _Atomic uint64_t fences_done;
    _Atomic uint64_t fences_returned;
    _Atomic uint64_t suspected;
    _Atomic bool aside;

    /* Commits under way, by the turn that they began in: those of the turn before end while those of
     * the present one are counted apart. A worker that is slow between the two steps of beginning is
     * counted late, but then it has not sent anything yet either. */
    _Atomic unsigned turn;
    _Atomic uint64_t postings[2];

    pthread_mutex_t lock; /* guards what follows */
    struct trust_era current;
    struct worker_cache workers[TRUST_WORKERS_MAX];
};

struct trust_view *trust_view_create(int workers, const struct trust_view_hooks *hooks, void *ctx)
{
    assert(workers > 0 && workers <= TRUST_WORKERS_MAX);
    struct trust_view *view = calloc(1, sizeof *view);
    if (view == NULL) {
        abort();
    }
    view->hooks = *hooks;
    view->ctx = ctx;
    view->worker_count = workers;
    pthread_mutex_init(&view->lock, NULL);
    return view;
}

void trust_view_free(struct trust_view *view)
{
    if (view != NULL) {
        pthread_mutex_destroy(&view->lock);
        free(view);
    }
}

bool trust_view_check(struct trust_view *view, struct trust_era *era, int64_t now_us)
{
    uint64_t id = atomic_load_explicit(&view->era, memory_order_acquire);
    if (id == 0) {
        return false;
    }
    if (id != era->id) {
        pthread_mutex_lock(&view->lock);
        *era = view->current;
        pthread_mutex_unlock(&view->lock);
    }
    int64_t until = atomic_load_explicit(&view->valid_until_us, memory_order_acquire);
    /* The era again, after its time: ids never return, so an equal id means that `until` is its. */
    return era->id == id && now_us < until &&
           atomic_load_explicit(&view->era, memory_order_acquire) == id;
}

uint64_t trust_view_fence(struct trust_view *view)
{
    uint64_t ticket =
        atomic_fetch_add_explicit(&view->fences_requested, 1, memory_order_acq_rel) + 1;
    view->hooks.wake_control(view->ctx);
    return ticket;
}

bool trust_view_fence_done(struct trust_view *view, uint64_t ticket)
{
    return atomic_load_explicit(&view->fences_done, memory_order_acquire) >= ticket;
}

bool trust_view_fence_returned(struct trust_view *view, uint64_t ticket)
{
    return atomic_load_explicit(&view->fences_returned, memory_order_acquire) >= ticket;
}

void trust_view_suspect(struct trust_view *view, uint64_t era)
{
    uint64_t seen = atomic_load_explicit(&view->suspected, memory_order_relaxed);
    while (seen < era &&
           !atomic_compare_exchange_weak_explicit(&view->suspected, &seen, era,
                                                  memory_order_acq_rel, memory_order_relaxed)) {
    }
    if (seen < era) {
        view->hooks.wake_control(view->ctx);
    }
}

void trust_view_report_cache(struct trust_view *view, int worker,
                             const struct cache_identity *redis)
{
    assert(worker >= 0 && worker < view->worker_count);
    pthread_mutex_lock(&view->lock);
    view->workers[worker].present = redis != NULL;
    if (redis != NULL) {
        view->workers[worker].redis = *redis;
    }
    pthread_mutex_unlock(&view->lock);
    view->hooks.wake_control(view->ctx);
}

void trust_view_grant(struct trust_view *view, const struct trust_era *era, int64_t valid_until_us)
{
    uint64_t before = atomic_load_explicit(&view->era, memory_order_relaxed);
    assert(era->id > 0 && (before == 0 || before == era->id));
    if (before == 0) {
        pthread_mutex_lock(&view->lock);
        assert(era->id >= view->current.id); /* rule T1: a dropped era is never adopted again */
        view->current = *era;
        pthread_mutex_unlock(&view->lock);
    }
    atomic_store_explicit(&view->valid_until_us, valid_until_us, memory_order_release);
    atomic_store_explicit(&view->era, era->id, memory_order_release);
}

void trust_view_drop(struct trust_view *view)
{
    atomic_store_explicit(&view->era, 0, memory_order_seq_cst);
}

uint64_t trust_view_fences_requested(struct trust_view *view)
{
    return atomic_load_explicit(&view->fences_requested, memory_order_acquire);
}

void trust_view_complete_fences(struct trust_view *view, uint64_t ticket)
{
    if (ticket > atomic_load_explicit(&view->fences_done, memory_order_relaxed)) {
        atomic_store_explicit(&view->fences_done, ticket, memory_order_release);
        view->hooks.wake_workers(view->ctx);
    }
}

void trust_view_return_fences(struct trust_view *view, uint64_t ticket)
{
    if (ticket > atomic_load_explicit(&view->fences_done, memory_order_relaxed)) {
        atomic_store_explicit(&view->fences_returned, ticket, memory_order_release);
        view->hooks.wake_workers(view->ctx);
    }
}

int trust_view_posting_begins(struct trust_view *view)
{
    int turn = (int)(atomic_load(&view->turn) % 2);
    atomic_fetch_add(&view->postings[turn], 1);
    return turn;
}

void trust_view_posting_continues(struct trust_view *view, int turn)
{
    atomic_fetch_add(&view->postings[turn], 1);
}

void trust_view_posting_ends(struct trust_view *view, int turn)
{
    uint64_t before = atomic_fetch_sub(&view->postings[turn], 1);
    assert(before > 0);
}

bool trust_view_postings_turn(struct trust_view *view)
{
    unsigned turn = atomic_load(&view->turn);
    bool over = atomic_load(&view->postings[(turn + 1) % 2]) == 0;
    if (over) {
        atomic_store(&view->turn, turn + 1);
    }
    return over;
}

bool trust_view_is_posting(struct trust_view *view)
{
    return atomic_load(&view->postings[0]) + atomic_load(&view->postings[1]) > 0;
}

bool trust_view_is_aside(struct trust_view *view)
{
    return atomic_load_explicit(&view->aside, memory_order_relaxed);
}

void trust_view_set_aside(struct trust_view *view, bool aside)
{
    atomic_store_explicit(&view->aside, aside, memory_order_relaxed);
}

uint64_t trust_view_suspected(struct trust_view *view)
{
    return atomic_load_explicit(&view->suspected, memory_order_acquire);
}

bool trust_view_all_on(struct trust_view *view, const struct cache_identity *redis)
{
    bool all = true;
    pthread_mutex_lock(&view->lock);
    for (int i = 0; all && i < view->worker_count; i++) {
        const struct worker_cache *worker = &view->workers[i];
        all = worker->present && strcmp(worker->redis.run_id, redis->run_id) == 0 &&
              strcmp(worker->redis.replid, redis->replid) == 0;
    }
    pthread_mutex_unlock(&view->lock);
    return all;
}
