/* The limit of open files. */
#include <sys/resource.h>

#include "base/log.h"
#include "server/daemon.h"

/* Standard streams, log, loops, wake-ups, HTTP connections, files opened on a reload. */
#define FILES_BASE 128
#define FILES_A_WORKER 8

static rlim_t files_wanted(const struct config *config)
{
    int64_t links = 2 + config->store.read_links; /* with a writer, and the cache */
    int64_t a_worker = FILES_A_WORKER + links + (int64_t)config->listen.addresses.count;

    return (rlim_t)(FILES_BASE + config->limits.clients + config->listen.workers * a_worker);
}

void server_raise_file_limit(const struct config *config)
{
    rlim_t wanted = files_wanted(config);
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    struct rlimit raised = {.rlim_cur = wanted, .rlim_max = limit.rlim_max};
    if (raised.rlim_max < wanted) {
        raised.rlim_max = wanted; /* only the privileged may */
    }
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
        return;
    }
    raised.rlim_max = limit.rlim_max;
    raised.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &raised) != 0) {
        raised = limit;
    }
    log_warn("file-limit",
             "files=%llu wanted=%llu next=\"raise LimitNOFILE, or lower [limits] clients\"",
             (unsigned long long)raised.rlim_cur, (unsigned long long)wanted);
}
