/*
 * server/socket.h: opens listening sockets, at the start of the daemon, in the main thread: what
 * is wrong with an address is told before anything is served. A place that is taken is tried again
 * for two seconds: a predecessor that was killed gives it back when its last thread is gone.
 */
#ifndef BALLAST_SERVER_SOCKET_H
#define BALLAST_SERVER_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/address.h"
#include "base/attributes.h"

/*
 * Opens count listening sockets, non-blocking, on one TCP address. With more than one the kernel
 * spreads connections over them (SO_REUSEPORT). Another process that listens there is an error
 * all the same. Port 0: the kernel chooses, one port for all; *address is updated.
 * Returns 0, or -1 with a sentence in err and nothing open.
 */
int socket_listen_tcp(struct address *address, int backlog, int *fds, int count, char *err,
                      size_t errlen) MUST_CHECK;

/* A Unix socket in the file system, as this daemon has made it. */
struct socket_unix {
    int fd;
    dev_t device;
    ino_t inode;
    char path[ADDRESS_PATH_ROOM];
};

/* Takes the place of a socket file that nobody listens on. Returns 0, or -1 as above. */
int socket_listen_unix(struct socket_unix *unix_socket, const char *path, mode_t mode, int backlog,
                       char *err, size_t errlen) MUST_CHECK;

/* Closes the descriptor, and removes the file if it is still the one that was made. */
void socket_close_unix(struct socket_unix *unix_socket);

#endif
