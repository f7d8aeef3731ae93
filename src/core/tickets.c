/* Which rows settle which tickets; see the header. */
#include "core/tickets.h"

#include "base/mutant.h"

void tickets_sending(struct tickets *tickets)
{
    tickets->at_send = trust_view_fences_requested(tickets->view);
}

static void note_read(struct tickets *tickets)
{
    if (tickets->read < tickets->at_send) {
        tickets->read = tickets->at_send;
    }
}

void tickets_absorb(struct tickets *tickets, const struct store_era *row)
{
    uint64_t settled = 0;
    if (MUTANT(WPREERA)) {
        tickets_sending(tickets);
    }
    /* An era without a nonce was never opened: the store has jumped over what it may have forgotten
     * (T14), and nobody has drained that. */
    bool later = row->id > tickets->waiting_era;
    bool ended = row->state == ERA_DRAINED ? row->id >= tickets->waiting_era
                                           : later && (row->nonce[0] != '\0' || MUTANT(JUMP));
    if (tickets->waiting > 0 && ended) {
        settled = tickets->waiting;
        tickets->waiting = 0;
    } else if (tickets->waiting > 0 && later) {
        tickets->waiting_era = row->id;
    }
    if (row->state == ERA_DRAINED) {
        settled = tickets->at_send;
    } else if (tickets->at_send > tickets->read) {
        tickets->waiting = tickets->at_send;
        tickets->waiting_era = row->id;
    }
    note_read(tickets);
    if (settled > 0) {
        trust_view_complete_fences(tickets->view, settled);
    }
}

void tickets_opened(struct tickets *tickets)
{
    note_read(tickets);
    tickets->waiting = 0;
    trust_view_complete_fences(tickets->view, tickets->at_send);
}

void tickets_return(struct tickets *tickets)
{
    tickets->read = trust_view_fences_requested(tickets->view);
    tickets->waiting = 0;
    trust_view_return_fences(tickets->view, tickets->read);
}

bool tickets_wait_for(const struct tickets *tickets, uint64_t era)
{
    return tickets->waiting > 0 && tickets->waiting_era == era;
}

bool tickets_are_new(const struct tickets *tickets)
{
    return trust_view_fences_requested(tickets->view) > tickets->read;
}
