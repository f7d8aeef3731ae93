/*
 * A rebuild's writes (rule T11) where next to nothing is in the way: in an empty Redis. By the script
 * alone, it would spend half its time on carrying keys and values into Lua and out of it again. So
 * Redis' own commands write them, a few accounts each, behind gates: keys of ours that are there only
 * within one transaction.
 *
 *   MULTI                                  +OK
 *   MSET gate ''...                        +QUEUED   all are shut
 *   EVAL script_gates                      +QUEUED   opens those that rule T11 leaves open
 *   MSETNX gate '' account value...        +QUEUED   one a gate: nothing of it where the gate, or
 *                                                    one of the accounts, is there
 *   UNLINK gate...                         +QUEUED
 *   EXEC                                   [+OK, number, 1 or 0..., number]
 *
 * Whatever fails leaves gates shut. Why one is does not matter: its accounts go by the script, which
 * looks at each of them as of then. Measured for a million accounts of which 5,000 were there: 1.4 s
 * of Redis, 2.35 by the script alone.
 */
#include <stdio.h>

#include "base/clock.h"
#include "cache/command.h"
#include "cache/guarded.h"

enum { EXEC_MSET, EXEC_EVAL, EXEC_MSETNX };               /* and one more a gate, then the UNLINK */
enum { REPLIES_BESIDE_GATES = 5, EXEC_BESIDE_GATES = 3 }; /* MULTI, MSET, EVAL, UNLINK, EXEC */

static size_t gates_of(const struct guarded_part *part)
{
    return (part->count + CACHE_GATE_ACCOUNTS - 1) / CACHE_GATE_ACCOUNTS;
}

/* The accounts behind a gate, by their numbers in the whole: from there to before the other. */
static size_t gate_first(const struct guarded_part *part, size_t gate)
{
    size_t first = gate * CACHE_GATE_ACCOUNTS;

    return part->first + (first < part->count ? first : part->count);
}

/* --- sending ----------------------------------------------------------------------------------*/

static void put_gate(struct cache_link *link, size_t gate)
{
    char name[sizeof LINK_GATE_KEY + 20];

    snprintf(name, sizeof name, LINK_GATE_KEY, gate);
    cache_link_put_own_key(link, name);
}

static void put_range(const struct guarded_part *part, size_t gate)
{
    const struct account_entry *entries = part->whole->published;
    size_t least = gate_first(part, gate), greatest = least;

    for (size_t i = least + 1; i < gate_first(part, gate + 1); i++) {
        least = account_id_compare(&entries[i].id, &entries[least].id) < 0 ? i : least;
        greatest = account_id_compare(&entries[greatest].id, &entries[i].id) < 0 ? i : greatest;
    }
    cache_link_put_key(part->whole->link, &entries[least].id);
    cache_link_put_key(part->whole->link, &entries[greatest].id);
}

static void put_script(const struct guarded_part *part, size_t gates)
{
    const struct guarded *whole = part->whole;
    struct cache_link *link = whole->link;
    struct buffer *out = &link->out;

    /* Name, script, number of keys, the keys; stamp, nonce, a time, and the ranges. */
    cache_command_begin(out, 3 + 2 + gates + 3 + 2 * gates);
    cache_command_text(out, "EVAL");
    cache_command_text(out, cache_scripts[SCRIPT_GATES]);
    cache_command_number(out, 2 + gates);
    cache_link_put_own_key(link, LINK_STAMP_KEY);
    cache_link_put_own_key(link, LINK_MARKS_KEY);
    for (size_t gate = 0; gate < gates; gate++) {
        put_gate(link, gate);
    }
    cache_command_text(out, whole->stamp);
    cache_command_text(out, whole->token);
    cache_command_number(out, CACHE_MARKS_MS);
    for (size_t gate = 0; gate < gates; gate++) {
        put_range(part, gate);
    }
}

