/*
 * What: the configuration file (holdfast/config.h): what it takes, what it refuses with file and
 *       line, and that what is wrong with it is told and leaves nothing behind.
 * How:  tables of texts. Switches that are not acceptable stand in this program.
 */
#include "support/tx_world.h"

#include <time.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, tx_world_setup, tx_world_teardown)

#define NODE "[holdfast]\nnode = /nowhere/node\n"
#define SECRET                                                                                     \
    "pass"                                                                                         \
    "word=swordfish"

/* Switches that no transaction manager should take. */
struct xa_switch_t rm_version_1, rm_narrow, rm_null, rm_no_name, rm_dynamic;

static void make_switches(void)
{
    rm_a = rm_version_1 = rm_narrow = rm_null = rm_no_name = rm_dynamic = *fake_switch(A);
    rm_version_1.version = 1;
    /* With longs of 32 bits the first entry stands where ours has the version. */
    rm_narrow.version = (long)(intptr_t)rm_narrow.xa_open_entry;
    rm_null.xa_complete_entry = NULL;
    memset(rm_no_name.name, 'x', sizeof(rm_no_name.name));
    rm_dynamic.flags = TMREGISTER;
}

/* -- what it takes ----------------------------------------------------------------------------- */

static void all_keys__reach_their_places(void **state)
{
    struct world *w = *state;
    hf_config_rm rm = {.size = sizeof(rm)};
    hf_config *config = NULL;
    hf_tm *tm = NULL;
    char text[4096];

    make_switches();
    snprintf(text, sizeof(text),
             "# a comment\n; another\n[holdfast]\nnode = %s\nnonce = host-1\nbackground = no\n"
             "history = all\nhistory_max = 5\nslow_ms = 7\nunconfirmed_ms = 9\nrecover_ms = 4\n"
             "recover_max_ms = 4\n"
             "start_wait_ms = 1\nclose_wait_ms = 2\ntimeout = 30\nlog = none\n\n"
             "[rm first]\nsymbol = rm_a\nopen = one ; a comment\nclose = two\nrank = -3\n"
             "registration = static\nthread_bound = yes\nrmid = thread\n"
             "[rm second]\ntype = kv\nopen = dir=%s/kv;\n  wait_ms=50\n",
             w->node, w->dir);
    t_ok(hf_config_load(tx_world_write(w, text), &config));
    assert_string_equal(hf_config_node(config), w->node);
    assert_int_equal(hf_config_rm_count(config), 2);
    t_ok(hf_config_get_rm(config, 0, &rm));
    assert_string_equal(rm.name, "first");
    assert_string_equal(rm.symbol, "rm_a");
    assert_string_equal(rm.library, "");
    assert_ptr_equal(rm.xa, &rm_a);
    assert_int_equal(rm.rank, -3);
    assert_int_equal(rm.thread_bound, 1);
    assert_int_equal(rm.dynamic, 0);
    t_ok(hf_config_get_rm(config, 1, &rm));
    assert_string_equal(rm.name, "second");
    assert_string_equal(rm.symbol, "hf_kv_switch");
    t_rc(HF_ENOTFOUND, hf_config_get_rm(config, 2, &rm));
    assert_null(hf_config_find_rm(config, "first"));
    t_ok(hf_config_open(config, NULL, &tm));
    assert_non_null(hf_config_find_rm(config, "first"));
    assert_null(hf_config_find_rm(config, "third"));
    t_ok(hf_tm_start(tm, 0));
    t_ok(hf_instance_open(hf_config_find_rm(config, "second"), &w->in[B]));
    t_ok(hf_instance_close(w->in[B]));
    w->in[B] = NULL;
    t_rc(HF_ESTATE, hf_config_open(config, NULL, &tm));
    t_ok(hf_tm_close(tm, 0, NULL));
    hf_config_free(config);
}

static char opened_with[MAXINFOSIZE], closed_with[MAXINFOSIZE];

static int note_open(char *info, int rmid, long flags)
{
    snprintf(opened_with, sizeof(opened_with), "%s", info);
    return fake_switch(A)->xa_open_entry(info, rmid, flags);
}

static int note_close(char *info, int rmid, long flags)
{
    snprintf(closed_with, sizeof(closed_with), "%s", info);
    return fake_switch(A)->xa_close_entry(info, rmid, flags);
}

