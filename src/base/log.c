/*
 * Callers put whole lines into a ring under a mutex that is never held across a system call that
 * may block; the writer takes up to PIPE_BUF bytes of whole lines out and writes them once poll()
 * says that there is room. It waits for room as long as it takes: meanwhile the ring fills, and
 * lines are dropped at the callers' side.
 *
 * Standard error is shared with other processes, and O_NONBLOCK would be shared too; so it is left
 * as it is, and a pipe takes PIPE_BUF bytes without blocking once poll() has said so.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"

#define LOG_CHUNK_BYTES PIPE_BUF
#define LOG_POLL_MS 100      /* how soon a stuck writer sees that it shall end */
#define LOG_CLOSE_US 1000000 /* what log_close() allows it */
#define LOG_FILE_MODE 0640

static_assert(LIMIT_LOG_LINE_BYTES_MAX <= LOG_CHUNK_BYTES, "a chunk holds at least one line");

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static struct {
    /* Any thread, without the mutex. */
    _Atomic int level;
    _Atomic bool open;
    _Atomic uint64_t dropped;
    _Atomic int64_t close_by; /* clock_boot_us(); 0 while the log is open */

    /* The main thread. */
    pthread_t thread;
    char *path;

    /* The writer, once it runs; log_reopen() puts another file under the same number. */
    int fd;
    uint64_t reported; /* of dropped */

    /* Under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    size_t head; /* of the first waiting byte */
    size_t len;
    char ring[LIMIT_LOG_RING_BYTES];
} logger = {
    .level = LOG_LEVEL_INFO,
    .fd = STDERR_FILENO,
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .filled = PTHREAD_COND_INITIALIZER,
};

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&logger.level, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&logger.level, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

uint64_t log_dropped_count(void)
{
    return atomic_load(&logger.dropped);
}

/* ---------------------------------------------------------------------------------- lines -- */

/* Writes the line with its newline into `line`; returns its length. */
static size_t log_format(char line[LIMIT_LOG_LINE_BYTES_MAX], enum log_level level,
                         const char *event, const char *fmt, va_list args)
{
    const size_t room = LIMIT_LOG_LINE_BYTES_MAX - 1; /* the newline takes the place of the NUL */
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);

    size_t len = strftime(line, room, "ts=%Y-%m-%dT%H:%M:%S", &tm);

    len +=
        (size_t)snprintf(line + len, room - len, ".%06ldZ level=%s event=%.64s%s",
                         now.tv_nsec / 1000, level_names[level], event, fmt[0] == '\0' ? "" : " ");

    int more = vsnprintf(line + len, room - len, fmt, args);

    if (more > 0 && (size_t)more >= room - len) {
        len = room - 1;
        memcpy(line + len - 3, "...", 3);
    } else if (more > 0) {
        len += (size_t)more;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f) {
            line[i] = ' ';
        }
    }
    line[len++] = '\n';
    return len;
}

static void log_ring_put(const char *line, size_t len)
{
    pthread_mutex_lock(&logger.mutex);
    if (len > LIMIT_LOG_RING_BYTES - logger.len) {
        atomic_fetch_add(&logger.dropped, 1);
    } else {
        size_t tail = (logger.head + logger.len) % LIMIT_LOG_RING_BYTES;
        size_t first = LIMIT_LOG_RING_BYTES - tail;

        first = first < len ? first : len;
        memcpy(logger.ring + tail, line, first);
        memcpy(logger.ring, line + first, len - first);
        logger.len += len;
        if (logger.len == len) {
            pthread_cond_signal(&logger.filled);
        }
    }
    pthread_mutex_unlock(&logger.mutex);
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    char line[LIMIT_LOG_LINE_BYTES_MAX];
    int error = errno; /* callers log what failed and look at errno after it */
    va_list args;

    if (!log_enabled(level)) {
        return;
    }
    va_start(args, fmt);
    size_t len = log_format(line, level, event, fmt, args);
    va_end(args);

    if (atomic_load_explicit(&logger.open, memory_order_acquire)) {
        log_ring_put(line, len);
    } else if (write(STDERR_FILENO, line, len) < 0) {
        atomic_fetch_add(&logger.dropped, 1);
    }
    errno = error;
}

static bool log_is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c <= ' ' || c == 0x7f || c == '"' || c == '=' || c == '\\') {
            return false;
        }
    }
    return len > 0;
}

