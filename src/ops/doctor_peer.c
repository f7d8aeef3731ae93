/* Questions to a server of Redis' protocol, one after the other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/doctor_parts.h"

static const char not_yet[] = "not connected yet"; /* what a new link says */

static void describe(struct doctor_peer *peer, const struct cache_options *options)
{
    struct address address;
    const char *user = options->user != NULL ? options->user : "";

    if (address_parse(options->address, &address) != NULL) {
        return;
    }
    int len = address.kind == ADDRESS_UNIX
                  ? snprintf(peer->cli, sizeof peer->cli, "redis-cli -s %s", address.path)
                  : snprintf(peer->cli, sizeof peer->cli, "redis-cli -h %s -p %d", address.host,
                             address.port);
    if (options->password != NULL && (size_t)len < sizeof peer->cli) {
        snprintf(peer->cli + len, sizeof peer->cli - (size_t)len, "%s%s --askpass",
                 user[0] != '\0' ? " --user " : "", user);
    }
}

bool doctor_peer_open(struct doctor_peer *peer, const struct cache_options *options,
                      int64_t until_us)
{
    static const struct cache_hooks no_hooks;

    describe(peer, options);
    doctor_loop_open(&peer->loop, until_us);
    peer->link = cache_link_create_bare(peer->loop.base, options, &no_hooks, NULL);
    if (peer->link == NULL) {
        snprintf(peer->why, sizeof peer->why, "%s is no address", options->address);
        return false;
    }
    while (!cache_link_is_up(peer->link)) {
        if (strcmp(cache_link_why(peer->link), not_yet) != 0) {
            snprintf(peer->why, sizeof peer->why, "%s", cache_link_why(peer->link));
            return false;
        }
        if (!doctor_loop_turn(&peer->loop)) {
            snprintf(peer->why, sizeof peer->why, "no connection in time");
            return false;
        }
    }
    return true;
}

static void forget_answer(struct doctor_peer *peer)
{
    for (size_t i = 0; i < peer->count; i++) {
        free(peer->texts[i]);
    }
    free(peer->texts);
    peer->texts = NULL;
    peer->count = 0;
}

void doctor_peer_close(struct doctor_peer *peer)
{
    cache_link_free(peer->link);
    doctor_loop_close(&peer->loop);
    forget_answer(peer);
}

static void take_answer(void *arg, enum cache_status status, const struct cache_answer *answer)
{
    struct doctor_peer *peer = arg;

    peer->asking = false;
    peer->answered = status == CACHE_OK;
    if (!peer->answered) {
        return;
    }
    peer->is_error = answer->is_error;
    peer->texts = calloc(answer->count + 1, sizeof *peer->texts);
    if (peer->texts == NULL) {
        abort();
    }
    for (; peer->count < answer->count; peer->count++) {
        const char *text = answer->texts[peer->count];
        peer->texts[peer->count] = text != NULL ? strdup(text) : NULL;
    }
}

bool doctor_peer_ask(struct doctor_peer *peer, const char *const *words, size_t count)
{
    bool in_time = true;

    forget_answer(peer);
    peer->answered = false;
    if (peer->link == NULL || !cache_link_is_up(peer->link)) {
        snprintf(peer->why, sizeof peer->why, "the connection is closed");
        return false;
    }
    peer->asking = true;
    cache_ask(peer->link, words, count, take_answer, peer);
    while (peer->asking && in_time) {
        in_time = doctor_loop_turn(&peer->loop);
    }
    if (!peer->answered) {
        const char *why = cache_link_why(peer->link);
        snprintf(peer->why, sizeof peer->why, "no answer to %s: %s", words[0],
                 why[0] != '\0' ? why : "not in time");
    }
    return peer->answered;
}

char *doctor_peer_text(struct doctor_peer *peer, const char *const *words, size_t count)
{
    if (!doctor_peer_ask(peer, words, count)) {
        return NULL;
    }
    if (peer->is_error || peer->count != 1 || peer->texts[0] == NULL) {
        snprintf(peer->why, sizeof peer->why, "%s is answered: %s", words[0],
                 peer->count > 0 && peer->texts[0] != NULL ? peer->texts[0] : "nothing");
        return NULL;
    }
    return strdup(peer->texts[0]);
}
