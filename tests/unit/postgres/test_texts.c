/*
 * What: the texts of rm/postgres: gids, open strings, tokens, the table of SQLSTATEs.
 * How:  round trips, every gid of one changed character, and tables of what is refused.
 */
#include "support/t.h"

#include "gid.h"
#include "openstring.h"
#include "sqlstate.h"
#include "token.h"

static XID make_xid(long format, long gtrid, long bqual, unsigned seed)
{
    XID xid;

    memset(&xid, 0, sizeof(xid));
    xid.formatID = format;
    xid.gtrid_length = gtrid;
    xid.bqual_length = bqual;
    for (long i = 0; i < gtrid + bqual; i++) {
        seed = seed * 1103515245 + 12345;
        xid.data[i] = (char)(seed >> 16);
    }
    return xid;
}

static void gid__is_that_of_the_jdbc_driver(void **state)
{
    XID xid = make_xid(1212568664, 1, 1, 0);
    char gid[PG_GID_SIZE];

    (void)state;
    memcpy(xid.data, "Many hands make light work.branch 1", 35);
    xid.gtrid_length = 27;
    xid.bqual_length = 8;
    assert_int_equal(hf__pg_gid_format(&xid, gid), 0);
    assert_string_equal(gid, "1212568664_TWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsu_YnJhbmNoIDE=");
}

static void gid__comes_back_as_it_went(void **state)
{
    static const long formats[] = {0, 1, 4711, 1212568664, 2147483647, 9223372036854775807};

    (void)state;
    for (long gtrid = 1; gtrid <= MAXGTRIDSIZE; gtrid++) {
        for (long bqual = 0; bqual <= MAXBQUALSIZE; bqual += 7) {
            XID xid = make_xid(formats[gtrid % 6], gtrid, bqual, (unsigned)(gtrid * 100 + bqual));
            char gid[PG_GID_SIZE];
            XID back;

            assert_int_equal(hf__pg_gid_format(&xid, gid), 0);
            assert_true(strlen(gid) < PG_GID_SIZE);
            assert_int_equal(strspn(gid, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                         "0123456789+/=_"),
                             strlen(gid));
            assert_int_equal(hf__pg_gid_parse(gid, &back), 0);
            assert_memory_equal(&back, &xid, sizeof(xid));
        }
    }
}

/* Whatever is done to a gid: it is refused, or it is the gid of the XID that comes of it. */
static void gid__that_is_read_is_the_only_one_of_its_xid(void **state)
{
    XID xid = make_xid(1212568664, 28, 8, 7), back;
    char gid[PG_GID_SIZE], changed[PG_GID_SIZE], again[PG_GID_SIZE];
    int refused = 0, read = 0;

    (void)state;
    assert_int_equal(hf__pg_gid_format(&xid, gid), 0);
    for (size_t at = 0; at <= strlen(gid); at++) {
        for (int c = 0; c < 256; c++) {
            strcpy(changed, gid);
            changed[at] = (char)c;
            if (at == strlen(gid))
                changed[at + 1] = '\0';
            if (hf__pg_gid_parse(changed, &back) != 0) {
                refused++;
                continue;
            }
            read++;
            assert_int_equal(hf__pg_gid_format(&back, again), 0);
            assert_string_equal(again, changed);
        }
    }
    assert_true(refused > 10000 && read > 1000);
}

static void gid__of_no_xid_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "_",
                                      "__",
                                      "1__",
                                      "1_YQ==",
                                      "_YQ==_YQ==",
                                      "1_YQ=_YQ==",
                                      "1_YQ==_YQ==_",
                                      "1_YR==_YQ==",
                                      "1_Y===_YQ==",
                                      "1_====_YQ==",
                                      "01_YQ==_YQ==",
                                      "1_YQ==_YQ",
                                      "x_YQ==_YQ==",
                                      "-1_YQ==_YQ==",
                                      "9223372036854775808_YQ==_YQ==",
                                      "1_Y Q=_YQ=="};
    char big[400];
    XID xid;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (hf__pg_gid_parse(bad[i], &xid) == 0)
            fail_msg("'%s' was read", bad[i]);
    memset(big, 'A', sizeof(big));
    big[399] = '\0';
    memcpy(big, "1_", 2);
    memcpy(big + 390, "_YQ==", 5);
    assert_int_equal(hf__pg_gid_parse(big, &xid), -1); /* too long for a gid */
    big[100] = '_';
    big[150] = '\0';
    assert_int_equal(hf__pg_gid_parse(big, &xid), -1);      /* too long for a gtrid */
    assert_int_equal(hf__pg_gid_parse("1_YQ==_", &xid), 0); /* a bqual may be empty */
}

