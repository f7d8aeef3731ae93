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
 *   OPEN    -> CLOSING  [send_close]    a fence was asked for, a worker met a surprise, a daemon
 *                                       fell silent, or everybody is on another Redis
 *   CLOSING -> DRAINED  [send_drain]    every other lease has seen it, or W has passed since
 *
 * What holds, by rule:
 *   T1  A lease is counted from before the renewal was sent, and granted only for an era that is
 *       open in that renewal's own reply, above every era dropped so far, under the present
 *       timeline. [renewed]
 *   T2  Trust is dropped in the view before the drop is noted, and a drop noted before a renewal
 *       is sent is what that renewal writes as seen: `seen` never speaks for a later moment than
 *       its own. [drop, send_renew]
 *   T3  Own trust is dropped before the close is sent. [send_close]
 *   T4  The wait starts with the return of the close, or first sight of it; the leases that must
 *       have seen it are read after that. [may_drain]
 *   T5  Opening goes from drained only, by compare and set, with the stamp written first.
 *   T7c Tickets are settled by rows read after they were asked for. [core/tickets.c]
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
#include "core/leases.h"
#include "core/opening.h"
#include "core/tickets.h"

#define POLL_US 25000      /* between looks at the leases while an era closes */
#define JOIN_US 50000      /* that tickets against a new era wait for our lease on it */
#define RETRY_US 100000    /* after a request that failed while the link stayed */
#define SETTLED_US 5000000 /* an era that lasted so long forgives the ones before it */

enum request {
    REQUEST_NONE,
    REQUEST_RENEW,
    REQUEST_READ,
    REQUEST_CLOSE,
    REQUEST_DRAIN,
    REQUEST_OPEN,
    REQUEST_EXPEL,
    REQUEST_LEAVE
};

struct trust {
    struct store_link *store;
    struct cache_link *cache;
    struct trust_view *view;
    struct trust_hooks hooks;
    void *ctx;
    char daemon[64];
    char incarnation[40];
    int64_t lease_us; /* L; W = 1.1 L covers clocks that differ by 4.7 % on each side */

    /* the request on the link */
    enum request request;
    int64_t sent_us;
    uint64_t seen_at_send;
    struct cache_identity redis_at_send;

    /* what the store last said */
    bool row_known;
    struct store_era row;
    int64_t open_since_us;    /* first sight of row.id open */
    int64_t closing_since_us; /* of row.id; T4's wait starts here */
    bool fenced;              /* somebody took our lease over */
    struct leases leases;

    /* trust */
    uint64_t granted;            /* 0: none */
    char stamp[CACHE_STAMP_MAX]; /* of the era granted */
    bool checking;               /* the stamp in Redis is being read */
    int64_t valid_until_us;
    uint64_t dropped; /* the highest era dropped: never trusted again */
    int64_t renew_at_us;
    struct cache_identity reported; /* in the last renewal that the store took */

    struct tickets tickets; /* T7 c */
    struct opening opening; /* T5 */
    int64_t adopted_us;     /* when the present or last era was */

    bool stopping;
    bool gone; /* trust_free was called: the last callback under way frees it */
    struct trust_status status;
};

static void run(struct trust *t);

static const struct cache_identity no_redis;

static bool same_redis(const struct cache_identity *a, const struct cache_identity *b)
{
    return strcmp(a->run_id, b->run_id) == 0 && strcmp(a->replid, b->replid) == 0;
}

static void set_redis(struct cache_identity *redis, const char *run_id, const char *replid)
{
    snprintf(redis->run_id, sizeof redis->run_id, "%s", run_id);
    snprintf(redis->replid, sizeof redis->replid, "%s", replid);
}

/* The Redis that this whole daemon has verified: its control link and every worker's. Null else:
 * a daemon that is half cut off must not vote for an era that it could not publish in. */
static struct cache_identity verified_redis(const struct trust *t)
{
    const struct cache_identity *own = cache_link_identity(t->cache);
    return own != NULL && trust_view_all_on(t->view, own) ? *own : no_redis;
}