/* By the file, and by files of their own. */
static void strings_and_rank__reach_the_switch(void **state)
{
    struct world *w = *state;
    char text[2048], secret[256];
    FILE *file;

    snprintf(secret, sizeof(secret), "%s/secret", w->dir);
    file = fopen(secret, "w");
    assert_non_null(file);
    fputs("from the file\n", file);
    fclose(file);
    assert_int_equal(chmod(secret, 0600), 0);
    for (int i = 0; i < 2; i++) {
        rm_a = *fake_switch(A);
        rm_a.xa_open_entry = note_open;
        rm_a.xa_close_entry = note_close;
        rm_b = *fake_switch(B);
        if (i == 0)
            snprintf(text, sizeof(text),
                     "[holdfast]\nnode = %s\nbackground = no\n[rm a]\nsymbol = rm_a\n"
                     "open = host=x;\n  user=y\nclose = good bye\nrank = 2\n"
                     "[rm b]\nsymbol = rm_b\nrank = 1\n",
                     w->node);
        else
            snprintf(text, sizeof(text),
                     "[holdfast]\nnode = %s\nbackground = no\n[rm a]\nsymbol = rm_a\n"
                     "open_file = %s\nclose_file = %s\n[rm b]\nsymbol = rm_b\nrank = -1\n",
                     w->node, secret, secret);
        (void)tx_world_write(w, text);
        t_tx(TX_OK, tx_open());
        t_tx(TX_OK, tx_begin());
        world_trace_clear();
        t_tx(TX_OK, tx_commit());
        assert_non_null(strstr(world_trace(), "b.commit a.commit")); /* by rank, not by place */
        t_tx(TX_OK, tx_close());
        assert_string_equal(opened_with, i == 0 ? "host=x;user=y" : "from the file");
        assert_string_equal(closed_with, i == 0 ? "good bye" : "from the file");
    }
}

static void secrets__come_from_a_file_that_nobody_else_can_read(void **state)
{
    struct world *w = *state;
    const char *path = t_path(w->dir, "secret");
    static const struct {
        mode_t mode;
        int rc;
    } rows[] = {{0600, HF_OK},     {0400, HF_OK},     {0640, HF_EOWNER}, {0604, HF_EOWNER},
                {0660, HF_EOWNER}, {0666, HF_EOWNER}, {0620, HF_EOWNER}, {0610, HF_EOWNER}};
    hf_config *config;
    char text[1024];
    FILE *file = fopen(path, "w");

    make_switches();
    assert_non_null(file);
    fputs(SECRET "\nthe rest is not read\n", file);
    fclose(file);
    snprintf(text, sizeof(text), NODE "[rm a]\nsymbol = rm_a\nopen_file = %s\nclose_file = %s\n",
             path, path);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        config = NULL;
        assert_int_equal(chmod(path, rows[i].mode), 0);
        t_rc(rows[i].rc, hf_config_load(tx_world_write(w, text), &config));
        if (rows[i].rc != HF_OK)
            assert_non_null(strstr(hf_error_last()->text, "tx.ini:4: "));
        assert_null(strstr(hf_error_last()->text, "swordfish"));
        hf_config_free(config);
    }
    if (geteuid() == 0) { /* somebody else's */
        assert_int_equal(chmod(path, 0600), 0);
        assert_int_equal(chown(path, 12345, 0), 0);
        t_rc(HF_EOWNER, hf_config_load(tx_world_write(w, text), &config));
    }
    assert_int_equal(unlink(path), 0);
    t_rc(HF_ENOTFOUND, hf_config_load(tx_world_write(w, text), &config));
    assert_int_equal(mkdir(path, 0700), 0);
    t_rc(HF_EOWNER, hf_config_load(tx_world_write(w, text), &config));
}