static void put_accounts(const struct guarded_part *part, size_t gate, int64_t now_ms)
{
    struct cache_link *link = part->whole->link;
    size_t first = gate_first(part, gate), end = gate_first(part, gate + 1);

    cache_command_begin(&link->out, 1 + 2 + 2 * (end - first));
    cache_command_text(&link->out, "MSETNX");
    put_gate(link, gate);
    cache_command_text(&link->out, "");
    for (size_t i = first; i < end; i++) {
        cache_guarded_put_entry(part->whole, i, now_ms);
    }
}

static const struct link_command_ops gated_ops;

void cache_part_send_gated(struct guarded_part *part)
{
    struct cache_link *link = part->whole->link;
    struct buffer *out = &link->out;
    size_t gates = gates_of(part);
    int64_t now_ms = clock_wall_ms();

    CACHE_COMMAND(out, "MULTI");
    cache_command_begin(out, 1 + 2 * gates);
    cache_command_text(out, "MSET");
    for (size_t gate = 0; gate < gates; gate++) {
        put_gate(link, gate);
        cache_command_text(out, "");
    }
    put_script(part, gates);
    for (size_t gate = 0; gate < gates; gate++) {
        put_accounts(part, gate, now_ms);
    }
    cache_command_begin(out, 1 + gates);
    cache_command_text(out, "UNLINK");
    for (size_t gate = 0; gate < gates; gate++) {
        put_gate(link, gate);
    }
    CACHE_COMMAND(out, "EXEC");
    cache_link_send(&part->command, &gated_ops, REPLIES_BESIDE_GATES + (int)gates,
                    part->whole->deadline_us);
}

/* --- answers ----------------------------------------------------------------------------------*/

static bool exec_item(struct guarded_part *part, const struct link_item *item)
{
    size_t gates = gates_of(part), gate = (size_t)item->index - EXEC_MSETNX;

    if (item->depth == 0) {
        return item->type == REDIS_REPLY_ARRAY &&
               item->number == (long long)(EXEC_BESIDE_GATES + gates);
    }
    if (item->index == EXEC_MSET) {
        return item->type == REDIS_REPLY_STATUS;
    }
    if (item->type != REDIS_REPLY_INTEGER) {
        return false;
    }
    if (item->index >= EXEC_MSETNX && gate < gates && item->number == 1) {
        part->open |= UINT64_C(1) << gate;
    }
    return true;
}

/* With memory full nothing is even queued: the script says so to whoever asked. */
static bool gated_item(struct link_command *command, const struct link_item *item)
{
    if (item->type == REDIS_REPLY_ERROR) {
        return cache_item_is_error(item, "OOM") || cache_item_is_error(item, "EXECABORT") ||
               cache_command_fail(command, item);
    }
    if (command->reply == command->replies - 1) {
        return exec_item((struct guarded_part *)command, item);
    }
    return item->type == REDIS_REPLY_STATUS;
}

/* What stands behind gates that are shut, neighbours together. */
static void send_rest(struct guarded_part *part)
{
    size_t gates = gates_of(part), shut = 0, from = 0;

    for (size_t gate = 0; gate <= gates; gate++) {
        if (gate < gates && (part->open & UINT64_C(1) << gate) == 0) {
            shut++;
            continue;
        }
        size_t first = gate_first(part, from), end = gate_first(part, gate);
        if (first < end) {
            cache_part_send_script(cache_part_create(part->whole, first, end - first));
        }
        from = gate + 1;
    }
    if (3 * shut > gates) {
        part->whole->link->gates_rest = CACHE_GATES_REST;
    }
}

static void gated_end(struct link_command *command, enum cache_status status)
{
    struct guarded_part *part = (struct guarded_part *)command;
    struct guarded *whole = part->whole;

    if (status == CACHE_OK) {
        for (size_t gate = 0; gate < gates_of(part); gate++) {
            for (size_t i = gate_first(part, gate); i < gate_first(part, gate + 1); i++) {
                whole->written[i] = (part->open & UINT64_C(1) << gate) != 0;
            }
        }
        send_rest(part);
    }
    cache_part_end(part, status);
}

static const struct link_command_ops gated_ops = {.item = gated_item, .end = gated_end};
