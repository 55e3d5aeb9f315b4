/*
 * What: a vendor's library that registers dynamically, loaded by the configuration, under the TX
 *       interface: TX_OUTSIDE while it works outside of transactions; its branch in them; and the
 *       codes for calls that come too early.
 * How:  support/dynamic_rm.c, a shared object that finds ax_reg in libholdfast when it is loaded;
 *       this program is linked to the shared libraries, as a user's is.
 */
#include "support/t.h"

#include <dlfcn.h>
#include <pthread.h>

#include "holdfast/config.h"
#include "tx.h"

static int (*work)(void);
static int (*rest)(void);
static const int *starts, *prepares, *commits, *rollbacks;
static const XID *xid;
static const char *library; /* the command line's */

static void *find(void *handle, const char *name)
{
    void *at = dlsym(handle, name);

    assert_non_null(at);
    return at;
}

static int setup(void **state)
{
    char *dir = t_dir_make();
    const char *path = t_path(dir, "tx.ini");
    FILE *file = fopen(path, "w");
    void *handle;

    assert_non_null(file);
    fprintf(file,
            "[holdfast]\nnode = %s/node\nbackground = no\n"
            "[rm kv]\ntype = kv\nopen = dir=%s/kv\n"
            "[rm vendor]\nlibrary = %s\nsymbol = vendor_switch\nregistration = dynamic\n",
            dir, dir, library);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(setenv("HOLDFAST_CONFIG", path, 1), 0);
    assert_int_equal(tx_open(), TX_OK);
    handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD); /* the configuration has loaded it */
    assert_non_null(handle);
    *(void **)&work = find(handle, "work");
    *(void **)&rest = find(handle, "rest");
    starts = find(handle, "starts_seen");
    prepares = find(handle, "prepares_seen");
    commits = find(handle, "commits_seen");
    rollbacks = find(handle, "rollbacks_seen");
    xid = find(handle, "xid_seen");
    assert_int_equal(dlclose(handle), 0);
    *state = dir;
    return 0;
}

static int teardown(void **state)
{
    if (tx_info(NULL) == 1)
        (void)tx_rollback();
    (void)tx_close();
    t_dir_remove(*state);
    return 0;
}

static void its_work__is_a_branch_of_the_threads_transaction(void **state)
{
    int before_prepares = *prepares, before_commits = *commits;
    TXINFO info;

    (void)state;
    assert_int_equal(tx_begin(), TX_OK);
    assert_int_equal(work(), TM_OK);
    assert_int_equal(work(), TMER_PROTO); /* it has registered */
    assert_int_equal(tx_info(&info), 1);
    assert_memory_equal(xid->data, info.xid.data, (size_t)info.xid.gtrid_length);
    assert_int_equal(tx_commit(), TX_OK);
    assert_int_equal(*prepares, before_prepares + 1); /* kv is there, too */
    assert_int_equal(*commits, before_commits + 1);
    assert_int_equal(*starts, 0);
}

static void without_work__it_takes_no_part(void **state)
{
    int before = *prepares + *commits + *rollbacks;

    (void)state;
    assert_int_equal(tx_begin(), TX_OK);
    assert_int_equal(tx_commit(), TX_OK);
    assert_int_equal(tx_begin(), TX_OK);
    assert_int_equal(tx_rollback(), TX_OK);
    assert_int_equal(*prepares + *commits + *rollbacks, before);
}

static void chained_transactions__have_branches_of_their_own(void **state)
{
    int before = *rollbacks;
    XID first;

    (void)state;
    assert_int_equal(tx_set_transaction_control(TX_CHAINED), TX_OK);
    assert_int_equal(tx_begin(), TX_OK);
    assert_int_equal(work(), TM_OK);
    first = *xid;
    assert_int_equal(tx_rollback(), TX_OK);
    assert_int_equal(*rollbacks, before + 1);
    assert_int_equal(work(), TM_OK);
    assert_memory_not_equal(&first, xid, sizeof(first));
    assert_int_equal(tx_set_transaction_control(TX_UNCHAINED), TX_OK);
    assert_int_equal(tx_commit(), TX_OK);
}

static void while_it_works_outside__TX_OUTSIDE(void **state)
{
    (void)state;
    assert_int_equal(work(), TM_OK);
    assert_int_equal(xid->formatID, -1); /* outside of any transaction */
    assert_int_equal(tx_begin(), TX_OUTSIDE);
    assert_int_equal(tx_info(NULL), 0);
    assert_int_equal(tx_close(), TX_PROTOCOL_ERROR); /* [XA] table 6-3: no xa_close from D3 */
    assert_int_equal(tx_info(NULL), 0);
    assert_int_equal(rest(), TM_OK);
    assert_int_equal(rest(), TMER_PROTO);
    assert_int_equal(tx_begin(), TX_OK);
    assert_int_equal(tx_commit(), TX_OK);
}

static void *ends_while_it_works_outside(void *arg)
{
    (void)arg;
    return tx_open() == TX_OK && work() == TM_OK && xid->formatID == -1 ? &work : NULL;
}

/* Nobody can call ax_unreg for it any more, and it must not keep the node open for ever. */
static void a_thread_that_ends_while_it_works_outside__is_closed(void **state)
{
    pthread_t thread;
    void *ret = NULL;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, ends_while_it_works_outside, NULL), 0);
    assert_int_equal(pthread_join(thread, &ret), 0);
    assert_non_null(ret);
    assert_int_equal(tx_close(), TX_OK);
    assert_null(hf_opened_tm());
    assert_int_equal(tx_open(), TX_OK);
    assert_int_equal(tx_begin(), TX_OK);
    assert_int_equal(work(), TM_OK);
    assert_int_equal(tx_commit(), TX_OK);
}

static void after_tx_close__nothing_registers(void **state)
{
    (void)state;
    assert_int_equal(tx_close(), TX_OK);
    assert_int_equal(work(), TMER_PROTO);
    assert_int_equal(rest(), TMER_PROTO);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(its_work__is_a_branch_of_the_threads_transaction),
        T(without_work__it_takes_no_part),
        T(chained_transactions__have_branches_of_their_own),
        T(while_it_works_outside__TX_OUTSIDE),
        T(a_thread_that_ends_while_it_works_outside__is_closed),
        T(after_tx_close__nothing_registers),
    };

    if (argc != 2)
        return 2;
    library = argv[1];
    return cmocka_run_group_tests_name("tx.dynamic", tests, NULL, NULL);
}
