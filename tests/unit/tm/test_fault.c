/*
 * What: failpoints: how they are set, when they act, and that all of them are known.
 * How:  failpoints of this file's own. In a release they are nothing, and that is all there is to
 *       see.
 */
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>

#include "holdfast/internal/fault.h"
#include "holdfast/tm.h"
#include "support/t.h"

static int pass(void)
{
    return HF_FAULT_FAILS("test:fails");
}

#ifdef HF_FAULTS

static void pass_other(void)
{
    HF_FAULT("test:plain");
}

/* The hits from 1 to 20 at which the call failed, as bits. */
static unsigned failed_hits(const char *list)
{
    unsigned bits = 0;

    assert_int_equal(hf__fault_set(list), 0);
    for (unsigned i = 1; i <= 20; i++)
        bits |= (unsigned)pass() << i;
    assert_int_equal(hf__fault_set(NULL), 0);
    assert_int_equal(pass(), 0);
    return bits;
}

static void fail__acts_as_its_trigger_says(void **state)
{
    unsigned some = failed_hits("test:fails=fail%50:3");

    (void)state;
    assert_int_equal(failed_hits("test:fails=fail"), 0x1ffffe);
    assert_int_equal(failed_hits("test:fails=fail@3"), 1U << 3);
    assert_int_equal(failed_hits("test:fails=fail@19+"), 1U << 19 | 1U << 20);
    assert_int_equal(failed_hits("test:fails=fail%0"), 0);
    assert_int_equal(failed_hits("test:fails=fail%100"), 0x1ffffe);
    assert_true(some != 0 && some != 0x1ffffe);
    assert_int_equal(failed_hits("test:fails=fail%50:3"), some);
    assert_int_not_equal(failed_hits("test:fails=fail%50:4"), some);
}

static void kill__kills_at_its_hit(void **state)
{
    int status;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        if (hf__fault_set("test:fails=fail@1,test:plain=kill@2") != 0)
            _exit(1);
        pass_other();
        if (!pass())
            _exit(2);
        pass_other();
        _exit(3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void delay__takes_its_time(void **state)
{
    struct timespec from, to;

    (void)state;
    assert_int_equal(hf__fault_set("test:plain=delay:30"), 0);
    clock_gettime(CLOCK_MONOTONIC, &from);
    pass_other();
    clock_gettime(CLOCK_MONOTONIC, &to);
    assert_int_equal(hf__fault_set(NULL), 0);
    assert_true((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 >= 29);
}

static void *pass_in_thread(void *done)
{
    pass_other();
    __atomic_store_n((int *)done, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void barrier__lets_go_when_all_have_come(void **state)
{
    pthread_t thread;
    int done = 0;

    (void)state;
    assert_int_equal(hf__fault_set("test:plain=barrier:2"), 0);
    for (int round = 0; round < 3; round++) {
        unsigned long hits = hf__fault_hits("test:plain");

        done = 0;
        assert_int_equal(pthread_create(&thread, NULL, pass_in_thread, &done), 0);
        while (hf__fault_hits("test:plain") == hits)
            (void)sched_yield();
        assert_int_equal(__atomic_load_n(&done, __ATOMIC_SEQ_CST), 0);
        pass_other();
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    /* And clearing lets go of who waits for nobody. */
    assert_int_equal(pthread_create(&thread, NULL, pass_in_thread, &done), 0);
    assert_int_equal(hf__fault_set(NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void set__refuses_what_it_cannot_read(void **state)
{
    static const char *const wrong[] = {
        "test:fails",         "=kill",
        "test:fails=",        "test:fails=die",
        "test:fails=kill@",   "test:fails=kill@x",
        "test:fails=kill@1x", "test:fails=fail%",
        "test:fails=fail%5:", "test:fails=delay",
        "test:fails=delay:",  "test:fails=barrier",
        "no such point=kill", "test:plain=fail", /* it cannot fail */
        "test:fails=kill@1 ", "test:fails=kill@-1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (hf__fault_set(wrong[i]) != -1)
            fail_msg("\"%s\" was taken", wrong[i]);
    assert_int_equal(pass(), 0);
    pass_other();
}

static void names__are_all_there_before_they_are_passed(void **state)
{
    const char *name, *last = "";
    unsigned count = 0, ours = 0;
    int can_fail;

    (void)state;
    t_rc(HF_EINVAL, hf_tm_open(NULL, NULL)); /* the product is linked, too */
    for (unsigned i = 0; (name = hf__fault_name(i, &can_fail)) != NULL; i++, count++) {
        assert_true(strcmp(last, name) < 0);
        last = name;
        if (strcmp(name, "test:never") == 0)
            ours += hf__fault_hits(name) == 0 && !can_fail;
        if (strcmp(name, "test:fails") == 0)
            ours += can_fail != 0;
    }
    assert_int_equal(ours, 2);
    assert_true(count > 20); /* the product's own are among them */
    assert_null(hf__fault_name(count, NULL));
    assert_int_equal(hf__fault_hits("no such point"), 0);
    if (count == 0)
        HF_FAULT("test:never");
}

#else

static void release__has_none(void **state)
{
    (void)state;
    assert_int_equal(pass(), 0);
    assert_int_equal(HF_BUG("test-bug"), 0);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef HF_FAULTS
        cmocka_unit_test(fail__acts_as_its_trigger_says),
        cmocka_unit_test(kill__kills_at_its_hit),
        cmocka_unit_test(delay__takes_its_time),
        cmocka_unit_test(barrier__lets_go_when_all_have_come),
        cmocka_unit_test(set__refuses_what_it_cannot_read),
        cmocka_unit_test(names__are_all_there_before_they_are_passed),
#else
        cmocka_unit_test(release__has_none),
#endif
    };

    return cmocka_run_group_tests_name("tm.fault", tests, NULL, NULL);
}
