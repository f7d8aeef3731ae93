/*
 * unit.h: a test program of one suite. Each test runs in a process of its own; CK_FORK=no keeps
 * them in one, for a debugger.
 */
#ifndef BALLAST_TEST_UNIT_H
#define BALLAST_TEST_UNIT_H

#include <check.h>

#define UNIT_MAIN(name, ...)                                                                       \
    int main(void)                                                                                 \
    {                                                                                              \
        const TTest *tests[] = {__VA_ARGS__};                                                      \
        return unit_run(name, tests, sizeof tests / sizeof tests[0]);                              \
    }

static inline int unit_run(const char *name, const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(name);
    TCase *all = tcase_create(name);

    tcase_set_timeout(all, 60);
    for (size_t i = 0; i < count; i++) {
        tcase_add_test(all, tests[i]);
    }
    suite_add_tcase(suite, all);

    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);

    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

#endif
