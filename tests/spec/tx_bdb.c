/*
 * What: a switch of somebody else's: Berkeley DB's db_xa_switch, by configuration alone, two of its
 *       environments in one transaction. Commit, rollback, one phase, suspend and resume, join, and
 *       recovery of branches that a process left prepared in an environment that lives on.
 * How:  each case in a child, because Berkeley DB calls exit() when it finds that another process
 *       has died; its library is loaded by the configuration, and by dlopen() for the data calls. A
 *       process that leaves prepared branches closes its environments as it should, since Berkeley
 *       DB cannot resolve prepared branches by XA after its own recovery; meanwhile another one
 *       keeps them open.
 */
#include "support/fake_rm.h"

#include <db.h>
#include <dlfcn.h>
#include <sys/wait.h>

#include "holdfast/config.h"
#include "tx.h"

#define LIBRARY "libdb-5.3.so"

enum { EAST, WEST, HOMES };

static char dir[PATH_MAX];
static struct xa_switch_t *bdb;
static int (*create)(DB **db, DB_ENV *env, u_int32_t flags);

/* -- Berkeley DB ------------------------------------------------------------------------------- */

static void load_library(void)
{
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    must(handle != NULL);
    bdb = dlsym(handle, "db_xa_switch");
    *(void **)&create = dlsym(handle, "db_create");
    must(bdb != NULL && create != NULL);
}

/* A handle is of the environment that was used last: make that this one's. */
static DB *open_db(int rmid)
{
    XID xids[1];
    DB *db = NULL;

    must(bdb->xa_recover_entry(xids, 1, rmid, TMSTARTRSCAN | TMENDRSCAN) >= 0);
    must(create(&db, NULL, DB_XA_CREATE) == 0);
    must(db->open(db, NULL, "data.db", NULL, DB_BTREE, DB_CREATE | DB_AUTO_COMMIT | DB_THREAD,
                  0600) == 0);
    return db;
}

static void put(DB *db, const char *key, const char *value)
{
    DBT k = {.data = (void *)(uintptr_t)key, .size = (u_int32_t)strlen(key)};
    DBT v = {.data = (void *)(uintptr_t)value, .size = (u_int32_t)strlen(value)};

    must(db->put(db, NULL, &k, &v, 0) == 0);
}

static bool has(DB *db, const char *key)
{
    char buf[64];
    DBT k = {.data = (void *)(uintptr_t)key, .size = (u_int32_t)strlen(key)};
    DBT v = {.data = buf, .ulen = sizeof(buf), .flags = DB_DBT_USERMEM};
    int rc = db->get(db, NULL, &k, &v, 0);

    must(rc == 0 || rc == DB_NOTFOUND);
    return rc == 0;
}

/* -- a program by configuration ---------------------------------------------------------------- */

static void write_config(int homes)
{
    static const char *const names[HOMES] = {"east", "west"};
    char path[PATH_MAX + 16];
    FILE *file;

    snprintf(path, sizeof(path), "%s/tx.ini", dir);
    file = fopen(path, "w");
    must(file != NULL);
    fprintf(file, "[holdfast]\nnode = %s/node\nbackground = no\nlog = stderr\n", dir);
    for (int n = 0; n < homes; n++) {
        fprintf(file,
                "[rm %s]\nlibrary = " LIBRARY "\nsymbol = db_xa_switch\nrmid = process\n"
                "open = %s/%s\n",
                names[n], dir, names[n]);
        snprintf(path, sizeof(path), "%s/%s", dir, names[n]);
        must(mkdir(path, 0700) == 0 || errno == EEXIST);
    }
    must(fclose(file) == 0);
    snprintf(path, sizeof(path), "%s/tx.ini", dir);
    must(setenv("HOLDFAST_CONFIG", path, 1) == 0);
}

struct program {
    DB *db[HOMES];
    int homes;
    int rmid[HOMES];
};

static struct program open_program(int homes)
{
    struct program p = {.homes = homes};

    load_library();
    write_config(homes);
    must(tx_open() == TX_OK);
    for (int n = 0; n < homes; n++) {
        must_ok(hf_opened_rmid(n == EAST ? "east" : "west", &p.rmid[n]));
        p.db[n] = open_db(p.rmid[n]);
    }
    return p;
}

static void close_program(struct program *p)
{
    for (int n = 0; n < p->homes; n++)
        must(p->db[n]->close(p->db[n], 0) == 0);
    must(tx_close() == TX_OK);
}

static void put_both(const struct program *p, const char *key)
{
    for (int n = 0; n < p->homes; n++)
        put(p->db[n], key, "1");
}

