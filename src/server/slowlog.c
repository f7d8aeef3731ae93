/* A ring of the last slow requests, under a lock: slow requests are few. */
#include "server/slowlog.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"

static struct {
    pthread_mutex_t lock;
    uint64_t next_id;
    size_t count;
    size_t next; /* where the next one goes */
    struct slowlog_entry ring[LIMIT_SLOWLOG_ENTRIES];
} slowlog = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void lock(void)
{
    int failed = pthread_mutex_lock(&slowlog.lock);
    assert(failed == 0);
}

static void unlock(void)
{
    int failed = pthread_mutex_unlock(&slowlog.lock);
    assert(failed == 0);
}

void slowlog_word(struct slowlog_entry *entry, const char *bytes, size_t len)
{
    if (entry->arg_count == LIMIT_SLOWLOG_ARGS) {
        snprintf(entry->args[LIMIT_SLOWLOG_ARGS - 1], LIMIT_SLOWLOG_ARG_ROOM, "... more");
        return;
    }
    char *to = entry->args[entry->arg_count++];
    if (len < LIMIT_SLOWLOG_ARG_ROOM) {
        memcpy(to, bytes, len);
        to[len] = '\0';
    } else {
        memcpy(to, bytes, LIMIT_SLOWLOG_ARG_ROOM - 4);
        memcpy(to + LIMIT_SLOWLOG_ARG_ROOM - 4, "...", sizeof "...");
    }
}

void slowlog_add(struct slowlog_entry *entry)
{
    entry->wall_s = clock_wall_ms() / 1000;
    lock();
    entry->id = slowlog.next_id++;
    slowlog.ring[slowlog.next] = *entry;
    slowlog.next = (slowlog.next + 1) % LIMIT_SLOWLOG_ENTRIES;
    if (slowlog.count < LIMIT_SLOWLOG_ENTRIES) {
        slowlog.count++;
    }
    unlock();
}

size_t slowlog_count(void)
{
    lock();
    size_t count = slowlog.count;
    unlock();
    return count;
}

void slowlog_reset(void)
{
    lock();
    slowlog.count = 0;
    unlock();
}

size_t slowlog_copy(struct slowlog_entry *out, size_t room)
{
    lock();
    size_t count = slowlog.count < room ? slowlog.count : room;
    for (size_t i = 0; i < count; i++) {
        size_t at = (slowlog.next + LIMIT_SLOWLOG_ENTRIES - 1 - i) % LIMIT_SLOWLOG_ENTRIES;
        out[i] = slowlog.ring[at];
    }
    unlock();
    return count;
}
