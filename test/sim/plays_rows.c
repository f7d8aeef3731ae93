/* Plays around rows that grow old on their way; see schedules.h. */
#include "clients.h"
#include "fake_links.h"
#include "rebuild.h"
#include "redis.h"
#include "stage.h"

#define PAGE_LATE_US (200 * MS) /* a page of a rebuild, on its way back */

/* --- a fill that is older than its era (T7 b, T9) ---------------------------------------------*/

static void fill_changes(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        if (sim_chance(300000)) {
            stage_delay(stage.helper, STATEMENT_POST, LEG_STAY, 100 * MS, 900 * MS);
        }
        stage_post(stage.helper, MUTATION_CREDIT, 1);
    }
}

static void fill_closes(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        db_switch(true);
        stage_after(sim_between(5 * MS, 60 * MS), fill_changes);
        stage_after(sim_between(20 * MS, 150 * MS), stage_switch_on);
    }
}

/* The era ends, the account changes and the next era opens while the statement that fills the
 * victim's cache is on its way back, a reader's or a rebuild's; or while the posting has seen
 * `drained` and not committed. */
static void fill_reads(void *object, uint64_t number)
{
    (void)object;
    if (stage_is_over(number) || daemons[stage.victim] == NULL) {
        return;
    }
    int64_t late = sim_between(100 * MS, 1500 * MS);
    stage_evict();
    struct delay *reading = stage_delay(stage.victim, STATEMENT_ACCOUNTS, LEG_BACK, late, late);
    reading->then = fill_closes;
    reading->then_us = 20 * MS;
    if (sim_chance(400000)) {
        rebuild_begin(daemons[stage.victim]);
    } else {
        clients_ask_read(stage.victim, stage.account);
    }
    for (int i = 1; i <= 4; i++) {
        stage_after(late + i * 15 * MS, stage_read_at_both);
    }
    stage_after(late + 100 * MS, stage_curtain);
}

void play_fill(void)
{
    stage_post(stage.helper, MUTATION_CREDIT, 1);
    stage_after(30 * MS, fill_reads);
}

/* --- a rebuild that writes an old row (T11) ---------------------------------------------------*/

static void rebuild_evicts(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        stage_evict();
    }
}

static void rebuild_fills(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        clients_ask_read(stage.helper, stage.account);
    }
}

static void rebuild_loses_marks(void *object, uint64_t number)
{
    (void)object;
    for (int i = 0; i < REDIS_NODES && !stage_is_over(number); i++) {
        redis_evict_marks(i);
    }
}

/* The page was read. What it says of the account is old by the time at which it is written: either
 * a posting was acknowledged, whose publish found nothing to write; or its daemon has not heard of
 * the commit yet, and a reader was shown it by a fill that is evicted again. The marks that tell of it may be lost. */
static void rebuild_grows_old(void *object, uint64_t number)
{
    (void)object;
    if (stage_is_over(number)) {
        return;
    }
    if (sim_chance(500000)) {
        stage_delay(stage.helper, STATEMENT_POST, LEG_BACK, 600 * MS, 900 * MS);
        stage_after(10 * MS, rebuild_fills);
        stage_after(sim_between(30 * MS, 100 * MS), rebuild_evicts);
    }
    stage_post(stage.helper, MUTATION_CREDIT, 1);
    if (sim_chance(250000)) {
        stage_after(sim_between(30 * MS, PAGE_LATE_US), rebuild_loses_marks);
    }
    for (int i = 1; i <= 6; i++) {
        stage_after(PAGE_LATE_US + i * 20 * MS, stage_read_at_victim);
    }
    stage_after(PAGE_LATE_US + 200 * MS, stage_curtain);
}

static void rebuild_reads(void *object, uint64_t number)
{
    (void)object;
    if (stage_is_over(number) || daemons[stage.victim] == NULL) {
        return;
    }
    bool alone = sim_chance(300000);
    struct delay *page = stage_delay(alone ? daemon_count : stage.victim, STATEMENT_PAGE, LEG_BACK,
                                     PAGE_LATE_US, PAGE_LATE_US);
    page->then = rebuild_grows_old;
    page->then_us = 10 * MS;
    stage_evict();
    rebuild_begin(alone ? NULL : daemons[stage.victim]);
}

void play_rebuild(void)
{
    stage_post(stage.helper, MUTATION_CREDIT, 1);
    stage_after(30 * MS, rebuild_reads);
}

/* --- a statement that outlives its connection (invariant 2) -----------------------------------*/

static void backend_pays(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        stage_post(stage.victim, MUTATION_CREDIT, 100);
    }
}

static void backend_breaks(void *object, uint64_t number)
{
    (void)object;
    if (!stage_is_over(number)) {
        stage.delay_count = 0;
        store_links_cut(daemons[stage.helper]);
        stage_after(sim_between(150 * MS, 350 * MS), backend_pays);
    }
}

/* A debit that is refused as it is sent again, and would not be any more when its first self
 * arrives at last. */
void play_backend(void)
{
    struct account_state state = db_present(stage.account);
    stage_delay(stage.helper, STATEMENT_POST, LEG_THERE, 300 * MS, 900 * MS);
    int64_t room = state.balance - state.floor;
    stage_post(stage.helper, MUTATION_DEBIT, (room > 0 ? room : 0) + 10);
    stage_after(sim_between(1 * MS, 5 * MS), backend_breaks);
    stage_after(SECOND, stage_curtain);
}
