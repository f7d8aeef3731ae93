/*
 * hiredis under a link. What it does well is kept: connecting, the output buffer, the incremental
 * parser. What it does not do is here:
 *
 * - Writing. hiredis asks for a write event at each command; that would cost two system calls and
 *   a turn of the loop for each batch. The first attempt is made at the end of this turn instead,
 *   when all that the turn submits has been appended; the event is only for a full socket.
 * - Replies. The reader's functions hand each element to the command that it answers (link.h), so
 *   that nothing is allocated, and whatever nobody asked for ends the connection. (hiredis itself
 *   aborts the process on a reply without a request.)
 * - Bounds. An element is parsed when it is there whole; one that grows beyond what we ever ask
 *   for is not waited for.
 * - Closing. There is one place where a connection ends, whoever ended it: on_cleanup().
 */
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>

#include <event2/event.h>

#include "base/log.h"
#include "cache/link.h"

/* --- the reader -------------------------------------------------------------------------------*/

/* Returns what the reader takes for an object: not NULL, never looked at. NULL makes it fail. */
static void *deliver(const redisReadTask *task, struct link_item *item)
{
    struct cache_link *link = task->privdata;
    struct link_command *command = LIST_FIRST(&link->sent, struct link_command, place);

    item->type = task->type;
    item->depth = link->redis->c.reader->ridx; /* its stack of arrays that are not complete */
    if (item->depth > 0) {
        item->index = task->idx;
        item->parent_index = item->depth > 1 ? task->parent->idx : 0;
    }
    if (command == NULL) {
        if (item->type == REDIS_REPLY_ERROR) {
            cache_link_blame(link, "%.*s", cache_item_why_len(item), item->bytes);
        } else {
            cache_link_blame(link, "a reply that nobody asked for");
        }
        return NULL;
    }
    if (!command->ops->item(command, item)) {
        cache_link_blame(link, "a reply that makes no sense");
        return NULL;
    }
    return command;
}

static void *reader_string(const redisReadTask *task, char *bytes, size_t len)
{
    return deliver(task, &(struct link_item){.bytes = bytes, .len = len});
}

static void *reader_array(const redisReadTask *task, int elements)
{
    return deliver(task, &(struct link_item){.number = elements});
}

static void *reader_integer(const redisReadTask *task, long long number)
{
    return deliver(task, &(struct link_item){.number = number});
}

static void *reader_nil(const redisReadTask *task)
{
    redisReadTask nil = *task;

    nil.type = REDIS_REPLY_NIL; /* the reader leaves the type of what is missing there */
    return deliver(&nil, &(struct link_item){0});
}

static void reader_free(void *object)
{
    (void)object;
}

static redisReplyObjectFunctions reader_functions = {
    .createString = reader_string,
    .createArray = reader_array,
    .createInteger = reader_integer,
    .createNil = reader_nil,
    .freeObject = reader_free,
};

/* One complete reply; NULL when hiredis gives up on it, which on_cleanup() sees to. */
static void on_reply(redisAsyncContext *redis, void *reply, void *unused)
{
    (void)unused;
    if (reply != NULL) {
        cache_link_on_reply(redis->data);
    }
}

/* A person may have put anything at an account's key. Such a value cannot be read, so it is
 * remembered, and taken away as soon as the link is up again. */
static void drop_oversized(struct cache_link *link)
{
    const redisReader *reader = link->redis->c.reader;
    const struct link_command *command;
    const struct account_id *id = NULL;

    if (reader->len - reader->pos <= CACHE_REPLY_ITEM_MAX) {
        return;
    }
    command = LIST_FIRST(&link->sent, struct link_command, place);
    if (command != NULL && command->ops->expects != NULL) {
        id = command->ops->expects(command);
    }
    if (id != NULL) {
        link->oversized = *id;
        log_warn("cache-value-oversized", "account=%s limit_bytes=%d",
                 LOG_VALUE_N(id->bytes, id->len), CACHE_REPLY_ITEM_MAX);
    }
    cache_link_blame(link, "a reply of more than %d bytes", CACHE_REPLY_ITEM_MAX);
    cache_link_close(link);
}

/* --- events -----------------------------------------------------------------------------------*/

