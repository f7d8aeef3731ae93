/*
 * Runs the table of checks. The sections that ask servers have threads, and their findings are
 * handed over row by row under a lock, so that whatever has been found counts also where a thread
 * does not come back in time: libpq looks names up without a deadline. Such a thread is left to
 * itself, with all that it uses.
 */
#include "ops/doctor.h"

#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cache/info.h"
#include "ops/doctor_checks.h"

enum section { CONFIG, HOST, REDIS, POSTGRES, DAEMON, TRUST, SECTION_COUNT };
enum kind { ROW, GATE };

static const struct check {
    enum section section;
    const char *name;
    void (*run)(struct doctor_exam *exam, struct doctor_finding *finding);
    enum kind kind;
} checks[] = {
#define DOCTOR_ROW(section, name, function, kind) {section, name, check_##function, kind},
    DOCTOR_CHECKS(DOCTOR_ROW)
#undef DOCTOR_ROW
};
#define CHECK_COUNT (sizeof checks / sizeof checks[0])

struct examiner {
    struct doctor *doctor;
    enum section section;
};

struct doctor {
    struct doctor_exam exam;
    struct examiner examiners[SECTION_COUNT];

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t progress;
    int running; /* threads */
    bool made[CHECK_COUNT];
    struct doctor_finding findings[CHECK_COUNT];
};

/* --- findings ---------------------------------------------------------------------------------*/

const char *doctor_result_name(enum doctor_result result)
{
    static const char *const names[] = {"ok", "warn", "fail", "skipped"};

    assert((unsigned)result < sizeof names / sizeof names[0]);
    return names[result];
}

void doctor_find(struct doctor_finding *finding, enum doctor_result result, const char *fmt, ...)
{
    va_list args;

    finding->result = result;
    va_start(args, fmt);
    vsnprintf(finding->evidence, sizeof finding->evidence, fmt, args);
    va_end(args);
}

void doctor_next(struct doctor_finding *finding, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(finding->next, sizeof finding->next, fmt, args);
    va_end(args);
}

