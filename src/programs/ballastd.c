/* ballastd: the daemon. See ballastd(8). */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "ops/link_options.h"
#include "server/server.h"

#define DEFAULT_PATH "/etc/ballast/ballast.conf"

/* EX_USAGE and EX_CONFIG of sysexits(3). */
#define EXIT_USAGE 64
#define EXIT_CONFIG 78

static const char usage[] =
    "usage: ballastd [-c FILE] [--check-config]\n"
    "\n"
    "  -c, --config FILE   the configuration (" DEFAULT_PATH ", if it exists)\n"
    "      --check-config  reads the configuration, says what is wrong with it, and ends\n"
    "      --version       prints the version\n"
    "      --help          prints this\n"
    "\n"
    "Exit: 0 ended by a signal, all requests answered; 1 failed; 64 usage; 78 configuration, or\n"
    "a store that an operator has to prepare (`ballast migrate`).\n";

struct arguments {
    const char *path; /* NULL: the defaults */
    bool check;
};

/* Returns false where the program is to end with *status. */
static bool read_arguments(int argc, char **argv, struct arguments *arguments, int *status)
{
    enum { CHECK = 256, VERSION, HELP };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check-config", no_argument, NULL, CHECK},
        {"version", no_argument, NULL, VERSION},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    int option;

    *status = EXIT_SUCCESS;
    while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            arguments->path = optarg;
            break;
        case CHECK:
            arguments->check = true;
            break;
        case VERSION:
            puts("ballastd " BALLAST_VERSION);
            return false;
        case HELP:
            fputs(usage, stdout);
            return false;
        default:
            fputs(usage, stderr);
            *status = EXIT_USAGE;
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "ballastd: unexpected argument: %s\n%s", argv[optind], usage);
        *status = EXIT_USAGE;
        return false;
    }
    if (arguments->path == NULL && access(DEFAULT_PATH, F_OK) == 0) {
        arguments->path = DEFAULT_PATH;
    }
    return true;
}

/* The configuration; NULL after having said what is wrong. */
static struct config *load(const char *path)
{
    char err[1024];
    struct config *config = config_load(path, err, sizeof err);

    if (config == NULL) {
        fprintf(stderr, "%s\n", err);
        return NULL;
    }
    if (store_options_check(config, err, sizeof err) != 0) {
        fprintf(stderr, "%s: [store] conninfo: %s\n", path != NULL ? path : "defaults", err);
        config_free(config);
        return NULL;
    }
    return config;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    int status;

    if (!read_arguments(argc, argv, &arguments, &status)) {
        return status;
    }
    struct config *config = load(arguments.path);
    if (config == NULL) {
        return EXIT_CONFIG;
    }
    if (arguments.check) {
        printf("%s: ok\n", arguments.path != NULL ? arguments.path : "defaults");
        config_free(config);
        return EXIT_SUCCESS;
    }
    if (log_open(config->log.file, (enum log_level)config->log.level) != 0) {
        fprintf(stderr, "ballastd: cannot write the log %s: %s\n", config->log.file,
                strerror(errno));
        config_free(config);
        return EXIT_FAILURE;
    }
    status = server_run(config);
    log_close();
    return status;
}
