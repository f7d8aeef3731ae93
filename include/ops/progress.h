/*
 * ops/progress.h: how far a long job has come: a bar with rate and ETA on a terminal, otherwise a
 * plain line every few seconds. Goes to standard error, so that results can be piped.
 */
#ifndef BALLAST_OPS_PROGRESS_H
#define BALLAST_OPS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct progress {
    FILE *out;     /* NULL: quiet */
    bool terminal; /* a bar that is drawn over; else lines */
    bool color;
    const char *what; /* "import" */
    const char *unit; /* "rows" */
    int64_t started_us;
    int64_t shown_us; /* 0: nothing has been shown yet */
};

/* A state of the job, as the renderer needs it. */
struct progress_state {
    uint64_t done;
    double share; /* 0 to 1 of the whole; below 0: unknown */
    int64_t elapsed_us;
};

/* Times are of clock_boot_us. color and terminal are found out from out and the environment
 * (NO_COLOR, TERM=dumb). what and unit are not copied. */
void progress_start(struct progress *progress, bool quiet, const char *what, const char *unit,
                    int64_t now_us);
/* Shows it where it is time to; cheap otherwise. */
void progress_update(struct progress *progress, uint64_t done, double share, int64_t now_us);
/* Ends the bar's line; what follows begins on a fresh one. */
void progress_end(struct progress *progress);

/*
 * The text alone, without line end or escape sequences: "import  45 % [#####      ] 28,900 rows
 * 12,345/s ETA 0:03"; bar_width 0 leaves the bar out.
 */
void progress_render(char *out, size_t size, const struct progress *progress,
                     const struct progress_state *state, int bar_width);

/* 1234567 -> "1,234,567". */
#define PROGRESS_COUNT_ROOM 32
const char *progress_count(char out[PROGRESS_COUNT_ROOM], uint64_t count);

#endif
