/*
 * What: records of the log as bytes (tm/record.c): they come back as they were, and nothing that no
 *       version of ours wrote is taken for one.
 * How:  each codec goes there and back; then its payload is cut at every length, changed in every
 *       byte, and given hostile lengths. Payloads to decode lie in an allocation of their very
 *       size, so that a sanitizer sees each look beyond the end.
 */
#include "support/t.h"

#include "coordinator.h"
#include "record.h"

/* A record in memory of its own size. */
static struct hf__record exact(uint8_t kind, const void *payload, size_t size)
{
    void *copy = malloc(size > 0 ? size : 1);

    assert_non_null(copy);
    if (size > 0)
        memcpy(copy, payload, size);
    return (struct hf__record){.data = copy, .size = size, .sequence = 1, .kind = kind};
}

static void drop(struct hf__record r)
{
    free((void *)r.data);
}

/* -- keys -------------------------------------------------------------------------------- */

static void key__order_is_the_order_of_numbers(void **state)
{
    static const uint64_t numbers[] = {0, 1, 255, 256, 65535, 65536, 0xffffffff};
    unsigned char a[HF__KEY_SIZE_MAX], b[HF__KEY_SIZE_MAX];

    (void)state;
    for (size_t i = 1; i < sizeof(numbers) / sizeof(*numbers); i++) {
        assert_int_equal(hf__key32(a, 'I', (uint32_t)numbers[i - 1]), 5);
        assert_int_equal(hf__key32(b, 'I', (uint32_t)numbers[i]), 5);
        assert_true(memcmp(a, b, 5) < 0);
        assert_int_equal(hf__key64(a, 'Q', numbers[i - 1] << 31), 9);
        assert_int_equal(hf__key64(b, 'Q', numbers[i] << 31), 9);
        assert_true(memcmp(a, b, 9) < 0);
    }
}

static void key__of_a_transaction_is_its_kind_and_gtrid(void **state)
{
    unsigned char gtrid[HF__GTRID_SIZE], key[HF__KEY_SIZE_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(gtrid); i++)
        gtrid[i] = (unsigned char)(i + 1);
    assert_int_equal(hf__key_gtrid(key, 'T', gtrid), sizeof(key));
    assert_int_equal(key[0], 'T');
    assert_memory_equal(key + 1, gtrid, sizeof(gtrid));
}

/* -- node -------------------------------------------------------------------------------- */

static void node__comes_back(void **state)
{
    struct hf__node n = {.highest = 0x01020304,
                         .next_rm_id = 0xfffefdfc,
                         .flags = HF__NODE_BACK_IN_TIME,
                         .machine = "machine of ours",
                         .file_system = 0x1122334455667788,
                         .inode = 0x99aabbccddeeff00,
                         .nonce = 0xffffffffffffffff};
    struct hf__node back = {0};
    unsigned char buf[HF__NODE_BYTES];
    struct hf__record r;

    (void)state;
    hf__node_encode(&n, buf);
    r = exact('N', buf, sizeof(buf));
    t_ok(hf__node_decode(&r, &back));
    drop(r);
    assert_int_equal(back.highest, n.highest);
    assert_true(back.next_rm_id == n.next_rm_id);
    assert_int_equal(back.flags, n.flags);
    assert_memory_equal(back.machine, n.machine, sizeof(n.machine));
    assert_true(back.file_system == n.file_system);
    assert_true(back.inode == n.inode);
    assert_true(back.nonce == n.nonce);
}

static void node__cut_or_of_another_kind_is_refused(void **state)
{
    unsigned char buf[HF__NODE_BYTES];
    struct hf__node n = {.highest = 1}, back;
    struct hf__record r;

    (void)state;
    hf__node_encode(&n, buf);
    for (size_t size = 0; size < sizeof(buf); size++) {
        r = exact('N', buf, size);
        t_rc(HF_EDAMAGED, hf__node_decode(&r, &back));
        drop(r);
    }
    r = exact('I', buf, sizeof(buf));
    t_rc(HF_EDAMAGED, hf__node_decode(&r, &back));
    drop(r);
}

/* -- incarnation ------------------------------------------------------------------------- */

