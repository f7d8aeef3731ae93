/*
 * server/listener.h: accepts the connections of one listening socket on one event loop.
 *
 * Out of descriptors or memory it pauses for a moment instead of spinning (fault row 34), and says
 * so once.
 */
#ifndef BALLAST_SERVER_LISTENER_H
#define BALLAST_SERVER_LISTENER_H

#include <stdbool.h>
#include <sys/socket.h>

struct event_base;
struct listener;

/* A connected, non-blocking socket: the callee's from now on. */
typedef void listener_fn(void *arg, int fd, const struct sockaddr *peer, const char *unix_path);

struct listener_options {
    int fd;                /* the listener's from now on */
    const char *unix_path; /* NULL for TCP; must stay */
    bool shared; /* other loops accept on the same socket: leave some of a burst to them */
    listener_fn *accepted;
    void *arg;
};

struct listener *listener_create(struct event_base *base, const struct listener_options *options);

/* Accepts what the kernel has completed already, closes and frees: closing a socket resets those
 * that wait in its queue. NULL does nothing. */
void listener_end(struct listener *listener);

#endif