/* T5: the Redis that every live lease, ours included, has verified; NULL where they differ. */
static const struct cache_identity *agreed_redis(const struct trust *t, int64_t now)
{
    struct cache_identity own = verified_redis(t);
    bool agreed = own.run_id[0] != '\0' && same_redis(&own, &t->reported) &&
                  leases_agree(&t->leases, &own, now);
    return agreed ? &t->reported : NULL;
}

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
    if (t->granted != t->row.id) {
        struct trust_era era = {.id = t->row.id};
        opening_stamp(era.stamp, &t->row);
        memcpy(t->stamp, era.stamp, sizeof t->stamp);
        set_redis(&era.redis, t->row.run_id, t->row.replid);
        trust_view_drop(t->view);
        trust_view_grant(t->view, &era, valid_until_us);
        t->granted = t->row.id;
        t->adopted_us = clock_boot_us();
        t->status.adopted++;
        log_info("era-adopted", "era=%llu run_id=%s", (unsigned long long)t->row.id, t->row.run_id);
        /* Commits and reads that came back while no era was trusted have asked for this one to be
         * closed. To close each era as it opens would be safe, and useless under load. */
        tickets_return(&t->tickets);
    } else {
        struct trust_era same = {.id = t->granted};
        trust_view_grant(t->view, &same, valid_until_us);
    }
    t->valid_until_us = valid_until_us;
}

/* --- rows come in -----------------------------------------------------------------------------*/

static void absorb(struct trust *t, const struct store_era *row)
{
    bool first_sight = !t->row_known || row->id != t->row.id || t->row.state != row->state;
    if (t->row_known && row->id < t->row.id) {
        log_warn("era-went-back", "from=%llu to=%llu", (unsigned long long)t->row.id,
                 (unsigned long long)row->id);
        drop(t, t->row.id);
        tickets_forget(&t->tickets); /* their era is not in this history of the store */
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
    tickets_absorb(&t->tickets, row);
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
        t->renew_at_us = clock_boot_us() + RETRY_US;
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
        absorb(t, &reply->era);
        if (reply->era.state == ERA_OPEN && (reply->era.id > t->dropped || MUTANT(READOPT)) &&
            (reply->era.timeline_current || MUTANT(NOTL)) && !t->fenced) {
            grant(t, (MUTANT(LATESTART) ? clock_boot_us() : t->sent_us) + t->lease_us);
        } else if (t->granted != 0) {
            drop(t, t->granted);
        }
        check_stamp(t);
    }
    run(t);
}

