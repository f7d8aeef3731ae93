/*
 * base/address.h: where to listen or to connect: an IP address with a port, or the path of a Unix
 * socket. Never a name: looking one up would block the loop.
 */
#ifndef BALLAST_BASE_ADDRESS_H
#define BALLAST_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/attributes.h"

#define ADDRESS_HOST_ROOM 46  /* INET6_ADDRSTRLEN */
#define ADDRESS_PATH_ROOM 108 /* sun_path */

enum address_kind {
    ADDRESS_NONE, /* "off", or not set */
    ADDRESS_TCP,
    ADDRESS_UNIX,
};

struct address {
    enum address_kind kind;
    uint16_t port;                /* ADDRESS_TCP; 0 lets the kernel choose */
    char host[ADDRESS_HOST_ROOM]; /* ADDRESS_TCP: an IP address, without brackets */
    char path[ADDRESS_PATH_ROOM]; /* ADDRESS_UNIX: an absolute path */
};

/*
 * Reads "127.0.0.1:6480", "[::1]:6480", "/run/x.sock" or "off". Returns NULL, or what is wrong
 * with it (a constant text) with `*address` unchanged.
 */
const char *address_parse(const char *text, struct address *address) MUST_CHECK;

/* Writes the address as address_parse() reads it; returns `out`. */
#define ADDRESS_TEXT_ROOM 128
const char *address_format(const struct address *address, char out[ADDRESS_TEXT_ROOM]);

bool address_equal(const struct address *a, const struct address *b);

/* Whether only this machine can reach it: 127.0.0.0/8, ::1, a Unix socket, or none at all. */
bool address_is_local(const struct address *address);

/* Fills in a socket address for bind() or connect(); returns its length. Not for ADDRESS_NONE. */
socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *out);

#endif
