/* The season of plays, and what they have at hand; see the headers. */
#include "schedules.h"

#include <string.h>

#include "base/attributes.h"
#include "clients.h"
#include "redis.h"
#include "stage.h"
#include "trace.h"

#define LONGEST (4 * SECOND)

struct stage stage;

/* --- props ------------------------------------------------------------------------------------*/

bool stage_is_over(uint64_t number)
{
    return !stage.running || number != stage.number;
}

void stage_after(int64_t delay_us, event_fn *run)
{
    world_after(delay_us, NULL, run, NULL, stage.number);
}

struct delay *stage_delay(int slot, int kind, enum leg leg, int64_t least_us, int64_t most_us)
{
    struct delay *added = &stage.delays[stage.delay_count++];
    assert(stage.delay_count <= DELAYS_MAX);
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
    for (int i = 0; stage.running && statement->link != NULL && i < stage.delay_count; i++) {
        struct delay *at = &stage.delays[i];
        if (concerns(at, statement, leg)) {
            int64_t late = sim_between(at->least_us, at->most_us);
            if (at->then != NULL) {
                stage_after(sim_between(0, at->then_us), at->then);
                *at = stage.delays[--stage.delay_count];
            }
            return late;
        }
    }
    return 0;
}

bool schedule_is_deaf(int slot)
{
    return stage.running && stage.deaf && slot == stage.victim;
}

void stage_post(int slot, enum mutation_kind kind, int64_t amount)
{
    clients_ask_posting(slot, kind, stage.account, amount);
}

static void ask_reads(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number) && stage.asking) {
        clients_ask_read(stage.victim, stage.account);
        stage_after(sim_between(2 * MS, 15 * MS), ask_reads);
    }
}

static void ask_postings(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number) && stage.asking) {
        stage_post(stage.helper, MUTATION_CREDIT, 1);
        stage_after(sim_between(4 * MS, 30 * MS), ask_postings);
    }
}

/* The helper changes the account, again and again, and the victim reads it. */
void stage_ask_both(void)
{
    stage.asking = true;
    stage_after(sim_between(0, 30 * MS), ask_postings);
    stage_after(sim_between(0, 10 * MS), ask_reads);
}

void stage_curtain(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        stage.running = false;
        db_switch(false);
    }
}

void stage_switch_on(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        db_switch(false);
    }
}

void stage_evict(void)
{
    for (int i = 0; i < REDIS_NODES; i++) {
        redis_evict(i, stage.account);
    }
}

void stage_read_at_victim(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        clients_ask_read(stage.victim, stage.account);
    }
}

void stage_read_at_both(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        clients_ask_read(stage.victim, stage.account);
        clients_ask_read(stage.helper, stage.account);
    }
}

/* The value of the present era stands in the cache. */
void stage_warm_up(int64_t within_us)
{
    stage_post(stage.helper, MUTATION_CREDIT, 1);
    stage_after(within_us / 2, stage_read_at_both);
    stage_after(within_us * 3 / 4, stage_read_at_both);
}

/* --- the season -------------------------------------------------------------------------------*/

static void begin(void *object, uint64_t arg)
{
    static void (*const plays[])(void) = {play_lease,    play_lease,   play_lease,   play_joiner,
                                          play_fill,     play_fill,    play_rebuild, play_closer,
                                          play_failover, play_backend, play_rebuild, play_death,
                                          play_return,   play_return,  play_masters};
    (void)object;
    (void)arg;
    if (!world.storm || stage.last) {
        return;
    }
    int victim = (int)sim_below((uint32_t)daemon_count);
    int helper = (victim + 1 + (int)sim_below((uint32_t)daemon_count - 1)) % daemon_count;
    if (stage.running || daemons[victim] == NULL || daemons[helper] == NULL ||
        db_era()->state != ERA_OPEN) {
        world_after(sim_between(1 * MS, 50 * MS), NULL, begin, NULL, 0);
        return;
    }
    world_after(sim_between(1, 2 * world.rate[FAULT_SCHEDULE] * MS), NULL, begin, NULL, 0);
    stage.running = true;
    stage.number++;
    stage.victim = victim;
    stage.helper = helper;
    stage.account = sim_chance(800000) ? world.account_count - 1 : any_account();
    stage.deaf = stage.asking = false;
    stage.delay_count = 0;
    uint32_t chosen = sim_below(sizeof plays / sizeof plays[0]);
    trace_note(-1, daemons[victim]->name, "schedule: number, account", chosen,
               (uint64_t)stage.account);
    fault_count(FAULT_SCHEDULE);
    plays[chosen]();
    stage_after(LONGEST, stage_curtain);
}

void schedules_begin(void)
{
    memset(&stage, 0, sizeof stage);
    if (world.rate[FAULT_SCHEDULE] > 0) {
        world_after(sim_between(1, 2 * world.rate[FAULT_SCHEDULE] * MS), NULL, begin, NULL, 0);
    }
}

void schedules_end(void)
{
    stage.running = false;
}
