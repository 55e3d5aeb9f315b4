/*
 * holdfast/internal/fault.h - places where a fault build can be made to fail. Not installed.
 *
 * A fault build (HF_FAULTS defined; presets dev, asan, tsan) has named failpoints and planted bugs;
 * in a release both vanish, names and all, which tests/cli/release_is_clean.sh proves with nm and
 * strings.
 *
 *   HF_FAULT("decision:durable");                 here the process may be killed
 *   if (HF_FAULT_FAILS("store:commit")) rc = EIO;   here a call may be made to fail
 *   if (HF_BUG("commit-before-decision")) ...     a mistake that every rig has to notice
 *
 * Threads: failpoints may be hit by any thread; set them before threads start.
 */
#ifndef HOLDFAST_INTERNAL_FAULT_H
#define HOLDFAST_INTERNAL_FAULT_H

#ifdef HF_FAULTS

/* Pass a failpoint. Kills the process with SIGKILL if it was set to; returns 1 if the call has
   to fail. */
int hf__fault_hit(const char *name);
/* Set by spec: "NAME=kill", "NAME=fail", with "@N" for the N-th hit only ("log:decided=kill@3").
   Several are separated by commas. Returns 0, or -1 for a spec it cannot read. NULL clears all. */
int hf__fault_set(const char *spec);
/* How often a failpoint was passed since the start. */
unsigned long hf__fault_hits(const char *name);
/* Plant a bug by name, for the rest of the process; NULL takes all out. */
void hf__bug_plant(const char *name);
int hf__bug_planted(const char *name);

#define HF_FAULT(name) ((void)hf__fault_hit(name))
#define HF_FAULT_FAILS(name) hf__fault_hit(name)
#define HF_BUG(name) hf__bug_planted(name)

#else

#define HF_FAULT(name) ((void)0)
#define HF_FAULT_FAILS(name) 0
#define HF_BUG(name) 0

#endif

#endif
