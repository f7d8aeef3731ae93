/* Counters of each command; a histogram comes into being with the first call. */
#include "server/command_stats.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/metrics.h"
#include "server/command.h"

struct command_count {
    _Atomic uint64_t calls;
    _Atomic uint64_t rejected;
    _Atomic uint64_t failed;
    _Atomic(struct histogram *) latency; /* NULL before the first call */
};

struct command_stats {
    struct list link; /* the register's */
    int count;
    struct command_count rows[];
};

/* The lock keeps the workers' counters alive while somebody sums; it is not needed to count. */
static struct {
    pthread_mutex_t lock;
    struct list all;
} stats_register = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .all = {.next = &stats_register.all, .prev = &stats_register.all},
};

static void lock(void)
{
    int failed = pthread_mutex_lock(&stats_register.lock);
    assert(failed == 0);
}

static void unlock(void)
{
    int failed = pthread_mutex_unlock(&stats_register.lock);
    assert(failed == 0);
}

struct command_stats *command_stats_create(void)
{
    size_t count = command_count();
    struct command_stats *stats = calloc(1, sizeof *stats + count * sizeof stats->rows[0]);

    assert(stats != NULL);
    stats->count = (int)count;
    list_init(&stats->link);
    lock();
    list_push_back(&stats_register.all, &stats->link);
    unlock();
    return stats;
}

void command_stats_free(struct command_stats *stats)
{
    lock();
    list_unlink(&stats->link);
    unlock();
    for (int i = 0; i < stats->count; i++) {
        free(atomic_load_explicit(&stats->rows[i].latency, memory_order_relaxed));
    }
    free(stats);
}

static struct command_count *row_of(struct command_stats *stats, int index)
{
    assert(index >= 0 && index < stats->count);
    return &stats->rows[index];
}

void command_stats_called(struct command_stats *stats, int index, int64_t took_us, bool failed)
{
    struct command_count *row = row_of(stats, index);
    struct histogram *latency = atomic_load_explicit(&row->latency, memory_order_relaxed);

    if (UNLIKELY(latency == NULL)) {
        latency = calloc(1, sizeof *latency);
        assert(latency != NULL);
        /* Other threads must find it zeroed. */
        atomic_store_explicit(&row->latency, latency, memory_order_release);
    }
    metrics_add(&row->calls, 1);
    if (failed) {
        metrics_add(&row->failed, 1);
    }
    histogram_record(latency, took_us);
}

void command_stats_rejected(struct command_stats *stats, int index)
{
    metrics_add(&row_of(stats, index)->rejected, 1);
}

void command_stats_reset(struct command_stats *stats)
{
    for (int i = 0; i < stats->count; i++) {
        struct command_count *row = &stats->rows[i];
        struct histogram *latency = atomic_load_explicit(&row->latency, memory_order_relaxed);
        atomic_store_explicit(&row->calls, 0, memory_order_relaxed);
        atomic_store_explicit(&row->rejected, 0, memory_order_relaxed);
        atomic_store_explicit(&row->failed, 0, memory_order_relaxed);
        if (latency != NULL) {
            histogram_reset(latency);
        }
    }
}

void command_stats_sum(int index, struct command_total *total, struct histogram *latency)
{
    memset(total, 0, sizeof *total);
    histogram_reset(latency);
    lock();
    LIST_EACH(&stats_register.all, link) {
        struct command_count *row = row_of(LIST_ENTRY(link, struct command_stats, link), index);
        struct histogram *own = atomic_load_explicit(&row->latency, memory_order_acquire);
        total->calls += metrics_counter(&row->calls);
        total->rejected += metrics_counter(&row->rejected);
        total->failed += metrics_counter(&row->failed);
        if (own != NULL) {
            histogram_merge(latency, own);
        }
    }
    unlock();
}
