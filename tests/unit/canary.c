/*
 * What: that a failing assertion fails the test program, and that t.h says what went wrong.
 * How:  two of these three tests must fail. tests/cli/canary.sh runs the program and demands just
 *       that: a suite in which nothing can fail would be silent here.
 */
#include "support/t.h"

static void canary__this_one_passes(void **state)
{
    (void)state;
    t_ok(HF_OK);
    t_rc(HF_EBUSY, HF_EBUSY);
}

static void canary__fails_where_ok_was_wanted(void **state)
{
    (void)state;
    t_ok(HF_EBUSY);
}

static void canary__fails_where_an_error_was_wanted(void **state)
{
    (void)state;
    t_rc(HF_EFULL, HF_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canary__this_one_passes),
        cmocka_unit_test(canary__fails_where_ok_was_wanted),
        cmocka_unit_test(canary__fails_where_an_error_was_wanted),
    };
    return cmocka_run_group_tests_name("canary", tests, NULL, NULL);
}
