/*
 * server/notify.h: tells the service manager (systemd, Type=notify) how far the daemon is. One
 * datagram to the socket that $NOTIFY_SOCKET names: not worth a library.
 */
#ifndef BALLAST_SERVER_NOTIFY_H
#define BALLAST_SERVER_NOTIFY_H

/* "READY=1", "STOPPING=1", ...; lines separated by newlines. Nothing without $NOTIFY_SOCKET. */
void notify_manager(const char *state);

#endif
