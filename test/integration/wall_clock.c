/*
 * A wall clock that a test can turn: loaded in front of libc (LD_PRELOAD) into a server, it adds the
 * seconds that stand in the file $WALL_CLOCK_FILE (an int64, mapped) to every reading. Timers and
 * leases must not notice: they go by other clocks.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t *offset;

__attribute__((constructor)) static void map_offset(void)
{
    const char *path = getenv("WALL_CLOCK_FILE");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0);

    if (map == MAP_FAILED) {
        abort();
    }
    close(fd);
    offset = map;
}

static time_t turned(void)
{
    return offset == NULL ? 0 : (time_t)__atomic_load_n(offset, __ATOMIC_RELAXED);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, id, now);

    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += turned();
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec read;
    int result = clock_gettime(CLOCK_REALTIME, &read);

    (void)zone;
    now->tv_sec = read.tv_sec;
    now->tv_usec = read.tv_nsec / 1000;
    return result;
}

time_t time(time_t *out)
{
    struct timespec read;

    (void)clock_gettime(CLOCK_REALTIME, &read);
    if (out != NULL) {
        *out = read.tv_sec;
    }
    return read.tv_sec;
}
