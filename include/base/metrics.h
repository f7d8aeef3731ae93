/*
 * base/metrics.h: what is counted. One row a metric: the field of struct metrics, the Prometheus
 * family (without the prefix `ballast_` and, for counters, `_total`), its labels or "", its help.
 * Rows of one family stand together, and the first one's help is shown.
 *
 * Every worker has one struct metrics and is the only one to write it; whoever renders reads all
 * of them at any time. A relaxed load and store is as cheap as a plain one, and needs no lock.
 *
 *   metrics_add(&worker->metrics->cache_hits, 1);
 *   metrics_set(&worker->metrics->clients, clients);
 *   histogram_record(&worker->metrics->batch_size, count);
 */
#ifndef BALLAST_BASE_METRICS_H
#define BALLAST_BASE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/histogram.h"

/* Only ever go up; summed over the workers. */
#define METRICS_COUNTERS(X)                                                                        \
    X(connections_accepted, "connections", "result=\"accepted\"",                                  \
      "Connections of clients, by what became of them.")                                           \
    X(connections_refused, "connections", "result=\"refused\"", "")                                \
    X(closed_by_client, "connections_closed", "reason=\"client\"",                                 \
      "Connections that ended, by reason.")                                                        \
    X(closed_protocol, "connections_closed", "reason=\"protocol\"", "")                            \
    X(closed_output, "connections_closed", "reason=\"output-buffer\"", "")                         \
    X(closed_idle, "connections_closed", "reason=\"idle\"", "")                                    \
    X(closed_killed, "connections_closed", "reason=\"killed\"", "")                                \
    X(closed_error, "connections_closed", "reason=\"error\"", "")                                  \
    X(closed_shutdown, "connections_closed", "reason=\"shutdown\"", "")                            \
    X(bytes_received, "bytes_received", "", "Bytes received from clients.")                        \
    X(bytes_sent, "bytes_sent", "", "Bytes sent to clients.")                                      \
    X(commands_read, "commands", "class=\"read\"", "Commands answered, by class.")                 \
    X(commands_mutation, "commands", "class=\"mutation\"", "")                                     \
    X(commands_other, "commands", "class=\"other\"", "")                                           \
    X(command_errors, "command_errors", "", "Commands answered with an error of any kind.")        \
    X(protocol_errors, "protocol_errors", "", "Connections closed for breaking the protocol.")     \
    X(auth_failures, "auth_failures", "", "Attempts to authenticate that failed.")                 \
    X(busy_clients, "busy", "limit=\"clients\"", "Requests shed with BUSY, by the limit reached.") \
    X(busy_queue, "busy", "limit=\"queue\"", "")                                                   \
    X(busy_read_queue, "busy", "limit=\"read-queue\"", "")                                         \
    X(deadlines_read, "deadlines", "class=\"read\"", "Requests whose deadline passed, by class.")  \
    X(deadlines_mutation, "deadlines", "class=\"mutation\"", "")                                   \
    X(cache_hits, "cache_lookups", "result=\"hit\"",                                               \
      "Accounts looked up in the cache, by what was found.")                                       \
    X(cache_misses, "cache_lookups", "result=\"miss\"", "")                                        \
    X(cache_negatives, "cache_lookups", "result=\"negative\"", "")                                 \
    X(cache_old_era, "cache_lookups", "result=\"old-era\"", "")                                    \
    X(cache_poisoned, "cache_lookups", "result=\"poisoned\"", "")                                  \
    X(cache_tokens, "cache_lookups", "result=\"token\"", "")                                       \
    X(cache_failed, "cache_lookups", "result=\"failed\"", "")                                      \
    X(cache_untrusted, "cache_lookups", "result=\"untrusted\"", "")                                \
    X(cache_batches, "cache_batches", "", "Batches of lookups sent to the cache.")                 \
    X(cache_connects, "cache_connects", "", "Verified connections to the cache.")                  \
    X(cache_disconnects, "cache_disconnects", "", "Connections to the cache that were lost.")      \
    X(publishes_ok, "publishes", "result=\"ok\"",                                                  \
      "Publishes of batches to the cache, by what became of them.")                                \
    X(publishes_refused, "publishes", "result=\"refused\"", "")                                    \
    X(publishes_failed, "publishes", "result=\"failed\"", "")                                      \
    X(fills_ok, "fills", "result=\"ok\"", "Accounts filled into the cache, by outcome.")           \
    X(fills_lost, "fills", "result=\"lost\"", "")                                                  \
    X(fills_failed, "fills", "result=\"failed\"", "")                                              \
    X(fences, "fences", "", "Commits and reads that waited for the end of an era (T7 c).")         \
    X(store_reads, "store_reads", "", "Accounts read from the store.")                             \
    X(store_read_batches, "store_read_batches", "", "Statements that read accounts.")              \
    X(store_reads_joined, "store_reads_joined", "",                                                \
      "Reads that joined one of the same account already waiting (single flight).")                \
    X(store_read_pauses, "store_read_pauses", "",                                                  \
      "Times reads of the store were paused because one had failed (circuit breaker).")            \
    X(store_answers, "store_answers", "", "Reads answered from the store.")                        \
    X(stale_answers, "stale_answers", "", "Reads answered with a value marked stale.")             \
    X(store_connects, "store_connects", "", "Connections to the store that came up.")              \
    X(store_disconnects, "store_disconnects", "", "Connections to the store that were lost.")      \
    X(commits, "commits", "result=\"ok\"", "Batches of mutations, by what became of the commit.")  \
    X(commits_failed, "commits", "result=\"failed\"", "")                                          \
    X(commits_in_doubt, "commits", "result=\"in-doubt\"", "")                                      \
    X(mutations_resubmitted, "mutations_resubmitted", "",                                          \
      "Mutations sent again because their commit was in doubt.")                                   \
    X(mutations_ok, "mutations", "outcome=\"ok\"", "Mutations answered, by outcome.")              \
    X(mutations_duplicate, "mutations", "outcome=\"duplicate\"", "")                               \
    X(mutations_refused, "mutations", "outcome=\"refused\"", "")                                   \
    X(mutations_unknown, "mutations", "outcome=\"unknown\"", "")                                   \
    X(mutations_unavailable, "mutations", "outcome=\"unavailable\"", "")                           \
    X(mutations_busy, "mutations", "outcome=\"busy\"", "")                                         \
    X(decisions_suspend, "decisions", "kind=\"suspend\"",                                          \
      "Decisions against accounts that this daemon has answered with, by kind.")                   \
    X(decisions_deny, "decisions", "kind=\"deny\"", "")                                            \
    X(decisions_charge, "decisions", "kind=\"charge\"", "")                                        \
    X(decisions_fuse, "decisions", "kind=\"fuse\"", "")                                            \
    X(canspend_allow, "canspend", "answer=\"allow\"", "Answers to CANSPEND.")                      \
    X(canspend_deny, "canspend", "answer=\"deny\"", "")                                            \
    X(canspend_unknown, "canspend", "answer=\"unknown\"", "")                                      \
    X(holds_expired, "hold_expiries", "", "Accounts on which this daemon has posted expired holds.")