/* It names libraries: whoever can write it can have anything loaded. */
static void the_file_itself__is_not_everybodys_to_write(void **state)
{
    static const mode_t good[] = {0600, 0400, 0644, 0660}, bad[] = {0602, 0646, 0666, 0777};
    struct world *w = *state;
    const char *path = tx_world_write(w, NODE);
    hf_config *config = NULL;

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_int_equal(chmod(path, good[i]), 0);
        t_ok(hf_config_load(path, &config));
        hf_config_free(config);
        assert_int_equal(chmod(path, bad[i]), 0);
        t_rc(HF_EOWNER, hf_config_load(path, &config));
    }
    t_tx(TX_FAIL, tx_open());
    assert_int_equal(chmod(path, 0600), 0);
    if (geteuid() == 0) { /* somebody else's */
        assert_int_equal(chown(path, 12345, 0), 0);
        t_rc(HF_EOWNER, hf_config_load(path, &config));
    }
    t_rc(HF_EOWNER, hf_config_load(w->dir, &config)); /* a directory */
}

/* -- what it refuses --------------------------------------------------------------------------- */

struct bad {
    const char *text;
    int rc;
    unsigned line; /* that it names; 0: none */
    const char *says;
};

static const char long_line[] = "[rm a]\nsymbol = rm_a\nopen = %0300d\n";

