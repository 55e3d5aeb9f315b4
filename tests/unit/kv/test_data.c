/*
 * What: reading and writing (rm/kv/data.c): what a branch sees, limits, iteration, wrong calls.
 * How:  through the public header only.
 */
#include "kv_t.h"

static void data__of_a_branch_is_seen_by_it_alone_until_it_commits(void **state)
{
    kv_open(1, *state);
    kv_open(2, *state);
    kv_store(1, 1, "k", "old");
    kv_begin(1, 2);
    kv_put(1, "k", "new");
    kv_put(1, "other", "");
    kv_expect(1, "k", "new");
    kv_expect(1, "other", "");
    kv_expect(2, "k", "old"); /* no branch: what is committed */
    kv_expect(2, "other", NULL);
    kv_end(1, 2);
    kv_expect(1, "k", "old");
    t_xa(XA_OK, kv_commit(1, 2, TMONEPHASE));
    kv_expect(2, "k", "new");
    kv_expect(2, "other", "");
}

static void data__of_a_rolled_back_branch_is_gone(void **state)
{
    kv_open(1, *state);
    kv_store(1, 1, "k", "old");
    kv_begin(1, 2);
    kv_put(1, "k", "new");
    t_ok(hf_kv_delete(1, "k", 1));
    kv_expect(1, "k", NULL);
    kv_end(1, 2);
    t_xa(XA_OK, kv_rollback(1, 2));
    kv_expect(1, "k", "old");
}

static void delete__of_a_missing_key_does_nothing(void **state)
{
    kv_open(1, *state);
    kv_begin(1, 1);
    t_rc(HF_ENOTFOUND, hf_kv_delete(1, "k", 1));
    kv_end(1, 1);
    t_xa(XA_RDONLY, kv_prepare(1, 1));
    kv_begin(1, 2);
    kv_put(1, "k", "v");
    t_ok(hf_kv_delete(1, "k", 1));
    t_rc(HF_ENOTFOUND, hf_kv_delete(1, "k", 1));
    kv_end(1, 2);
    t_xa(XA_OK, kv_prepare(1, 2));
    t_xa(XA_OK, kv_commit(1, 2, TMNOFLAGS));
    kv_expect(1, "k", NULL);
}

static void delete__is_durable(void **state)
{
    kv_open(1, *state);
    kv_store(1, 1, "k", "v");
    kv_begin(1, 2);
    t_ok(hf_kv_delete(1, "k", 1));
    kv_end(1, 2);
    t_xa(XA_OK, kv_prepare(1, 2));
    t_xa(XA_OK, kv_commit(1, 2, TMNOFLAGS));
    kv_close(1);
    kv_open(1, *state);
    kv_expect(1, "k", NULL);
}

static void get__tells_the_whole_size_of_what_did_not_fit(void **state)
{
    char buf[4] = "....";
    size_t size = 0;

    kv_open(1, *state);
    kv_store(1, 1, "k", "a long value");
    t_ok(hf_kv_get(1, "k", 1, buf, 3, &size));
    assert_int_equal(size, 12);
    assert_memory_equal(buf, "a l.", 4);
    t_ok(hf_kv_get(1, "k", 1, NULL, 0, &size));
    t_ok(hf_kv_get(1, "k", 1, NULL, 0, NULL));
    kv_begin(1, 2);
    kv_put(1, "own", "another one");
    t_ok(hf_kv_get(1, "own", 3, buf, 2, &size));
    assert_int_equal(size, 11);
    assert_memory_equal(buf, "anl.", 4);
    kv_end(1, 2);
    t_xa(XA_OK, kv_rollback(1, 2));
}

