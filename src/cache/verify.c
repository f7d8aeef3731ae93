/*
 * Whom a new connection talks to (rule T13). All questions leave in one write, so that a Redis
 * that is back is trusted one round trip after it accepts:
 *
 *   AUTH         where a password is configured
 *   INFO         role, run_id and replid: a master, and which
 *   CONFIG GET   the eviction policy, to be shown; an ACL may deny it
 *   GETEX stamp  a write to Redis' eyes that changes nothing: not read-only, not loading, not
 *                refusing writes for the disk's or the replicas' sake. Memory that is full denies
 *                it not: a full Redis must be reachable, so that old values can be deleted.
 *   UNLINK       the value that was too long to be read, where the last connection ended with one
 *   SCRIPT LOAD  each script; the reply is its name
 *
 * The first answer that is wrong is the reason that the link gives for being down.
 */
#include "cache/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "cache/command.h"
#include "cache/info.h"

enum step {
    STEP_AUTH,
    STEP_INFO,
    STEP_POLICY,
    STEP_WRITABLE,
    STEP_UNLINK,
    STEP_SCRIPT /* and SCRIPT_COUNT - 1 more */
};

#define STEPS_MAX (STEP_SCRIPT + SCRIPT_COUNT)

struct verify {
    struct link_command command;
    int steps[STEPS_MAX];
    int count;
    bool failed; /* the link's cause says how */
    char policy[32];
};

/* --- answers ----------------------------------------------------------------------------------*/

static bool fail(struct verify *verify, const struct link_item *item, const char *what)
{
    verify->failed = true;
    if (item->type == REDIS_REPLY_ERROR) {
        cache_link_blame(verify->command.link, "%s: %.*s", what, cache_item_why_len(item),
                         item->bytes);
    } else {
        cache_link_blame(verify->command.link, "%s", what);
    }
    return true;
}

static bool read_info(struct verify *verify, const struct link_item *item)
{
    struct cache_link *link = verify->command.link;
    char master[48];
    char port[8];

    if (item->type != REDIS_REPLY_STRING) {
        return item->type == REDIS_REPLY_ERROR && fail(verify, item, "INFO");
    }
    if (!cache_info_field(item->bytes, item->len, "run_id", link->identity.run_id,
                          CACHE_RUN_ID_MAX) ||
        !cache_info_field(item->bytes, item->len, "master_replid", link->identity.replid,
                          CACHE_RUN_ID_MAX)) {
        return fail(verify, item, "INFO names no run_id or replid: not a Redis?");
    }
    if (!cache_info_has(item->bytes, item->len, "role", "master")) {
        cache_info_field(item->bytes, item->len, "master_host", master, sizeof(master));
        cache_info_field(item->bytes, item->len, "master_port", port, sizeof(port));
        cache_link_blame(link, "not a master but a replica of %s:%s", master, port);
        verify->failed = true;
    }
    return true;
}

/* ["maxmemory-policy", name] */
static bool read_policy(struct verify *verify, const struct link_item *item)
{
    if (item->type == REDIS_REPLY_STRING && item->index == 1 &&
        item->len < sizeof(verify->policy)) {
        memcpy(verify->policy, item->bytes, item->len);
        verify->policy[item->len] = '\0';
    }
    return item->depth <= 1;
}

/* A stamp that is no string is as good a proof. */
static bool read_writable(struct verify *verify, const struct link_item *item)
{
    if (item->type == REDIS_REPLY_ERROR && !cache_item_is_error(item, "WRONGTYPE")) {
        return fail(verify, item, "not writable");
    }
    return item->depth == 0;
}

static bool read_script(struct verify *verify, const struct link_item *item, int script)
{
    if (item->type == REDIS_REPLY_ERROR) {
        return fail(verify, item, "SCRIPT LOAD");
    }
    if (item->type != REDIS_REPLY_STRING || item->len != SCRIPT_SHA_CHARS) {
        return false;
    }
    memcpy(verify->command.link->script_sha[script], item->bytes, SCRIPT_SHA_CHARS);
    return true;
}

static bool verify_item(struct link_command *command, const struct link_item *item)
{
    struct verify *verify = (struct verify *)command;
    int step = verify->steps[command->reply];

    switch (step) {
    case STEP_AUTH:
        return item->type != REDIS_REPLY_ERROR || fail(verify, item, "AUTH");
    case STEP_INFO:
        return read_info(verify, item);
    case STEP_POLICY:
        return read_policy(verify, item);
    case STEP_WRITABLE:
        return read_writable(verify, item);
    case STEP_UNLINK:
        return item->depth == 0;
    default:
        return read_script(verify, item, step - STEP_SCRIPT);
    }
}

static void verify_end(struct link_command *command, enum cache_status status)
{
    struct verify *verify = (struct verify *)command;
    struct cache_link *link = command->link;

    if (verify->failed) {
        cache_link_close(link);
    } else if (status == CACHE_OK) {
        cache_link_set_up(link, verify->policy);
    }
    free(verify);
}

const struct link_command_ops cache_link_verify_ops = {.item = verify_item, .end = verify_end};

/* --- questions --------------------------------------------------------------------------------*/

static void ask_to_be_let_in(struct verify *verify)
{
    struct cache_link *link = verify->command.link;
    struct buffer *out = &link->out;

    config_renew_secret(&link->password, link->password_file);
    if (link->password == NULL) {
        return;
    }
    verify->steps[verify->count++] = STEP_AUTH;
    if (link->user != NULL) {
        CACHE_COMMAND(out, "AUTH", link->user, link->password);
    } else {
        CACHE_COMMAND(out, "AUTH", link->password);
    }
}

static void ask_whom_we_talk_to(struct verify *verify)
{
    struct cache_link *link = verify->command.link;
    struct buffer *out = &link->out;

    verify->steps[verify->count++] = STEP_INFO;
    CACHE_COMMAND(out, "INFO", "server", "replication");
    verify->steps[verify->count++] = STEP_POLICY;
    CACHE_COMMAND(out, "CONFIG", "GET", "maxmemory-policy");
    verify->steps[verify->count++] = STEP_WRITABLE;
    cache_command_begin(out, 2);
    cache_command_text(out, "GETEX");
    cache_link_put_own_key(link, LINK_STAMP_KEY);
    if (link->oversized.len > 0) {
        verify->steps[verify->count++] = STEP_UNLINK;
        cache_command_begin(out, 2);
        cache_command_text(out, "UNLINK");
        cache_link_put_key(link, &link->oversized);
    }
    for (int i = 0; i < SCRIPT_COUNT; i++) {
        verify->steps[verify->count++] = STEP_SCRIPT + i;
        CACHE_COMMAND(out, "SCRIPT", "LOAD", cache_scripts[i]);
    }
}

void cache_link_verify(struct cache_link *link)
{
    struct verify *verify = cache_allocate(sizeof(*verify));

    verify->command.link = link;
    snprintf(verify->policy, sizeof(verify->policy), "unknown");
    ask_to_be_let_in(verify);
    if (!link->is_bare) {
        ask_whom_we_talk_to(verify);
    } else if (verify->count == 0) {
        free(verify);
        cache_link_set_up(link, "unknown");
        return;
    }
    assert(verify->count <= STEPS_MAX);
    cache_link_send(&verify->command, &cache_link_verify_ops, verify->count,
                    link->connect_deadline_us);
}
