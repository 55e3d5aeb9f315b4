/*
 * holdfast/internal/fault.h - places where a fault build can be made to fail. Not installed.
 *
 * A fault build (HF_FAULTS defined; presets dev, asan, tsan) has named failpoints and planted bugs;
 * in a release both vanish, names and all, which tests/cli/release_is_clean.sh proves with nm and
 * strings.
 *
 *   HF_FAULT("decision:durable");                 here the process may be killed or held up
 *   if (HF_FAULT_FAILS("store:commit")) rc = EIO;   here, besides, a call may be made to fail
 *   if (HF_BUG("commit-before-decision")) ...     a mistake that every rig has to notice
 *
 * Every failpoint of a program is known before it is passed: each use puts its name into a section
 * of its own, so that a test can ask for all of them and be told of the one that nothing reaches.
 *
 * Threads: failpoints may be hit by any thread; set them before threads start.
 */
#ifndef HOLDFAST_INTERNAL_FAULT_H
#define HOLDFAST_INTERNAL_FAULT_H

#ifdef HF_FAULTS

#include <stddef.h>

struct hf__fault_point {
    const char *name;
    size_t can_fail; /* 1: HF_FAULT_FAILS */
};

/* Pass a failpoint, and do there what it was set to do. 1: the call has to fail. */
int hf__fault_hit(const char *name);

/*
 * Set failpoints, by a list NAME=ACTION[TRIGGER],... such as
 * "log:decided=kill@3,kv:prepare=fail%10:7".
 *
 *   kill       SIGKILL to the process
 *   fail       the call fails; for points of HF_FAULT_FAILS only
 *   delay:MS   so many milliseconds
 *   barrier:N  wait until N threads are waiting here
 *
 *   (none)     at every hit
 *   @N         at the N-th hit from now alone
 *   @N+        at that and all later ones
 *   %P[:SEED]  at P of a hundred, the same ones for the same seed
 *
 * Returns 0, or -1 for a list that it cannot read or a point that the program does not have; those
 * before it are set then. NULL clears all; who waits at a barrier goes on.
 */
int hf__fault_set(const char *list);

/* How often a failpoint was passed since the start. */
unsigned long hf__fault_hits(const char *name);

/* The name of the program's i-th failpoint, in the order of names; NULL: there are not so many.
   ret_can_fail may be NULL. */
const char *hf__fault_name(unsigned i, int *ret_can_fail);

/* Plant a bug by name, for the rest of the process; NULL takes all out. */
void hf__bug_plant(const char *name);
int hf__bug_planted(const char *name);

#define HF_FAULT_POINT_(name_, can_fail_)                                                          \
    __extension__({                                                                                \
        static struct hf__fault_point hf__point_                                                   \
            __attribute__((section("hf_faults"), used)) = {name_, can_fail_};                      \
        hf__fault_hit(hf__point_.name);                                                            \
    })
#define HF_FAULT(name) ((void)HF_FAULT_POINT_(name, 0))
#define HF_FAULT_FAILS(name) HF_FAULT_POINT_(name, 1)
#define HF_BUG(name) hf__bug_planted(name)

#else

#define HF_FAULT(name) ((void)0)
#define HF_FAULT_FAILS(name) 0
#define HF_BUG(name) 0

#endif

#endif
