#include "trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TRACE_SIZE 8192 /* a power of two */
#define TRACE_SHOWN 120

struct note {
    int64_t at;
    int account;
    char who[12];
    const char *text;
    uint64_t a, b;
};

bool trace_verbose;
static struct note notes[TRACE_SIZE];
static uint64_t noted;

static void print(const struct note *note)
{
    char account[16] = "-";
    if (note->account >= 0) {
        snprintf(account, sizeof account, "a%02d", note->account);
    }
    printf("%10.6f %-8s %-4s %s %" PRIu64 " %" PRIu64 "\n", (double)note->at / 1e6, note->who,
           account, note->text, note->a, note->b);
}

void trace_note(int account, const char *who, const char *text, uint64_t a, uint64_t b)
{
    struct note *note = &notes[noted++ % TRACE_SIZE];
    note->at = world_now();
    note->account = account;
    memccpy(note->who, who, '\0', sizeof note->who - 1);
    note->who[sizeof note->who - 1] = '\0';
    note->text = text;
    note->a = a;
    note->b = b;
    if (trace_verbose) {
        print(note);
    }
}

void trace_show(int account)
{
    uint64_t first = noted > TRACE_SIZE ? noted - TRACE_SIZE : 0, wanted = 0;
    for (uint64_t i = noted; i > first && wanted < TRACE_SHOWN; i--) {
        const struct note *note = &notes[(i - 1) % TRACE_SIZE];
        wanted += note->account == account || note->account < 0;
        first = wanted == TRACE_SHOWN ? i - 1 : first;
    }
    for (uint64_t i = first; i < noted; i++) {
        const struct note *note = &notes[i % TRACE_SIZE];
        if (note->account == account || note->account < 0) {
            print(note);
        }
    }
}

void trace_clear(void)
{
    noted = 0;
}
