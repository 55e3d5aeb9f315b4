/*
 * What: the records of a store (rm/kv/layout.c, disk.c): XIDs, write sets in chunks, the horizon of
 *       outcomes, and that a store whose prepared records do not agree is not opened.
 * How:  a store is written through disk.h, or spoilt through store.h, then opened through the
 * switch.
 */
#include "kv_t.h"

#include "disk.h"
#include "holdfast/internal/store.h"
#include "layout.h"

static struct hf__store *open_store(const char *dir)
{
    const char *path = t_path(dir, "store");
    struct hf__store_config config = {.dir = path,
                                      .file = "kv.mdb",
                                      .lock_file = "lock",
                                      .application = KV_APPLICATION,
                                      .format = KV_FORMAT,
                                      .flags = HF__STORE_CREATE | HF__STORE_EXCLUSIVE};
    struct hf__store *store = NULL;

    t_ok(hf__store_open(&config, &store));
    hf__store_opened(store);
    return store;
}

static struct kv_xid xid_of(long n)
{
    XID x = kv_xid(n);
    struct kv_xid xid;

    assert_int_equal(hf__kv_layout_xid(&x, &xid), 0);
    return xid;
}

/* -- XIDs -------------------------------------------------------------------------------------- */

static void xid__is_its_used_bytes(void **state)
{
    XID a = kv_xid(1), b = kv_xid(1), back;
    struct kv_xid ka, kb;

    (void)state;
    memset(a.data + 9, 0x11, sizeof(a.data) - 9);
    assert_int_equal(hf__kv_layout_xid(&a, &ka), 0);
    assert_int_equal(hf__kv_layout_xid(&b, &kb), 0);
    assert_true(hf__kv_layout_xid_equal(&ka, &kb));
    b.formatID++;
    assert_int_equal(hf__kv_layout_xid(&b, &kb), 0);
    assert_false(hf__kv_layout_xid_equal(&ka, &kb));
    b = a;
    b.gtrid_length--; /* the same bytes, divided otherwise */
    b.bqual_length++;
    assert_int_equal(hf__kv_layout_xid(&b, &kb), 0);
    assert_false(hf__kv_layout_xid_equal(&ka, &kb));
    assert_int_equal(hf__kv_layout_xid_read(kb.bytes, kb.size, &back), 0);
    assert_int_equal(back.gtrid_length, 7);
    assert_int_equal(back.bqual_length, 2);
    assert_int_equal(back.data[9], 0);
}

static void xid__lengths_are_checked(void **state)
{
    static const struct {
        long format, gtrid, bqual;
        int rc;
    } rows[] = {
        {0, 1, 0, 0},   {0, 64, 64, 0},      {-2, 1, 1, 0},       {1, 0, 1, -1},
        {1, 65, 1, -1}, {1, 1, 65, -1},      {1, 1, -1, -1},      {1, -1, 1, -1},
        {-1, 8, 1, -1}, {LONG_MAX, 8, 8, 0}, {LONG_MIN, 8, 8, 0},
    };
    struct kv_xid xid;
    XID x = kv_xid(1), back;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        x.formatID = rows[i].format;
        x.gtrid_length = rows[i].gtrid;
        x.bqual_length = rows[i].bqual;
        assert_int_equal(hf__kv_layout_xid(&x, &xid), rows[i].rc);
        if (rows[i].rc != 0)
            continue;
        assert_int_equal(hf__kv_layout_xid_read(xid.bytes, xid.size, &back), 0);
        assert_int_equal(back.formatID, x.formatID);
        assert_int_equal(back.gtrid_length, x.gtrid_length);
        assert_int_equal(back.bqual_length, x.bqual_length);
        assert_int_equal(hf__kv_layout_xid_read(xid.bytes, xid.size - 1, &back), -1);
    }
    assert_int_equal(hf__kv_layout_xid(NULL, &xid), -1);
}

