/*
 * The trust machine: one daemon's part in deciding which era of the cache may be believed.
 *
 * The era row in the store is the truth:
 *
 *            T5 open                    T3 close                   T4 drain
 *   DRAINED ----------> OPEN(e+1) ------------------> CLOSING ------------------> DRAINED
 *                                                                  (nobody can trust e any more)
 *
 *   DRAINED -> OPEN     [consider_opening, send_open]   every live lease has verified one Redis
 *   OPEN    -> CLOSING  [send_close]    a fence was asked for, a worker met a surprise, everybody
 *                                       is on another Redis, or a take-over does not come forward
 *   CLOSING -> DRAINED  [send_drain]    every other lease has seen it, or W has passed since
 *
 * What holds, by rule:
 *   T1  A lease is counted from before the renewal was sent, and granted only for an era that is
 *       open in that renewal's own reply, above every era dropped so far, under the present
 *       timeline; and not by the renewal that makes the row, which who drains the era meanwhile
 *       cannot see. [renewed, trust_may_grant]
 *   T2  Trust is dropped in the view before the drop is noted, and a drop noted before a renewal
 *       is sent is what that renewal writes as seen: `seen` never speaks for a later moment than
 *       its own. [drop, send_renew]
 *   T3  Own trust is dropped before the close is sent. [send_close]
 *   T4  The wait starts with the return of the close, or first sight of it; the leases that must
 *       have seen it are read after that. [trust_may_drain]
 *   T5  Opening goes from drained only, by compare and set, with the stamp written first.
 *   T7c Tickets are settled by rows read after they were asked for. [core/tickets.c]
 *   T12 A daemon that fell silent is taken over while the era stays open. [core/take_over.h]
 *   T14 A store that has forgotten an era, or renewals of ours, was restored from files: before
 *       anything that it says of eras is believed, it is closed above all that we know of, and
 *       drains by time alone. (On a new timeline the store does so itself.) [note_rewound]
 *
 * One request is on the store's link at a time, so rows are absorbed in the order of their
 * snapshots; everything waits for its turn in start_next().
 */
#include "core/trust.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mutant.h"
#include "core/trust_machine.h"

#define RETRY_US 100000    /* after a request that failed while the link stayed: any of them */
#define SETTLED_US 5000000 /* an era that lasted so long forgives the ones before it */

static void run(struct trust *t);

/* --- trust granted and dropped ----------------------------------------------------------------*/

static void drop(struct trust *t, uint64_t era)
{
    trust_view_drop(t->view);
    t->granted = 0;
    t->valid_until_us = 0;
    if (t->dropped < era) {
        t->dropped = era;
    }
}

static void grant(struct trust *t, int64_t valid_until_us)
{
    bool anew = t->granted != t->row.id || clock_boot_us() >= t->valid_until_us;
    if (t->granted != t->row.id) {
        struct trust_era era = {.id = t->row.id};
        opening_stamp(era.stamp, &t->row);
        memcpy(t->stamp, era.stamp, sizeof t->stamp);
        trust_set_redis(&era.redis, t->row.run_id, t->row.replid);
        trust_view_drop(t->view);
        trust_view_grant(t->view, &era, valid_until_us);
        t->granted = t->row.id;
        t->adopted_us = clock_boot_us();
        t->status.adopted++;
        log_info("era-adopted", "era=%llu run_id=%s", (unsigned long long)t->row.id, t->row.run_id);
    } else {
        struct trust_era same = {.id = t->granted};
        trust_view_grant(t->view, &same, valid_until_us);
    }
    t->valid_until_us = valid_until_us;
    if (anew) {
        /* Commits and reads that came back while no era was trusted, or while the lease had run
         * out with the store away, have asked for this one to be closed. To close each era as it
         * opens, or after each outage, would be safe, and useless under load. */
        tickets_return(&t->tickets);
    }
}

/* --- rows come in -----------------------------------------------------------------------------*/

