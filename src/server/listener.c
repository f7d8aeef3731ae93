/* Accepting connections; see the header. */
#include "server/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/attributes.h"
#include "base/log.h"
#include "server/loop.h"

/* A turn of the loop goes on after so many: sessions that are open already are served too. */
#define LISTENER_BURST 64

/* Descriptors come back when sessions end: soon enough, and no load. */
#define LISTENER_PAUSE_MS 100

/* Seconds after which a silent peer is probed, as Redis does: half-open connections go away. */
#define LISTENER_KEEPALIVE_S 300

struct listener {
    struct listener_options options;
    struct event *readable;
    struct event *resume;
    bool paused; /* told in the log; until the queue has been emptied once */
};

static void listener_pause(struct listener *listener, int error)
{
    if (!listener->paused) {
        listener->paused = true;
        log_warn("accept-paused", "error=%s next=\"raise the limit of open files\"",
                 LOG_VALUE(strerror(error)));
    }
    event_del(listener->readable);
    loop_timer_in_ms(listener->resume, LISTENER_PAUSE_MS);
}

static void listener_configure(const struct listener *listener, int fd)
{
    int on = 1, idle_s = LISTENER_KEEPALIVE_S;

    if (listener->options.unix_path == NULL) {
        /* Failures cost latency or a late close, nothing else. */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    }
}

/* Accepts up to max connections; returns false where it had to pause. */
static bool listener_accept(struct listener *listener, int max)
{
    for (int accepted = 0; accepted < max;) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        int fd = accept4(listener->options.fd, (struct sockaddr *)&peer, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            accepted++;
            listener_configure(listener, fd);
            listener->options.accepted(listener->options.arg, fd, (struct sockaddr *)&peer,
                                       listener->options.unix_path);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (listener->paused) {
                listener->paused = false;
                log_info("accept-resumed", "%s", "");
            }
            return true;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            listener_pause(listener, errno);
            return false;
        }
    }
    return true;
}

static void listener_readable(int fd, short what, void *arg)
{
    struct listener *listener = arg;

    (void)fd;
    (void)what;
    listener_accept(listener, listener->options.shared ? 1 : LISTENER_BURST);
}

static void listener_resume(int fd, short what, void *arg)
{
    struct listener *listener = arg;

    (void)fd;
    (void)what;
    if (listener_accept(listener, LISTENER_BURST) && event_add(listener->readable, NULL) != 0) {
        abort();
    }
}

struct listener *listener_create(struct event_base *base, const struct listener_options *options)
{
    struct listener *listener = calloc(1, sizeof *listener);

    if (listener == NULL) {
        abort();
    }
    listener->options = *options;
    listener->resume = loop_timer_new(base, listener_resume, listener);
    listener->readable =
        event_new(base, options->fd, EV_READ | EV_PERSIST, listener_readable, listener);
    if (listener->readable == NULL || event_add(listener->readable, NULL) != 0) {
        abort();
    }
    return listener;
}

void listener_end(struct listener *listener)
{
    if (listener == NULL) {
        return;
    }
    if (!listener->options.shared) {
        listener_accept(listener, LISTENER_BURST * LISTENER_BURST);
    }
    event_free(listener->readable);
    event_free(listener->resume);
    close(listener->options.fd);
    free(listener);
}