/* Escapes one byte into `out`, of 5 bytes; returns how many it takes. */
static size_t log_escape(char out[5], unsigned char c)
{
    if (c == '"' || c == '\\') {
        return (size_t)sprintf(out, "\\%c", c);
    }
    if (c == '\n' || c == '\r' || c == '\t') {
        return (size_t)sprintf(out, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    }
    if (c < ' ' || c == 0x7f) {
        return (size_t)sprintf(out, "\\x%02x", c);
    }
    out[0] = (char)c;
    return 1;
}

const char *log_value_quote(struct log_value *room, const char *text, size_t len)
{
    const size_t last = sizeof room->text - sizeof "...\"";
    size_t at = 0;

    if (text == NULL) {
        len = 0;
    } else if (len == SIZE_MAX) {
        len = strlen(text);
    }
    if (log_is_plain(text, len) && len < sizeof room->text) {
        memcpy(room->text, text, len);
        room->text[len] = '\0';
        return room->text;
    }

    room->text[at++] = '"';
    for (size_t i = 0; i < len; i++) {
        char escaped[5];
        size_t size = log_escape(escaped, (unsigned char)text[i]);

        if (at + size > last) {
            memcpy(room->text + at, "...", 3);
            at += 3;
            break;
        }
        memcpy(room->text + at, escaped, size);
        at += size;
    }
    room->text[at++] = '"';
    room->text[at] = '\0';
    return room->text;
}

/* --------------------------------------------------------------------------------- writer -- */

static bool log_must_end(void)
{
    int64_t close_by = atomic_load(&logger.close_by);

    return close_by != 0 && clock_boot_us() >= close_by;
}

/* Waits until the file takes a chunk; false where the log was closed and the time is up. */
static bool log_wait_for_room(void)
{
    for (;;) {
        struct pollfd wanted = {.fd = logger.fd, .events = POLLOUT};
        bool last = log_must_end();

        if (poll(&wanted, 1, last ? 0 : LOG_POLL_MS) > 0) {
            return true; /* or an error, which write() will name */
        }
        if (last) {
            return false;
        }
    }
}

static bool log_write_all(const char *bytes, size_t len)
{
    while (len > 0) {
        if (!log_wait_for_room()) {
            return false;
        }

        ssize_t done = write(logger.fd, bytes, len);

        if (done < 0 && errno != EINTR && errno != EAGAIN) {
            return false;
        }
        if (done > 0) {
            bytes += done;
            len -= (size_t)done;
        }
    }
    return true;
}

static void log_write_line(enum log_level level, const char *event, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* For the writer alone: past the ring. */
static void log_write_line(enum log_level level, const char *event, const char *fmt, ...)
{
    char line[LIMIT_LOG_LINE_BYTES_MAX];
    va_list args;

    va_start(args, fmt);
    size_t len = log_format(line, level, event, fmt, args);
    va_end(args);
    (void)log_write_all(line, len);
}

/*
 * Moves whole lines from the ring to `chunk`; returns their bytes. Waits for some to come; 0 means
 * that the log was closed and the ring is empty.
 */
static size_t log_take(char chunk[LOG_CHUNK_BYTES])
{
    size_t len = 0;

    pthread_mutex_lock(&logger.mutex);
    while (logger.len == 0 && atomic_load(&logger.close_by) == 0) {
        pthread_cond_wait(&logger.filled, &logger.mutex);
    }
    len = logger.len < LOG_CHUNK_BYTES ? logger.len : LOG_CHUNK_BYTES;

    size_t first = LIMIT_LOG_RING_BYTES - logger.head;

    first = first < len ? first : len;
    memcpy(chunk, logger.ring + logger.head, first);
    memcpy(chunk + first, logger.ring, len - first);
    while (len > 0 && chunk[len - 1] != '\n') {
        len--;
    }
    logger.head = (logger.head + len) % LIMIT_LOG_RING_BYTES;
    logger.len -= len;
    pthread_mutex_unlock(&logger.mutex);
    return len;
}

static uint64_t log_count_lines(const char *chunk, size_t len)
{
    uint64_t lines = 0;

    for (size_t i = 0; i < len; i++) {
        lines += chunk[i] == '\n';
    }
    return lines;
}

static void *log_writer(void *arg)
{
    static char chunk[LOG_CHUNK_BYTES];
    size_t len;

    (void)arg;
    while ((len = log_take(chunk)) > 0) {
        if (!log_write_all(chunk, len)) {
            atomic_fetch_add(&logger.dropped, log_count_lines(chunk, len));
            continue;
        }

        uint64_t dropped = log_dropped_count();

        if (dropped != logger.reported) {
            log_write_line(LOG_LEVEL_WARN, "log-dropped", "lines=%llu total=%llu",
                           (unsigned long long)(dropped - logger.reported),
                           (unsigned long long)dropped);
            logger.reported = dropped;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------------- open and close -- */

/* O_NONBLOCK so that a FIFO that nobody reads is an error instead of a wait. */
static int log_open_file(const char *path)
{
    if (strcmp(path, "-") == 0) {
        return STDERR_FILENO;
    }
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                LOG_FILE_MODE);
}

/* Signals, SIGPIPE among them, are not for the writer: it sees EPIPE. */
static int log_start_thread(void)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&logger.thread, NULL, log_writer, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int log_open(const char *path, enum log_level level)
{
    assert(!atomic_load(&logger.open));

    int fd = log_open_file(path);

    if (fd < 0) {
        return -1;
    }
    logger.fd = fd;
    logger.path = strdup(path);
    if (logger.path == NULL) {
        abort();
    }
    atomic_store(&logger.close_by, 0);

    int error = log_start_thread();

    if (error != 0) {
        if (fd != STDERR_FILENO) {
            close(fd);
        }
        free(logger.path);
        errno = error;
        return -1;
    }
    log_set_level(level);
    atomic_store(&logger.open, true);
    return 0;
}

int log_reopen(void)
{
    if (!atomic_load(&logger.open) || logger.fd == STDERR_FILENO) {
        return 0;
    }

    int fd = log_open_file(logger.path);

    if (fd < 0) {
        return -1;
    }
    /* Atomic for the writer, which goes on with the same number. */
    int result = dup3(fd, logger.fd, O_CLOEXEC) < 0 ? -1 : 0;
    int error = errno;

    close(fd);
    errno = error;
    return result;
}

void log_close(void)
{
    if (!atomic_exchange(&logger.open, false)) {
        return;
    }
    pthread_mutex_lock(&logger.mutex);
    atomic_store(&logger.close_by, clock_boot_us() + LOG_CLOSE_US);
    pthread_cond_signal(&logger.filled);
    pthread_mutex_unlock(&logger.mutex);
    pthread_join(logger.thread, NULL);

    if (logger.fd != STDERR_FILENO) {
        close(logger.fd);
    }
    logger.fd = STDERR_FILENO;
    free(logger.path);
    logger.path = NULL;
}
