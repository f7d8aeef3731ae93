/* Progress of long jobs. See the header. */
#include "ops/progress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attributes.h"

#define BAR_WIDTH 24
#define BAR_EVERY_US (100 * 1000)
#define LINE_EVERY_US (5 * 1000 * 1000)
#define RATE_AFTER_US (50 * 1000) /* a rate over less than this says nothing */

const char *progress_count(char out[PROGRESS_COUNT_ROOM], uint64_t count)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, count);
    char *to = out;

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            *to++ = ',';
        }
        *to++ = digits[i];
    }
    *to = '\0';
    return out;
}

static void append(char *out, size_t size, const char *text)
{
    size_t len = strlen(out);

    snprintf(out + len, size - len, "%s", text);
}

static void render_bar(char *out, size_t size, double share, int width)
{
    int full = (int)(share * width);
    char bar[96];

    assert(width < (int)sizeof bar - 4);
    bar[0] = ' ';
    bar[1] = '[';
    for (int i = 0; i < width; i++) {
        bar[2 + i] = i < full ? '#' : '.';
    }
    bar[2 + width] = ']';
    bar[3 + width] = '\0';
    append(out, size, bar);
}

void progress_render(char *out, size_t size, const struct progress *progress,
                     const struct progress_state *state, int bar_width)
{
    char text[96], count[PROGRESS_COUNT_ROOM];
    double share = state->share > 1 ? 1 : state->share;
    double seconds = (double)state->elapsed_us / 1e6;

    snprintf(out, size, "%s", progress->what);
    if (share >= 0) {
        snprintf(text, sizeof text, " %3d %%", (int)(share * 100));
        append(out, size, text);
        if (bar_width > 0) {
            render_bar(out, size, share, bar_width);
        }
    }
    snprintf(text, sizeof text, " %s %s", progress_count(count, state->done), progress->unit);
    append(out, size, text);
    if (state->elapsed_us < RATE_AFTER_US || state->done == 0) {
        return;
    }
    snprintf(text, sizeof text, " %s/s",
             progress_count(count, (uint64_t)((double)state->done / seconds)));
    append(out, size, text);
    if (share > 0 && share < 1) {
        uint64_t left = (uint64_t)(seconds * (1 - share) / share + 0.5);
        snprintf(text, sizeof text, " ETA %" PRIu64 ":%02" PRIu64, left / 60, left % 60);
        append(out, size, text);
    }
}

void progress_start(struct progress *progress, bool quiet, const char *what, const char *unit,
                    int64_t now_us)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    bool terminal = isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0;

    *progress = (struct progress){
        .out = quiet ? NULL : stderr,
        .terminal = terminal,
        .color = terminal && (no_color == NULL || no_color[0] == '\0'),
        .what = what,
        .unit = unit,
        .started_us = now_us,
    };
}

void progress_update(struct progress *progress, uint64_t done, double share, int64_t now_us)
{
    int64_t every_us = progress->terminal ? BAR_EVERY_US : LINE_EVERY_US;
    int64_t last_us = progress->shown_us != 0 ? progress->shown_us : progress->started_us;
    char text[256];

    if (progress->out == NULL || now_us - last_us < every_us) {
        return;
    }
    progress->shown_us = now_us;
    struct progress_state state = {done, share, now_us - progress->started_us};
    progress_render(text, sizeof text, progress, &state, progress->terminal ? BAR_WIDTH : 0);
    if (progress->terminal) {
        fprintf(progress->out, "\r\033[K%s%s%s", progress->color ? "\033[36m" : "", text,
                progress->color ? "\033[0m" : "");
    } else {
        fprintf(progress->out, "%s\n", text);
    }
    fflush(progress->out);
}

void progress_end(struct progress *progress)
{
    if (progress->out != NULL && progress->terminal && progress->shown_us != 0) {
        fputs("\r\033[K", progress->out);
        fflush(progress->out);
    }
    progress->out = NULL;
}