static const struct bad bad_ones[] = {
    {"", HF_EINVAL, 0, "no node"},
    {"[holdfast]\nnode =\n", HF_EINVAL, 0, "no node"},
    {"[holdfast]\nlog = none\n", HF_EINVAL, 0, "no node"},
    {"node = /x\n", HF_EINVAL, 1, "a section is"},
    {NODE "\n[rms a]\nsymbol = rm_a\n", HF_EINVAL, 5, "[rms a]: a section is"},
    {NODE "colour = blue\n", HF_EINVAL, 3, "unknown key colour"},
    {NODE "[rm a]\nsymbol = rm_a\nopne = x\n", HF_EINVAL, 5, "unknown key opne in [rm a]"},
    {NODE "node = /else\n", HF_EINVAL, 3, "node is given twice"},
    {NODE "[rm a]\nsymbol = rm_a\n[rm a]\nsymbol = rm_a\n", HF_EINVAL, 6,
     "twice: it begins in line 3"},
    {NODE "[rm a]\nsymbol = rm_a\n[rm b]\nsymbol = rm_a\n[rm a]\nrank = 1\n", HF_EINVAL, 8,
     "twice: it begins in line 3"},
    {NODE "[rm a]\nsymbol = rm_a\nrank = 1\nrank = 1\n", HF_EINVAL, 6, "rank is given twice"},
    {NODE "[rm a]\nsymbol = rm_a\n[holdfast]\ntimeout = 1\n", HF_EINVAL, 6, "begins in line 1"},
    {NODE "[rm a]\nsymbol = rm_a\nrank = 2147483648\n", HF_EINVAL, 5, "not a number from -2147"},
    {NODE "[rm a]\nsymbol = rm_a\nthread_bound = 1\n", HF_EINVAL, 5, "not one of no, yes"},
    {NODE "[rm a]\nsymbol = rm_a\nregistration = any\n", HF_EINVAL, 5, "not one of either, st"},
    {NODE "this is nothing\n", HF_EINVAL, 3, "neither"},
    {NODE "[rm a\nsymbol = rm_a\n", HF_EINVAL, 3, "neither"},
    {NODE "[rm a]\n\n[rm b]\nsymbol = rm_a\n", HF_EINVAL, 5, "no keys"},
    {NODE "[rm a]\n", HF_EINVAL, 3, "no keys"},
    {NODE "timeout = soon\n", HF_EINVAL, 3, "not a number from 0 to 4294967"},
    {NODE "timeout = 4294968\n", HF_EINVAL, 3, "not a number"},
    {NODE "timeout = -1\n", HF_EINVAL, 3, "not a number"},
    {NODE "timeout = 1s\n", HF_EINVAL, 3, "not a number"},
    {NODE "timeout =\n", HF_EINVAL, 3, "not a number"},
    {NODE "slow_ms = 99999999999999999999\n", HF_EINVAL, 3, "not a number"},
    {NODE "unconfirmed_ms = 0\n", HF_EINVAL, 3, "not a number from 1"},
    {NODE "recover_ms = 0\n", HF_EINVAL, 3, "not a number from 1"},
    {NODE "recover_max_ms = never\n", HF_EINVAL, 3, "not a number from 1"},
    {NODE "recover_ms = 9\n\nrecover_max_ms = 8\n", HF_EINVAL, 5, "9 is above recover_max_ms = 8"},
    {NODE "recover_max_ms = 8\nrecover_ms = 9\n", HF_EINVAL, 4, "9 is above recover_max_ms = 8"},
    {NODE "background = maybe\n", HF_EINVAL, 3, "not one of no, yes"},
    {NODE "history = some\n", HF_EINVAL, 3, "not one of worthy, all, none"},
    {NODE "log = stdout\n", HF_EINVAL, 3, "not one of none, stderr"},
    {NODE "[rm ]\nsymbol = rm_a\n", HF_EINVAL, 4, "1 to 31 bytes"},
    {NODE "[rm a23456789b123456789c123456789d12]\nsymbol = rm_a\n", HF_EINVAL, 4, "1 to 31 bytes"},
    {NODE "[rm a]\nopen = x\n", HF_EINVAL, 4, "a type or a symbol"},
    {NODE "[rm a]\ntype = kv\nsymbol = rm_a\n", HF_EINVAL, 4, "a type or a symbol"},
    {NODE "[rm a]\ntype = oracle\n", HF_EINVAL, 4, "not one of kv, postgres, mariadb"},
    {NODE "[rm a]\ntype = kv\nextension = hf_kv_ext\n", HF_EINVAL, 4, "its own extension"},
    {NODE "[rm a]\nsymbol = rm_a\nopen = x\nopen_file = y\n", HF_EINVAL, 4, "not by both"},
    {NODE "[rm a]\nsymbol = rm_a\nclose = x\nclose_file = y\n", HF_EINVAL, 4, "not by both"},
    {NODE "[rm a]\nsymbol = rm_a\nopen_file = /nowhere/at/all\n", HF_ENOTFOUND, 4, "No such file"},
    {NODE "[rm a]\nsymbol = rm_a\nrmid = mine\n", HF_EINVAL, 5, "not one of thread, process"},
    {NODE "[rm a]\ntype = kv\nrmid = process\n", HF_EINVAL, 4, "is one thread's"},
    {NODE "[rm a]\n  symbol = rm_a\n", HF_EINVAL, 4, "nothing goes on here"},
    {NODE "[rm a]\nsymbol = rm_a\nrank = 1\n  0\n", HF_EINVAL, 6, "nothing goes on here"},
    {NODE "[rm a]\nlibrary = /nowhere/lib.so\nsymbol = x\n", HF_ENOTFOUND, 4, "/nowhere/lib.so"},
    {NODE "[rm a]\nsymbol = no_such_symbol\n", HF_ENOTFOUND, 4, "no symbol no_such_symbol"},
    {NODE "[rm a]\nlibrary = libc.so.6\nsymbol = x_switch\n", HF_ENOTFOUND, 4, "no symbol x_"},
    {NODE "[rm a]\nsymbol = rm_a\nextension = none\n", HF_ENOTFOUND, 4, "no symbol none"},
    {NODE "[rm a]\nsymbol = rm_version_1\n", HF_ESWITCH, 4, "version 1, not 0"},
    {NODE "[rm a]\nsymbol = rm_narrow\n", HF_ESWITCH, 4, "32 bits"},
    {NODE "[rm a]\nsymbol = rm_null\n", HF_ESWITCH, 4, "null entry"},
    {NODE "[rm a]\nsymbol = rm_no_name\n", HF_ESWITCH, 4, "name has no end"},
    {NODE "[rm a]\nsymbol = rm_a\nregistration = dynamic\n", HF_ESWITCH, 4, "is a static one"},
    {NODE "[rm a]\nsymbol = rm_dynamic\nregistration = static\n", HF_ESWITCH, 4, "a dynamic one"},
};

static void check_error(const struct bad *bad, const char *path)
{
    const char *text = hf_error_last()->text;
    char place[512];

    snprintf(place, sizeof(place), bad->line > 0 ? "%s:%u: " : "%s: ", path, bad->line);
    if (strncmp(text, place, strlen(place)) != 0 || strstr(text, bad->says) == NULL)
        fail_msg("%s\nsays: %s\nwanted: %s... %s", bad->text, text, place, bad->says);
}

