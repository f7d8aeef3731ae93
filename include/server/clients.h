/*
 * server/clients.h: the register of all connected clients of all workers, for CLIENT LIST and
 * CLIENT KILL. One a process; any thread may call.
 *
 * A session registers a card of itself and goes on writing the card's atomic fields; texts that
 * change go through clients_set_text(), because others may be reading.
 */
#ifndef BALLAST_SERVER_CLIENTS_H
#define BALLAST_SERVER_CLIENTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/buffer.h"
#include "base/limits.h"
#include "base/list.h"
#include "server/session_limits.h"

struct command;

struct client {
    struct list link; /* the register's */

    /* constant once registered */
    uint64_t id; /* given at registration; from 1, never twice */
    int worker;
    int fd;
    bool local; /* a Unix socket */
    int64_t created_us;
    char address[ADDRESS_TEXT_ROOM]; /* the peer's: "127.0.0.1:50000", "/run/x.sock:0" */
    char here[ADDRESS_TEXT_ROOM];    /* ours */

    /* under the register's lock */
    char name[LIMIT_CLIENT_NAME_ROOM];
    char library[LIMIT_CLIENT_NAME_ROOM];
    char library_version[LIMIT_CLIENT_NAME_ROOM];
    char user[LIMIT_USER_NAME_BYTES_MAX + 1];

    /* the session writes, anybody reads */
    _Atomic(const struct command *) command; /* the last one; NULL before the first */
    _Atomic int64_t active_us;               /* when the last command came, or output went */
    _Atomic uint64_t input_bytes;
    _Atomic uint64_t output_bytes;
    _Atomic uint32_t in_flight;
    _Atomic int protocol;

    _Atomic bool killed; /* somebody asked: the session closes itself */
};

/* Which clients are meant; fields that are 0 or NULL do not matter. */
struct client_filter {
    uint64_t id;
    uint64_t except; /* the asking client's id */
    const char *address, *here, *user;
    size_t address_len, here_len, user_len;
    bool nobody; /* TYPE of clients that do not exist here: replica, master, pubsub */
};

/* Gives the card its id. It must stay until clients_remove(). */
void clients_register(struct client *client);
void clients_remove(struct client *client);
size_t clients_count(void);

/* Sets name, library, library_version or user of a registered card; cut where it does not fit. */
void clients_set_text(char *field, size_t room, const char *text, size_t len);

/* One line a client as CLIENT LIST shows it, in the order of their ids. */
void clients_list(const struct client_filter *filter, int64_t now_us, struct buffer *out);
void clients_describe(const struct client *client, int64_t now_us, struct buffer *out);

/* Marks those meant as killed; returns how many, and in *workers one bit for each worker that has
 * to look after its sessions. */
size_t clients_kill(const struct client_filter *filter, uint64_t *workers);

/* Printable, without space: what a name may be. */
bool clients_name_ok(const char *text, size_t len);

#endif
