/* The limit of open files. */
#include <sys/resource.h>

#include "base/config_derived.h"
#include "base/log.h"
#include "server/daemon.h"

void server_raise_file_limit(const struct config *config)
{
    rlim_t wanted = (rlim_t)config_files_wanted(config);
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