static void what_is_wrong__is_named_with_file_and_line(void **state)
{
    struct world *w = *state;
    hf_config *config;

    make_switches();
    for (size_t i = 0; i < sizeof(bad_ones) / sizeof(*bad_ones); i++) {
        const char *path = tx_world_write(w, bad_ones[i].text);

        config = NULL;
        if (hf_config_load(path, &config) != bad_ones[i].rc)
            fail_msg("%s\nreturned %s: %s", bad_ones[i].text, hf_strerror(hf_error_last()->code),
                     hf_error_last()->text);
        check_error(&bad_ones[i], path);
        assert_null(config);
    }
    print_message("%zu wrong configurations\n", sizeof(bad_ones) / sizeof(*bad_ones));
}

/* The same to a program that knows tx.h only. */
static void tx_open__fails_and_says_why(void **state)
{
    struct world *w = *state;

    make_switches();
    for (size_t i = 0; i < sizeof(bad_ones) / sizeof(*bad_ones); i++) {
        (void)tx_world_write(w, bad_ones[i].text);
        w->told[0] = '\0';
        t_tx(TX_FAIL, tx_open());
        if (strstr(w->told, bad_ones[i].says) == NULL)
            fail_msg("%s\ntold: %s\nwanted: %s", bad_ones[i].text, w->told, bad_ones[i].says);
        t_tx(TX_PROTOCOL_ERROR, tx_begin());
    }
    assert_int_equal(unsetenv("HOLDFAST_CONFIG"), 0);
    w->told[0] = '\0';
    t_tx(TX_FAIL, tx_open());
    assert_non_null(strstr(w->told, "HOLDFAST_CONFIG"));
    assert_int_equal(setenv("HOLDFAST_CONFIG", "/nowhere/tx.ini", 1), 0);
    t_tx(TX_FAIL, tx_open());
    assert_non_null(strstr(w->told, "/nowhere/tx.ini: No such file"));
    assert_int_equal(fake_open_rmids(A), 0);
}

static void a_line_or_a_string_that_is_too_long__is_refused(void **state)
{
    struct world *w = *state;
    hf_config *config = NULL;
    char text[8192];
    int used = snprintf(text, sizeof(text), "%s", NODE);

    make_switches();
    snprintf(text + used, sizeof(text) - (size_t)used, long_line, 1);
    t_rc(HF_EINVAL, hf_config_load(tx_world_write(w, text), &config));
    assert_non_null(strstr(hf_error_last()->text, ":5: over 196 bytes"));

    /* 255 bytes in two lines are good, 256 are not. */
    for (int extra = 0; extra <= 1; extra++) {
        snprintf(text + used, sizeof(text) - (size_t)used,
                 "[rm a]\nsymbol = rm_a\nopen = %0155d\n  %0*d\n", 1, 100 + extra, 1);
        t_rc(extra == 0 ? HF_OK : HF_EINVAL, hf_config_load(tx_world_write(w, text), &config));
        if (extra == 1)
            assert_non_null(strstr(hf_error_last()->text, ":6: open is over 255 bytes"));
        else
            hf_config_free(config);
    }
}

static void null_arguments__are_refused(void **state)
{
    struct world *w = *state;
    hf_config_rm rm = {0};
    hf_config *config = NULL;
    hf_tm *tm = NULL;

    make_switches();
    t_rc(HF_EINVAL, hf_config_load(NULL, &config));
    t_rc(HF_EINVAL, hf_config_load("x", NULL));
    t_rc(HF_EINVAL, hf_config_open(NULL, NULL, &tm));
    hf_config_free(NULL);
    t_ok(hf_config_load(tx_world_write(w, NODE), &config));
    t_rc(HF_EINVAL, hf_config_open(config, NULL, NULL));
    t_rc(HF_EINVAL, hf_config_get_rm(config, 0, NULL));
    t_rc(HF_EINVAL, hf_config_get_rm(config, 0, &rm)); /* size 0 */
    hf_config_free(config);
}

/* -- a configuration that changed -------------------------------------------------------------- */

static void dies_after_the_decision(void *arg)
{
    struct world *w = arg;
    hf_tx *rest = NULL;

    tx_world_configure(w, 2, NULL, NULL);
    must(tx_open() == TX_OK);
    must(tx_begin() == TX_OK);
    must_ok(hf_tx_decide(hf_tx_current(hf_opened_tm()), NULL, &rest));
    must(rest != NULL);
    _exit(0);
}

