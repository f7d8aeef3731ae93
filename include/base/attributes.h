/*
 * base/attributes.h: the compiler attributes that the whole tree uses, and the promise that
 * assertions are compiled in.
 */
#ifndef BALLAST_BASE_ATTRIBUTES_H
#define BALLAST_BASE_ATTRIBUTES_H

#include <assert.h>

/* A broken invariant must stop the daemon, in production above all: balances are at stake. */
#ifdef NDEBUG
#error "Ballast is built with its assertions: do not define NDEBUG"
#endif

/* The result says whether it worked: ignoring it is a compile error (-Werror). */
#define MUST_CHECK __attribute__((warn_unused_result))

/* Argument `fmt` is a printf format, its arguments start at `first` (0 for a va_list). */
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#endif