static void layout__refuses_what_is_not_its_form(void **state)
{
    unsigned char buf[64] = {0};
    struct kv_prepared prepared = {.chunks = 2, .writes = 3, .bytes = 4};
    struct kv_numbers numbers = {.next = 5, .first = 4};
    struct kv_chunk_write write;
    enum kv_outcome outcome;
    size_t offset = 0;
    uint64_t number;

    (void)state;
    hf__kv_layout_prepared(&prepared, buf);
    assert_int_equal(hf__kv_layout_prepared_read(buf, KV_PREPARED_SIZE, &prepared), 0);
    assert_int_equal(hf__kv_layout_prepared_read(buf, KV_PREPARED_SIZE - 1, &prepared), -1);
    buf[0]++; /* another version */
    assert_int_equal(hf__kv_layout_prepared_read(buf, KV_PREPARED_SIZE, &prepared), -1);

    hf__kv_layout_numbers(&numbers, buf);
    assert_int_equal(hf__kv_layout_numbers_read(buf, KV_NUMBERS_SIZE, &numbers), 0);
    numbers.first = 6; /* beyond next */
    hf__kv_layout_numbers(&numbers, buf);
    assert_int_equal(hf__kv_layout_numbers_read(buf, KV_NUMBERS_SIZE, &numbers), -1);

    hf__kv_layout_outcome_of(KV_COMMITTED, 7, buf);
    assert_int_equal(hf__kv_layout_outcome_of_read(buf, KV_OUTCOME_OF_SIZE, &outcome, &number), 0);
    assert_int_equal(number, 7);
    buf[1] = 3; /* an outcome that does not exist */
    assert_int_equal(hf__kv_layout_outcome_of_read(buf, KV_OUTCOME_OF_SIZE, &outcome, &number), -1);

    memcpy(buf, "\x01\x00\x01\x00\x00\x00\x02kvv", 10);
    assert_int_equal(hf__kv_layout_write_read(buf, 10, &offset, &write), 1);
    assert_int_equal(write.value_size, 2);
    assert_int_equal(hf__kv_layout_write_read(buf, 10, &offset, &write), 0);
    offset = 0;
    assert_int_equal(hf__kv_layout_write_read(buf, 9, &offset, &write), -1);
    buf[0] = KV_DELETE; /* a delete has no value */
    assert_int_equal(hf__kv_layout_write_read(buf, 10, &offset, &write), -1);
    buf[0] = 9;
    assert_int_equal(hf__kv_layout_write_read(buf, 10, &offset, &write), -1);
}

/* -- the horizon ------------------------------------------------------------------------------- */

struct remember {
    enum kv_outcome outcome;
    struct kv_xid xid;
    uint64_t keep;
};

static int apply_remember(struct hf__store_txn *txn, void *arg)
{
    struct remember *r = arg;

    return hf__kv_disk_remember(txn, r->outcome, &r->xid, r->keep);
}

static void remember(struct hf__store *store, long n, enum kv_outcome outcome, uint64_t keep)
{
    struct remember r = {.outcome = outcome, .xid = xid_of(n), .keep = keep};

    t_ok(hf__store_apply(store, apply_remember, &r));
}

static int outcome_of(struct hf__store *store, long n)
{
    struct kv_xid xid = xid_of(n);
    enum kv_outcome outcome = (enum kv_outcome)0;
    int rc = hf__kv_disk_outcome(store, &xid, &outcome);

    return rc == HF_OK ? (int)outcome : rc;
}

static uint64_t records(struct hf__store *store)
{
    struct hf__store_info info;

    t_ok(hf__store_info(store, &info));
    return info.records;
}

static void outcomes__the_newest_are_remembered(void **state)
{
    struct hf__store *store = open_store(*state);

    for (long n = 1; n <= 10; n++)
        remember(store, n, n % 2 == 0 ? KV_COMMITTED : KV_ROLLEDBACK, 3);
    assert_int_equal(outcome_of(store, 7), HF_ENOTFOUND);
    assert_int_equal(outcome_of(store, 8), KV_COMMITTED);
    assert_int_equal(outcome_of(store, 9), KV_ROLLEDBACK);
    assert_int_equal(outcome_of(store, 10), KV_COMMITTED);
    assert_int_equal(records(store), 3 * 2 + 1); /* two records each, and the numbers */
    t_ok(hf__store_verify(store));
    hf__store_close(store);
}

/* The older outcome of an XID that was used twice must not take the newer one with it. */
static void outcomes__of_a_reused_xid_are_the_last_one(void **state)
{
    struct hf__store *store = open_store(*state);

    remember(store, 1, KV_COMMITTED, 2);
    remember(store, 1, KV_ROLLEDBACK, 2);
    remember(store, 2, KV_COMMITTED, 2);
    assert_int_equal(outcome_of(store, 1), KV_ROLLEDBACK);
    remember(store, 3, KV_COMMITTED, 2);
    assert_int_equal(outcome_of(store, 1), HF_ENOTFOUND);
    hf__store_close(store);
}

