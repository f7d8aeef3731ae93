/*
 * Rule T12: the take-over of a daemon that fell silent, while the era stays open.
 *
 * Nothing that it was granted can last any more: it has not renewed for W. Its row is taken away only
 * as it was seen then, born and renewals alike, so that no renewal has come since; one that comes
 * later makes a row anew, and grants nothing (T1). The store fences the row first, so that none of
 * its postings is to come; then it announces to the tails, step by step, what the daemon may have
 * committed and not published; then the row goes. Whoever is interrupted leaves a row that is still
 * silent, and the next one begins again.
 *
 * What may not be published is counted from a mark that each daemon moves with its renewals: a
 * transaction below which nothing of it is left to be published. No commit bears a cost for it.
 *
 * A take-over serves freshness alone. Nobody was told of such commits; what is promised holds without.
 */
#ifndef BALLAST_CORE_TAKE_OVER_H
#define BALLAST_CORE_TAKE_OVER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/leases.h"
#include "core/trust_view.h"

struct take_over {
    struct store_lease row; /* that the steps are about, as the first one found it */
    uint64_t from;          /* where the next step goes on */
    int64_t step_us;        /* when the last one was done */
};

/* The step to be sent for that row: t->row and t->from. */
void take_over_aim(struct take_over *t, const struct store_lease *row);
/* It was done. True where no step follows: the row is gone, or has become another one. */
bool take_over_stepped(struct take_over *t, const struct store_expelling *step, int64_t now_us);
/* True where the take-over of that peer has not come forward for long. Its commits are hidden by the
 * values of the era, for as long as that is open. */
bool take_over_is_stuck(const struct take_over *t, const struct lease_peer *peer, int64_t wait_us,
                        int64_t now_us);

/* The own mark; 0: not known yet. */
struct take_over_mark {
    uint64_t published;
    uint64_t turned_at; /* will be it, when the commits of the turn before have ended */
};

/* A renewal of that transaction was answered. Commits of the turn before have ended, all of which
 * were sent before the renewal that began the present turn was answered, and none later: what later
 * ones do has a higher transaction than that renewal's. */
void take_over_move_mark(struct take_over_mark *mark, struct trust_view *view,
                         uint64_t transaction);

#endif
