/*
 * tests/crash/matrix/script.h - a script that runs servers, and does what it is told in words.
 */
#ifndef HF_TESTS_CRASH_SCRIPT_H
#define HF_TESTS_CRASH_SCRIPT_H

#include <stdbool.h>

struct script;

/* Start it with a directory; it ends with this process. NULL: it says that it has no server. */
struct script *script_start(const char *path, const char *dir);
/* Say a word, and wait. Did it answer that all went well? */
bool script_tell(struct script *s, const char *word);

#endif
