/* Plays around leases and the ends of eras; see schedules.h. */
#include "fake_links.h"
#include "redis.h"
#include "stage.h"

/* --- a lease that is believed too long (T1, T2, T4, T6) ---------------------------------------*/

/* The era is closed as soon as the victim has its lease; then its words are slow for as long as
 * somebody may take it for gone, or it gives the lease back. The stamp stays: an operator keeps the cache switched off. */
static void lease_closes(void *object, uint64_t number)
{
    (void)object;
    if (stage_is_over(number)) {
        return;
    }
    stage.deaf = sim_chance(500000);
    db_switch(true);
    if (daemons[stage.victim] != NULL && sim_chance(200000)) {
        process_stop(daemons[stage.victim]);
    } else {
        stage_delay(stage.victim, ANY_CONTROL, (enum leg)sim_below(3), 200 * MS, 1400 * MS);
    }
    stage_ask_both();
    stage_after(sim_between(1300 * MS, 2400 * MS), stage_curtain);
}

/* What follows the victim's next renewal. */
static void at_renewal(enum leg leg, int64_t late_us, event_fn *then, int64_t within_us)
{
    struct delay *renewal = stage_delay(stage.victim, STATEMENT_RENEW, leg, late_us, late_us);
    renewal->then = then;
    renewal->then_us = within_us;
}

static void lease_renews(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        int64_t late = sim_chance(200000) ? 1 : sim_between(30 * MS, 950 * MS);
        at_renewal((enum leg)sim_below(3), late, lease_closes, 60 * MS);
    }
}

void play_lease(void)
{
    stage_warm_up(20 * MS);
    stage_after(25 * MS, lease_renews);
}

/* --- a lease whose row nobody sees yet (T4) ---------------------------------------------------*/

void play_joiner(void)
{
    struct process *leaver = daemons[stage.victim];
    stage_warm_up(20 * MS);
    struct delay *first = stage_delay(stage.victim, STATEMENT_RENEW, LEG_STAY, 100 * MS, 900 * MS);
    first->before = leaver;
    first->then = lease_closes;
    first->then_us = 100 * MS;
    process_stop(leaver);
}

/* --- a closer that comes too late (T4) --------------------------------------------------------*/

static void closer_closes_next(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        stage.deaf = true;
        db_switch(true);
        stage_ask_both();
        stage_after(sim_between(100 * MS, 600 * MS), stage_curtain);
    }
}

/* The helper's own drain of the first era is on its way until the second one is closing. */
void play_closer(void)
{
    int64_t late = sim_between(150 * MS, 900 * MS);
    stage_warm_up(10 * MS);
    stage_delay(stage.helper, STATEMENT_ERA_DRAIN, LEG_THERE, late, late);
    db_switch(true);
    stage_after(sim_between(10 * MS, 60 * MS), stage_switch_on);
    stage_after(late - sim_between(20 * MS, 60 * MS), stage_read_at_both);
    stage_after(late - sim_between(0, 15 * MS), closer_closes_next);
}

/* --- a close that a failover forgets (T14) ----------------------------------------------------*/

static void failover_accepted(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        db_accept_timeline();
        stage_curtain(NULL, number);
    }
}

/* Those that live on have dropped the era, but for the victim, which has not heard of the close. */
static void failover_strikes(void *object, uint64_t number)
{
    (void)object;
    if (stage_is_over(number)) {
        return;
    }
    db_switch(false);
    db_failover();
    for (int i = 0; i < daemon_count && !stage.deaf; i++) {
        if (daemons[i] != NULL) {
            process_crash(daemons[i]);
        }
    }
    stage_ask_both();
    stage_after(sim_between(1000 * MS, 2500 * MS), failover_accepted);
}

static void failover_posts(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        stage_post(stage.helper, MUTATION_CREDIT, 1);
        stage_after(sim_between(10 * MS, 60 * MS), failover_strikes);
    }
}

