/*
 * tests/crash/matrix/rig.h - a directory of one's own, and processes forked to work in it.
 */
#ifndef HF_TESTS_CRASH_RIG_H
#define HF_TESTS_CRASH_RIG_H

#include <stdbool.h>
#include <stddef.h>

/* Say what failed, by errno, and exit. For what is no fault of the product. */
_Noreturn void rig_die(const char *what);

/* Memory, zeroed, that forked processes share. */
void *rig_share(size_t size);

/* Make a directory, in memory if there is such a place: a kill needs no disk. */
void rig_dir_make(char ret[], size_t size);
/* Remove what is in it; with itself. */
void rig_dir_empty(const char *dir);
void rig_dir_remove(const char *dir);

enum { RIG_CHILD_SECONDS = 30 };

/* Fork a process that runs fn and exits with what it returns; it is ended by SIGALRM if it hangs.
   The wait status. */
int rig_process(int (*fn)(void *user), void *user);
bool rig_ended_well(int status);
bool rig_was_killed(int status);
/* What a status other than good means: in static memory; NULL: it exited by itself. */
const char *rig_signal_text(int status);

#endif