static void note_rewound(struct trust *t)
{
    uint64_t known = t->row.id > t->dropped ? t->row.id : t->dropped;
    drop(t, known);
    if (t->forgotten == 0 && !MUTANT(NOTL)) {
        log_error("store-went-back", "era=%llu", (unsigned long long)known);
        t->forgotten = known;
    }
}

static void absorb(struct trust *t, const struct store_era *row)
{
    bool first_sight = !t->row_known || row->id != t->row.id || t->row.state != row->state;
    if (t->row_known && row->id < t->row.id) {
        note_rewound(t);
    }
    if (row->id > t->forgotten) {
        t->forgotten = 0;
    }
    t->row = *row;
    t->row_known = true;
    if (row->state == ERA_OPEN && first_sight) {
        t->open_since_us = clock_boot_us();
        t->renew_at_us = t->open_since_us;
    }
    if (row->state == ERA_CLOSING && first_sight) {
        t->closing_since_us = clock_boot_us();
        t->renew_at_us = t->closing_since_us; /* the others wait for our seen */
    }
    if (row->state != ERA_OPEN && t->dropped < row->id) {
        drop(t, row->id);
    }
    if (row->state != ERA_DRAINED && !(MUTANT(OPENEARLY) && row->state == ERA_CLOSING)) {
        opening_cancel(&t->opening);
    }
    if (t->forgotten == 0) {
        tickets_absorb(&t->tickets, row);
    }
}

/* --- requests: one at a time ------------------------------------------------------------------*/

static void sending(struct trust *t, enum request request)
{
    assert(t->request == REQUEST_NONE);
    t->request = request;
    tickets_sending(&t->tickets);
    t->sent_us = clock_boot_us();
}

/* Where the owner has let go: true, and freed once no callback can come any more. */
static bool is_gone(struct trust *t)
{
    bool waiting = t->request != REQUEST_NONE || t->checking ||
                   t->opening.stage == OPENING_STAMP_READ ||
                   t->opening.stage == OPENING_STAMP_RAISE;
    bool gone = t->gone;
    if (gone && !waiting) {
        free(t);
    }
    return gone;
}

/* False where the owner has let go. */
static bool request_over(struct trust *t, enum store_status status)
{
    t->request = REQUEST_NONE;
    if (is_gone(t)) {
        return false;
    }
    if (status != STORE_OK) {
        t->resume_at_us = t->renew_at_us = clock_boot_us() + RETRY_US;
        opening_cancel(&t->opening);
    }
    return true;
}

/* T6 is checked by the workers at every batch; this is for a cache that nobody reads just now. It
 * also proves the link: a Redis that was rewound in place drops no connection, and an era waits
 * until all name the same one. */
static void stamp_checked(void *arg, enum cache_status status, const char *stamp)
{
    struct trust *t = arg;
    t->checking = false;
    if (is_gone(t)) {
        return;
    }
    if (status == CACHE_OK && t->granted != 0 && clock_boot_us() < t->valid_until_us &&
        strcmp(stamp, t->stamp) != 0) {
        trust_view_suspect(t->view, t->granted);
    }
}

static void check_stamp(struct trust *t)
{
    if (!t->checking && cache_link_is_up(t->cache)) {
        t->checking = true;
        cache_stamp_read(t->cache, stamp_checked, t);
    }
}

/* Its lease's row was taken away: it may come back into the era, which stayed open. */
static void lapse(struct trust *t)
{
    trust_view_drop(t->view);
    t->granted = 0;
    t->open_since_us = clock_boot_us(); /* as one that joins: what waits need not close it */
}

