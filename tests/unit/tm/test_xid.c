/*
 * What: the XIDs that we issue, and their one text form (tm/xid.c).
 * How:  XIDs are made, written, read back; then every kind of text that is nearly right is refused.
 */
#include "support/t.h"

#include "record.h"

static const unsigned char node[HF__NODE_ID_SIZE] = {
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
#define GTRID_TEXT "00112233445566778899aabbccddeeff-0000002a-0102030405060708"
#define BRANCH_TEXT GTRID_TEXT "/00000007-fffffffe"

static XID make(uint32_t rm_id, uint32_t number)
{
    unsigned char gtrid[HF__GTRID_SIZE];
    XID xid;

    hf__gtrid_make(gtrid, node, 42, 0x0102030405060708);
    memset(&xid, 0xa5, sizeof(xid));
    hf__xid_make(&xid, gtrid, rm_id, number);
    return xid;
}

static void xid__is_zero_where_it_has_no_bytes(void **state)
{
    XID xid = make(7, 9);

    (void)state;
    assert_int_equal(xid.formatID, HF_XID_FORMAT);
    assert_int_equal(xid.gtrid_length, 28);
    assert_int_equal(xid.bqual_length, 8);
    for (size_t i = 36; i < XIDDATASIZE; i++)
        assert_int_equal(xid.data[i], 0);
    xid = make(0, 9);
    assert_int_equal(xid.bqual_length, 0);
    for (size_t i = 28; i < XIDDATASIZE; i++)
        assert_int_equal(xid.data[i], 0);
}

static void xid__tells_incarnation_sequence_and_branch(void **state)
{
    XID xid = make(7, 9);
    const unsigned char *gtrid = NULL;
    uint32_t rm_id = 0, number = 0;

    (void)state;
    assert_true(hf__xid_ours(&xid, &gtrid, &rm_id, &number));
    assert_memory_equal(gtrid, node, sizeof(node));
    assert_int_equal(hf__gtrid_incarnation(gtrid), 42);
    assert_true(hf__gtrid_sequence(gtrid) == 0x0102030405060708);
    assert_int_equal(rm_id, 7);
    assert_int_equal(number, 9);
}

static void xid__text_is_the_documented_one(void **state)
{
    char text[HF_XID_TEXT_SIZE];
    XID xid = make(0, 0);

    (void)state;
    t_ok(hf_xid_format(&xid, text));
    assert_string_equal(text, GTRID_TEXT);
    xid = make(7, 0xfffffffe);
    t_ok(hf_xid_format(&xid, text));
    assert_string_equal(text, BRANCH_TEXT);
}

static void xid__reads_back_what_it_wrote(void **state)
{
    XID xid = make(0, 0), back;

    (void)state;
    memset(&back, 0xa5, sizeof(back));
    t_ok(hf_xid_parse(GTRID_TEXT, &back));
    assert_memory_equal(&back, &xid, sizeof(xid));
    xid = make(7, 0xfffffffe);
    memset(&back, 0xa5, sizeof(back));
    t_ok(hf_xid_parse(BRANCH_TEXT, &back));
    assert_memory_equal(&back, &xid, sizeof(xid));
}

static void foreign(const XID *xid)
{
    char text[HF_XID_TEXT_SIZE] = "";

    t_rc(HF_EINVAL, hf_xid_format(xid, text));
    assert_string_equal(text, "foreign");
}

static void xid__of_another_form_is_foreign(void **state)
{
    static const long lengths[] = {-1, 0, 1, 7, 9, 64};
    XID xid = make(7, 9);

    (void)state;
    foreign(NULL);
    xid.formatID = -1;
    foreign(&xid);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        xid = make(7, 9);
        xid.gtrid_length = lengths[i];
        foreign(&xid);
        if (lengths[i] == 0)
            continue; /* a global transaction */
        xid = make(7, 9);
        xid.bqual_length = lengths[i];
        foreign(&xid);
    }
}

static void refused(const char *text)
{
    XID xid, before;

    memset(&before, 0xa5, sizeof(before));
    xid = before;
    t_rc(HF_EINVAL, hf_xid_parse(text, &xid));
    assert_memory_equal(&xid, &before, sizeof(xid));
}

static void xid__text_cut_anywhere_is_refused(void **state)
{
    char text[sizeof(BRANCH_TEXT)] = BRANCH_TEXT;

    (void)state;
    for (size_t n = sizeof(BRANCH_TEXT) - 1; n-- > 0;) {
        char *cut = strndup(text, n); /* so that a sanitizer sees a look beyond its end */

        assert_non_null(cut);
        if (n != sizeof(GTRID_TEXT) - 1) /* the only shorter one that is whole */
            refused(cut);
        free(cut);
    }
}

static void xid__text_with_any_other_byte_is_refused(void **state)
{
    static const char others[] = {'A', 'F', 'g', ' ', '-', '/', '+', 'x', '\n', (char)0x80};

    (void)state;
    for (size_t at = 0; at < sizeof(BRANCH_TEXT) - 1; at++)
        for (size_t i = 0; i < sizeof(others); i++) {
            char text[sizeof(BRANCH_TEXT)] = BRANCH_TEXT;

            if (text[at] == others[i])
                continue;
            text[at] = others[i];
            refused(text);
        }
}

static void xid__text_with_more_before_or_after_is_refused(void **state)
{
    (void)state;
    refused(NULL);
    refused("");
    refused(" " GTRID_TEXT);
    refused(GTRID_TEXT " ");
    refused(GTRID_TEXT "/");
    refused(GTRID_TEXT "0");
    refused(BRANCH_TEXT "\n");
    refused(BRANCH_TEXT "0");
    t_rc(HF_EINVAL, hf_xid_parse(GTRID_TEXT, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xid__is_zero_where_it_has_no_bytes),
        cmocka_unit_test(xid__tells_incarnation_sequence_and_branch),
        cmocka_unit_test(xid__text_is_the_documented_one),
        cmocka_unit_test(xid__reads_back_what_it_wrote),
        cmocka_unit_test(xid__of_another_form_is_foreign),
        cmocka_unit_test(xid__text_cut_anywhere_is_refused),
        cmocka_unit_test(xid__text_with_any_other_byte_is_refused),
        cmocka_unit_test(xid__text_with_more_before_or_after_is_refused),
    };
    return cmocka_run_group_tests_name("tm.xid", tests, NULL, NULL);
}