static void limits__are_those_of_the_header(void **state)
{
    char *big = calloc(1, HF_KV_VALUE_MAX + 1);
    char key[HF_KV_KEY_MAX + 1];
    size_t size = 0;

    assert_non_null(big);
    memset(key, 'k', sizeof(key));
    big[HF_KV_VALUE_MAX - 1] = 'x';
    kv_open(1, *state);
    kv_begin(1, 1);
    t_rc(HF_EINVAL, hf_kv_put(1, key, 0, "v", 1));
    t_rc(HF_EINVAL, hf_kv_put(1, NULL, 1, "v", 1));
    t_rc(HF_EINVAL, hf_kv_put(1, key, HF_KV_KEY_MAX + 1, "v", 1));
    t_rc(HF_EINVAL, hf_kv_put(1, key, 1, NULL, 1));
    t_rc(HF_ELIMIT, hf_kv_put(1, key, 1, big, HF_KV_VALUE_MAX + 1));
    t_rc(HF_EINVAL, hf_kv_get(1, key, HF_KV_KEY_MAX + 1, NULL, 0, NULL));
    t_rc(HF_EINVAL, hf_kv_get(1, key, 1, NULL, 1, NULL));
    t_rc(HF_EINVAL, hf_kv_delete(1, key, 0));
    t_ok(hf_kv_put(1, key, HF_KV_KEY_MAX, big, HF_KV_VALUE_MAX));
    kv_end(1, 1);
    t_xa(XA_OK, kv_prepare(1, 1));
    kv_close(1);
    kv_open(1, *state);
    t_xa(XA_OK, kv_commit(1, 1, TMNOFLAGS));
    memset(big, 0, HF_KV_VALUE_MAX);
    t_ok(hf_kv_get(1, key, HF_KV_KEY_MAX, big, HF_KV_VALUE_MAX, &size));
    assert_int_equal(size, HF_KV_VALUE_MAX);
    assert_int_equal(big[HF_KV_VALUE_MAX - 1], 'x');
    free(big);
}

/* A branch may write 128 MiB; what is over it is refused, and the branch goes on. */
static void limits__bound_the_write_set(void **state)
{
    char *big = calloc(1, HF_KV_VALUE_MAX);
    char key[16];
    int rc = HF_OK, n = 0;

    assert_non_null(big);
    kv_open(1, *state);
    kv_begin(1, 1);
    for (; rc == HF_OK && n < 200; n++) {
        snprintf(key, sizeof(key), "%d", n);
        rc = hf_kv_put(1, key, strlen(key), big, HF_KV_VALUE_MAX);
    }
    t_rc(HF_ELIMIT, rc);
    assert_int_equal(n, 128);
    kv_put(1, "small", "fits");
    kv_end(1, 1);
    t_xa(XA_OK, kv_rollback(1, 1));
    free(big);
}

/* -- each -------------------------------------------------------------------------------------- */

struct seen {
    char text[512];
    int stop_after; /* 0: never */
    int calls;
    int rmid; /* not 0: also get the key by it */
};

static int note(void *user, const void *key, size_t key_size, const void *value, size_t value_size)
{
    struct seen *seen = user;
    size_t used = strlen(seen->text), size = 0;

    snprintf(seen->text + used, sizeof(seen->text) - used, "%.*s=%.*s ", (int)key_size,
             (const char *)key, (int)value_size, (const char *)value);
    seen->calls++;
    if (seen->rmid != 0) {
        t_ok(hf_kv_get(seen->rmid, key, key_size, NULL, 0, &size));
        assert_int_equal(size, value_size);
    }
    return seen->stop_after != 0 && seen->calls == seen->stop_after ? 42 : 0;
}

static void expect_each(int rmid, const char *prefix, const char *want)
{
    struct seen seen = {.rmid = rmid};

    t_ok(hf_kv_each(rmid, prefix, strlen(prefix), note, &seen));
    assert_string_equal(seen.text, want);
}

static void each__merges_own_writes_with_committed_data_in_byte_order(void **state)
{
    kv_open(1, *state);
    kv_begin(1, 1);
    kv_put(1, "a/2", "c2");
    kv_put(1, "a/4", "c4");
    kv_put(1, "a/6", "c6");
    kv_put(1, "a", "shorter");
    kv_put(1, "b", "after");
    kv_put(1, "A", "before");
    kv_end(1, 1);
    t_xa(XA_OK, kv_commit(1, 1, TMONEPHASE));
    expect_each(1, "a/", "a/2=c2 a/4=c4 a/6=c6 ");

    kv_begin(1, 2);
    kv_put(1, "a/1", "own1");
    kv_put(1, "a/4", "own4");
    kv_put(1, "a/5", "own5");
    kv_put(1, "a/7", "own7");
    kv_put(1, "a/8", "gone");
    kv_put(1, "a0", "no prefix");
    t_ok(hf_kv_delete(1, "a/8", 3));
    t_ok(hf_kv_delete(1, "a/6", 3));
    expect_each(1, "a/", "a/1=own1 a/2=c2 a/4=own4 a/5=own5 a/7=own7 ");
    expect_each(1, "a/5", "a/5=own5 ");
    expect_each(1, "a/9", "");
    expect_each(1, "",
                "A=before a=shorter a/1=own1 a/2=c2 a/4=own4 a/5=own5 a/7=own7 "
                "a0=no prefix b=after ");
    kv_end(1, 2);
    expect_each(1, "a/", "a/2=c2 a/4=c4 a/6=c6 ");
    t_xa(XA_OK, kv_commit(1, 2, TMONEPHASE));
    expect_each(1, "a/", "a/1=own1 a/2=c2 a/4=own4 a/5=own5 a/7=own7 ");
}

