/*
 * tests/unit/kv/kv_t.h - helpers for tests of rm/kv: open strings, XIDs, branches, child processes.
 *
 *   t_xa(XA_OK, kv.xa_prepare_entry(&x, 1, 0));   the XA call has to answer this very code
 *   kv_open(1, dir);                              rmid 1 on the store in dir
 *   kv_begin(1, n); kv_end(1, n);                 xa_start and xa_end(TMSUCCESS) of branch number n
 *   kv_put(1, "key", "value");                    has to succeed
 *   kv_expect(1, "key", "value");                 NULL: the key must not be there
 *   kv_child(fn, dir)                             run fn(dir) in a child; wait status
 */
#ifndef HF_TESTS_KV_T_H
#define HF_TESTS_KV_T_H

#include "support/t.h"

#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "holdfast/kv.h"

#define kv hf_kv_switch

#define t_xa(want, expr) t__xa((want), (expr), #expr, __FILE__, __LINE__)

static inline void t__xa(int want, int got, const char *expr, const char *file, int line)
{
    if (got == want)
        return;
    print_error("%s\n    answered %d, wanted %d; last error: %s\n", expr, got, want,
                hf_error_last()->text);
    _fail(file, line);
}

/* Branch number n; each in a global transaction of its own. */
static inline XID kv_xid(long n)
{
    XID x;

    memset(&x, 0xee, sizeof(x)); /* bytes that are not used have no meaning */
    x.formatID = 4711;
    x.gtrid_length = 8;
    x.bqual_length = 1;
    memcpy(x.data, &n, 8);
    x.data[8] = 'b';
    return x;
}

static inline int kv_open_with(int rmid, const char *dir, const char *more)
{
    char info[MAXINFOSIZE];

    if ((size_t)snprintf(info, sizeof(info), "dir=%s/store;%s", dir, more) >= sizeof(info))
        fail_msg("the open string is too long");
    return kv.xa_open_entry(info, rmid, TMNOFLAGS);
}

static inline void kv_open(int rmid, const char *dir)
{
    t_xa(XA_OK, kv_open_with(rmid, dir, ""));
}

static inline void kv_close(int rmid)
{
    char none[] = "";

    t_xa(XA_OK, kv.xa_close_entry(none, rmid, TMNOFLAGS));
}

enum { KV_RMIDS = 100 };
/* What kv_begin() began last, for the teardown of a failed test. */
static XID kv_begun[KV_RMIDS];

static inline void kv_begin(int rmid, long n)
{
    XID x = kv_xid(n);

    kv_begun[rmid] = x;
    t_xa(XA_OK, kv.xa_start_entry(&x, rmid, TMNOFLAGS));
}

static inline void kv_end(int rmid, long n)
{
    XID x = kv_xid(n);

    t_xa(XA_OK, kv.xa_end_entry(&x, rmid, TMSUCCESS));
}

static inline int kv_prepare(int rmid, long n)
{
    XID x = kv_xid(n);

    return kv.xa_prepare_entry(&x, rmid, TMNOFLAGS);
}

static inline int kv_commit(int rmid, long n, long flags)
{
    XID x = kv_xid(n);

    return kv.xa_commit_entry(&x, rmid, flags);
}

static inline int kv_rollback(int rmid, long n)
{
    XID x = kv_xid(n);

    return kv.xa_rollback_entry(&x, rmid, TMNOFLAGS);
}

static inline enum hf_probe kv_probe(int rmid, long n)
{
    enum hf_probe answer = (enum hf_probe)99;
    XID x = kv_xid(n);

    t_ok(hf_kv_ext.probe(NULL, rmid, &x, NULL, 0, &answer));
    return answer;
}

static inline void kv_put(int rmid, const char *key, const char *value)
{
    t_ok(hf_kv_put(rmid, key, strlen(key), value, strlen(value)));
}

static inline void kv_expect(int rmid, const char *key, const char *value)
{
    char buf[256] = "";
    size_t size = 0;
    int rc = hf_kv_get(rmid, key, strlen(key), buf, sizeof(buf) - 1, &size);

    if (value == NULL) {
        t_rc(HF_ENOTFOUND, rc);
        return;
    }
    t_ok(rc);
    assert_int_equal(size, strlen(value));
    assert_string_equal(buf, value);
}

/* Write one pair in branch n and commit it in one phase. */
static inline void kv_store(int rmid, long n, const char *key, const char *value)
{
    kv_begin(rmid, n);
    kv_put(rmid, key, value);
    kv_end(rmid, n);
    t_xa(XA_OK, kv_commit(rmid, n, TMONEPHASE));
}

/* XIDs that xa_recover() lists, asked for in one go; at most 16. */
static inline int kv_recover(int rmid, XID xids[16])
{
    return kv.xa_recover_entry(xids, 16, rmid, TMSTARTRSCAN | TMENDRSCAN);
}

/* Does xa_recover() list branch n, and nothing else? */
static inline void kv_expect_prepared(int rmid, long n)
{
    XID xids[16], want = kv_xid(n);

    t_xa(1, kv_recover(rmid, xids));
    assert_int_equal(xids[0].formatID, want.formatID);
    assert_int_equal(xids[0].gtrid_length, want.gtrid_length);
    assert_int_equal(xids[0].bqual_length, want.bqual_length);
    assert_memory_equal(xids[0].data, want.data, 9);
    for (size_t i = 9; i < XIDDATASIZE; i++)
        assert_int_equal(xids[0].data[i], 0);
}

/*
 * Run fn in a child, which must not use cmocka's assertions: they would jump into the runner. fn
 * returns the exit status. Returns what waitpid() says. No rmid may be open here.
 */
static inline int kv_child(int (*fn)(const char *dir), const char *dir)
{
    int status = 0;
    pid_t pid = fork();

    if (pid < 0)
        fail_msg("fork: %s", strerror(errno));
    if (pid == 0)
        _exit(fn(dir));
    if (waitpid(pid, &status, 0) != pid)
        fail_msg("waitpid: %s", strerror(errno));
    return status;
}

static inline void kv_expect_killed(int status)
{
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("the child was not killed: wait status 0x%x", (unsigned)status);
}

/* Each test has a directory of its own; *state is its name. */
static inline int kv_setup(void **state)
{
    *state = t_dir_make();
    return 0;
}

static inline int kv_teardown(void **state)
{
    char none[] = "";

    for (int rmid = 0; rmid < KV_RMIDS; rmid++) { /* what a failed test left open */
        (void)kv.xa_end_entry(&kv_begun[rmid], rmid, TMFAIL);
        (void)kv.xa_close_entry(none, rmid, TMNOFLAGS);
    }
    t_dir_remove(*state);
    return 0;
}

#define KV_TEST(fn) cmocka_unit_test_setup_teardown(fn, kv_setup, kv_teardown)

#endif
