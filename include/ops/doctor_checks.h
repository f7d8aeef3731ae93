/*
 * ops/doctor_checks.h (private to doctor): the table of checks. A row: the section, the name as it
 * is shown, the function, and whether the rest of the section can only be looked at where this one
 * is OK (GATE) or not (ROW). To add a check, add a row here and the function `check_...` to the
 * section's file.
 *
 * The rows of a section run in this order. REDIS, POSTGRES and DAEMON run at the same time, each on
 * a thread of its own; TRUST, which needs what they found, after them; CONFIG and HOST ask nobody.
 */
#ifndef BALLAST_OPS_DOCTOR_CHECKS_H
#define BALLAST_OPS_DOCTOR_CHECKS_H

#include "ops/doctor_parts.h"

#define DOCTOR_CHECKS(X)                                                                           \
    X(CONFIG, "config-file", config_file, GATE)                                                    \
    X(CONFIG, "config-listen", config_listen, ROW)                                                 \
    X(CONFIG, "config-secrets", config_secrets, ROW)                                               \
    X(CONFIG, "config-store", config_store, ROW)                                                   \
    X(CONFIG, "config-timeouts", config_timeouts, ROW)                                             \
    X(HOST, "host-descriptors", host_descriptors, ROW)                                             \
    X(HOST, "host-clock", host_clock, ROW)                                                         \
    X(HOST, "host-overcommit", host_overcommit, ROW)                                               \
    X(HOST, "host-huge-pages", host_huge_pages, ROW)                                               \
    X(HOST, "host-backlog", host_backlog, ROW)                                                     \
    X(REDIS, "redis-reachable", redis_reachable, GATE)                                             \
    X(REDIS, "redis-version", redis_version, ROW)                                                  \
    X(REDIS, "redis-serves", redis_serves, ROW)                                                    \
    X(REDIS, "redis-role", redis_role, ROW)                                                        \
    X(REDIS, "redis-writable", redis_writable, ROW)                                                \
    X(REDIS, "redis-latency", redis_latency, ROW)                                                  \
    X(REDIS, "redis-memory", redis_memory, ROW)                                                    \
    X(REDIS, "redis-eviction", redis_eviction, ROW)                                                \
    X(REDIS, "redis-clients", redis_clients, ROW)                                                  \
    X(REDIS, "redis-persistence", redis_persistence, ROW)                                          \
    X(REDIS, "redis-restart", redis_restart, ROW)                                                  \
    X(REDIS, "redis-backlog", redis_backlog, ROW)                                                  \
    X(REDIS, "redis-settings", redis_settings, ROW)                                                \
    X(POSTGRES, "postgres-reachable", postgres_reachable, GATE)                                    \
    X(POSTGRES, "postgres-role", postgres_role, GATE)                                              \
    X(POSTGRES, "postgres-version", postgres_version, ROW)                                         \
    X(POSTGRES, "postgres-writable", postgres_writable, ROW)                                       \
    X(POSTGRES, "postgres-fsync", postgres_fsync, ROW)                                             \
    X(POSTGRES, "postgres-full-page-writes", postgres_full_page_writes, ROW)                       \
    X(POSTGRES, "postgres-synchronous-commit", postgres_synchronous_commit, ROW)                   \
    X(POSTGRES, "postgres-standbys", postgres_standbys, ROW)                                       \
    X(POSTGRES, "postgres-connections", postgres_connections, ROW)                                 \
    X(POSTGRES, "postgres-disk", postgres_disk, ROW)                                               \
    X(POSTGRES, "postgres-clock", postgres_clock, ROW)                                             \
    X(POSTGRES, "postgres-schema", postgres_schema, GATE)                                          \
    X(POSTGRES, "postgres-privileges", postgres_privileges, ROW)                                   \
    X(POSTGRES, "postgres-locks", postgres_locks, ROW)                                             \
    X(POSTGRES, "postgres-timeline", postgres_timeline, ROW)                                       \
    X(POSTGRES, "postgres-books", postgres_books, ROW)                                             \
    X(POSTGRES, "postgres-fuses", postgres_fuses, ROW)                                             \
    X(POSTGRES, "postgres-charges", postgres_charges, ROW)                                         \
    X(POSTGRES, "era-leases", era_leases, ROW)                                                     \
    X(DAEMON, "daemon-reachable", daemon_reachable, GATE)                                          \
    X(DAEMON, "daemon-version", daemon_version, ROW)                                               \
    X(DAEMON, "daemon-store", daemon_store, ROW)                                                   \
    X(DAEMON, "daemon-cache", daemon_cache, ROW)                                                   \
    X(DAEMON, "daemon-trust", daemon_trust, ROW)                                                   \
    X(DAEMON, "daemon-backlog", daemon_backlog, ROW)                                               \
    X(DAEMON, "daemon-poison", daemon_poison, ROW)                                                 \
    X(TRUST, "era-state", era_state, ROW)                                                          \
    X(TRUST, "era-redis", era_redis, ROW)                                                          \
    X(TRUST, "era-stamp", era_stamp, ROW)

#define DOCTOR_DECLARE(section, name, function, kind)                                              \
    void check_##function(struct doctor_exam *exam, struct doctor_finding *finding);
DOCTOR_CHECKS(DOCTOR_DECLARE)
#undef DOCTOR_DECLARE

#endif