static void renewed(void *arg, enum store_status status, const struct store_error *error,
                    const struct store_leases *reply)
{
    struct trust *t = arg;
    (void)error;
    if (!request_over(t, status)) {
        return;
    }
    if (status == STORE_OK) { /* a synchronous-replication warning (LOCAL_ONLY) grants nothing */
        t->reported = t->redis_at_send;
        t->renew_at_us = t->sent_us + t->lease_us / 3;
        t->fenced = !leases_absorb(&t->leases, t->daemon, reply, t->sent_us, clock_boot_us());
        if (trust_lease_went_back(t)) {
            note_rewound(t);
        }
        t->renewals = t->leases.own_renewals;
        t->born = t->leases.own_born;
        t->departed = t->leases.departed;
        take_over_move_mark(&t->mark, t->view, t->leases.transaction);
        absorb(t, &reply->era);
        if (trust_may_grant(t)) {
            grant(t, (MUTANT(LATESTART) ? clock_boot_us() : t->sent_us) + t->lease_us);
        } else if (t->granted != 0 && trust_was_taken_over(t)) {
            lapse(t);
        } else if (t->granted != 0) {
            drop(t, t->granted);
        }
        if (t->renewals == 1) {
            t->renew_at_us = clock_boot_us();
        }
        check_stamp(t);
    }
    run(t);
}

static void send_renew(struct trust *t)
{
    sending(t, REQUEST_RENEW);
    t->seen_at_send = t->dropped; /* T2: what was dropped before sending, nothing later */
    t->redis_at_send = trust_verified_redis(t);
    store_lease_renew(t->store, t->daemon, t->incarnation, t->seen_at_send, t->redis_at_send.run_id,
                      t->redis_at_send.replid, t->mark.published, renewed, t);
}

/* Reading, closing, draining and opening all answer with the row as it is afterwards. */
static void row_came(void *arg, enum store_status status, const struct store_error *error,
                     const struct store_era *row)
{
    struct trust *t = arg;
    enum request request = t->request;
    if (!request_over(t, status)) {
        return;
    }
    if (status == STORE_OK) {
        t->failing &= request == REQUEST_READ;
        bool opened =
            request == REQUEST_OPEN && row->state == ERA_OPEN && row->id == t->opening.next.id &&
            strcmp(row->nonce, t->opening.next.nonce) == 0; /* ours, not another daemon's */
        if (opened) {
            tickets_opened(&t->tickets);
        }
        absorb(t, row);
        if (request == REQUEST_CLOSE && row->state != ERA_OPEN) {
            t->status.closed++;
            log_info("era-closed", "era=%llu", (unsigned long long)row->id);
        }
        if (request == REQUEST_OPEN) {
            opening_cancel(&t->opening);
            t->renew_at_us = clock_boot_us();
            if (opened) {
                t->status.opened++;
                log_info("era-opened", "era=%llu run_id=%s", (unsigned long long)row->id,
                         row->run_id);
            }
        }
        if (request == REQUEST_DRAIN || request == REQUEST_CLOSE) {
            t->renew_at_us = clock_boot_us();
        }
    } else if (request != REQUEST_READ && !t->failing) {
        t->failing = true;
        log_warn("era-request-failed", "text=%s", LOG_VALUE(error->text));
    }
    run(t);
}

static void send_close(struct trust *t)
{
    drop(t, t->row.id); /* T3: own trust goes first */
    sending(t, REQUEST_CLOSE);
    store_era_close(t->store, t->row.id, row_came, t);
}

static void send_drain(struct trust *t)
{
    sending(t, REQUEST_DRAIN);
    store_era_drain(t->store, t->row.id, row_came, t);
}

static void send_rewound(struct trust *t)
{
    sending(t, REQUEST_REWOUND);
    store_era_rewound(t->store, t->forgotten, row_came, t);
}

static void send_open(struct trust *t)
{
    sending(t, REQUEST_OPEN);
    store_era_open(t->store, t->row.id, &t->opening.next, row_came, t);
}

