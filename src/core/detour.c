/*
 * The way round locked accounts (fault row 7): when somebody holds the lock of an account in SQL,
 * only the mutations of that account wait, and those that must not overtake one of them.
 *
 * A commit that ran into a lock is rolled back whole. The store is asked which of its accounts are
 * locked; the mutations that touch one of those leave the main lane for the detour, a link of its
 * own, and with them everything of the same stream that stands behind, because mutations of one
 * connection take effect in their order. What arrives later follows them while the account is
 * known to be locked, or its stream is on the detour. For the same reason none leaves the main lane
 * before its turn for a commit has come: then what its stream had sent before it is decided. On the
 * detour the commits are small, and one that has to wait for its lock goes behind the others each
 * time.
 *
 * A mutation by the id of a transfer names no account: it meets the lock on the main lane, alone in
 * its commit at last, and goes the same way then.
 */
#include "core/engine_parts.h"

#include <string.h>

#include "base/attributes.h"

static size_t place_of(const struct account_id *id)
{
    return account_id_hash(id) % DETOUR_PLACES;
}

static size_t place_of_stream(const struct write_item *item)
{
    return item->stream % DETOUR_PLACES; /* numbers that are given one after the other */
}

/* Goes through the accounts of the item's words that have a row to be locked; until one is it. */
static bool any_account(const struct write_item *item,
                        bool (*is_it)(const struct account_id *id, void *arg), void *arg)
{
    const struct mutation *m = &item->posting.mutation;
    const struct account_id *named[2] = {&m->account, &m->peer};
    for (int i = 0; i < 2; i++) {
        if (named[i]->len > 0 && !account_id_is_system(named[i]) && is_it(named[i], arg)) {
            return true;
        }
    }
    for (int i = 0; i < m->leg_count; i++) {
        if ((!account_id_is_system(&m->legs[i].from) && is_it(&m->legs[i].from, arg)) ||
            (!account_id_is_system(&m->legs[i].to) && is_it(&m->legs[i].to, arg))) {
            return true;
        }
    }
    return false;
}

static bool is_marked(const struct account_id *id, void *arg)
{
    const bool *places = arg;
    return places[place_of(id)];
}

static bool mark(const struct account_id *id, void *arg)
{
    bool *places = arg;
    places[place_of(id)] = true;
    return false;
}

static bool unmark(const struct account_id *id, void *arg)
{
    bool *places = arg;
    places[place_of(id)] = false;
    return false;
}

struct collection {
    const struct account_id **ids;
    size_t count, room;
};

static bool collect(const struct account_id *id, void *arg)
{
    struct collection *collection = arg;
    if (collection->count < collection->room) {
        collection->ids[collection->count++] = id;
    }
    return false;
}

size_t detour_accounts(const struct write_item *item, const struct account_id **ids, size_t room)
{
    struct collection collection = {ids, 0, room};
    (void)any_account(item, collect, &collection);
    return collection.count;
}

bool detour_takes(const struct detour *detour, const struct write_item *item)
{
    return detour->streams[place_of_stream(item)] > 0 ||
           any_account(item, is_marked, (void *)detour->locked);
}

bool detour_one_stream(const struct write_item *a, const struct write_item *b)
{
    return place_of_stream(a) == place_of_stream(b);
}

void detour_push(struct detour *detour, struct write_item *item)
{
    detour->streams[place_of_stream(item)]++;
    write_queue_push(&detour->lane.queue, item);
    engine_ask_flush(detour->lane.engine);
}

void detour_left(struct detour *detour, const struct write_item *item)
{
    size_t place = place_of_stream(item);
    assert(detour->streams[place] > 0);
    detour->streams[place]--;
}

void detour_mark(struct detour *detour, const struct write_item *item, bool locked)
{
    (void)any_account(item, locked ? mark : unmark, detour->locked);
}

void detour_mark_locked(struct detour *detour, const struct account_entry *accounts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)mark(&accounts[i].id, detour->locked);
    }
}

void detour_rotate(struct detour *detour)
{
    bool streams[DETOUR_PLACES] = {false}, accounts[DETOUR_PLACES] = {false};
    struct write_queue *queue = &detour->lane.queue, ahead, behind;
    struct write_item *item = write_queue_pop(queue);
    write_queue_init(&ahead);
    write_queue_init(&behind);
    (void)any_account(item, mark, accounts);
    do {
        if (behind.count == 0 || streams[place_of_stream(item)] ||
            any_account(item, is_marked, accounts)) {
            streams[place_of_stream(item)] = true;
            write_queue_push(&behind, item);
        } else {
            write_queue_push(&ahead, item);
        }
    } while ((item = write_queue_pop(queue)) != NULL);
    write_queue_join(queue, &ahead);
    write_queue_join(queue, &behind);
}