static void failover_closes(void *object, uint64_t number)
{
    (void)object;
    if (stage_is_over(number)) {
        return;
    }
    stage.deaf = sim_chance(600000);
    db_switch(true);
    if (stage.deaf) {
        stage_delay(stage.victim, ANY_CONTROL, LEG_THERE, 600 * MS, 1400 * MS);
    }
    stage_after(sim_between(5 * MS, 100 * MS), failover_posts);
}

/* The account changes while the era is drained, or cannot be. */
void play_failover(void)
{
    stage_warm_up(20 * MS);
    at_renewal(LEG_BACK, 1, failover_closes, 40 * MS);
}

/* --- a daemon that dies with its commit not published (T12) -----------------------------------*/

static void death_strikes(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number) && daemons[stage.victim] != NULL) {
        process_crash(daemons[stage.victim]);
    }
}

static void death_posts(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        stage_delay(stage.victim, STATEMENT_POST, LEG_BACK, 1500 * MS, 1500 * MS);
        stage_post(stage.victim, MUTATION_CREDIT, 1);
        stage_after(sim_between(5 * MS, 1480 * MS), death_strikes);
    }
}

/* Its value stands in the cache, and nobody asks for the account again, or closes the era. */
void play_death(void)
{
    stage.last = sim_chance(700000);
    stage_warm_up(60 * MS);
    stage_after(sim_between(100 * MS, 500 * MS), death_posts);
}

/* --- an expelling that comes when its daemon is back (T12) ------------------------------------*/

/* The helper's statement is on its way: another daemon's comes first, the victim makes its row anew,
 * and has renewed it as often again; then the era is closed. */
static void return_is_met(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        stage_after(stage.late_us + sim_between(0, 60 * MS), lease_closes);
    }
}

static void return_pauses(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number) && daemons[stage.victim] != NULL) {
        process_pause(daemons[stage.victim], sim_between(1300 * MS, 1700 * MS));
        stage.late_us = sim_between(50 * MS, 700 * MS);
        struct delay *late = stage_delay(stage.helper, STATEMENT_LEASE_EXPEL, LEG_THERE,
                                         stage.late_us, stage.late_us);
        late->then = return_is_met;
        late->then_us = 1;
    }
}

void play_return(void)
{
    struct process *leaver = daemons[stage.victim];
    stage_warm_up(20 * MS);
    struct delay *first = stage_delay(stage.victim, STATEMENT_RENEW, LEG_BACK, 1, 1);
    first->before = leaver;
    first->then = return_pauses;
    first->then_us = 250 * MS;
    process_stop(leaver);
}

/* --- an era of another master, while the one before it is trusted (T5) ------------------------*/

static void lead(int slot, int node)
{
    if (daemons[slot] != NULL && daemons[slot]->cache_target != node) {
        daemons[slot]->cache_target = node;
        cache_links_cut(daemons[slot], -1);
    }
}

static void masters_change(void *object, uint64_t number)
{
    (void)object;
    if (stage_is_over(number)) {
        return;
    }
    stage.deaf = true;
    stage_delay(stage.victim, ANY_CONTROL, LEG_THERE, 600 * MS, 1400 * MS);
    for (int i = 0; i < daemon_count; i++) {
        lead(i, i == stage.victim ? 1 - redis_address() : redis_address());
    }
    stage_ask_both();
}

static void masters_part(void *object, uint64_t number)
{
    (void)object;
    if (stage_is_over(number)) {
        return;
    }
    redis_split();
    for (int i = 0; i < daemon_count; i++) {
        lead(i, i == stage.victim ? redis_address() : 1 - redis_address());
    }
    stage_after(sim_between(20 * MS, 200 * MS), masters_change);
}

/* The victim is led to a second master, and says so. Then it is led back to the first one, where its era
 * goes on, and for long it neither says that nor hears of others; they are led to the second one. */
void play_masters(void)
{
    stage_warm_up(20 * MS);
    stage_after(30 * MS, masters_part);
}
