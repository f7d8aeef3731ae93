#include "core/breaker.h"

#include "base/random.h"

bool breaker_admits(const struct breaker *breaker, int64_t now_us)
{
    return breaker->pause_us == 0 || (!breaker->probing && now_us >= breaker->open_until);
}

void breaker_sent(struct breaker *breaker)
{
    breaker->probing = breaker->pause_us != 0;
}

void breaker_passed(struct breaker *breaker)
{
    breaker->pause_us = 0;
    breaker->probing = false;
}

bool breaker_failed(struct breaker *breaker, int64_t now_us)
{
    bool closed = breaker->pause_us == 0;

    if (!closed && !breaker->probing) {
        return false;
    }
    breaker->probing = false;
    breaker->pause_us = closed ? BREAKER_PAUSE_US : 2 * breaker->pause_us;
    if (breaker->pause_us > BREAKER_PAUSE_MAX_US) {
        breaker->pause_us = BREAKER_PAUSE_MAX_US;
    }
    breaker->open_until = now_us + random_jitter(breaker->pause_us);
    return closed;
}
