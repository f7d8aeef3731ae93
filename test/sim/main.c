/*
 * The simulator: the real engine and trust machine, driven from a seed.
 *
 *   sim [SEED=n] [SEEDS=a..b] [MUTANT=name] [SECONDS=n] [VERBOSE=1] [MUTANTS=list] [SCRIPT=path]
 *
 * A seed is a storm of some virtual seconds, then calm: an era must open, every request must have
 * been answered, and reads must come from the cache at every daemon. SECONDS bounds the processor's time.
 * Exit status 1: a check failed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/attributes.h"
#include "base/mutant.h"
#include "checker.h"
#include "clients.h"
#include "conformance.h"
#include "faults.h"
#include "fake_links.h"
#include "redis.h"
#include "trace.h"

/* The longest waits: a late backend, W, the pause before an era. */
#define CALM_MAX_US (12 * SECOND)
#define CALM_STEP_US (250 * MS)
#define WARM_US (500 * MS)
#define PROBES_US SECOND
#define PROBE_EVERY_US (20 * MS)

struct options {
    uint64_t first, last;
    bool single;
    int seconds;
};

static const char *const mutant_names[] = {"none",
#define MUTANT_NAME(name, rule, text) #name,
                                           MUTANT_ROWS(MUTANT_NAME)
#undef MUTANT_NAME
};

static void probe(void *object, uint64_t arg)
{
    (void)object;
    clients_probe();
    if (arg > 0) {
        world_after(PROBE_EVERY_US, NULL, probe, NULL, arg - 1);
    }
}

static bool is_trusting(void)
{
    bool trusting = true;
    for (int i = 0; i < daemon_count && trusting; i++) {
        struct trust_status status;
        if (daemons[i] == NULL || daemons[i]->stopping) {
            return false;
        }
        trust_status(daemons[i]->trust, &status);
        trusting = status.phase == TRUST_TRUSTING;
    }
    return trusting;
}

static void probe_for(int64_t time_us)
{
    probe(NULL, (uint64_t)(time_us / PROBE_EVERY_US) - 1);
    world_run(world.now + time_us);
}

/* Reads of every account at every daemon, once their first misses are over. */
static bool reads_come_from_the_cache(void)
{
    probe_for(WARM_US);
    uint64_t sent = clients_probes_sent(), hits = clients_probes_from_cache();
    probe_for(PROBES_US);
    sent = clients_probes_sent() - sent;
    hits = clients_probes_from_cache() - hits;
    return hits * 10 >= sent * 9;
}

static void fail_unless_trusting(void)
{
    for (int i = 0; i < daemon_count; i++) {
        struct trust_status status;
        if (daemons[i] == NULL) {
            checker_fail(-1, "daemon %d is not there", i);
            continue;
        }
        trust_status(daemons[i]->trust, &status);
        if (status.phase != TRUST_TRUSTING) {
            checker_fail(-1, "%s does not trust an era after the storm: %s, %s", daemons[i]->name,
                         trust_phase_name(status.phase), status.why);
        }
    }
}

/* What was committed is not hidden for ever by a value of the open era (T12): whoever died on the way,
 * somebody has published it. */
static void check_nothing_is_hidden(void)
{
    const struct keyspace *keys = &redis_nodes[redis_address()].keys;
    for (int i = 0; i < world.account_count && !world.failed; i++) {
        const struct slot *slot = &keys->slots[i];
        if (slot->kind == SLOT_VALUE && slot->era == db_era()->id &&
            slot->state.version < db_version(i)) {
            checker_fail(i, "version %" PRIu64 " is hidden by %" PRIu64 " in the cache",
                         db_version(i), slot->state.version);
        }
    }
}

static void calm(void)
{
    int64_t until = world.now + CALM_MAX_US;
    bool whole = false;
    faults_end();
    while (!is_trusting() && world.now < until && !world.failed) {
        world_run(world.now + CALM_STEP_US);
    }
    clients_stop();
    while (!whole && world.now < until && !world.failed) {
        whole = reads_come_from_the_cache() && is_trusting();
    }
    if (!whole && !world.failed) {
        fail_unless_trusting();
        checker_fail(-1, "after the storm reads do not come from the cache");
    }
    world_run(world.now + CLIENTS_DEADLINE_MAX);
    clients_check_all_answered();
    check_nothing_is_hidden();
}

