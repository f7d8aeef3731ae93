/* Plays for two daemons and one account; see the header. One runs at a time. */
#include "schedules.h"

#include <string.h>

#include "base/attributes.h"
#include "clients.h"
#include "fake_links.h"
#include "process.h"
#include "rebuild.h"
#include "redis.h"
#include "trace.h"

#define DELAYS_MAX 4
#define ANY_CONTROL (-1) /* every statement of the trust protocol */
#define LONGEST (4 * SECOND)

/* What is late: a leg of the statements of one kind, of the daemon in that slot. */
struct delay {
    int slot;
    int kind; /* enum statement_kind, or ANY_CONTROL */
    enum leg leg;
    int64_t least_us, most_us;
    event_fn *then;               /* runs once, when it is met for the first time, */
    int64_t then_us;              /* at most so long afterwards; the delay ends with it */
    const struct process *before; /* the run of the daemon that it does not count for */
};

static struct {
    bool running;
    uint64_t number; /* of the play: an event of another one means nothing */
    int victim, helper, account;
    bool deaf;
    bool asking;
    struct delay delays[DELAYS_MAX];
    int delay_count;
} play;

/* --- props ------------------------------------------------------------------------------------*/

static bool is_over(uint64_t number)
{
    return !play.running || number != play.number;
}

static void after(int64_t delay_us, event_fn *run)
{
    world_after(delay_us, NULL, run, NULL, play.number);
}

static struct delay *delay(int slot, int kind, enum leg leg, int64_t least_us, int64_t most_us)
{
    struct delay *added = &play.delays[play.delay_count++];
    assert(play.delay_count <= DELAYS_MAX);
    *added = (struct delay){
        .slot = slot, .kind = kind, .leg = leg, .least_us = least_us, .most_us = most_us};
    return added;
}

static bool concerns(const struct delay *at, const struct statement *statement, enum leg leg)
{
    const struct process *process = store_link_process(statement->link);
    bool kind = at->kind == ANY_CONTROL ? statement->kind >= STATEMENT_RENEW
                                        : statement->kind == (enum statement_kind)at->kind;
    return kind && at->leg == leg && daemons[at->slot] == process && at->before != process;
}

int64_t schedule_delay(const struct statement *statement, enum leg leg)
{
    for (int i = 0; play.running && statement->link != NULL && i < play.delay_count; i++) {
        struct delay *at = &play.delays[i];
        if (concerns(at, statement, leg)) {
            int64_t late = sim_between(at->least_us, at->most_us);
            if (at->then != NULL) {
                after(sim_between(0, at->then_us), at->then);
                *at = play.delays[--play.delay_count];
            }
            return late;
        }
    }
    return 0;
}

bool schedule_is_deaf(int slot)
{
    return play.running && play.deaf && slot == play.victim;
}

static void post(int slot, enum mutation_kind kind, int64_t amount)
{
    clients_ask_posting(slot, kind, play.account, amount);
}

static void ask_reads(void *object, uint64_t number)
{
    (void)object;
    if (!is_over(number) && play.asking) {
        clients_ask_read(play.victim, play.account);
        after(sim_between(2 * MS, 15 * MS), ask_reads);
    }
}

static void ask_postings(void *object, uint64_t number)
{
    (void)object;
    if (!is_over(number) && play.asking) {
        post(play.helper, MUTATION_CREDIT, 1);
        after(sim_between(4 * MS, 30 * MS), ask_postings);
    }
}

/* The helper changes the account, again and again, and the victim reads it. */
static void ask_both(void)
{
    play.asking = true;
    after(sim_between(0, 30 * MS), ask_postings);
    after(sim_between(0, 10 * MS), ask_reads);
}

static void curtain(void *object, uint64_t number)
{
    (void)object;
    if (!is_over(number)) {
        play.running = false;
        db_switch(false);
    }
}

static void read_at_both(void *object, uint64_t number)
{
    (void)object;
    if (!is_over(number)) {
        clients_ask_read(play.victim, play.account);
        clients_ask_read(play.helper, play.account);
    }
}

/* The value of the present era stands in the cache. */
static void warm_up(int64_t within_us)
{
    post(play.helper, MUTATION_CREDIT, 1);
    after(within_us / 2, read_at_both);
    after(within_us * 3 / 4, read_at_both);
}

/* --- a lease that is believed too long (T1, T2, T4, T6) ---------------------------------------*/

/* The era is closed as soon as the victim has its lease; then its words are slow for as long as
 * somebody may take it for gone, or it gives the lease back. The stamp stays: an operator keeps the cache switched off. */