const char *doctor_size(char out[DOCTOR_SIZE_ROOM], int64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double size = (double)bytes;
    size_t unit = 0;

    while (size >= 1024 && unit < 4) {
        size /= 1024;
        unit++;
    }
    snprintf(out, DOCTOR_SIZE_ROOM, unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
    return out;
}

int64_t doctor_info_number(const char *info, const char *name, int64_t otherwise)
{
    return cache_info_number(info, strlen(info), name, otherwise);
}

const char *doctor_info_text(const char *info, const char *name, char *out, size_t size)
{
    (void)cache_info_field(info, strlen(info), name, out, size);
    return out;
}

/* --- sections ---------------------------------------------------------------------------------*/

static bool has_thread(enum section section)
{
    return section == REDIS || section == POSTGRES || section == DAEMON;
}

/* False where nobody waits for it any more. */
static bool hand_over(struct doctor *doctor, size_t row, const struct doctor_finding *finding)
{
    pthread_mutex_lock(&doctor->lock);
    bool wanted = !doctor->exam.abandoned || !has_thread(checks[row].section);
    if (wanted) {
        doctor->findings[row] = *finding;
        doctor->made[row] = true;
    }
    pthread_mutex_unlock(&doctor->lock);
    return wanted;
}

static void run_section(struct doctor *doctor, enum section section)
{
    bool closed = false;

    for (size_t i = 0; i < CHECK_COUNT; i++) {
        struct doctor_finding finding = {.result = DOCTOR_SKIPPED};
        if (checks[i].section != section) {
            continue;
        }
        if (!closed) {
            checks[i].run(&doctor->exam, &finding);
            assert(finding.evidence[0] != '\0' || finding.result == DOCTOR_SKIPPED);
            assert((finding.next[0] != '\0') ==
                   (finding.result == DOCTOR_WARN || finding.result == DOCTOR_FAIL));
        }
        if (!hand_over(doctor, i, &finding)) {
            return;
        }
        closed |= checks[i].kind == GATE && finding.result != DOCTOR_OK;
    }
}

static void *run_thread(void *arg)
{
    struct examiner *examiner = arg;
    struct doctor *doctor = examiner->doctor;

    run_section(doctor, examiner->section);
    pthread_mutex_lock(&doctor->lock);
    doctor->running--;
    pthread_cond_signal(&doctor->progress);
    pthread_mutex_unlock(&doctor->lock);
    return NULL;
}

static void start_thread(struct doctor *doctor, enum section section)
{
    pthread_t thread;

    doctor->examiners[section] = (struct examiner){doctor, section};
    pthread_mutex_lock(&doctor->lock);
    doctor->running++;
    pthread_mutex_unlock(&doctor->lock);
    if (pthread_create(&thread, NULL, run_thread, &doctor->examiners[section]) != 0 ||
        pthread_detach(thread) != 0) {
        abort();
    }
}

/* Until all threads are done, or it is too late for them. */
static void await_threads(struct doctor *doctor)
{
    int64_t until_us = doctor->exam.began_us + DOCTOR_TIME_MAX_MS * INT64_C(1000);
    int late = 0;

    pthread_mutex_lock(&doctor->lock);
    while (doctor->running > 0 && late == 0) {
        int64_t left_us = until_us - clock_boot_us();
        struct timespec at;

        clock_gettime(CLOCK_MONOTONIC, &at);
        at.tv_sec += left_us > 0 ? left_us / 1000000 : 0;
        at.tv_nsec += left_us > 0 ? left_us % 1000000 * 1000 : 0;
        if (at.tv_nsec >= 1000000000) {
            at.tv_sec++;
            at.tv_nsec -= 1000000000;
        }
        late = pthread_cond_timedwait(&doctor->progress, &doctor->lock, &at);
    }
    doctor->exam.abandoned = doctor->running > 0;
    pthread_mutex_unlock(&doctor->lock);
}

/* What a thread that is late was at is a finding of its own; what it did not come to is none. */
static void judge_late(struct doctor *doctor)
{
    bool blamed[SECTION_COUNT] = {false};

    for (size_t i = 0; i < CHECK_COUNT; i++) {
        struct doctor_finding *finding = &doctor->findings[i];
        if (doctor->made[i]) {
            continue;
        }
        finding->result = DOCTOR_SKIPPED;
        if (!blamed[checks[i].section]) {
            blamed[checks[i].section] = true;
            doctor_find(finding, DOCTOR_FAIL, "no end within %d ms: a name is being looked up?",
                        DOCTOR_TIME_MAX_MS);
            doctor_next(finding, "grep -n conninfo %s (name the server by hostaddr)",
                        doctor->exam.config->path);
        }
    }
}

static void skip_section(struct doctor *doctor, enum section section)
{
    const struct doctor_finding skipped = {.result = DOCTOR_SKIPPED};

    for (size_t i = 0; i < CHECK_COUNT; i++) {
        if (checks[i].section == section) {
            (void)hand_over(doctor, i, &skipped);
        }
    }
}

static struct doctor *create(const struct doctor_options *options)
{
    struct doctor *doctor = calloc(1, sizeof *doctor);
    pthread_condattr_t attributes;
    struct timespec wall;

    if (doctor == NULL || pthread_mutex_init(&doctor->lock, NULL) != 0 ||
        pthread_condattr_init(&attributes) != 0 ||
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) != 0 ||
        pthread_cond_init(&doctor->progress, &attributes) != 0) {
        abort();
    }
    pthread_condattr_destroy(&attributes);
    clock_gettime(CLOCK_REALTIME, &wall);
    doctor->exam.options = options;
    doctor->exam.config = options->config;
    doctor->exam.began_us = clock_boot_us();
    doctor->exam.began_wall_us = wall.tv_sec * INT64_C(1000000) + wall.tv_nsec / 1000;
    doctor->exam.until_us = doctor->exam.began_us + DOCTOR_ASK_MS * INT64_C(1000);
    return doctor;
}

struct doctor *doctor_run(const struct doctor_options *options)
{
    struct doctor *doctor = create(options);
    bool askable = options->config_error == NULL;

    for (enum section section = 0; section < SECTION_COUNT; section++) {
        if (has_thread(section) && askable) {
            start_thread(doctor, section);
        } else if (has_thread(section)) {
            skip_section(doctor, section);
        }
    }
    run_section(doctor, CONFIG);
    await_threads(doctor);
    run_section(doctor, HOST); /* looks at the daemon's process, and at the time that has passed */
    if (askable && !doctor->exam.abandoned) {
        run_section(doctor, TRUST);
    } else {
        skip_section(doctor, TRUST);
    }
    judge_late(doctor);
    return doctor;
}

void doctor_each(const struct doctor *doctor,
                 void (*visit)(void *arg, const char *check, const struct doctor_finding *finding),
                 void *arg)
{
    for (size_t i = 0; i < CHECK_COUNT; i++) {
        visit(arg, checks[i].name, &doctor->findings[i]);
    }
}

void doctor_free(struct doctor *doctor)
{
    if (doctor == NULL || doctor->exam.abandoned) {
        return; /* a thread is still at it */
    }
    doctor_peer_close(&doctor->exam.redis.peer);
    doctor_peer_close(&doctor->exam.daemon.peer);
    doctor_sql_close(&doctor->exam.postgres.sql);
    free(doctor->exam.redis.info);
    free(doctor->exam.daemon.info);
    pthread_mutex_destroy(&doctor->lock);
    pthread_cond_destroy(&doctor->progress);
    free(doctor);
}