static void each__over_nothing_calls_nobody(void **state)
{
    kv_open(1, *state);
    expect_each(1, "", "");
    kv_begin(1, 1);
    expect_each(1, "", "");
    kv_put(1, "only", "own");
    expect_each(1, "", "only=own ");
    kv_end(1, 1);
    t_xa(XA_OK, kv_rollback(1, 1));
}

static void each__stops_with_what_fn_returns(void **state)
{
    struct seen seen = {.stop_after = 2};

    kv_open(1, *state);
    kv_store(1, 1, "a", "1");
    kv_store(1, 2, "b", "2");
    kv_store(1, 3, "c", "3");
    assert_int_equal(hf_kv_each(1, NULL, 0, note, &seen), 42);
    assert_string_equal(seen.text, "a=1 b=2 ");
    t_rc(HF_EINVAL, hf_kv_each(1, NULL, 0, NULL, NULL));
    t_rc(HF_EINVAL, hf_kv_each(1, NULL, 1, note, &seen));
    t_rc(HF_EINVAL, hf_kv_each(1, "k", HF_KV_KEY_MAX + 1, note, &seen));
}

struct run {
    unsigned next; /* number of the key that has to come now */
    unsigned step;
};

static int expect_number(void *user, const void *key, size_t key_size, const void *value,
                         size_t value_size)
{
    struct run *run = user;
    char want[16];

    snprintf(want, sizeof(want), "%08u", run->next);
    assert_int_equal(key_size, 8);
    assert_memory_equal(key, want, 8);
    assert_int_equal(value_size, 4000);
    assert_int_equal(((const char *)value)[3999], 'z');
    run->next += run->step;
    return 0;
}

/* 1.6 MB: several batches in a branch; keys alternate between committed and own. */
static void each__loses_nothing_between_batches(void **state)
{
    struct run all = {.next = 0, .step = 1};
    struct run committed = {.next = 0, .step = 2};
    char value[4000], key[16];

    memset(value, 'z', sizeof(value));
    kv_open(1, *state);
    for (long branch = 1; branch <= 2; branch++) {
        kv_begin(1, branch);
        for (unsigned n = (unsigned)branch - 1; n < 400; n += 2) {
            snprintf(key, sizeof(key), "%08u", n);
            t_ok(hf_kv_put(1, key, 8, value, sizeof(value)));
        }
        if (branch == 1) {
            kv_end(1, 1);
            t_xa(XA_OK, kv_commit(1, 1, TMONEPHASE));
        }
    }
    t_ok(hf_kv_each(1, "0", 1, expect_number, &all));
    assert_int_equal(all.next, 400);
    kv_end(1, 2);
    t_ok(hf_kv_each(1, "0", 1, expect_number, &committed));
    assert_int_equal(committed.next, 400);
    t_xa(XA_OK, kv_prepare(1, 2));
    t_xa(XA_OK, kv_commit(1, 2, TMNOFLAGS));
    all.next = 0;
    t_ok(hf_kv_each(1, NULL, 0, expect_number, &all));
    assert_int_equal(all.next, 400);
}

/*
 * -- wrong calls ---------------------------------------------------------------------------------
 */

static void calls__in_the_wrong_state_are_refused(void **state)
{
    struct seen seen = {0};
    XID x = kv_xid(1);

    t_rc(HF_EINVAL, hf_kv_get(1, "k", 1, NULL, 0, NULL));
    kv_open(1, *state);
    t_rc(HF_ESTATE, hf_kv_put(1, "k", 1, "v", 1));
    t_rc(HF_ESTATE, hf_kv_delete(1, "k", 1));
    kv_begin(1, 1);
    kv_put(1, "k", "v");
    t_xa(XA_OK, kv.xa_end_entry(&x, 1, TMSUSPEND));
    t_rc(HF_ESTATE, hf_kv_put(1, "k", 1, "v", 1));
    t_rc(HF_ESTATE, hf_kv_get(1, "k", 1, NULL, 0, NULL));
    t_rc(HF_ESTATE, hf_kv_delete(1, "k", 1));
    t_rc(HF_ESTATE, hf_kv_each(1, "", 0, note, &seen));
    t_xa(XA_OK, kv.xa_start_entry(&x, 1, TMRESUME));
    kv_expect(1, "k", "v");
    t_xa(XA_RBROLLBACK, kv.xa_end_entry(&x, 1, TMFAIL));
    t_xa(XA_OK, kv_rollback(1, 1));
}

