/* Opening of listening sockets. */
#include "server/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

/* A predecessor that was killed holds its sockets until its last thread has given back its memory,
 * when its process may look ended already. */
#define SOCKET_TAKEN_US_MAX (INT64_C(2) * 1000 * 1000)
#define SOCKET_TAKEN_POLL_MS 20

/* One pause for what is taken, until the time is over. Keeps errno. */
static bool socket_wait_taken(int64_t until_us)
{
    int error = errno;
    bool again = clock_boot_us() < until_us;

    if (again) {
        poll(NULL, 0, SOCKET_TAKEN_POLL_MS);
    }
    errno = error;
    return again;
}

static int socket_fail(int fd, const struct address *address, const char *doing, char *err,
                       size_t errlen)
{
    char text[ADDRESS_TEXT_ROOM];
    int error = errno;

    snprintf(err, errlen, "cannot %s %s: %s", doing, address_format(address, text),
             strerror(error));
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

/* A bound TCP socket, or -1 with errno set. */
static int socket_bind_tcp(const struct address *address, bool share)
{
    struct sockaddr_storage where;
    socklen_t len = address_to_sockaddr(address, &where);
    int on = 1;
    int fd = socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
        (where.ss_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) ||
        bind(fd, (const struct sockaddr *)&where, len) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int socket_bind_free_tcp(const struct address *address)
{
    int64_t until_us = clock_boot_us() + SOCKET_TAKEN_US_MAX;
    int fd;

    do {
        fd = socket_bind_tcp(address, false);
    } while (fd < 0 && errno == EADDRINUSE && socket_wait_taken(until_us));
    return fd;
}

/* The port that the kernel chose. */
static uint16_t socket_port(int fd)
{
    struct sockaddr_storage where;
    socklen_t len = sizeof where;

    if (getsockname(fd, (struct sockaddr *)&where, &len) != 0) {
        return 0;
    }
    return ntohs(where.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&where)->sin6_port
                                             : ((struct sockaddr_in *)&where)->sin_port);
}

int socket_listen_tcp(struct address *address, int backlog, int *fds, int count, char *err,
                      size_t errlen)
{
    if (count > 1 && address->port != 0) {
        /* SO_REUSEPORT would let a second daemon of the same user share the port silently; a
         * socket without it can only be bound where nobody listens. */
        int probe = socket_bind_free_tcp(address);
        if (probe < 0) {
            return socket_fail(-1, address, "listen on", err, errlen);
        }
        close(probe);
    }
    for (int i = 0; i < count; i++) {
        fds[i] = count > 1 ? socket_bind_tcp(address, true) : socket_bind_free_tcp(address);
        if (fds[i] >= 0 && address->port == 0) {
            address->port = socket_port(fds[i]);
        }
        if (fds[i] < 0 || listen(fds[i], backlog) != 0) {
            socket_fail(fds[i], address, "listen on", err, errlen);
            while (i-- > 0) {
                close(fds[i]);
            }
            return -1;
        }
    }
    return 0;
}

static bool socket_unix_answers(const struct sockaddr_un *where)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return true;
    }
    /* EAGAIN: a listener whose backlog is full. */
    bool alive = connect(fd, (const struct sockaddr *)where, sizeof *where) == 0 || errno == EAGAIN;
    close(fd);
    return alive;
}

/* Whether somebody answers, and goes on to, on the socket file that stands there. */
static bool socket_unix_is_alive(const struct sockaddr_un *where)
{
    int64_t until_us = clock_boot_us() + SOCKET_TAKEN_US_MAX;
    bool alive;

    do {
        alive = socket_unix_answers(where);
    } while (alive && socket_wait_taken(until_us));
    errno = EADDRINUSE;
    return alive;
}

int socket_listen_unix(struct socket_unix *unix_socket, const char *path, mode_t mode, int backlog,
                       char *err, size_t errlen)
{
    struct address address = {.kind = ADDRESS_UNIX};
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    struct stat there;
    int fd;

    static_assert(sizeof where.sun_path == ADDRESS_PATH_ROOM, "a path that fits is bound whole");
    snprintf(address.path, sizeof address.path, "%s", path);
    if (strlen(path) >= sizeof where.sun_path) {
        errno = ENAMETOOLONG;
        return socket_fail(-1, &address, "listen on", err, errlen);
    }
    memcpy(where.sun_path, path, strlen(path));
    if (lstat(path, &there) == 0) {
        errno = EEXIST;
        if (!S_ISSOCK(there.st_mode) || socket_unix_is_alive(&where) || unlink(path) != 0) {
            return socket_fail(-1, &address, "listen on", err, errlen);
        }
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return socket_fail(-1, &address, "make a socket for", err, errlen);
    }
    /* The file is nobody else's until it has the mode that was asked for. */
    mode_t before = umask(0177);
    int bound = bind(fd, (const struct sockaddr *)&where, sizeof where);
    umask(before);
    if (bound != 0 || chmod(path, mode) != 0 || lstat(path, &there) != 0 ||
        listen(fd, backlog) != 0) {
        return socket_fail(fd, &address, "listen on", err, errlen);
    }
    unix_socket->fd = fd;
    unix_socket->device = there.st_dev;
    unix_socket->inode = there.st_ino;
    memcpy(unix_socket->path, address.path, sizeof unix_socket->path);
    return 0;
}

void socket_close_unix(struct socket_unix *unix_socket)
{
    struct stat there;

    if (unix_socket->fd < 0) {
        return;
    }
    if (lstat(unix_socket->path, &there) == 0 && there.st_dev == unix_socket->device &&
        there.st_ino == unix_socket->inode) {
        unlink(unix_socket->path);
    }
    close(unix_socket->fd);
    unix_socket->fd = -1;
}