static int decode_incarnation(uint8_t kind, size_t key_size, const unsigned char *buf, size_t size,
                              struct hf__incarnation *ret)
{
    unsigned char key[HF__KEY_SIZE_MAX] = {0};
    struct hf__record r = exact(kind, buf, size);
    int rc;

    (void)hf__key32(key, 'I', 77);
    rc = hf__incarnation_decode(key, key_size, &r, ret);
    drop(r);
    return rc;
}

static void incarnation__comes_back(void **state)
{
    (void)state;
    for (uint8_t s = HF_INC_OPEN; s <= HF_INC_FENCED; s++) {
        struct hf__incarnation i = {.number = 77,
                                    .state = s,
                                    .uid = 0xfffffffe,
                                    .pid = 0x123456789,
                                    .claimed_ms = 0x0102030405060708,
                                    .pid_namespace = 4026531836,
                                    .fenced_by = 78};
        struct hf__incarnation back;
        unsigned char buf[HF__INCARNATION_BYTES];

        hf__incarnation_encode(&i, buf);
        t_ok(decode_incarnation('I', 5, buf, sizeof(buf), &back));
        assert_int_equal(back.number, i.number);
        assert_int_equal(back.state, i.state);
        assert_true(back.uid == i.uid);
        assert_true(back.pid == i.pid);
        assert_true(back.claimed_ms == i.claimed_ms);
        assert_true(back.pid_namespace == i.pid_namespace);
        assert_int_equal(back.fenced_by, i.fenced_by);
    }
}

static void incarnation__cut_or_impossible_is_refused(void **state)
{
    struct hf__incarnation i = {.state = HF_INC_OPEN}, back;
    unsigned char buf[HF__INCARNATION_BYTES];

    (void)state;
    hf__incarnation_encode(&i, buf);
    for (size_t size = 0; size < sizeof(buf); size++)
        t_rc(HF_EDAMAGED, decode_incarnation('I', 5, buf, size, &back));
    t_rc(HF_EDAMAGED, decode_incarnation('R', 5, buf, sizeof(buf), &back));
    t_rc(HF_EDAMAGED, decode_incarnation('I', 4, buf, sizeof(buf), &back));
    t_rc(HF_EDAMAGED, decode_incarnation('I', 6, buf, sizeof(buf), &back));
    buf[0] = 0;
    t_rc(HF_EDAMAGED, decode_incarnation('I', 5, buf, sizeof(buf), &back));
    buf[0] = HF_INC_FENCED + 1;
    t_rc(HF_EDAMAGED, decode_incarnation('I', 5, buf, sizeof(buf), &back));
}

/* -- binding ----------------------------------------------------------------------------- */

static int decode_binding(uint8_t kind, size_t key_size, const unsigned char *buf, size_t size,
                          struct hf__binding *ret)
{
    unsigned char key[HF__KEY_SIZE_MAX] = {0};
    struct hf__record r = exact(kind, buf, size);
    int rc;

    (void)hf__key32(key, 'R', 5);
    rc = hf__binding_decode(key, key_size, &r, ret);
    drop(r);
    return rc;
}

static void binding__comes_back(void **state)
{
    static const char *const names[] = {"a", "kv of the bank", "1234567890123456789012345678901"};

    (void)state;
    for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++) {
        struct hf__binding b = {.id = 5, .has_identity = n % 2 == 0}, back;
        unsigned char buf[HF__BINDING_BYTES];

        strcpy(b.name, names[n]);
        memset(b.identity, (int)n + 1, sizeof(b.identity));
        hf__binding_encode(&b, buf);
        t_ok(decode_binding('R', 5, buf, sizeof(buf), &back));
        assert_int_equal(back.id, 5);
        assert_int_equal(back.has_identity, b.has_identity);
        assert_string_equal(back.name, b.name);
        assert_memory_equal(back.identity, b.identity, sizeof(b.identity));
    }
}

static void binding__cut_or_with_too_long_a_name_is_refused(void **state)
{
    struct hf__binding b = {.name = "kv"}, back;
    unsigned char buf[HF__BINDING_BYTES];

    (void)state;
    hf__binding_encode(&b, buf);
    for (size_t size = 0; size < sizeof(buf); size++)
        t_rc(HF_EDAMAGED, decode_binding('R', 5, buf, size, &back));
    t_rc(HF_EDAMAGED, decode_binding('I', 5, buf, sizeof(buf), &back));
    t_rc(HF_EDAMAGED, decode_binding('R', 9, buf, sizeof(buf), &back));
    for (int length = HF__RM_NAME_SIZE; length < 256; length++) {
        buf[1] = (unsigned char)length;
        t_rc(HF_EDAMAGED, decode_binding('R', 5, buf, sizeof(buf), &back));
    }
}