/* A resource manager that is not in the file any more keeps what it is owed, and it is shown. */
static void what_is_in_doubt__is_not_hidden_by_a_changed_file(void **state)
{
    struct world *w = *state;

    assert_int_equal(fake_child(dies_after_the_decision, w), 0);
    tx_world_configure(w, 1, NULL, NULL);
    t_tx(TX_OK, tx_open());
    assert_int_equal(fake_committed(A), 1);
    assert_int_equal(fake_in_doubt(B), 1);
    assert_non_null(strstr(w->told, "1 branches of earlier transactions are owed"));
    t_tx(TX_OK, tx_begin());
    t_tx(TX_OK, tx_commit());
    t_tx(TX_OK, tx_close());
    assert_int_equal(world_records(w), 1); /* what txctl reads */
    tx_world_configure(w, 2, NULL, NULL);
    t_tx(TX_OK, tx_open());
    assert_int_equal(fake_committed(B), 1);
    t_tx(TX_OK, tx_close());
    assert_int_equal(world_records(w), 0);
}

/* -- recovery intervals ------------------------------------------------------------------------ */

/* A branch that is owed its commit while this is true. */
static void owe(struct world *w, const char *node_keys)
{
    tx_world_configure(w, 2, node_keys, NULL);
    t_tx(TX_OK, tx_open());
    t_tx(TX_OK, tx_begin());
    fake_answer(B, FAKE_COMMIT, XA_RETRY);
    t_tx(TX_HAZARD, tx_commit());
}

static uint64_t passes(void)
{
    hf_tm_stats stats = {.size = sizeof(stats)};

    t_ok(hf_tm_get_stats(hf_opened_tm(), &stats));
    return stats.passes;
}

static void tick_for(unsigned ms, uint64_t passes_max)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (unsigned i = 0; i < ms && passes() < passes_max; i++) {
        t_ok(hf_tm_tick(hf_opened_tm(), NULL));
        (void)nanosleep(&pause, NULL);
    }
}

/* The host ticks. Without a bound to the pauses twenty passes would take half an hour. */
static void recover_ms__is_the_pause_between_passes(void **state)
{
    struct world *w = *state;
    uint64_t before;

    owe(w, "background = no\nrecover_ms = 1\nrecover_max_ms = 2");
    before = passes();
    tick_for(60000, before + 20);
    assert_true(passes() >= before + 20);
    fake_answer(B, FAKE_COMMIT, XA_OK);
    tick_for(60000, passes() + 1);
    t_tx(TX_OK, tx_close());
    assert_int_equal(world_records(w), 0);
    w = tx_world_again(state);

    owe(w, "background = no\nrecover_ms = 3600000");
    tick_for(1000, passes() + 1); /* it is due at once */
    before = passes();
    tick_for(1000, before + 1); /* the preset would be four by now */
    assert_int_equal(passes(), before);
    fake_answer(B, FAKE_COMMIT, XA_OK);
}

/* Our thread does. */
static void recover_ms__is_kept_to_by_our_thread(void **state)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    struct world *w = *state;
    uint64_t before;

    owe(w, "background = yes\nrecover_ms = 1\nrecover_max_ms = 1");
    before = passes();
    for (int i = 0; i < 3000 && passes() < before + 4; i++)
        (void)nanosleep(&pause, NULL);
    assert_true(passes() >= before + 4);
    fake_answer(B, FAKE_COMMIT, XA_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(all_keys__reach_their_places),
        T(strings_and_rank__reach_the_switch),
        T(secrets__come_from_a_file_that_nobody_else_can_read),
        T(the_file_itself__is_not_everybodys_to_write),
        T(what_is_wrong__is_named_with_file_and_line),
        T(tx_open__fails_and_says_why),
        T(a_line_or_a_string_that_is_too_long__is_refused),
        T(null_arguments__are_refused),
        T(what_is_in_doubt__is_not_hidden_by_a_changed_file),
        T(recover_ms__is_the_pause_between_passes),
        T(recover_ms__is_kept_to_by_our_thread),
    };
    return cmocka_run_group_tests_name("tx.config", tests, NULL, NULL);
}