/* A shorter horizon is reached step by step, never in one long apply. */
static void outcomes__of_a_shortened_horizon_go_bit_by_bit(void **state)
{
    struct hf__store *store = open_store(*state);

    for (long n = 0; n < 20; n++)
        remember(store, n, KV_COMMITTED, 100);
    remember(store, 20, KV_COMMITTED, 1);
    assert_int_equal(records(store), (21 - 8) * 2 + 1);
    remember(store, 21, KV_COMMITTED, 1);
    remember(store, 22, KV_COMMITTED, 1);
    assert_int_equal(records(store), 1 * 2 + 1);
    hf__store_close(store);
}

/* -- prepared write sets ----------------------------------------------------------------------- */

/* Two chunks: 1,000 writes of about 140 bytes, every third one a delete. */
static void fill(struct kv_writes *set, unsigned tag)
{
    char key[32], value[128];

    memset(value, 'v', sizeof(value));
    for (unsigned n = 0; n < 1000; n++) {
        int size = snprintf(key, sizeof(key), "%u/%u", tag, n);

        if (n % 3 == 0)
            t_ok(hf__kv_writes_delete(set, key, (size_t)size));
        else
            t_ok(hf__kv_writes_put(set, key, (size_t)size, value, sizeof(value)));
    }
}

static void prepare(struct hf__store *store, long n)
{
    struct kv_writes set = {0};
    struct kv_xid xid = xid_of(n);

    fill(&set, (unsigned)n);
    t_ok(hf__kv_disk_prepare(store, &xid, &set));
    hf__kv_writes_clear(&set);
}

static int count_one(void *user, const void *key, size_t key_size, const void *value,
                     size_t value_size)
{
    (void)key;
    (void)key_size;
    (void)value;
    assert_int_equal(value_size, 128);
    ++*(unsigned *)user;
    return 0;
}

/* Several branches may be prepared at once, each with chunks of its own. */
static void recover__lists_several_in_batches_of_one(void **state)
{
    struct hf__store *store = open_store(*state);
    unsigned seen = 0, data = 0;
    XID one;

    for (long n = 1; n <= 3; n++)
        prepare(store, n);
    assert_int_equal(records(store), 3 * (1 + 2)); /* a header and two chunks each */
    hf__store_close(store);

    kv_open(1, *state);
    t_xa(1, kv.xa_recover_entry(&one, 1, 1, TMSTARTRSCAN));
    do {
        long n;

        memcpy(&n, one.data, sizeof(n));
        assert_in_range(n, 1, 3);
        assert_false(seen & 1U << n);
        seen |= 1U << n;
    } while (kv.xa_recover_entry(&one, 1, 1, TMNOFLAGS) == 1);
    assert_int_equal(seen, 1 << 1 | 1 << 2 | 1 << 3);
    t_xa(XAER_INVAL, kv.xa_recover_entry(&one, 1, 1, TMNOFLAGS)); /* the scan is over */

    t_xa(XA_OK, kv_commit(1, 1, TMNOFLAGS));
    t_xa(XA_OK, kv_rollback(1, 2));
    t_xa(XA_OK, kv_commit(1, 3, TMNOFLAGS));
    t_ok(hf_kv_each(1, "1/", 2, count_one, &data));
    assert_int_equal(data, 666);
    data = 0;
    t_ok(hf_kv_each(1, "", 0, count_one, &data));
    assert_int_equal(data, 666 * 2);
    kv_close(1);
    store = open_store(*state);
    assert_int_equal(records(store), 666 * 2 + 3 * 2 + 1); /* no chunk is left behind */
    hf__store_close(store);
}

/* An XID that ends while a scan goes on is not listed any more. */
static void recover__leaves_out_what_ended_meanwhile(void **state)
{
    struct hf__store *store = open_store(*state);
    XID xids[4];
    long n = 0;

    for (long i = 1; i <= 2; i++)
        prepare(store, i);
    hf__store_close(store);
    kv_open(1, *state);
    t_xa(1, kv.xa_recover_entry(xids, 1, 1, TMSTARTRSCAN));
    memcpy(&n, xids[0].data, sizeof(n));
    t_xa(XA_OK, kv_commit(1, 3 - n, TMNOFLAGS));
    t_xa(0, kv.xa_recover_entry(xids, 4, 1, TMNOFLAGS));
}

