/* What each part of the daemon is, by what is known of it, and when its state changes. */
#include "server/health.h"

#include "base/log.h"
#include "unit.h"

#define LEASE_US 1000000
#define NOW_US 50000000

static struct trust_status trust;
static struct engine_status engines;
static struct health_facts facts;
static struct health health;

static void setup(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    trust = (struct trust_status){
        .phase = TRUST_TRUSTING, .renewed_us = NOW_US - LEASE_US / 2, .why = ""};
    engines = (struct engine_status){.writer_up = true,
                                     .reader_up = true,
                                     .cache_up = true,
                                     .store_why = "",
                                     .cache_why = "",
                                     .refusal = ""};
    facts = (struct health_facts){.trust = &trust,
                                  .engines = &engines,
                                  .store_up = true,
                                  .cache_up = true,
                                  .store_why = "",
                                  .cache_why = "",
                                  .lease_us = LEASE_US,
                                  .queue_max = 100,
                                  .read_queue_max = 1000};
    health_init(&health, 0, 0);
}

/* Judges at NOW_US; only this part must not be ok. */
static const struct health_item *only(enum health_part part, enum health_state state)
{
    health_update(&health, &facts, true, NOW_US, 7);
    for (int i = 0; i < HEALTH_PARTS; i++) {
        const struct health_item *item = &health.parts[i];
        ck_assert_msg(item->state == (i == (int)part ? state : HEALTH_OK), "%s is %s: %s",
                      health_part_name(i), health_state_name(item->state), item->cause);
        ck_assert_int_eq(item->state == HEALTH_OK, item->cause[0] == '\0');
        ck_assert_int_eq(item->state == HEALTH_OK, item->action[0] == '\0');
    }
    return &health.parts[part];
}

START_TEST(all_is_well)
{
    setup();
    only(HEALTH_STORE, HEALTH_OK);
}
END_TEST

START_TEST(the_store)
{
    setup();
    engines.reader_up = false;
    engines.store_why = "refused";
    ck_assert_str_eq(only(HEALTH_STORE, HEALTH_FAILED)->cause, "refused");
    setup();
    engines.writer_up = false;
    facts.store_why = "timed out"; /* the workers have not said why */
    ck_assert_str_eq(only(HEALTH_STORE, HEALTH_FAILED)->cause, "timed out");
    setup();
    engines.refusal = "disk full";
    ck_assert_str_eq(only(HEALTH_STORE, HEALTH_FAILED)->cause, "no writes are taken: disk full");
    setup();
    facts.store_up = false; /* requests are served, and the lease will run out */
    facts.store_why = "refused";
    ck_assert_str_eq(only(HEALTH_STORE, HEALTH_DEGRADED)->cause, "the link of the lease: refused");
}
END_TEST

START_TEST(the_cache)
{
    setup();
    engines.cache_up = false;
    engines.cache_why = "READONLY";
    ck_assert_str_eq(only(HEALTH_CACHE, HEALTH_DEGRADED)->cause, "READONLY");
    setup();
    facts.cache_up = false;
    facts.cache_why = "no reply in time";
    ck_assert_str_eq(only(HEALTH_CACHE, HEALTH_DEGRADED)->cause, "no reply in time");
}
END_TEST

START_TEST(the_era)
{
    static const enum trust_phase phases[] = {TRUST_NO_STORE, TRUST_JOINING, TRUST_ELSEWHERE,
                                              TRUST_CLOSING, TRUST_DRAINED};

    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        setup();
        trust.phase = phases[i];
        trust.why = "it waits";
        ck_assert_str_eq(only(HEALTH_ERA, HEALTH_DEGRADED)->cause, "it waits");
    }
    trust.switched_off = true;
    ck_assert_str_eq(only(HEALTH_ERA, HEALTH_DEGRADED)->action,
                     "keeps the era closed; answers from the store");
    setup();
    trust.phase = TRUST_ASIDE; /* then it has no lease either */
    trust.why = "cut off";
    health_update(&health, &facts, true, NOW_US, 7);
    ck_assert_int_eq(health.parts[HEALTH_ERA].state, HEALTH_FAILED);
    ck_assert_int_eq(health.parts[HEALTH_LEASE].state, HEALTH_DEGRADED);
}
END_TEST

START_TEST(the_lease)
{
    setup();
    trust.renewed_us = NOW_US - LEASE_US;
    only(HEALTH_LEASE, HEALTH_DEGRADED);
    setup();
    trust.renewed_us = 0;
    only(HEALTH_LEASE, HEALTH_DEGRADED);
    setup();
    trust.fenced = true;
    only(HEALTH_LEASE, HEALTH_DEGRADED);
}
END_TEST

START_TEST(the_backlog)
{
    setup();
    engines.writes_queued = 49;
    only(HEALTH_BACKLOG, HEALTH_OK);
    engines.writes_queued = 50;
    only(HEALTH_BACKLOG, HEALTH_DEGRADED);
    engines.writes_queued = 100;
    only(HEALTH_BACKLOG, HEALTH_FAILED);
    setup();
    engines.reads_waiting = 1000;
    only(HEALTH_BACKLOG, HEALTH_FAILED);
    setup();
    engines.writes_in_doubt = 3;
    engines.oldest_doubt_us = 2500000;
    ck_assert_str_eq(only(HEALTH_BACKLOG, HEALTH_DEGRADED)->cause,
                     "3 mutations in doubt, the oldest since 2500 ms");
}
END_TEST

START_TEST(since_when)
{
    setup();
    health_update(&health, &facts, true, NOW_US, 7);
    engines.cache_up = false;
    engines.cache_why = "refused";
    health_update(&health, &facts, true, NOW_US + 1000, 8);
    engines.cache_why = "timed out"; /* another cause of the same state */
    health_update(&health, &facts, true, NOW_US + 2000, 9);
    ck_assert_int_eq(health.parts[HEALTH_CACHE].since_us, NOW_US + 1000);
    ck_assert_int_eq(health.parts[HEALTH_CACHE].since_wall_ms, 8);
    ck_assert_str_eq(health.parts[HEALTH_CACHE].cause, "timed out");
    ck_assert_int_eq(health.parts[HEALTH_STORE].since_us, NOW_US);
}
END_TEST

START_TEST(in_one_line)
{
    char line[HEALTH_SUMMARY_ROOM], cause[STORE_TEXT_MAX];

    setup();
    health_update(&health, &facts, true, NOW_US, 7);
    health_summarize(&health, line);
    ck_assert_str_eq(line, "ok");
    engines.cache_up = false;
    engines.cache_why = "refus\xe9\n";
    trust.fenced = true;
    health_update(&health, &facts, true, NOW_US, 7);
    health_summarize(&health, line);
    ck_assert_str_eq(line, "cache degraded: refus??"); /* the first of two as bad */
    engines.writes_queued = 100;
    health_update(&health, &facts, true, NOW_US, 7);
    health_summarize(&health, line);
    ck_assert_str_eq(line, "backlog failed: 100 mutations and 0 reads wait for the store: "
                           "a queue is full"); /* the worst */
    memset(cause, 'x', sizeof cause - 1);
    cause[sizeof cause - 1] = '\0';
    setup();
    engines.cache_up = false;
    engines.cache_why = cause;
    health_update(&health, &facts, true, NOW_US, 7);
    health_summarize(&health, line);
    ck_assert_uint_eq(strlen(line), sizeof line - 1);
}
END_TEST

UNIT_MAIN("health", all_is_well, the_store, the_cache, the_era, the_lease, the_backlog, since_when,
          in_one_line)