void cache_transport_read(struct cache_link *link)
{
    redisAsyncHandleRead(link->redis);
    if (link->redis != NULL) {
        drop_oversized(link);
    }
}

bool cache_transport_is_readable(const struct cache_link *link)
{
    int unread = 0;

    return ioctl(link->redis->c.fd, FIONREAD, &unread) == 0 && unread > 0;
}

void cache_transport_write(struct cache_link *link)
{
    link->is_writing = true;
    redisAsyncHandleWrite(link->redis);
    link->is_writing = false;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct cache_link *link = arg;

    (void)fd;
    (void)what;
    cache_link_enter(link);
    cache_transport_read(link);
    cache_link_leave(link);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct cache_link *link = arg;

    (void)fd;
    (void)what;
    cache_link_enter(link);
    cache_transport_write(link);
    cache_link_leave(link);
}

/* hiredis asks for events again and again; the read event stands from the beginning. */
static void on_add_read(void *arg)
{
    (void)arg;
}

static void on_add_write(void *arg)
{
    struct cache_link *link = arg;

    if ((link->redis->c.flags & REDIS_CONNECTED) != 0 && !link->is_writing) {
        event_active(link->turn, EV_TIMEOUT, 0);
    } else if (!link->is_write_awaited) {
        link->is_write_awaited = true;
        event_add(link->writable, NULL);
    }
}

static void on_del_write(void *arg)
{
    struct cache_link *link = arg;

    if (link->is_write_awaited) {
        link->is_write_awaited = false;
        event_del(link->writable);
    }
}

/* hiredis frees the connection, for whatever reason: its events must not outlive the socket. */
static void on_cleanup(void *arg)
{
    struct cache_link *link = arg;

    cache_link_blame(link, "%s", link->redis->c.errstr);
    event_free(link->readable);
    event_free(link->writable);
    link->readable = NULL;
    link->writable = NULL;
    link->is_write_awaited = false;
    link->redis = NULL;
}

static void on_connected(const redisAsyncContext *redis, int status)
{
    if (status == REDIS_OK) {
        cache_link_on_connected(redis->data);
    }
}

/* --- the connection ---------------------------------------------------------------------------*/

bool cache_transport_open(struct cache_link *link)
{
    redisAsyncContext *redis;

    if (link->address.kind == ADDRESS_UNIX) {
        redis = redisAsyncConnectUnix(link->address.path);
    } else {
        redis = redisAsyncConnect(link->address.host, link->address.port);
    }
    assert(redis != NULL); /* out of memory */
    if (redis->err != 0) {
        cache_link_blame(link, "%s", redis->errstr);
        redisAsyncFree(redis);
        return false;
    }
    if (link->address.kind == ADDRESS_TCP) {
        redisEnableKeepAlive(&redis->c);
    }
    fcntl(redis->c.fd, F_SETFD, FD_CLOEXEC);

    link->redis = redis;
    link->readable = event_new(link->base, redis->c.fd, EV_READ | EV_PERSIST, on_readable, link);
    link->writable = event_new(link->base, redis->c.fd, EV_WRITE | EV_PERSIST, on_writable, link);
    assert(link->readable != NULL && link->writable != NULL);
    event_add(link->readable, NULL);
    redis->data = link;
    redis->c.reader->fn = &reader_functions;
    redis->c.reader->privdata = link;
    redis->ev.data = link;
    redis->ev.addRead = on_add_read;
    redis->ev.addWrite = on_add_write;
    redis->ev.delWrite = on_del_write;
    redis->ev.cleanup = on_cleanup;
    redisAsyncSetConnectCallback(redis, on_connected);
    return true;
}

void cache_transport_close(struct cache_link *link)
{
    redisAsyncFree(link->redis);
}

void cache_transport_send(struct cache_link *link, const char *bytes, size_t len, int replies)
{
    int sent = redisAsyncFormattedCommand(link->redis, on_reply, NULL, bytes, len);

    /* hiredis keeps one callback a reply. The bytes went with the first; of the text it looks at
     * the name of the first command. */
    for (int i = 1; i < replies; i++) {
        sent |= redisAsyncFormattedCommand(link->redis, on_reply, NULL, bytes, 0);
    }
    assert(sent == REDIS_OK); /* it refuses only while it closes, and then we are not up */
}
