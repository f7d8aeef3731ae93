/* A connection to ballastd. See the header. */
#include "programs/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/config_derived.h"

#define ASK_ARGS_MAX 8
#define ASK_SLACK_US (INT64_C(2) * 1000 * 1000) /* beyond the daemon's own deadline */

void client_init(struct client *client, const struct config *config)
{
    *client = (struct client){.config = config};
}

void client_close(struct client *client)
{
    if (client->context != NULL) {
        redisFree(client->context);
        client->context = NULL;
    }
}

const char *client_address(const struct config *config, char out[ADDRESS_TEXT_ROOM])
{
    struct address address = config_client_address(config);

    return address_format(&address, out);
}

static bool lose(struct client *client, const char *why)
{
    snprintf(client->error, sizeof client->error, "%s", why);
    client_close(client);
    return false;
}

/* Waits until the socket can be read, or, where there is something to write, written. */
static bool wait_for_socket(struct client *client, bool writing, int64_t deadline_us)
{
    int64_t left_us = deadline_us - clock_boot_us();
    struct pollfd fd = {
        .fd = client->context->fd,
        .events = (short)(POLLIN | (writing ? POLLOUT : 0)),
    };

    return poll(&fd, 1, left_us > 0 ? (int)((left_us + 999) / 1000) : 0) != 0;
}

static bool finish_connect(struct client *client, int64_t deadline_us)
{
    struct pollfd fd = {.fd = client->context->fd, .events = POLLOUT};
    int64_t left_ms = (deadline_us - clock_boot_us()) / 1000;
    int error = 0;
    socklen_t size = sizeof error;

    int ready = poll(&fd, 1, left_ms > 0 ? (int)left_ms : 0);
    if (ready <= 0) {
        return lose(client, ready == 0 ? "timed out" : strerror(errno));
    }
    if (getsockopt(fd.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = errno;
    }
    return error == 0 || lose(client, strerror(error));
}

static bool authenticate(struct client *client, int64_t deadline_us)
{
    const struct config_user *user = config_client_user(client->config);
    redisReply *reply;

    if (user == NULL) {
        return true;
    }
    const char *words[3] = {"AUTH", user->name, user->password};
    const size_t lengths[3] = {4, strlen(user->name), strlen(user->password)};
    client_append(client, 3, words, lengths);
    switch (client_next(client, deadline_us, &reply)) {
    case CLIENT_REPLY:
        break;
    case CLIENT_TIMEOUT:
        return lose(client, "no answer to AUTH");
    case CLIENT_LOST:
        return false;
    }
    bool good = reply->type != REDIS_REPLY_ERROR;
    if (!good) {
        client->refused = true;
        lose(client, reply->str);
    }
    freeReplyObject(reply);
    return good;
}

bool client_connect(struct client *client, int64_t deadline_us)
{
    struct address address = config_client_address(client->config);

    client_close(client);
    client->refused = false;
    if (address.kind == ADDRESS_NONE) {
        return lose(client, "the configuration has no [listen] address");
    }
    client->context = address.kind == ADDRESS_TCP ? redisConnectNonBlock(address.host, address.port)
                                                  : redisConnectUnixNonBlock(address.path);
    if (client->context == NULL) {
        abort();
    }
    if (client->context->err != 0) {
        return lose(client, client->context->errstr);
    }
    return finish_connect(client, deadline_us) && authenticate(client, deadline_us);
}

void client_append(struct client *client, int argc, const char **argv, const size_t *lengths)
{
    if (client->context != NULL &&
        redisAppendCommandArgv(client->context, argc, argv, lengths) != REDIS_OK) {
        abort(); /* only for want of memory */
    }
}

enum client_result client_next(struct client *client, int64_t deadline_us, redisReply **reply)
{
    for (;;) {
        redisContext *context = client->context;
        void *taken = NULL;
        int written = 0;

        if (context == NULL) {
            return CLIENT_LOST;
        }
        if (redisReaderGetReply(context->reader, &taken) != REDIS_OK) {
            lose(client, context->reader->errstr);
            return CLIENT_LOST;
        }
        if (taken != NULL) {
            *reply = taken;
            return CLIENT_REPLY;
        }
        if (redisBufferWrite(context, &written) != REDIS_OK) {
            lose(client, context->errstr);
            return CLIENT_LOST;
        }
        if (!wait_for_socket(client, !written, deadline_us)) {
            return CLIENT_TIMEOUT;
        }
        if (redisBufferRead(context) != REDIS_OK) {
            lose(client, context->errstr);
            return CLIENT_LOST;
        }
    }
}

redisReply *client_ask(const struct config *config, int argc, const char **argv,
                       char err[CLIENT_ERROR_ROOM])
{
    int64_t deadline_us = clock_boot_us() + config->limits.request_timeout_ms * 1000 + ASK_SLACK_US;
    size_t lengths[ASK_ARGS_MAX];
    redisReply *reply = NULL;
    struct client client;

    assert(argc <= ASK_ARGS_MAX);
    for (int i = 0; i < argc; i++) {
        lengths[i] = strlen(argv[i]);
    }
    client_init(&client, config);
    if (client_connect(&client, clock_boot_us() + ASK_SLACK_US)) {
        client_append(&client, argc, argv, lengths);
        if (client_next(&client, deadline_us, &reply) == CLIENT_TIMEOUT) {
            lose(&client, "no answer");
        }
    }
    snprintf(err, CLIENT_ERROR_ROOM, "%s", client.error);
    client_close(&client);
    return reply;
}
