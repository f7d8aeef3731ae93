#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *out, size_t len)
{
    unsigned char *at = out;

    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            abort(); /* a guessable nonce or token is worse than no daemon */
        }
        at += got;
        len -= (size_t)got;
    }
}

uint64_t random_uint64(void)
{
    uint64_t value;

    random_bytes(&value, sizeof value);
    return value;
}

int64_t random_between(int64_t low, int64_t high)
{
    assert(low <= high);

    uint64_t span = (uint64_t)high - (uint64_t)low + 1; /* 0: all of them */
    uint64_t value = random_uint64();

    if (span != 0) {
        /* Refuse the tail that would make the first values more likely than the others. */
        uint64_t fair = UINT64_MAX - (UINT64_MAX - span + 1) % span;

        while (value > fair) {
            value = random_uint64();
        }
        value %= span;
    }
    return (int64_t)((uint64_t)low + value);
}

int64_t random_jitter(int64_t base)
{
    assert(base >= 0);

    int64_t value =
        random_between(base - base / 4, base > INT64_MAX - base / 4 ? INT64_MAX : base + base / 4);

    return value > 0 ? value : 1;
}
