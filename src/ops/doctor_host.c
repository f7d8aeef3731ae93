/* The machine that this runs on, which may be that of the daemon, of Redis, or of both. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <time.h>

#include "base/clock.h"
#include "base/config_derived.h"
#include "ops/doctor_checks.h"

#define CLOCK_RATE_PERCENT_MAX 4.7 /* W is 1.1 L: what two clocks may differ by in their rates */
#define CLOCK_STEP_US (50 * 1000)  /* less is the noise of reading two clocks on a busy machine */

/* The first line of a file of /proc or /sys; "" where it cannot be read. */
static void read_line(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");

    out[0] = '\0';
    if (file != NULL) {
        if (fgets(out, (int)size, file) == NULL) {
            out[0] = '\0';
        }
        fclose(file);
    }
    out[strcspn(out, "\n")] = '\0';
}

/* --- descriptors ------------------------------------------------------------------------------*/

/* The soft limit of a process; 0 where it cannot be seen. */
static int64_t file_limit_of(int64_t pid)
{
    char path[64], line[256];
    long long soft = 0;

    snprintf(path, sizeof path, "/proc/%" PRId64 "/limits", pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && soft == 0 && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "Max open files %lld", &soft) != 1) {
            soft = 0;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return soft;
}

/* The running daemon's limit, if it runs here; else what one that this shell starts could have. */
void check_host_descriptors(struct doctor_exam *exam, struct doctor_finding *finding)
{
    int64_t wanted = config_files_wanted(exam->config), limit = 0;
    bool running = !exam->abandoned && exam->daemon.info != NULL;
    struct rlimit own = {0};

    if (running) {
        limit = file_limit_of(doctor_info_number(exam->daemon.info, "process_id", 0));
    }
    if (limit == 0 && getrlimit(RLIMIT_NOFILE, &own) == 0) {
        limit = own.rlim_max == RLIM_INFINITY ? INT64_MAX : (int64_t)own.rlim_max;
        running = false;
    }
    doctor_find(finding, limit < wanted ? DOCTOR_FAIL : DOCTOR_OK,
                "%s %" PRId64 " open files; [limits] clients = %" PRId64
                " and the rest want %" PRId64,
                running ? "ballastd may have" : "a program of this shell may have", limit,
                exam->config->limits.clients, wanted);
    if (limit < wanted) {
        doctor_next(finding,
                    "systemctl edit ballastd (LimitNOFILE=%" PRId64 "), or lower [limits] "
                    "clients",
                    wanted);
    }
}

/* --- clock ------------------------------------------------------------------------------------*/

/* Leases are measured with CLOCK_BOOTTIME; a wall clock that runs otherwise, while this program
 * ran, has been stepped, or one of the two is not a clock. */
void check_host_clock(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct timex kernel = {.modes = 0};
    struct timespec wall;

    clock_gettime(CLOCK_REALTIME, &wall);
    int64_t boot_us = clock_boot_us() - exam->began_us;
    int64_t wall_us = wall.tv_sec * INT64_C(1000000) + wall.tv_nsec / 1000 - exam->began_wall_us;
    int64_t apart_us = llabs(wall_us - boot_us);
    bool synchronized = adjtimex(&kernel) >= 0 && (kernel.status & STA_UNSYNC) == 0;
    bool stepped =
        apart_us > CLOCK_STEP_US + (int64_t)((double)boot_us * CLOCK_RATE_PERCENT_MAX / 100);

    if (stepped) {
        doctor_find(finding, DOCTOR_WARN,
                    "in %.0f ms the wall clock went on by %.0f ms: it was stepped, or is no clock",
                    (double)boot_us / 1e3, (double)wall_us / 1e3);
    } else {
        doctor_find(finding, synchronized ? DOCTOR_OK : DOCTOR_WARN,
                    "CLOCK_BOOTTIME and the wall clock go alike; the kernel says that the wall "
                    "clock is %ssynchronized",
                    synchronized ? "" : "not ");
    }
    if (finding->result != DOCTOR_OK) {
        doctor_next(finding, "timedatectl; systemctl status systemd-timesyncd");
    }
}

/* --- what Redis and the listeners want of the kernel ------------------------------------------*/

static bool redis_is_here(const struct doctor_exam *exam)
{
    return address_is_local(&exam->config->cache.address);
}

void check_host_overcommit(struct doctor_exam *exam, struct doctor_finding *finding)
{
    char value[16];

    read_line("/proc/sys/vm/overcommit_memory", value, sizeof value);
    if (!redis_is_here(exam) || value[0] == '\0') {
        doctor_find(finding, DOCTOR_SKIPPED, "Redis is on another machine");
    } else if (value[0] == '1') {
        doctor_find(finding, DOCTOR_OK, "vm.overcommit_memory is 1");
    } else {
        doctor_find(finding, DOCTOR_WARN,
                    "vm.overcommit_memory is %s: Redis may fail to fork for a snapshot or a "
                    "resynchronisation",
                    value);
        doctor_next(finding, "sysctl vm.overcommit_memory=1 (and in /etc/sysctl.d)");
    }
}

void check_host_huge_pages(struct doctor_exam *exam, struct doctor_finding *finding)
{
    char value[64];

    read_line("/sys/kernel/mm/transparent_hugepage/enabled", value, sizeof value);
    if (!redis_is_here(exam) || value[0] == '\0') {
        doctor_find(finding, DOCTOR_SKIPPED, "Redis is on another machine");
    } else if (strstr(value, "[always]") == NULL) {
        doctor_find(finding, DOCTOR_OK, "transparent huge pages: %s", value);
    } else {
        doctor_find(finding, DOCTOR_WARN,
                    "transparent huge pages are always on: after a fork Redis copies 2 MB a write, "
                    "and stalls");
        doctor_next(finding, "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled");
    }
}

void check_host_backlog(struct doctor_exam *exam, struct doctor_finding *finding)
{
    char value[16];

    read_line("/proc/sys/net/core/somaxconn", value, sizeof value);
    int64_t most = atoll(value);
    if (value[0] == '\0') {
        doctor_find(finding, DOCTOR_SKIPPED, "net.core.somaxconn cannot be seen");
    } else if (most >= exam->config->listen.backlog) {
        doctor_find(finding, DOCTOR_OK, "net.core.somaxconn is %s", value);
    } else {
        doctor_find(finding, DOCTOR_WARN,
                    "net.core.somaxconn is %s and cuts [listen] backlog = %" PRId64, value,
                    exam->config->listen.backlog);
        doctor_next(finding, "sysctl net.core.somaxconn=%" PRId64, exam->config->listen.backlog);
    }
}
