/*
 * ops/doctor.h: what is wrong with Redis, PostgreSQL, the daemon, the configuration and the host,
 * seen from outside: a table of checks, each with what it found and the next command to type.
 *
 * The rows stand in ops/doctor_checks.h. The servers are asked at the same time, a thread each, and
 * every wait has a deadline: a run ends within DOCTOR_TIME_MAX_MS, also where a server hangs, or a
 * name takes for ever to look up. Nothing is written anywhere, and no lease is taken.
 */
#ifndef BALLAST_OPS_DOCTOR_H
#define BALLAST_OPS_DOCTOR_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/config.h"

#define DOCTOR_TIME_MAX_MS 1700

enum doctor_result {
    DOCTOR_OK,
    DOCTOR_WARN,   /* answers are right; slower, or at risk with the next fault */
    DOCTOR_FAIL,   /* something is not served, or money is at risk */
    DOCTOR_SKIPPED /* could not be looked at, because of something that a row before names */
};

#define DOCTOR_EVIDENCE_ROOM 512
#define DOCTOR_NEXT_ROOM 320

struct doctor_finding {
    enum doctor_result result;
    char evidence[DOCTOR_EVIDENCE_ROOM]; /* a sentence */
    char next[DOCTOR_NEXT_ROOM];         /* the command; "" where the result is OK or SKIPPED */
};

struct doctor_options {
    const struct config *config;
    const char *config_error; /* the file cannot be used: servers are not asked; NULL: it can */
};

struct doctor;

/* options and what they point to must stay until doctor_free(). */
struct doctor *doctor_run(const struct doctor_options *options) MUST_CHECK;
void doctor_free(struct doctor *doctor);

/* The rows in order: the name of the check, such as "redis-role", and what it found. */
void doctor_each(const struct doctor *doctor,
                 void (*visit)(void *arg, const char *check, const struct doctor_finding *finding),
                 void *arg);

/* "ok", "warn", "fail" or "skipped". */
const char *doctor_result_name(enum doctor_result result);

#endif