static void expelled(void *arg, enum store_status status, const struct store_error *error,
                     const struct store_expelling *step)
{
    struct trust *t = arg;
    (void)error;
    if (!request_over(t, status)) {
        return;
    }
    if (status == STORE_OK && take_over_stepped(&t->take_over, step, clock_boot_us())) {
        t->renew_at_us = clock_boot_us(); /* leases change with renewals only: it is listed yet */
        if (!step->another) {
            t->status.taken_over++;
            log_warn("lease-expelled", "daemon=%s era=%llu state=%s",
                     LOG_VALUE(t->take_over.row.daemon), (unsigned long long)t->row.id,
                     t->row.state == ERA_OPEN ? "open" : "drained");
        }
    }
    run(t);
}

static void send_expel(struct trust *t, const struct lease_peer *peer)
{
    take_over_aim(&t->take_over, &peer->lease);
    sending(t, REQUEST_EXPEL);
    store_lease_expel(t->store, &t->take_over.row, t->take_over.from, expelled, t);
}

static void left(void *arg, enum store_status status, const struct store_error *error)
{
    struct trust *t = arg;
    (void)status;
    (void)error;
    if (request_over(t, STORE_OK)) {
        t->hooks.stopped(t->ctx);
    }
}

static void given_up(void *arg, enum store_status status, const struct store_error *error)
{
    struct trust *t = arg;
    (void)error;
    if (request_over(t, status)) {
        t->lease_given_up = status == STORE_OK;
        t->renewals = 0;
        run(t);
    }
}

/* --- T5: opening an era -----------------------------------------------------------------------*/

static void consider_opening(struct trust *t, int64_t now)
{
    const struct cache_identity *agreed = trust_agreed_redis(t, now);
    bool drained =
        t->row.state == ERA_DRAINED || (MUTANT(OPENEARLY) && t->row.state == ERA_CLOSING);
    if (t->row_known && drained && !t->row.switched_off && t->row.timeline_current && !t->fenced &&
        t->forgotten == 0 && !t->stopping && agreed != NULL) {
        bool lasted = t->adopted_us != 0 && now - t->adopted_us >= SETTLED_US;
        opening_begin(&t->opening, t->row.id > t->dropped ? t->row.id : t->dropped, agreed, lasted,
                      now);
    }
}

/* --- what comes next --------------------------------------------------------------------------*/

static void consider_standing_aside(struct trust *t, const struct cache_identity *verified,
                                    int64_t now)
{
    if (verified->run_id[0] != '\0') {
        t->cut_off_us = 0;
    } else if (t->cut_off_us == 0) {
        t->cut_off_us = now;
    }
    bool aside = t->stand_aside && t->cut_off_us != 0 && now - t->cut_off_us >= t->lease_us;
    if (aside != t->aside) {
        t->aside = aside;
        t->lease_given_up = false;
        t->renew_at_us = now;
        drop(t, t->granted); /* before the lease goes: who waits for it must not be wrong */
        trust_view_set_aside(t->view, aside);
    }
}

static void start_next(struct trust *t, int64_t now)
{
    if (t->request != REQUEST_NONE || !store_link_ready(t->store) ||
        (now < t->resume_at_us && !t->stopping)) {
        return;
    }
    const struct lease_peer *silent = t->aside ? NULL : leases_silent(&t->leases, now);
    if (t->stopping && trust_view_is_posting(t->view)) {
        return; /* what was not published will be, by whoever finds the row silent (T12) */
    }
    if (t->stopping) {
        sending(t, REQUEST_LEAVE);
        store_lease_drop(t->store, t->daemon, left, t);
    } else if (t->forgotten != 0) {
        send_rewound(t);
    } else if (trust_must_close(t, now)) {
        send_close(t);
    } else if (trust_may_drain(t, now)) {
        send_drain(t);
    } else if (t->aside && !t->lease_given_up) {
        sending(t, REQUEST_GIVE_UP);
        store_lease_drop(t->store, t->daemon, given_up, t);
    } else if (now >= t->renew_at_us && !t->aside) {
        send_renew(t);
    } else if (silent != NULL && t->row_known && t->row.state != ERA_CLOSING) {
        send_expel(t, silent); /* drained: before an era opens, which could be closed for it */
    } else if (t->opening.stage == OPENING_READY &&
               (t->row.state == ERA_DRAINED || MUTANT(OPENEARLY))) {
        send_open(t);
    } else if (tickets_are_new(&t->tickets)) {
        sending(t, REQUEST_READ);
        store_era_read(t->store, row_came, t);
    }
}