struct change {
    int delete;
    struct kv_key key;
    uint8_t kind;
    const void *payload;
    size_t size;
};

static int apply_change(struct hf__store_txn *txn, void *arg)
{
    struct change *c = arg;

    if (c->delete)
        return hf__store_delete(txn, c->key.bytes, c->key.size);
    return hf__store_put(txn, c->key.bytes, c->key.size, c->kind, c->payload, c->size);
}

/* Spoil a store that has branch 1 prepared; opening it has to answer HF_EDAMAGED. */
static void expect_damaged(const char *dir, struct change *change)
{
    struct hf__store *store = open_store(dir);
    char text[256] = "";
    int native = 0;

    prepare(store, 1);
    t_ok(hf__store_apply(store, apply_change, change));
    hf__store_close(store);
    t_xa(XAER_RMERR, kv_open_with(1, dir, ""));
    t_ok(hf_kv_ext.error(NULL, 1, &native, text, sizeof(text)));
    t_rc(HF_EDAMAGED, native);
    assert_non_null(strstr(text, "prepared"));
}

static void open__finds_a_missing_part_of_a_write_set(void **state)
{
    struct kv_xid xid = xid_of(1);
    struct change change = {.delete = 1};

    hf__kv_layout_writes_key(&xid, 1, &change.key);
    expect_damaged(*state, &change);
}

static void open__finds_writes_without_a_branch(void **state)
{
    struct kv_xid xid = xid_of(1);
    struct change change = {.delete = 1};

    hf__kv_layout_prepared_key(&xid, &change.key);
    expect_damaged(*state, &change);
}

static void open__finds_a_write_set_that_is_not_complete(void **state)
{
    struct kv_xid xid = xid_of(1);
    struct change change = {
        .kind = KV_KIND_WRITES, .payload = "\x01\x01\x00\x01\x00\x00\x00\x01kv", .size = 10};

    hf__kv_layout_writes_key(&xid, 1, &change.key);
    expect_damaged(*state, &change);
}

/* Both cannot have had the lock: to commit them would lose one write. */
static void open__finds_two_branches_that_wrote_one_key(void **state)
{
    struct hf__store *store = open_store(*state);
    char text[256] = "";
    int native = 0;

    for (long n = 1; n <= 2; n++) {
        struct kv_writes set = {0};
        struct kv_xid xid = xid_of(n);

        t_ok(hf__kv_writes_put(&set, n == 1 ? "a" : "b", 1, "v", 1));
        t_ok(hf__kv_writes_delete(&set, "both", 4));
        t_ok(hf__kv_disk_prepare(store, &xid, &set));
        hf__kv_writes_clear(&set);
    }
    hf__store_close(store);
    t_xa(XAER_RMERR, kv_open_with(1, *state, ""));
    t_ok(hf_kv_ext.error(NULL, 1, &native, text, sizeof(text)));
    t_rc(HF_EDAMAGED, native);
    assert_non_null(strstr(text, "one key"));
}

static void open__finds_a_header_of_another_form(void **state)
{
    struct kv_xid xid = xid_of(1);
    struct change change = {.kind = KV_KIND_PREPARED, .payload = "\x01", .size = 1};

    hf__kv_layout_prepared_key(&xid, &change.key);
    expect_damaged(*state, &change);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xid__is_its_used_bytes),
        cmocka_unit_test(xid__lengths_are_checked),
        cmocka_unit_test(layout__refuses_what_is_not_its_form),
        KV_TEST(outcomes__the_newest_are_remembered),
        KV_TEST(outcomes__of_a_reused_xid_are_the_last_one),
        KV_TEST(outcomes__of_a_shortened_horizon_go_bit_by_bit),
        KV_TEST(recover__lists_several_in_batches_of_one),
        KV_TEST(recover__leaves_out_what_ended_meanwhile),
        KV_TEST(open__finds_a_missing_part_of_a_write_set),
        KV_TEST(open__finds_writes_without_a_branch),
        KV_TEST(open__finds_a_write_set_that_is_not_complete),
        KV_TEST(open__finds_a_header_of_another_form),
        KV_TEST(open__finds_two_branches_that_wrote_one_key),
    };

    return cmocka_run_group_tests_name("kv.disk", tests, NULL, NULL);
}