/* -- request ----------------------------------------------------------------------------- */

static int decode_request(uint8_t kind, size_t key_size, const unsigned char *buf, size_t size,
                          struct hf__request *ret)
{
    unsigned char key[HF__KEY_SIZE_MAX] = {0};
    struct hf__record r = exact(kind, buf, size);
    int rc;

    (void)hf__key64(key, 'Q', 0x100000001);
    rc = hf__request_decode(key, key_size, &r, ret);
    drop(r);
    return rc;
}

static void request__comes_back(void **state)
{
    unsigned char buf[HF__REQUEST_BYTES_MAX];

    (void)state;
    for (size_t n = 0; n <= 127; n++) {
        struct hf__request q = {.number = 0x100000001,
                                .verb = HF_REQUEST_RECOVER,
                                .state = 1,
                                .uid = 1000,
                                .asked_ms = 0x0102030405060708,
                                .done_ms = 0x0102030405060709,
                                .incarnation = 3,
                                .rm_id = 0xffffffff};
        struct hf__request back;
        size_t size;

        memset(q.reason, 'r', n);
        size = hf__request_encode(&q, buf);
        assert_int_equal(size, HF__REQUEST_BYTES + n);
        t_ok(decode_request('Q', 9, buf, size, &back));
        assert_true(back.number == q.number);
        assert_int_equal(back.verb, q.verb);
        assert_int_equal(back.state, q.state);
        assert_int_equal(back.uid, q.uid);
        assert_true(back.asked_ms == q.asked_ms && back.done_ms == q.done_ms);
        assert_int_equal(back.incarnation, q.incarnation);
        assert_true(back.rm_id == q.rm_id);
        assert_string_equal(back.reason, q.reason);
    }
}

/* A request to forget says what, behind its reason; one that does not is damaged. */
static void request_to_forget__comes_back(void **state)
{
    unsigned char buf[HF__REQUEST_BYTES_MAX];

    (void)state;
    for (size_t n = 0; n <= 127; n++) {
        struct hf__request q = {.verb = HF_REQUEST_FORGET, .state = 1, .result = HF_ESTATE}, back;
        size_t size;

        memset(q.reason, 'r', n);
        memset(q.gtrid, 'g', sizeof(q.gtrid));
        size = hf__request_encode(&q, buf);
        assert_int_equal(size, HF__REQUEST_BYTES + n + HF__REQUEST_ABOUT);
        t_ok(decode_request('Q', 9, buf, size, &back));
        assert_string_equal(back.reason, q.reason);
        assert_memory_equal(back.gtrid, q.gtrid, sizeof(q.gtrid));
        assert_int_equal(back.result, HF_ESTATE);
        for (size_t cut = 0; cut < HF__REQUEST_ABOUT; cut++)
            t_rc(HF_EDAMAGED,
                 decode_request('Q', 9, buf, HF__REQUEST_BYTES + n + cut, &back));
    }
}

static void request__cut_or_with_a_hostile_length_is_refused(void **state)
{
    static const unsigned lengths[] = {4, 127, 128, 129, 255, 256, 259, 65535};
    struct hf__request q = {.verb = HF_REQUEST_RECOVER, .reason = "why"}, back;
    unsigned char buf[HF__REQUEST_BYTES_MAX];
    size_t size = hf__request_encode(&q, buf);

    (void)state;
    t_ok(decode_request('Q', 9, buf, size, &back));
    for (size_t n = 0; n < size; n++)
        t_rc(HF_EDAMAGED, decode_request('Q', 9, buf, n, &back));
    t_rc(HF_EDAMAGED, decode_request('T', 9, buf, size, &back));
    t_rc(HF_EDAMAGED, decode_request('Q', 5, buf, size, &back));
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        buf[32] = (unsigned char)(lengths[i] >> 8);
        buf[33] = (unsigned char)lengths[i];
        t_rc(HF_EDAMAGED, decode_request('Q', 9, buf, size, &back));
    }
}