static void send_renew(struct trust *t)
{
    sending(t, REQUEST_RENEW);
    t->seen_at_send = t->dropped; /* T2: what was dropped before sending, nothing later */
    t->redis_at_send = verified_redis(t);
    store_lease_renew(t->store, t->daemon, t->incarnation, t->seen_at_send, t->redis_at_send.run_id,
                      t->redis_at_send.replid, renewed, t);
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
        bool opened =
            request == REQUEST_OPEN && row->state == ERA_OPEN && row->id == t->opening.next.id;
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
    } else if (request != REQUEST_READ) {
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

static void send_open(struct trust *t)
{
    sending(t, REQUEST_OPEN);
    store_era_open(t->store, t->row.id, &t->opening.next, row_came, t);
}

static void expelled(void *arg, enum store_status status, const struct store_error *error)
{
    struct trust *t = arg;
    (void)error;
    if (!request_over(t, status)) {
        return;
    }
    t->renew_at_us = clock_boot_us() + (status == STORE_OK ? 0 : RETRY_US);
    run(t);
}

static void send_expel(struct trust *t, const struct lease_peer *peer)
{
    log_warn("lease-expelled", "daemon=%s silent_ms=%lld", LOG_VALUE(peer->lease.daemon),
             (long long)(clock_boot_us() - peer->changed_us) / 1000);
    sending(t, REQUEST_EXPEL);
    store_lease_expel(t->store, peer->lease.daemon, peer->lease.renewals, expelled, t);
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

/* --- T5: opening an era -----------------------------------------------------------------------*/

static void consider_opening(struct trust *t, int64_t now)
{
    const struct cache_identity *agreed = agreed_redis(t, now);
    bool drained =
        t->row.state == ERA_DRAINED || (MUTANT(OPENEARLY) && t->row.state == ERA_CLOSING);
    if (t->row_known && drained && !t->row.switched_off && t->row.timeline_current && !t->fenced &&
        !t->stopping && agreed != NULL) {
        bool lasted = t->adopted_us != 0 && now - t->adopted_us >= SETTLED_US;
        opening_begin(&t->opening, t->row.id > t->dropped ? t->row.id : t->dropped, agreed, lasted,
                      now);
    }
}

/* --- what comes next --------------------------------------------------------------------------*/

/* An open era that a renewal may make ours in a moment. */
static bool is_joining(const struct trust *t, int64_t now)
{
    return t->granted == 0 && t->row.id > t->dropped && t->row.timeline_current && !t->fenced &&
           now - t->open_since_us < JOIN_US;
}

static bool must_close(struct trust *t, int64_t now)
{
    if (!t->row_known || t->row.state != ERA_OPEN) {
        return false;
    }
    struct cache_identity in_row;
    set_redis(&in_row, t->row.run_id, t->row.replid);
    const struct cache_identity *agreed = agreed_redis(t, now);
    /* An era up to the last one dropped is of no use to us: a close of ours is under way, or lost */
    return t->row.switched_off || (t->row.id <= t->dropped && !MUTANT(READOPT)) ||
           (tickets_wait_for(&t->tickets, t->row.id) && !is_joining(t, now)) ||
           trust_view_suspected(t->view) >= t->row.id ||
           (agreed != NULL && !same_redis(agreed, &in_row)) ||
           leases_silent(&t->leases, now) != NULL;
}

/* What T4 must not ask: a renewal may commit after the list of leases was read. */
static bool leases_seem_over(const struct trust *t, int64_t now)
{
    for (size_t i = 0; i < t->leases.count; i++) {
        const struct lease_peer *peer = &t->leases.peers[i];
        if (peer->lease.seen < t->row.id && now - peer->changed_us < t->leases.wait_us) {
            return false;
        }
    }
    return true;
}

/* T4. */
static bool may_drain(const struct trust *t, int64_t now)
{
    if (!t->row_known || t->row.state != ERA_CLOSING) {
        return false;
    }
    if (MUTANT(NODRAIN) || (MUTANT(EXPIRE) && leases_seem_over(t, now))) {
        return true;
    }
    bool listed = t->leases.list_sent_us >= t->closing_since_us;
    return now - t->closing_since_us >= t->leases.wait_us ||
           (listed && (leases_have_seen(&t->leases, t->row.id) || MUTANT(NOTIFYSEEN)));
}

static void start_next(struct trust *t, int64_t now)
{
    if (t->request != REQUEST_NONE || !store_link_ready(t->store)) {
        return;
    }
    const struct lease_peer *silent = leases_silent(&t->leases, now);
    if (t->stopping) {
        sending(t, REQUEST_LEAVE);
        store_lease_drop(t->store, t->daemon, left, t);
    } else if (must_close(t, now)) {
        send_close(t);
    } else if (may_drain(t, now)) {
        send_drain(t);
    } else if (now >= t->renew_at_us) {
        send_renew(t);
    } else if (silent != NULL && t->row_known && t->row.state == ERA_DRAINED) {
        send_expel(t, silent); /* before an era opens: it would be closed for each of them */
    } else if (t->opening.stage == OPENING_READY &&
               (t->row.state == ERA_DRAINED || MUTANT(OPENEARLY))) {
        send_open(t);
    } else if (tickets_are_new(&t->tickets)) {
        sending(t, REQUEST_READ);
        store_era_read(t->store, row_came, t);
    }
}

static void update_phase(struct trust *t, int64_t now)
{
    enum trust_phase phase = TRUST_NO_STORE;
    const char *why = "the store has not answered a renewal of the lease";
    bool heard = t->row_known && store_link_is_up(t->store);
    if (t->granted != 0 && now < t->valid_until_us) {
        struct cache_identity in_row, own = verified_redis(t);
        set_redis(&in_row, t->row.run_id, t->row.replid);
        bool ours = same_redis(&own, &in_row);
        phase = ours ? TRUST_TRUSTING : TRUST_ELSEWHERE;
        why = ours ? "" : "the era is open on a Redis that this daemon is not connected to";
    } else if (heard && (t->row.state == ERA_CLOSING || t->row.id <= t->dropped) &&
               t->row.state != ERA_DRAINED) {
        phase = TRUST_CLOSING;
        why = "waiting until no daemon can trust the closing era";
    } else if (heard && t->row.state == ERA_DRAINED) {
        phase = TRUST_DRAINED;
        why = t->row.switched_off          ? "switched off by an operator: ballast cache on"
              : cache_link_is_up(t->cache) ? "waiting to open an era that all daemons agree on"
                                           : "no Redis to open an era on";
    } else if (heard && t->row.id > t->dropped && t->row.timeline_current && !t->fenced) {
        phase = TRUST_JOINING;
        why = "taking a lease on the open era";
    } else if (heard) {
        phase = TRUST_ELSEWHERE;
        why = "the open era is not one that this daemon may trust";
    }
    if (phase != t->status.phase || t->status.since_us == 0) {
        log_info("trust", "phase=%s era=%llu why=%s", trust_phase_name(phase),
                 (unsigned long long)t->row.id, LOG_VALUE(why));
        t->status.since_us = now;
    }
    t->status.phase = phase;
    t->status.why = why;
    t->status.era = t->row.id;
    t->status.valid_until_us = t->valid_until_us;
    t->status.leases = t->leases.count + 1;
}

static int64_t next_wake(const struct trust *t, int64_t now)
{
    int64_t at = t->renew_at_us;
    if (t->row_known && t->row.state == ERA_CLOSING && at > now + POLL_US) {
        at = now + POLL_US;
    }
    if (t->row_known && t->row.state == ERA_DRAINED && t->opening.stage == OPENING_IDLE &&
        t->opening.not_before_us > now && t->opening.not_before_us < at) {
        at = t->opening.not_before_us;
    }
    if (t->valid_until_us > now && t->valid_until_us < at) {
        at = t->valid_until_us;
    }
    /* With a request under way, or the link down, its callback comes first. */
    return at > now ? at : now + POLL_US;
}

/* Everything that happened is in the fields; now do what follows from them. */
static void run(struct trust *t)
{
    int64_t now = clock_boot_us();
    struct cache_identity verified = verified_redis(t);
    if (t->row_known && t->row.state == ERA_CLOSING && t->renew_at_us > now + POLL_US) {
        t->renew_at_us = now + POLL_US;
    }
    if (!same_redis(&verified, &t->redis_at_send)) {
        t->renew_at_us = now; /* the others must hear of it before an era can open */
    }
    start_next(t, now);
    if (t->stopping && t->request == REQUEST_NONE) {
        t->hooks.stopped(t->ctx); /* the store is away: our row will be found silent */
        return;
    }
    if (store_link_is_up(t->store) && cache_link_is_up(t->cache)) {
        consider_opening(t, now);
    }
    update_phase(t, now);
    t->hooks.need_timer(t->ctx, next_wake(t, now));
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
    t->leases.wait_us =
        MUTANT(SHORTWAIT) ? options->lease_us / 2 : options->lease_us + options->lease_us / 10;
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
    trust->renew_at_us = clock_boot_us(); /* to learn, or to tell which Redis is verified now */
    run(trust);
}

void trust_notified(struct trust *trust)
{
    trust->renew_at_us = clock_boot_us();
    run(trust);
}

void trust_stop(struct trust *trust)
{
    trust->stopping = true;
    drop(trust, trust->granted);
    run(trust);
}

void trust_status(const struct trust *trust, struct trust_status *status)
{
    *status = trust->status;
}

const char *trust_phase_name(enum trust_phase phase)
{
    static const char *const names[] = {
        [TRUST_NO_STORE] = "no-store",   [TRUST_TRUSTING] = "trusting", [TRUST_JOINING] = "joining",
        [TRUST_ELSEWHERE] = "elsewhere", [TRUST_CLOSING] = "closing",   [TRUST_DRAINED] = "drained",
    };
    assert((unsigned)phase < sizeof names / sizeof names[0]);
    return names[phase];
}