/* Everything that happened is in the fields; now do what follows from them. */
static void run(struct trust *t)
{
    int64_t now = clock_boot_us();
    struct cache_identity verified = trust_verified_redis(t);
    if (t->row_known && t->row.state == ERA_CLOSING && t->renew_at_us > now + TRUST_POLL_US) {
        t->renew_at_us = now + TRUST_POLL_US;
    }
    if (!trust_same_redis(&verified, &t->redis_at_send)) {
        t->renew_at_us = now; /* the others must hear of it before an era can open */
    }
    consider_standing_aside(t, &verified, now);
    if (t->aside && now >= t->renew_at_us) { /* no renewal comes by that would prove our link */
        t->renew_at_us = now + t->lease_us / 3;
        check_stamp(t);
    }
    start_next(t, now);
    if (t->stopping && t->request == REQUEST_NONE) {
        t->hooks.stopped(t->ctx); /* the store is away, say: our row will be found silent */
        return;
    }
    if (store_link_is_up(t->store) && cache_link_is_up(t->cache)) {
        consider_opening(t, now);
    }
    trust_update_phase(t, now);
    t->hooks.need_timer(t->ctx, trust_next_wake(t, now));
}

static void opening_changed(void *ctx)
{
    if (!is_gone(ctx)) {
        run(ctx);
    }
}

/* --- the interface ----------------------------------------------------------------------------*/

struct trust *trust_create(const struct trust_options *options, struct trust_view *view,
                           struct store_link *store, struct cache_link *cache,
                           const struct trust_hooks *hooks, void *ctx)
{
    struct trust *t = calloc(1, sizeof *t);
    if (t == NULL) {
        abort();
    }
    t->store = store;
    t->cache = cache;
    t->view = view;
    t->tickets.view = view;
    t->hooks = *hooks;
    t->ctx = ctx;
    snprintf(t->daemon, sizeof t->daemon, "%s", options->daemon);
    snprintf(t->incarnation, sizeof t->incarnation, "%s", options->incarnation);
    t->lease_us = options->lease_us;
    t->stand_aside = options->stand_aside;
    t->leases.wait_us = options->lease_us + options->lease_us / 10;
    t->opening.cache = cache;
    t->opening.changed = opening_changed;
    t->opening.ctx = t;
    t->status.why = "";
    run(t);
    return t;
}

void trust_free(struct trust *trust)
{
    if (trust != NULL) {
        trust_view_drop(trust->view);
        trust->gone = trust->opening.abandoned = true;
        (void)is_gone(trust);
    }
}

void trust_tick(struct trust *trust)
{
    run(trust);
}

void trust_wake(struct trust *trust)
{
    run(trust);
}

void trust_links_changed(struct trust *trust)
{
    if (!store_link_is_up(trust->store)) {
        opening_cancel(&trust->opening);
    }
    trust->resume_at_us = 0;
    trust->renew_at_us = clock_boot_us(); /* to learn, or to tell which Redis is verified now */
    run(trust);
}

void trust_notified(struct trust *trust)
{
    if (MUTANT(READOPT) && trust->granted != 0) {
        drop(trust, trust->granted); /* and the reply that is on its way is believed again */
    }
    trust->renew_at_us = clock_boot_us();
    run(trust);
}

void trust_stop(struct trust *trust)
{
    trust->stopping = true;
    drop(trust, trust->granted);
    run(trust);
}