static unsigned count(const struct program *p, const char *key)
{
    unsigned found = 0;

    for (int n = 0; n < p->homes; n++)
        found += has(p->db[n], key);
    return found;
}

/* -- cases ------------------------------------------------------------------------------------- */

static void commits_and_rolls_back(void *arg)
{
    struct program p = open_program(HOMES);

    (void)arg;
    must(tx_begin() == TX_OK);
    put_both(&p, "committed");
    must(tx_commit() == TX_OK);
    must(tx_begin() == TX_OK);
    put_both(&p, "rolled back");
    must(count(&p, "rolled back") == 2); /* its own writes */
    must(tx_rollback() == TX_OK);
    must(count(&p, "committed") == 2);
    must(count(&p, "rolled back") == 0);
    must(tx_set_transaction_control(TX_CHAINED) == TX_OK);
    must(tx_begin() == TX_OK);
    for (int i = 0; i < 5; i++) {
        put_both(&p, "chained");
        must((i % 2 == 0 ? tx_commit() : tx_rollback()) == TX_OK);
    }
    must(tx_set_transaction_control(TX_UNCHAINED) == TX_OK);
    must(tx_rollback() == TX_OK);
    must(count(&p, "chained") == 2);
    close_program(&p);
}

static void commits_in_one_phase(void *arg)
{
    struct program p = open_program(1);

    (void)arg;
    must(tx_begin() == TX_OK);
    put_both(&p, "one phase");
    must(tx_commit() == TX_OK);
    must(count(&p, "one phase") == 1);
    close_program(&p);
}

/* The same by the native interface: it has suspend, resume and join. */
static hf_tm *open_native(hf_config **config, hf_instance *in[HOMES], DB *db[HOMES])
{
    hf_tm *tm = NULL;
    char path[PATH_MAX + 16];

    load_library();
    write_config(HOMES);
    snprintf(path, sizeof(path), "%s/tx.ini", dir);
    must_ok(hf_config_load(path, config));
    must_ok(hf_config_open(*config, NULL, &tm));
    must_ok(hf_tm_start(tm, 0));
    for (int n = 0; n < HOMES; n++) {
        must_ok(hf_instance_open(hf_config_find_rm(*config, n == EAST ? "east" : "west"), &in[n]));
        db[n] = open_db(hf_instance_rmid(in[n]));
    }
    return tm;
}

static void close_native(hf_config *config, hf_tm *tm, hf_instance *in[HOMES], DB *db[HOMES])
{
    for (int n = 0; n < HOMES; n++) {
        must(db[n]->close(db[n], 0) == 0);
        must_ok(hf_instance_close(in[n]));
    }
    must_ok(hf_tm_close(tm, 0, NULL));
    hf_config_free(config);
}

static void begin(hf_tm *tm, hf_instance *in[HOMES], hf_tx **ret_tx)
{
    must_ok(hf_tx_begin(tm, 0, ret_tx));
    for (int n = 0; n < HOMES; n++)
        must_ok(hf_tx_enlist(*ret_tx, in[n]));
}

static void suspends_and_resumes(void *arg)
{
    hf_config *config = NULL;
    hf_instance *in[HOMES];
    DB *db[HOMES];
    hf_tm *tm = open_native(&config, in, db);
    hf_tx *tx, *other;

    (void)arg;
    for (int round = 0; round < 2; round++) { /* commit, then roll back */
        const char *before = round == 0 ? "before" : "undone before";
        const char *after = round == 0 ? "after" : "undone after";

        begin(tm, in, &tx);
        for (int n = 0; n < HOMES; n++)
            put(db[n], before, "1");
        must_ok(hf_tx_suspend(tx));
        must_ok(hf_tx_begin(tm, 0, &other));
        must(hf_tx_enlist(other, in[EAST]) == HF_EBUSY);
        must_ok(hf_tx_rollback(other, NULL));
        must_ok(hf_tx_resume(tx));
        for (int n = 0; n < HOMES; n++)
            put(db[n], after, "1");
        must_ok(round == 0 ? hf_tx_commit(tx, NULL) : hf_tx_rollback(tx, NULL));
        for (int n = 0; n < HOMES; n++)
            must(has(db[n], before) == (round == 0) && has(db[n], after) == (round == 0));
    }
    close_native(config, tm, in, db);
}