static void run_seed(uint64_t seed)
{
    world_begin(seed);
    trace_clear();
    checker_begin();
    world.account_count = (int)sim_between(2, ACCOUNTS_MAX);
    world.skewed = sim_chance(500000);
    world.staged = sim_chance(300000);
    world.aside = sim_chance(200000);
    world.quiet_accounts = world.account_count > 2 && sim_chance(600000);
    daemon_count = (int)sim_between(2, DAEMONS_MAX);
    redis_begin();
    db_begin();
    int64_t storm_ends = sim_between(2, 8) * SECOND;
    faults_begin();
    for (int i = 0; i < daemon_count; i++) {
        process_start(i);
    }
    clients_begin();
    world_run(storm_ends);
    if (!world.failed) {
        calm();
    }
    processes_end();
    cache_links_forget();
    store_links_forget();
    statements_forget();
    world_end();
}

/* Of the processor: others may be at work beside us. */
static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t faults_done(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < FAULT_COUNT; i++) {
        sum += world.faults[i];
    }
    return sum;
}

static void report(double virtual_seconds, uint64_t violations)
{
    printf("operations %" PRIu64 "\n", world.operations);
    printf("virtual_seconds %.3f\n", virtual_seconds);
    for (int i = 0; i < FAULT_COUNT; i++) {
        printf("fault %s %" PRIu64 "\n", fault_word((enum fault)i), world.faults[i]);
    }
    printf("faults %" PRIu64 "\nviolations %" PRIu64 "\n", faults_done(), violations);
}

static void list_mutants(void)
{
#define MUTANT_LINE(name, rule, text) printf("%-12s %-6s %s\n", #name, rule, text);
    MUTANT_ROWS(MUTANT_LINE)
#undef MUTANT_LINE
    exit(0);
}

static void choose_mutant(const char *name)
{
    for (size_t i = 0; i < sizeof mutant_names / sizeof mutant_names[0]; i++) {
        if (strcmp(mutant_names[i], name) == 0) {
            mutant_chosen = (enum mutant)i;
            return;
        }
    }
    fprintf(stderr, "sim: no such mutant: %s (MUTANTS=list)\n", name);
    exit(64);
}

static struct options parse(int argc, char **argv)
{
    struct options options = {1, 100, false, 0};
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        char *end;
        if (value == NULL) {
            fprintf(stderr, "sim: NAME=value expected: %s\n", argv[i]);
            exit(64);
        }
        *value++ = '\0';
        if (strcmp(argv[i], "SEED") == 0) {
            options.first = options.last = strtoull(value, NULL, 10);
            options.single = true;
        } else if (strcmp(argv[i], "SEEDS") == 0) {
            options.first = strtoull(value, &end, 10);
            options.last = strncmp(end, "..", 2) == 0 ? strtoull(end + 2, NULL, 10) : options.first;
        } else if (strcmp(argv[i], "MUTANT") == 0) {
            choose_mutant(value);
        } else if (strcmp(argv[i], "MUTANTS") == 0) {
            list_mutants();
        } else if (strcmp(argv[i], "SCRIPT") == 0) {
            exit(conformance_run(value));
        } else if (strcmp(argv[i], "SECONDS") == 0) {
            options.seconds = atoi(value);
        } else if (strcmp(argv[i], "VERBOSE") == 0) {
            trace_verbose = value[0] == '1';
        } else {
            fprintf(stderr, "sim: unknown: %s\n", argv[i]);
            exit(64);
        }
    }
    return options;
}

int main(int argc, char **argv)
{
    struct options options = parse(argc, argv);
    double started = seconds_now(), virtual_seconds = 0;
    bool failed = false;
    for (uint64_t seed = options.first; seed <= options.last && !failed; seed++) {
        run_seed(seed);
        virtual_seconds += (double)world.now / 1e6;
        failed = world.failed;
        if (options.seconds > 0 && seconds_now() - started > options.seconds) {
            options.last = seed;
        }
    }
    report(virtual_seconds, failed);
    if (!options.single) {
        double took = seconds_now() - started;
        printf("seeds %" PRIu64 "..%" PRIu64 "\ncpu_seconds %.2f\noperations_per_cpu_second %.0f\n",
               options.first, failed ? world.seed : options.last, took,
               (double)world.operations / took);
    }
    return failed ? 1 : 0;
}