static void openstring__gives_libpq_all_but_our_key(void **state)
{
    static const struct {
        const char *text, *conninfo;
        int unsafe;
    } rows[] = {
        {"", "", 0},
        {"host=x dbname=y", "host=x dbname=y ", 0},
        {"unsafe=yes", "", 1},
        {"  host = x   unsafe = yes\tdbname='a b' ", "host = x dbname='a b' ", 1},
        {"unsafe=no host=x", "host=x ", 0},
        {"password='unsafe=yes' user=u", "password='unsafe=yes' user=u ", 0},
        {"password='it\\'s unsafe=yes' a=b", "password='it\\'s unsafe=yes' a=b ", 0},
        {"password=a\\ unsafe=yes", "password=a\\ unsafe=yes ", 0},
        {"xunsafe=yes unsafex=yes", "xunsafe=yes unsafex=yes ", 0},
        {"a='x'b='y'", "a='x' b='y' ", 0},
        {"postgresql://h/d?unsafe=yes", "postgresql://h/d?unsafe=yes", 0},
    };
    struct pg_openstring open;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("%s\n", rows[i].text);
        assert_null(hf__pg_openstring_parse(rows[i].text, &open));
        assert_string_equal(open.conninfo, rows[i].conninfo);
        assert_int_equal(open.unsafe, rows[i].unsafe);
    }
}

static void openstring__says_what_is_wrong_and_quotes_nothing(void **state)
{
    static const char *const bad[] = {"secret",       "host=x secret", "=secret",
                                      "host='secret", "unsafe=secret", "unsafe='yes'",
                                      "unsafe=",      "host=x unsafe", "a=b =secret"};
    struct pg_openstring open;
    char big[300];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *wrong = hf__pg_openstring_parse(bad[i], &open);

        if (wrong == NULL)
            fail_msg("'%s' was taken", bad[i]);
        assert_null(strstr(wrong, "secret"));
    }
    memset(big, 'a', sizeof(big));
    big[299] = '\0';
    assert_non_null(hf__pg_openstring_parse(big, &open));
    assert_non_null(hf__pg_openstring_parse(NULL, &open));
}

static void token__comes_back_as_it_went(void **state)
{
    unsigned char bytes[HF_TOKEN_SIZE_MAX];
    struct pg_token t;
    size_t size;

    (void)state;
    size =
        hf__pg_token_write("18446744073709551615", "0000000A00000001000000FF", "FEDC/BA98", bytes);
    assert_int_equal(size, 21);
    assert_int_equal(hf__pg_token_read(bytes, size, &t), 0);
    assert_true(t.xid == UINT64_MAX);
    assert_int_equal(t.timeline, 10);
    assert_true(t.position == 0xFEDC0000BA98);
    assert_int_equal(hf__pg_token_read(bytes, size - 1, &t), -1);
    bytes[0] = 9;
    assert_int_equal(hf__pg_token_read(bytes, size, &t), -1);
    assert_int_equal(hf__pg_token_write("", "0000000A00000001000000FF", "1/2", bytes), 0);
    assert_int_equal(hf__pg_token_write("1", "0000000A", "1/2", bytes), 0);
    assert_int_equal(hf__pg_token_write("1", "0000000A00000001000000FF", "12", bytes), 0);
    assert_int_equal(hf__pg_token_write("1", "0000000A00000001000000FF", "1/", bytes), 0);
    assert_int_equal(hf__pg_token_write("1x", "0000000A00000001000000FF", "1/2", bytes), 0);
}

static void sqlstate__of_no_row_has_an_answer(void **state)
{
    (void)state;
    assert_int_equal(hf__pg_sqlstate_answer("", PG_ASKED_VOTE), XAER_RMFAIL);
    assert_int_equal(hf__pg_sqlstate_answer("", PG_ASKED_COMMIT), XAER_RMFAIL);
    assert_int_equal(hf__pg_sqlstate_answer("F0000", PG_ASKED_VOTE), XA_RBOTHER);
    assert_int_equal(hf__pg_sqlstate_answer("F0000", PG_ASKED_COMMIT), XA_RETRY);
    assert_int_equal(hf__pg_sqlstate_answer("F0000", PG_ASKED_ROLLBACK), XAER_RMFAIL);
    assert_int_equal(hf__pg_sqlstate_number("40001"), 40001);
    assert_int_equal(hf__pg_sqlstate_number("0000A"), 10);
    assert_int_equal(hf__pg_sqlstate_number(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gid__is_that_of_the_jdbc_driver),
        cmocka_unit_test(gid__comes_back_as_it_went),
        cmocka_unit_test(gid__that_is_read_is_the_only_one_of_its_xid),
        cmocka_unit_test(gid__of_no_xid_is_refused),
        cmocka_unit_test(openstring__gives_libpq_all_but_our_key),
        cmocka_unit_test(openstring__says_what_is_wrong_and_quotes_nothing),
        cmocka_unit_test(token__comes_back_as_it_went),
        cmocka_unit_test(sqlstate__of_no_row_has_an_answer),
    };

    return cmocka_run_group_tests_name("postgres.texts", tests, NULL, NULL);
}