/* -- transaction ------------------------------------------------------------------------- */

static const unsigned char gtrid[HF__GTRID_SIZE] = "the gtrid of a transaction.";

/* Three branches, with tokens of 0, 5 and 64 bytes. */
static struct hf__rec make_rec(struct hf__rec_branch branches[3])
{
    struct hf__rec rec = {.decision = HF__COMMIT,
                          .outcome = HF_MIXED,
                          .by_recovery = true,
                          .decided_ms = 0x0102030405060708,
                          .written_by = 0xfffefdfc,
                          .count = 3,
                          .branches = branches};

    memcpy(rec.gtrid, gtrid, sizeof(gtrid));
    branches[0] = (struct hf__rec_branch){.rm_id = 1, .number = 1, .state = HF_BRANCH_OWED};
    branches[1] = (struct hf__rec_branch){.rm_id = 0xffffffff,
                                          .number = 0x80000000,
                                          .state = HF_BRANCH_HEUR_HAZARD,
                                          .token_size = 5,
                                          .code = XAER_RMFAIL,
                                          .token = "12345"};
    branches[2] = (struct hf__rec_branch){.rm_id = 3,
                                          .number = 2,
                                          .state = HF_BRANCH_DONE,
                                          .token_size = HF_TOKEN_SIZE_MAX,
                                          .code = XA_HEURMIX};
    memset(branches[2].token, 0xee, HF_TOKEN_SIZE_MAX);
    return rec;
}

static int decode_rec(const unsigned char *buf, size_t size, struct hf__rec *ret)
{
    struct hf__record r = exact('T', buf, size);
    int rc = hf__rec_decode(gtrid, r.data, r.size, ret);

    drop(r);
    return rc;
}

static int decode_and_free(const unsigned char *buf, size_t size)
{
    struct hf__rec rec;
    int rc = decode_rec(buf, size, &rec);

    if (rc == HF_OK)
        free(rec.branches);
    return rc;
}

enum { REC_BYTES = HF__REC_BYTES + 3 * HF__REC_BRANCH_BYTES + 5 + HF_TOKEN_SIZE_MAX };

static void encode_rec(unsigned char buf[REC_BYTES])
{
    struct hf__rec_branch branches[3];
    struct hf__rec rec = make_rec(branches);

    assert_int_equal(hf__rec_size(&rec), REC_BYTES);
    hf__rec_encode(&rec, buf);
}

static void transaction__comes_back(void **state)
{
    struct hf__rec_branch branches[3];
    struct hf__rec rec = make_rec(branches), back;
    unsigned char buf[REC_BYTES];

    (void)state;
    encode_rec(buf);
    t_ok(decode_rec(buf, sizeof(buf), &back));
    assert_memory_equal(back.gtrid, gtrid, sizeof(gtrid));
    assert_int_equal(back.decision, rec.decision);
    assert_int_equal(back.outcome, rec.outcome);
    assert_int_equal(back.by_recovery, rec.by_recovery);
    assert_true(back.decided_ms == rec.decided_ms);
    assert_true(back.written_by == rec.written_by);
    assert_int_equal(back.count, 3);
    for (int i = 0; i < 3; i++) {
        const struct hf__rec_branch *a = &branches[i], *b = &back.branches[i];

        assert_true(a->rm_id == b->rm_id && a->number == b->number);
        assert_int_equal(a->state, b->state);
        assert_int_equal(a->code, b->code);
        assert_int_equal(a->token_size, b->token_size);
        assert_memory_equal(a->token, b->token, HF_TOKEN_SIZE_MAX);
    }
    free(back.branches);
}

static void transaction__without_branches_comes_back(void **state)
{
    struct hf__rec rec = {.decision = HF__ROLLBACK, .outcome = HF_ROLLEDBACK}, back;
    unsigned char buf[HF__REC_BYTES];

    (void)state;
    assert_int_equal(hf__rec_size(&rec), sizeof(buf));
    hf__rec_encode(&rec, buf);
    t_ok(decode_rec(buf, sizeof(buf), &back));
    assert_int_equal(back.count, 0);
    assert_int_equal(back.outcome, HF_ROLLEDBACK);
    free(back.branches);
}