static void lease_closes(void *object, uint64_t number)
{
    (void)object;
    if (is_over(number)) {
        return;
    }
    play.deaf = sim_chance(500000);
    db_switch(true);
    if (daemons[play.victim] != NULL && sim_chance(200000)) {
        process_stop(daemons[play.victim]);
    } else {
        delay(play.victim, ANY_CONTROL, (enum leg)sim_below(3), 200 * MS, 1400 * MS);
    }
    ask_both();
    after(sim_between(1300 * MS, 2400 * MS), curtain);
}

/* What follows the victim's next renewal. */
static void at_renewal(enum leg leg, int64_t late_us, event_fn *then, int64_t within_us)
{
    struct delay *renewal = delay(play.victim, STATEMENT_RENEW, leg, late_us, late_us);
    renewal->then = then;
    renewal->then_us = within_us;
}

static void lease_renews(void *object, uint64_t number)
{
    (void)object;
    if (!is_over(number)) {
        int64_t late = sim_chance(200000) ? 1 : sim_between(30 * MS, 950 * MS);
        at_renewal((enum leg)sim_below(3), late, lease_closes, 60 * MS);
    }
}

static void play_lease(void)
{
    warm_up(20 * MS);
    after(25 * MS, lease_renews);
}

/* --- a lease whose row nobody sees yet (T4) ---------------------------------------------------*/

static void play_joiner(void)
{
    struct process *leaver = daemons[play.victim];
    warm_up(20 * MS);
    struct delay *first = delay(play.victim, STATEMENT_RENEW, LEG_STAY, 100 * MS, 900 * MS);
    first->before = leaver;
    first->then = lease_closes;
    first->then_us = 100 * MS;
    process_stop(leaver);
}

/* --- a fill that is older than its era (T7 b, T9) ---------------------------------------------*/

static void fill_changes(void *object, uint64_t number)
{
    (void)object;
    if (!is_over(number)) {
        if (sim_chance(300000)) {
            delay(play.helper, STATEMENT_POST, LEG_STAY, 100 * MS, 900 * MS);
        }
        post(play.helper, MUTATION_CREDIT, 1);
    }
}

static void fill_opens(void *object, uint64_t number)
{
    (void)object;
    if (!is_over(number)) {
        db_switch(false);
    }
}

static void fill_closes(void *object, uint64_t number)
{
    (void)object;
    if (!is_over(number)) {
        db_switch(true);
        after(sim_between(5 * MS, 60 * MS), fill_changes);
        after(sim_between(20 * MS, 150 * MS), fill_opens);
    }
}

/* The era ends, the account changes and the next era opens while the statement that fills the
 * victim's cache is on its way back, a reader's or a rebuild's; or while the posting has seen
 * `drained` and not committed. */
static void fill_reads(void *object, uint64_t number)
{
    (void)object;
    if (is_over(number) || daemons[play.victim] == NULL) {
        return;
    }
    int64_t late = sim_between(100 * MS, 1500 * MS);
    for (int i = 0; i < REDIS_NODES; i++) {
        redis_evict(i, play.account);
    }
    struct delay *reading = delay(play.victim, STATEMENT_ACCOUNTS, LEG_BACK, late, late);
    reading->then = fill_closes;
    reading->then_us = 20 * MS;
    if (sim_chance(400000)) {
        rebuild_begin(daemons[play.victim]);
    } else {
        clients_ask_read(play.victim, play.account);
    }
    for (int i = 1; i <= 4; i++) {
        after(late + i * 15 * MS, read_at_both);
    }
    after(late + 100 * MS, curtain);
}

static void play_fill(void)
{
    post(play.helper, MUTATION_CREDIT, 1);
    after(30 * MS, fill_reads);
}

/* --- a closer that comes too late (T4) --------------------------------------------------------*/

static void closer_closes_next(void *object, uint64_t number)
{
    (void)object;
    if (!is_over(number)) {
        play.deaf = true;
        db_switch(true);
        ask_both();
        after(sim_between(100 * MS, 600 * MS), curtain);
    }
}

/* The helper's own drain of the first era is on its way until the second one is closing. */
static void play_closer(void)
{
    int64_t late = sim_between(150 * MS, 900 * MS);
    warm_up(10 * MS);
    delay(play.helper, STATEMENT_ERA_DRAIN, LEG_THERE, late, late);
    db_switch(true);
    after(sim_between(10 * MS, 60 * MS), fill_opens);
    after(late - sim_between(20 * MS, 60 * MS), read_at_both);
    after(late - sim_between(0, 15 * MS), closer_closes_next);
}

