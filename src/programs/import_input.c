/*
 * Standard input may be a pipe, which cannot be looked into without taking bytes out of it: a
 * thread therefore feeds gzip with the bytes that were taken and whatever comes after them.
 */
#include "programs/import_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FEED_BYTES 65536

extern char **environ;

static bool fail(struct import_input *input, const char *what, int error)
{
    snprintf(input->error, sizeof input->error, "%s: %s", what, strerror(error));
    return false;
}

struct feed {
    int from, to;
    unsigned char head[2];
};

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, bytes, len);
        if (done < 0 && errno != EINTR) {
            return false;
        }
        if (done > 0) {
            bytes += done;
            len -= (size_t)done;
        }
    }
    return true;
}

/* Ends at the end of the file, or when gzip no longer takes anything: gzip's status tells. */
static void *run_feed(void *arg)
{
    struct feed *feed = arg;
    static char bytes[FEED_BYTES]; /* there is one feed a process */
    bool going = write_all(feed->to, (const char *)feed->head, sizeof feed->head);

    while (going) {
        ssize_t len = read(feed->from, bytes, sizeof bytes);
        if (len < 0 && errno == EINTR) {
            continue;
        }
        going = len > 0 && write_all(feed->to, bytes, (size_t)len);
    }
    close(feed->to);
    free(feed);
    return NULL;
}

static bool start_feed(struct import_input *input, int to)
{
    struct feed *feed = malloc(sizeof *feed);
    pthread_t thread;

    if (feed == NULL) {
        abort();
    }
    *feed = (struct feed){input->raw, to, {input->head[0], input->head[1]}};
    int error = pthread_create(&thread, NULL, run_feed, feed);
    if (error != 0) {
        free(feed);
        return fail(input, "cannot start a thread", error);
    }
    pthread_detach(thread); /* it may stand in a read of a terminal when we end */
    return true;
}

static bool spawn_gzip(struct import_input *input, int in, int out)
{
    char *const words[] = {"gzip", "-dc", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;

    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    int error = posix_spawnp(&input->gzip, "gzip", &actions, &attributes, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) {
        input->gzip = 0;
        return fail(input, "gzip", error);
    }
    return true;
}

static bool start_gzip(struct import_input *input)
{
    int to[2], from[2];

    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) {
        return fail(input, "cannot make a pipe", errno);
    }
    bool good = spawn_gzip(input, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    input->fd = from[0];
    if (!good || !start_feed(input, to[1])) {
        close(to[1]);
        return false;
    }
    input->head_len = 0;
    return true;
}

bool import_input_open(struct import_input *input, const char *path)
{
    struct stat about;

    *input = (struct import_input){.raw = STDIN_FILENO, .fd = -1};
    if (strcmp(path, "-") != 0) {
        input->raw = open(path, O_RDONLY | O_CLOEXEC);
        if (input->raw < 0) {
            return fail(input, path, errno);
        }
    }
    if (fstat(input->raw, &about) == 0 && S_ISDIR(about.st_mode)) {
        return fail(input, path, EISDIR);
    }
    input->size = S_ISREG(about.st_mode) ? (uint64_t)about.st_size : 0;
    while (input->head_len < sizeof input->head) {
        ssize_t len =
            read(input->raw, input->head + input->head_len, sizeof input->head - input->head_len);
        if (len < 0 && errno != EINTR) {
            return fail(input, path, errno);
        }
        if (len == 0) {
            break;
        }
        input->head_len += len > 0 ? (size_t)len : 0;
    }
    input->fd = input->raw;
    bool packed = input->head_len == 2 && input->head[0] == 0x1F && input->head[1] == 0x8B;
    return !packed || start_gzip(input);
}

void import_input_close(struct import_input *input)
{
    if (input->gzip > 0) {
        kill(input->gzip, SIGTERM);
        waitpid(input->gzip, NULL, 0);
        input->gzip = 0;
    }
    if (input->fd >= 0 && input->fd != input->raw) {
        close(input->fd);
    }
}

static enum input_result end_of_input(struct import_input *input)
{
    int status = 0;

    if (input->gzip == 0) {
        return INPUT_END;
    }
    waitpid(input->gzip, &status, 0);
    input->gzip = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return INPUT_END;
    }
    snprintf(input->error, sizeof input->error,
             "gzip could not unpack all of it: the file is damaged or cut off");
    return INPUT_FAILED;
}

enum input_result import_input_read(struct import_input *input, char *bytes, size_t size,
                                    int timeout_ms, size_t *len)
{
    struct pollfd fd = {.fd = input->fd, .events = POLLIN};

    if (input->head_len > 0) {
        memcpy(bytes, input->head, input->head_len);
        *len = input->head_len;
        input->head_len = 0;
        return INPUT_BYTES;
    }
    if (poll(&fd, 1, timeout_ms) <= 0) {
        return INPUT_NONE_YET;
    }
    ssize_t done = read(input->fd, bytes, size);
    if (done > 0) {
        *len = (size_t)done;
        return INPUT_BYTES;
    }
    if (done < 0 && (errno == EINTR || errno == EAGAIN)) {
        return INPUT_NONE_YET;
    }
    if (done < 0) {
        fail(input, "cannot read", errno);
        return INPUT_FAILED;
    }
    return end_of_input(input);
}

double import_input_share(const struct import_input *input)
{
    off_t at = input->size > 0 ? lseek(input->raw, 0, SEEK_CUR) : -1;

    return at < 0 ? -1 : (double)at / (double)input->size;
}