static void transaction__with_the_most_branches_comes_back(void **state)
{
    struct hf__rec_branch *branches = calloc(HF__BRANCHES_MAX, sizeof(*branches));
    struct hf__rec rec = {.decision = HF__COMMIT, .count = HF__BRANCHES_MAX, .branches = branches};
    struct hf__rec back;
    unsigned char *buf;

    (void)state;
    assert_non_null(branches);
    for (uint32_t i = 0; i < rec.count; i++)
        branches[i] = (struct hf__rec_branch){
            .rm_id = i, .number = i, .state = HF_BRANCH_OWED, .token_size = HF_TOKEN_SIZE_MAX};
    buf = malloc(hf__rec_size(&rec));
    assert_non_null(buf);
    hf__rec_encode(&rec, buf);
    t_ok(decode_rec(buf, hf__rec_size(&rec), &back));
    assert_int_equal(back.count, HF__BRANCHES_MAX);
    assert_int_equal(back.branches[HF__BRANCHES_MAX - 1].number, HF__BRANCHES_MAX - 1);
    free(back.branches);
    free(branches);
    free(buf);
}

static void transaction__cut_anywhere_is_refused(void **state)
{
    unsigned char buf[REC_BYTES];

    (void)state;
    encode_rec(buf);
    t_ok(decode_and_free(buf, sizeof(buf)));
    for (size_t size = 0; size < sizeof(buf); size++)
        t_rc(HF_EDAMAGED, decode_and_free(buf, size));
}

static void transaction__with_an_impossible_field_is_refused(void **state)
{
    enum { BRANCH = HF__REC_BYTES };
    static const struct {
        size_t at;
        unsigned char value;
    } rows[] = {
        {0, 0},
        {0, 3},
        {0, 255},
        {1, HF_HAZARD + 1},
        {1, 255},
        {4, 1},
        {4, 255},
        {5, 1},
        {6, 3},
        {6, 4},
        {7, 4},
        {7, 255},
        {BRANCH + 8, 0},
        {BRANCH + 8, 8},
        {BRANCH + 8, 255},
        {BRANCH + 9, 65},
        {BRANCH + 9, 255},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        unsigned char buf[REC_BYTES];

        encode_rec(buf);
        buf[rows[i].at] = rows[i].value;
        t_rc(HF_EDAMAGED, decode_and_free(buf, sizeof(buf)));
    }
}

static void transaction__with_any_byte_changed_is_read_or_refused(void **state)
{
    unsigned refusals = 0;

    (void)state;
    for (size_t at = 0; at < REC_BYTES; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            unsigned char buf[REC_BYTES];
            int rc;

            encode_rec(buf);
            buf[at] ^= (unsigned char)(1u << bit);
            rc = decode_and_free(buf, sizeof(buf));
            assert_true(rc == HF_OK || rc == HF_EDAMAGED);
            refusals += rc == HF_EDAMAGED;
        }
    assert_true(refusals > 40); /* the numbers that count and name things */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key__order_is_the_order_of_numbers),
        cmocka_unit_test(key__of_a_transaction_is_its_kind_and_gtrid),
        cmocka_unit_test(node__comes_back),
        cmocka_unit_test(node__cut_or_of_another_kind_is_refused),
        cmocka_unit_test(incarnation__comes_back),
        cmocka_unit_test(incarnation__cut_or_impossible_is_refused),
        cmocka_unit_test(binding__comes_back),
        cmocka_unit_test(binding__cut_or_with_too_long_a_name_is_refused),
        cmocka_unit_test(request__comes_back),
        cmocka_unit_test(request_to_forget__comes_back),
        cmocka_unit_test(request__cut_or_with_a_hostile_length_is_refused),
        cmocka_unit_test(transaction__comes_back),
        cmocka_unit_test(transaction__without_branches_comes_back),
        cmocka_unit_test(transaction__with_the_most_branches_comes_back),
        cmocka_unit_test(transaction__cut_anywhere_is_refused),
        cmocka_unit_test(transaction__with_an_impossible_field_is_refused),
        cmocka_unit_test(transaction__with_any_byte_changed_is_read_or_refused),
    };
    return cmocka_run_group_tests_name("tm.record", tests, NULL, NULL);
}
