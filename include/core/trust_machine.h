/*
 * The inside of the trust machine, shared by core/trust.c, which turns it, core/trust_rules.c, which
 * says what follows, and core/trust_phase.c, which says where it stands. Nobody else includes this.
 */
#ifndef BALLAST_CORE_TRUST_MACHINE_H
#define BALLAST_CORE_TRUST_MACHINE_H

#include "core/leases.h"
#include "core/opening.h"
#include "core/take_over.h"
#include "core/tickets.h"
#include "core/trust.h"

#define TRUST_POLL_US 25000 /* between looks at the leases while an era closes */

enum request {
    REQUEST_NONE,
    REQUEST_RENEW,
    REQUEST_READ,
    REQUEST_CLOSE,
    REQUEST_DRAIN,
    REQUEST_OPEN,
    REQUEST_EXPEL,
    REQUEST_REWOUND,
    REQUEST_GIVE_UP,
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
    int64_t resume_at_us; /* nothing is sent before: the last request failed */
    bool failing;         /* that has been logged */
    uint64_t seen_at_send;
    struct cache_identity redis_at_send;

    /* what the store last said */
    bool row_known;
    struct store_era row;
    int64_t open_since_us;    /* first sight of row.id open */
    int64_t closing_since_us; /* of row.id; T4's wait starts here */
    bool fenced;              /* somebody took our lease over */
    uint64_t renewals;        /* of our lease's row; 0: it is not there */
    uint64_t born;            /* which row that was */
    uint64_t departed;        /* leases that had been taken away by then */
    uint64_t forgotten;       /* T14: the store has gone back behind this era; 0: it has not */
    struct leases leases;

    /* trust */
    uint64_t granted;            /* 0: none */
    char stamp[CACHE_STAMP_MAX]; /* of the era granted */
    bool checking;               /* the stamp in Redis is being read */
    int64_t valid_until_us;
    uint64_t dropped; /* the highest era dropped: never trusted again */
    int64_t renew_at_us;
    struct cache_identity reported; /* in the last renewal that the store took */

    struct take_over take_over; /* T12: of a dead daemon */
    struct take_over_mark mark; /* and the own one, should we die */

    struct tickets tickets; /* T7 c */
    struct opening opening; /* T5 */
    int64_t adopted_us;     /* when the present or last era was */

    /* standing aside (when-cut-off = aside) */
    bool stand_aside; /* the option */
    bool aside;
    bool lease_given_up;
    int64_t cut_off_us; /* since when no Redis is verified; 0: one is */

    bool stopping;
    bool gone; /* trust_free was called: the last callback under way frees it */
    struct trust_status status;
};

bool trust_same_redis(const struct cache_identity *a, const struct cache_identity *b);
void trust_set_redis(struct cache_identity *redis, const char *run_id, const char *replid);
/* The Redis that this whole daemon has verified: its control link and every worker's. Empty else:
 * a daemon that is half cut off must not vote for an era that it could not publish in. */
struct cache_identity trust_verified_redis(const struct trust *t);

/* --- core/trust_rules.c: asked when a row was absorbed, and at each turn -----------------------*/

const struct cache_identity *trust_agreed_redis(const struct trust *t, int64_t now);
bool trust_lease_went_back(const struct trust *t);
bool trust_is_leaving(const struct trust *t);
bool trust_may_grant(const struct trust *t);
bool trust_was_taken_over(const struct trust *t);
bool trust_must_close(const struct trust *t, int64_t now);
bool trust_may_drain(const struct trust *t, int64_t now);

/* --- core/trust_phase.c ------------------------------------------------------------------------*/

/* Says in t->status, and once in the log, what the fields amount to now. */
void trust_update_phase(struct trust *t, int64_t now);

/* When the machine wants to be turned again without an event. */
int64_t trust_next_wake(const struct trust *t, int64_t now);

#endif