/* --- a close that a failover forgets (T14) ----------------------------------------------------*/

static void failover_accepted(void *object, uint64_t number)
{
    (void)object;
    if (!is_over(number)) {
        db_accept_timeline();
        curtain(NULL, number);
    }
}

/* Those that live on have dropped the era, but for the victim, which has not heard of the close. */
static void failover_strikes(void *object, uint64_t number)
{
    (void)object;
    if (is_over(number)) {
        return;
    }
    db_switch(false);
    db_failover();
    for (int i = 0; i < daemon_count && !play.deaf; i++) {
        if (daemons[i] != NULL) {
            process_crash(daemons[i]);
        }
    }
    ask_both();
    after(sim_between(1000 * MS, 2500 * MS), failover_accepted);
}

static void failover_posts(void *object, uint64_t number)
{
    (void)object;
    if (!is_over(number)) {
        post(play.helper, MUTATION_CREDIT, 1);
        after(sim_between(10 * MS, 60 * MS), failover_strikes);
    }
}

static void failover_closes(void *object, uint64_t number)
{
    (void)object;
    if (is_over(number)) {
        return;
    }
    play.deaf = sim_chance(600000);
    db_switch(true);
    if (play.deaf) {
        delay(play.victim, ANY_CONTROL, LEG_THERE, 600 * MS, 1400 * MS);
    }
    after(sim_between(5 * MS, 100 * MS), failover_posts);
}

/* The account changes while the era is drained, or cannot be. */
static void play_failover(void)
{
    warm_up(20 * MS);
    at_renewal(LEG_BACK, 1, failover_closes, 40 * MS);
}

/* --- a statement that outlives its connection (invariant 2) -----------------------------------*/

static void backend_pays(void *object, uint64_t number)
{
    (void)object;
    if (!is_over(number)) {
        post(play.victim, MUTATION_CREDIT, 100);
    }
}

static void backend_breaks(void *object, uint64_t number)
{
    (void)object;
    if (!is_over(number)) {
        play.delay_count = 0;
        store_links_cut(daemons[play.helper]);
        after(sim_between(150 * MS, 350 * MS), backend_pays);
    }
}

/* A debit that is refused as it is sent again, and would not be any more when its first self
 * arrives at last. */
static void play_backend(void)
{
    struct account_state state = db_present(play.account);
    delay(play.helper, STATEMENT_POST, LEG_THERE, 300 * MS, 900 * MS);
    int64_t room = state.balance - state.floor;
    post(play.helper, MUTATION_DEBIT, (room > 0 ? room : 0) + 10);
    after(sim_between(1 * MS, 5 * MS), backend_breaks);
    after(SECOND, curtain);
}

/* --- the season -------------------------------------------------------------------------------*/

static void begin(void *object, uint64_t arg)
{
    static void (*const plays[])(void) = {play_lease,  play_lease,    play_lease,
                                          play_joiner, play_fill,     play_fill,
                                          play_closer, play_failover, play_backend};
    (void)object;
    (void)arg;
    if (!world.storm) {
        return;
    }
    int victim = (int)sim_below((uint32_t)daemon_count);
    int helper = (victim + 1 + (int)sim_below((uint32_t)daemon_count - 1)) % daemon_count;
    if (play.running || daemons[victim] == NULL || daemons[helper] == NULL ||
        db_era()->state != ERA_OPEN) {
        world_after(sim_between(1 * MS, 50 * MS), NULL, begin, NULL, 0);
        return;
    }
    world_after(sim_between(1, 2 * world.rate[FAULT_SCHEDULE] * MS), NULL, begin, NULL, 0);
    play.running = true;
    play.number++;
    play.victim = victim;
    play.helper = helper;
    play.account = sim_chance(800000) ? world.account_count - 1 : any_account();
    play.deaf = play.asking = false;
    play.delay_count = 0;
    uint32_t chosen = sim_below(sizeof plays / sizeof plays[0]);
    trace_note(-1, daemons[victim]->name, "schedule: number, account", chosen,
               (uint64_t)play.account);
    fault_count(FAULT_SCHEDULE);
    plays[chosen]();
    after(LONGEST, curtain);
}

void schedules_begin(void)
{
    memset(&play, 0, sizeof play);
    if (world.rate[FAULT_SCHEDULE] > 0) {
        world_after(sim_between(1, 2 * world.rate[FAULT_SCHEDULE] * MS), NULL, begin, NULL, 0);
    }
}

void schedules_end(void)
{
    play.running = false;
}
