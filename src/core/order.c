/*
 * Reads of one connection show the versions of an account in their order.
 *
 * Two reads of an account in one pipeline that arrive in different packets are looked up in
 * different batches. When the first one misses, and another daemon fills the account before the
 * second is looked up, the store may have a newer version for the first than the cache had for the
 * second; in the same way the statements of two fills may take their snapshots in the other order.
 * Each answer is right on its own, for both requests were open at once, but their replies leave
 * in the order of the requests, and the version would go back before the client's eyes.
 *
 * So a read that waits for the store is counted under its connection and account. While one is,
 * - a later one that finds a trusted value keeps it as its hit, joins the earlier one's fill, and
 *   is answered with the newer of the two: both hold what was acknowledged before the hit, and the
 *   fill's answer is as safe to show to this read as to the other (T7); where an earlier one is in
 *   no fill yet, it goes the way of a miss, behind it;
 * - a later one that misses too is not joined to another fill before the earlier one is answered.
 *
 * A later one cannot be looked up before the earlier one's fill and be seen here after its end:
 * both went over the cache's one link, which keeps its order (T7 a); where the fill ended by a
 * drained era (b) or a fence (c), what the lookup found is not trusted any more.
 *
 * Connections and accounts are told apart by a hash: who shares a place with another waits for it,
 * which costs time alone.
 */
#include "core/engine_parts.h"

#include "base/attributes.h"
#include "base/mutant.h"

static struct order_place *place_of(struct engine *engine, const struct read_item *item)
{
    uint64_t mixed = item->stream * UINT64_C(0x9E3779B97F4A7C15);
    return &engine->order
                .places[(account_id_hash(&item->id) ^ (uint32_t)(mixed >> 32)) % ORDER_PLACES];
}

bool order_has_earlier(struct engine *engine, const struct read_item *item)
{
    return engine->order.waiting > 0 && place_of(engine, item)->waiting > 0 && !MUTANT(ORDER);
}

void order_wait(struct engine *engine, const struct read_item *item)
{
    engine->order.waiting++;
    place_of(engine, item)->waiting++;
}

void order_done(struct engine *engine, const struct read_item *item)
{
    struct order_place *place = place_of(engine, item);
    assert(place->waiting > 0);
    place->waiting--;
    engine->order.waiting--;
}

bool order_may_join(struct engine *engine, const struct read_item *item, const struct fill *fill)
{
    const struct order_place *place = place_of(engine, item);
    return (place->behind == 0 && (place->fill == NULL || place->fill == fill)) || MUTANT(ORDER);
}

struct fill *order_fill_of_earlier(struct engine *engine, const struct read_item *item)
{
    const struct order_place *place = place_of(engine, item);
    return place->joined == place->waiting ? place->fill : NULL;
}

void order_join(struct engine *engine, const struct read_item *item, struct fill *fill)
{
    struct order_place *place = place_of(engine, item);
    place->fill = fill;
    place->joined++;
}

void order_leave(struct engine *engine, const struct read_item *item)
{
    struct order_place *place = place_of(engine, item);
    assert(place->joined > 0);
    if (--place->joined == 0) {
        place->fill = NULL;
    }
}

void order_put_behind(struct engine *engine, struct read_item *item)
{
    place_of(engine, item)->behind++;
    read_queue_push(&engine->order.behind, item);
}

void order_release(struct engine *engine)
{
    struct read_queue *behind = &engine->order.behind;
    for (const struct read_item *item = behind->first; item != NULL; item = item->next) {
        place_of(engine, item)->behind--;
    }
    read_queue_prepend(&engine->misses, behind);
}