/* Go up and down. Over the workers they are summed (SUM), or the least or greatest counts. */
#define METRICS_GAUGES(X)                                                                          \
    X(clients, SUM, "clients", "", "Connections of clients that are open.")                        \
    X(requests_in_flight, SUM, "requests_in_flight", "", "Requests that are being answered.")      \
    X(mutation_queue, SUM, "queued", "queue=\"mutations\"", "Requests that wait, by queue.")       \
    X(read_queue, SUM, "queued", "queue=\"reads\"", "")                                            \
    X(output_bytes, SUM, "output_buffer_bytes", "", "Bytes that clients have yet to take.")        \
    X(store_up, MIN, "store_up", "", "1 while every worker can post to and read from the store.")  \
    X(cache_up, MIN, "cache_up", "", "1 while every worker has a verified cache connection.")      \
    X(cache_trusted, MIN, "cache_trusted", "", "1 while every worker may answer from the cache.")  \
    X(era, MAX, "era", "", "The era that is trusted, or that was last.")                           \
    X(fuse_charges, MAX, "fuse_blown", "fuse=\"charges\"",                                         \
      "1 where a fuse is blown: what it guards is refused until an operator resets it.")           \
    X(fuse_suspensions, MAX, "fuse_blown", "fuse=\"suspensions\"", "")                             \
    X(fuse_charges_counted, MAX, "fuse_counted", "fuse=\"charges\"",                               \
      "Decisions of the fleet that a fuse counts in its window.")                                  \
    X(fuse_suspensions_counted, MAX, "fuse_counted", "fuse=\"suspensions\"", "")                   \
    X(charges_open, MAX, "charges_open", "", "Charges that are begun and not settled.")            \
    X(charge_oldest, MAX, "charge_open_oldest_seconds", "",                                        \
      "Age of the oldest charge that is not settled; 0 without.")                                  \
    X(holds_due, MAX, "holds_due", "", "Holds whose time is up and that are not ended yet.")