static void joins(void *arg)
{
    hf_config *config = NULL;
    hf_instance *in[HOMES];
    DB *db[HOMES];
    hf_tm *tm = open_native(&config, in, db);
    hf_tx *tx;

    (void)arg;
    begin(tm, in, &tx);
    for (int n = 0; n < HOMES; n++) {
        put(db[n], "first", "1");
        must_ok(hf_tx_delist(tx, in[n])); /* xa_end(TMSUCCESS): it is bound to its thread */
        must_ok(hf_tx_enlist(tx, in[n])); /* xa_start(TMJOIN) */
        put(db[n], "second", "1");
    }
    must_ok(hf_tx_commit(tx, NULL));
    for (int n = 0; n < HOMES; n++)
        must(has(db[n], "first") && has(db[n], "second"));
    close_native(config, tm, in, db);
}

/* -- recovery ---------------------------------------------------------------------------------- */

/* Keeps both environments open until it is ended. */
static void keeps_them_open(void *arg)
{
    char path[PATH_MAX + 16];

    (void)arg;
    load_library();
    write_config(HOMES); /* makes the directories */
    for (int n = 0; n < HOMES; n++) {
        snprintf(path, sizeof(path), "%s/%s", dir, n == EAST ? "east" : "west");
        must(bdb->xa_open_entry(path, 100 + n, TMNOFLAGS) == XA_OK);
    }
    fake_child_pause();
    for (int n = 0; n < HOMES; n++)
        must(bdb->xa_close_entry((char[]){""}, 100 + n, TMNOFLAGS) == XA_OK);
}

/* Dies with a decision in the log, and both branches prepared; or, without one. */
static void leaves_prepared_branches(void *arg)
{
    struct program p = open_program(HOMES);
    const char *decides = arg;
    hf_tx *rest = NULL;

    must(tx_begin() == TX_OK);
    put_both(&p, decides);
    if (strcmp(decides, "decided") == 0) {
        must_ok(hf_tx_decide(hf_tx_current(hf_opened_tm()), NULL, &rest));
        must(rest != NULL);
    } else {
#ifdef HF_FAULTS
        fault_at("store:commit-fails", "fail", 1); /* nothing of it reaches the disk */
        must(tx_commit() == TX_FAIL);
#endif
    }
    for (int n = 0; n < HOMES; n++) {
        must(p.db[n]->close(p.db[n], 0) == 0);
        must(bdb->xa_close_entry((char[]){""}, p.rmid[n], TMNOFLAGS) == XA_OK);
    }
    _exit(0);
}

static void finds_them(void *arg)
{
    struct program p = open_program(HOMES);
    XID xids[8];

    for (int n = 0; n < HOMES; n++)
        must(bdb->xa_recover_entry(xids, 8, p.rmid[n], TMSTARTRSCAN | TMENDRSCAN) == 0);
    must(count(&p, arg) == (strcmp(arg, "decided") == 0 ? 2u : 0u));
    close_program(&p);
}

static void recover(const char *what)
{
    pid_t keeper = fake_child_start(keeps_them_open, NULL);

    assert_int_equal(fake_child(leaves_prepared_branches, (void *)(uintptr_t)what), 0);
    assert_int_equal(fake_child(finds_them, (void *)(uintptr_t)what), 0);
    assert_int_equal(fake_child_end(keeper), 0);
}

/* -- the tests --------------------------------------------------------------------------------- */

static int setup(void **state)
{
    char *made = t_dir_make();

    fake_reset();
    snprintf(dir, sizeof(dir), "%s", made);
    *state = made;
    return 0;
}

static int teardown(void **state)
{
    t_dir_remove(*state);
    return 0;
}

#define CHILD(name, fn)                                                                            \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        assert_int_equal(fake_child(fn, NULL), 0);                                                 \
    }

CHILD(two_environments__commit_and_roll_back_together, commits_and_rolls_back)
CHILD(one_environment__commits_in_one_phase, commits_in_one_phase)
CHILD(associations__are_suspended_and_resumed, suspends_and_resumes)
CHILD(a_branch_that_was_delisted__is_joined, joins)

static void prepared_branches_with_a_decision__are_committed(void **state)
{
    (void)state;
    recover("decided");
}

#ifdef HF_FAULTS
static void prepared_branches_without_one__are_rolled_back(void **state)
{
    (void)state;
    recover("undecided");
}
#endif

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(two_environments__commit_and_roll_back_together),
        T(one_environment__commits_in_one_phase),
        T(associations__are_suspended_and_resumed),
        T(a_branch_that_was_delisted__is_joined),
        T(prepared_branches_with_a_decision__are_committed),
#ifdef HF_FAULTS
        T(prepared_branches_without_one__are_rolled_back),
#endif
    };
    return cmocka_run_group_tests_name("tx.bdb", tests, NULL, NULL);
}
