/*
 * What: the open string of rm/mariadb: what it takes, what it refuses, and that no text about it
 *       has a value in it (rm/mariadb/options.c).
 * How:  strings, one by one. No server.
 */
#include "support/t.h"

#include "options.h"

static void options__are_all_read(void **state)
{
    struct my_options o;
    char why[128] = "";

    (void)state;
    assert_int_equal(hf__my_options_parse("socket=/s;host=h;port=3307;user=u;password=p=w;"
                                          "database=d;file=/f;group=g;proof=marker;unsafe=yes",
                                          &o, why, sizeof(why)),
                     0);
    assert_string_equal(o.socket, "/s");
    assert_string_equal(o.host, "h");
    assert_int_equal(o.port, 3307);
    assert_string_equal(o.user, "u");
    assert_string_equal(o.password, "p=w"); /* only the first = ends the key */
    assert_string_equal(o.database, "d");
    assert_string_equal(o.file, "/f");
    assert_string_equal(o.group, "g");
    assert_true(o.marker && o.unsafe);
}

static void options__that_are_not_given_are_null(void **state)
{
    static const char *const strings[] = {"", "proof=none;unsafe=no", "proof=none;"};
    struct my_options o;
    char why[128];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(hf__my_options_parse(strings[i], &o, why, sizeof(why)), 0);
        assert_null(o.socket);
        assert_null(o.password);
        assert_null(o.file);
        assert_int_equal(o.port, 0);
        assert_false(o.marker || o.unsafe);
    }
}

static void options__that_are_wrong_are_refused_without_their_values(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"passwort=secret", "unknown key in pair 1"},
        {"user=u;password=se;cret", "unknown key in pair 3"}, /* a semicolon in a password */
        {"user=secret;user=secret", "'user' is there twice"},
        {"password=", "'password'"},
        {"password", "'password'"},
        {"socket=/s;;user=u", "unknown key in pair 2"},
        {"port=0", "'port'"},
        {"port=65536", "'port'"},
        {"port=12secret", "'port'"},
        {"port=99999999999999999999", "'port'"},
        {"proof=secret", "'proof'"},
        {"unsafe=secret", "'unsafe'"},
        {NULL, "missing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct my_options o;
        char why[128] = "";

        assert_int_equal(hf__my_options_parse(rows[i].text, &o, why, sizeof(why)), -1);
        if (strstr(why, rows[i].says) == NULL || strstr(why, "cret") != NULL)
            fail_msg("'%s': says '%s'", rows[i].text, why);
        for (size_t j = 0; j < sizeof(o); j++) /* and is wiped */
            assert_int_equal(((unsigned char *)&o)[j], 0);
    }
}

static void options__over_255_bytes_are_refused(void **state)
{
    char text[MAXINFOSIZE + 8], why[128];
    struct my_options o;

    (void)state;
    memset(text, 'x', sizeof(text));
    memcpy(text, "user=", 5);
    text[MAXINFOSIZE - 1] = '\0';
    assert_int_equal(hf__my_options_parse(text, &o, why, sizeof(why)), 0);
    text[MAXINFOSIZE - 1] = 'x';
    text[MAXINFOSIZE] = '\0';
    assert_int_equal(hf__my_options_parse(text, &o, why, sizeof(why)), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options__are_all_read),
        cmocka_unit_test(options__that_are_not_given_are_null),
        cmocka_unit_test(options__that_are_wrong_are_refused_without_their_values),
        cmocka_unit_test(options__over_255_bytes_are_refused),
    };

    return cmocka_run_group_tests_name("mariadb.options", tests, NULL, NULL);
}