/* The parent's store is the parent's; another one is the child's, under whatever rmid. */
static int child_opens_for_itself(const char *dir)
{
    char own[512], value[8], none[] = "";
    XID x = kv_xid(1);

    if (kv_open_with(1, dir, "") != XAER_RMERR) /* its parent has it open */
        return 20;
    if (kv_recover(1, NULL) != XAER_PROTO || hf_kv_put(1, "k", 1, "v", 1) != HF_EINVAL)
        return 21;
    (void)snprintf(own, sizeof(own), "%s/own", dir);
    if (mkdir(own, 0700) != 0 || kv_open_with(1, own, "") != XA_OK)
        return 22;
    if (kv.xa_start_entry(&x, 1, TMNOFLAGS) != XA_OK || hf_kv_put(1, "k", 1, "c", 1) != HF_OK ||
        kv.xa_end_entry(&x, 1, TMSUCCESS) != XA_OK || kv_commit(1, 1, TMONEPHASE) != XA_OK)
        return 25;
    if (hf_kv_get(1, "k", 1, value, sizeof(value), NULL) != HF_OK || value[0] != 'c')
        return 23;
    return kv.xa_close_entry(none, 1, 0) == XA_OK ? 0 : 24;
}

static int child_uses_the_parents_rmid(const char *dir)
{
    XID x = kv_xid(1), xids[16];
    unsigned char id[HF_IDENTITY_SIZE];
    enum hf_probe probe;
    char text[64], none[] = "";
    int native = 0;

    if (hf_kv_get(1, "k", 1, NULL, 0, NULL) != HF_EFORK)
        return 1;
    if (hf_kv_put(1, "k", 1, "v", 1) != HF_EFORK)
        return 2;
    if (kv.xa_start_entry(&x, 1, TMNOFLAGS) != XAER_RMFAIL)
        return 3;
    if (hf_kv_ext.error(NULL, 1, &native, text, sizeof(text)) != 0 || native != HF_EFORK)
        return 4;
    if (kv_recover(1, xids) != XAER_RMFAIL || kv_prepare(1, 1) != XAER_RMFAIL)
        return 5;
    if (kv_commit(1, 1, TMNOFLAGS) != XAER_RMFAIL || kv_rollback(1, 1) != XAER_RMFAIL)
        return 6;
    if (kv.xa_end_entry(&x, 1, TMSUCCESS) != XAER_RMFAIL)
        return 7;
    if (kv.xa_close_entry(none, 1, 0) != XAER_RMERR)
        return 8;
    if (hf_kv_ext.identity(NULL, 1, id) != HF_EFORK)
        return 9;
    if (hf_kv_ext.probe(NULL, 1, &x, NULL, 0, &probe) != HF_EFORK)
        return 10;
    return child_opens_for_itself(dir);
}

static void calls__in_a_child_after_fork_are_refused_until_it_opens(void **state)
{
    kv_open(1, *state);
    kv_store(1, 1, "k", "v");
    kv_begin(1, 2);
    kv_put(1, "k", "w");
    assert_int_equal(kv_child(child_uses_the_parents_rmid, *state), 0);
    kv_expect(1, "k", "w"); /* the parent is untouched */
    kv_end(1, 2);
    t_xa(XA_OK, kv_commit(1, 2, TMONEPHASE));
    kv_expect(1, "k", "w");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KV_TEST(data__of_a_branch_is_seen_by_it_alone_until_it_commits),
        KV_TEST(data__of_a_rolled_back_branch_is_gone),
        KV_TEST(delete__of_a_missing_key_does_nothing),
        KV_TEST(delete__is_durable),
        KV_TEST(get__tells_the_whole_size_of_what_did_not_fit),
        KV_TEST(limits__are_those_of_the_header),
        KV_TEST(limits__bound_the_write_set),
        KV_TEST(each__merges_own_writes_with_committed_data_in_byte_order),
        KV_TEST(each__over_nothing_calls_nobody),
        KV_TEST(each__stops_with_what_fn_returns),
        KV_TEST(each__loses_nothing_between_batches),
        KV_TEST(calls__in_the_wrong_state_are_refused),
        KV_TEST(calls__in_a_child_after_fork_are_refused_until_it_opens),
    };

    return cmocka_run_group_tests_name("kv.data", tests, NULL, NULL);
}
