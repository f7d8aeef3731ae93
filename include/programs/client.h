/*
 * programs/client.h: a connection to ballastd for the command line, through hiredis. The socket is
 * non-blocking, so that a long pipeline can be written and its replies read at the same time; every
 * wait is a poll with a deadline.
 */
#ifndef BALLAST_PROGRAMS_CLIENT_H
#define BALLAST_PROGRAMS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "base/attributes.h"
#include "base/config.h"

#define CLIENT_ERROR_ROOM 256

struct client {
    const struct config *config;
    redisContext *context;         /* NULL: not connected */
    char error[CLIENT_ERROR_ROOM]; /* why the last call failed */
    bool refused;                  /* it was not the network: NOAUTH, WRONGPASS and the like */
};

void client_init(struct client *client, const struct config *config);
void client_close(struct client *client);

/* Connects to the first [listen] address, or the Unix socket, and authenticates as the most able of
 * the [auth] users, if there are any. */
bool client_connect(struct client *client, int64_t deadline_us) MUST_CHECK;

/* Puts one command into the output buffer. */
void client_append(struct client *client, int argc, const char **argv, const size_t *lengths);

/*
 * Writes what can be written and waits for the next reply until the deadline. CLIENT_REPLY: free
 * *reply with freeReplyObject. After CLIENT_LOST the connection is closed, and what was not
 * answered may have been done.
 */
enum client_result { CLIENT_REPLY, CLIENT_TIMEOUT, CLIENT_LOST };
enum client_result client_next(struct client *client, int64_t deadline_us,
                               redisReply **reply) MUST_CHECK;

/* One command over a connection of its own: its reply, which may be an error, for freeReplyObject;
 * NULL with err set where there is none. */
redisReply *client_ask(const struct config *config, int argc, const char **argv,
                       char err[CLIENT_ERROR_ROOM]) MUST_CHECK;

/* The address, for messages. */
const char *client_address(const struct config *config, char out[ADDRESS_TEXT_ROOM]);

#endif