/* Distributions; UNIT says how the edges are shown: microseconds as SECONDS, or as a COUNT. */
#define METRICS_HISTOGRAMS(X)                                                                      \
    X(batch_size, COUNT, "batch_size", "", "Mutations in one commit.")                             \
    X(read_batch_size, COUNT, "store_read_batch_size", "", "Accounts in one read of the store.")   \
    X(lookup_batch_size, COUNT, "cache_batch_size", "", "Accounts in one batch of lookups.")       \
    X(commit_latency, SECONDS, "commit_seconds", "", "From sending a batch to its commit.")        \
    X(store_read_latency, SECONDS, "store_read_seconds", "", "Reading accounts from the store.")   \
    X(cache_latency, SECONDS, "cache_seconds", "", "From sending lookups to their answers.")       \
    X(publish_latency, SECONDS, "publish_seconds", "", "From a commit to its confirmed publish.")  \
    X(latency_read, SECONDS, "command_seconds", "class=\"read\"",                                  \
      "From receiving a command to its reply, by class.")                                          \
    X(latency_mutation, SECONDS, "command_seconds", "class=\"mutation\"", "")                      \
    X(latency_other, SECONDS, "command_seconds", "class=\"other\"", "")

/* Zeroed at the start. Aligned, so that two workers' never share a cache line. */
struct metrics {
#define METRICS_FIELD(field, ...) _Atomic uint64_t field;
    METRICS_COUNTERS(METRICS_FIELD)
#undef METRICS_FIELD
#define METRICS_FIELD(field, ...) _Atomic int64_t field;
    METRICS_GAUGES(METRICS_FIELD)
#undef METRICS_FIELD
#define METRICS_FIELD(field, ...) struct histogram field;
    METRICS_HISTOGRAMS(METRICS_FIELD)
#undef METRICS_FIELD
} __attribute__((aligned(64)));

/* A zeroed, aligned one; aborts where there is no memory. Free with free(). */
struct metrics *metrics_create(void);

/* Counts; only the owning worker may. */
static inline void metrics_add(_Atomic uint64_t *counter, uint64_t count)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + count,
                          memory_order_relaxed);
}

/* Sets or moves a gauge; only the owning worker may. */
static inline void metrics_set(_Atomic int64_t *gauge, int64_t value)
{
    atomic_store_explicit(gauge, value, memory_order_relaxed);
}

static inline void metrics_move(_Atomic int64_t *gauge, int64_t by)
{
    metrics_set(gauge, atomic_load_explicit(gauge, memory_order_relaxed) + by);
}

/* One number, by any thread. */
static inline uint64_t metrics_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline int64_t metrics_gauge(const _Atomic int64_t *gauge)
{
    return atomic_load_explicit(gauge, memory_order_relaxed);
}

/* Sets `*into` to what all workers have together. By any thread, into one's own. */
void metrics_sum(struct metrics *into, struct metrics *const *workers, int count);

/* Appends all of it in the text format of Prometheus, version 0.0.4. */
void metrics_render_prometheus(struct metrics *const *workers, int count, struct buffer *out);

/*
 * Calls `visit` with every counter and gauge in order: family, labels, value. For /status.json,
 * INFO and `ballast status`.
 */
void metrics_each(const struct metrics *metrics,
                  void (*visit)(void *arg, const char *family, const char *labels, int64_t value),
                  void *arg);

#endif
