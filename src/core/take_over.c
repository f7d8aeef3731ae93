/* Steps of a take-over, and the own mark; see the header. */
#include "core/take_over.h"

#include <string.h>

#include "base/mutant.h"

#define STUCK_US 2000000 /* without a step; a table of ten million accounts takes a second or two */

void take_over_aim(struct take_over *t, const struct store_lease *row)
{
    bool goes_on = strcmp(row->daemon, t->row.daemon) == 0 && row->born == t->row.born &&
                   row->renewals == t->row.renewals;
    t->from = goes_on ? t->from : 0;
    t->row = *row;
}

bool take_over_stepped(struct take_over *t, const struct store_expelling *step, int64_t now_us)
{
    t->step_us = now_us;
    t->from = step->another ? 0 : step->next;
    return t->from == 0;
}

bool take_over_is_stuck(const struct take_over *t, const struct lease_peer *peer, int64_t wait_us,
                        int64_t now_us)
{
    int64_t silent_us = peer->changed_us + wait_us;
    int64_t since_us = t->step_us > silent_us ? t->step_us : silent_us;
    return now_us - since_us >= STUCK_US;
}

void take_over_move_mark(struct take_over_mark *mark, struct trust_view *view, uint64_t transaction)
{
    if (trust_view_postings_turn(view) || MUTANT(MARKEARLY)) {
        mark->published = mark->turned_at;
        mark->turned_at = transaction;
    }
}
