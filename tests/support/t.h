/*
 * tests/support/t.h - how a cmocka test begins: cmocka, the headers it needs, helpers.
 *
 *   t_ok(hf_tm_open(&config, &tm));              the call has to return HF_OK
 *   t_rc(HF_EOPEN, hf_tm_open(&config, &tm));    the call has to return this very code
 *   char *dir = t_dir_make();                    a directory of one's own, mode 0700
 *   t_dir_remove(dir);                           with all that is in it
 *
 * A failure names the code that came, the code that was wanted, and hf_error_last().
 */
#ifndef HF_TESTS_SUPPORT_T_H
#define HF_TESTS_SUPPORT_T_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "holdfast/base.h"
#include "holdfast/internal/fault.h"

#define t_ok(expr) t__rc(HF_OK, (expr), #expr, __FILE__, __LINE__)
#define t_rc(want, expr) t__rc((want), (expr), #expr, __FILE__, __LINE__)

/* In a fault build, the options "--plant BUG" of a test that has to notice it. */
static inline void t_plant(int argc, char **argv)
{
    (void)argc, (void)argv;
#ifdef HF_FAULTS
    if (argc == 3 && strcmp(argv[1], "--plant") == 0)
        hf__bug_plant(argv[2]);
#endif
}

/* The name of a result code; the number itself for one that is not ours. */
static inline const char *t__code_name(int code, char buf[16])
{
    const char *name = code == HF_OK ? "OK" : hf_strerror_name(code);

    if (name != NULL)
        return name;
    snprintf(buf, 16, "%d", code);
    return buf;
}

static inline void t__rc(int want, int got, const char *expr, const char *file, int line)
{
    char want_buf[16], got_buf[16];
    const hf_error *last = hf_error_last();

    if (got == want)
        return;
    print_error("%s\n    returned %s, wanted %s\n", expr, t__code_name(got, got_buf),
                t__code_name(want, want_buf));
    if (last->code != HF_OK)
        print_error("    last error: %s, native %d: %s\n", t__code_name(last->code, got_buf),
                    last->native_code, last->text);
    _fail(file, line);
}

/* A new directory in $TMPDIR or /tmp. Free it with t_dir_remove(). Fails the test if it cannot. */
static inline char *t_dir_make(void)
{
    const char *parent = getenv("TMPDIR");
    char path[PATH_MAX];
    char *dir;

    if (parent == NULL || parent[0] == '\0')
        parent = "/tmp";
    if (snprintf(path, sizeof(path), "%s/holdfast-test-XXXXXX", parent) >= PATH_MAX)
        fail_msg("TMPDIR is too long");
    if (mkdtemp(path) == NULL) /* mode 0700 */
        fail_msg("mkdtemp %s: %s", path, strerror(errno));
    dir = strdup(path);
    assert_non_null(dir);
    return dir;
}

/* "dir/name", in one of four static buffers: valid until the fourth call after. */
static inline const char *t_path(const char *dir, const char *name)
{
    static char kept[4][PATH_MAX];
    static unsigned next;
    char path[PATH_MAX]; /* dir may be one of those kept */

    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= PATH_MAX)
        fail_msg("the path %s/%s is too long", dir, name);
    return strcpy(kept[next++ % 4], path);
}

/* Remove a directory that t_dir_make() made, and free its name. NULL is allowed. */
static inline void t_dir_remove(char *dir)
{
    char *roots[] = {dir, NULL};
    FTS *tree;
    FTSENT *at;

    if (dir == NULL)
        return;
    tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (tree == NULL)
        fail_msg("cannot walk %s: %s", dir, strerror(errno));
    while ((at = fts_read(tree)) != NULL) {
        if (at->fts_info != FTS_D && remove(at->fts_accpath) != 0)
            print_error("cannot remove %s: %s\n", at->fts_path, strerror(errno));
    }
    (void)fts_close(tree);
    free(dir);
}

#endif
