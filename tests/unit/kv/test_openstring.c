/*
 * What: which open strings rm/kv/openstring.c takes, and what it reads in them.
 * How:  one table of strings and results.
 */
#include "support/t.h"

#include "openstring.h"

struct row {
    const char *text;
    int rc;
    const char *dir;
    uint32_t wait_ms;
    int create;
    const char *error; /* a part of the error's text */
};

static const struct row rows[] = {
    {"dir=/a", HF_OK, "/a", 5000, 1, NULL},
    {"dir=/a;", HF_OK, "/a", 5000, 1, NULL},
    {"dir=a=b", HF_OK, "a=b", 5000, 1, NULL},
    {"wait_ms=0;dir=/a", HF_OK, "/a", 0, 1, NULL},
    {"dir=/a;wait_ms=3600000", HF_OK, "/a", 3600000, 1, NULL},
    {"dir=/a;create=no", HF_OK, "/a", 5000, 0, NULL},
    {"dir=/a;create=yes;wait_ms=007", HF_OK, "/a", 7, 1, NULL},
    {"", HF_EINVAL, NULL, 0, 0, "'dir' is missing"},
    {"wait_ms=1", HF_EINVAL, NULL, 0, 0, "'dir' is missing"},
    {"dir=", HF_EINVAL, NULL, 0, 0, "value of 'dir'"},
    {"dir", HF_EINVAL, NULL, 0, 0, "'dir' has no value"},
    {"dir=/a;dir=/b", HF_EINVAL, NULL, 0, 0, "'dir' is there twice"},
    {"dir=/a;wait_ms=", HF_EINVAL, NULL, 0, 0, "value of 'wait_ms'"},
    {"dir=/a;wait_ms=-1", HF_EINVAL, NULL, 0, 0, "value of 'wait_ms'"},
    {"dir=/a;wait_ms= 1", HF_EINVAL, NULL, 0, 0, "value of 'wait_ms'"},
    {"dir=/a;wait_ms=3600001", HF_EINVAL, NULL, 0, 0, "value of 'wait_ms'"},
    {"dir=/a;wait_ms=99999999999999999999", HF_EINVAL, NULL, 0, 0, "value of 'wait_ms'"},
    {"dir=/a;create=maybe", HF_EINVAL, NULL, 0, 0, "value of 'create'"},
    {"dir=/a;create", HF_EINVAL, NULL, 0, 0, "'create' has no value"},
    {"dir=/a;Dir=/b", HF_EINVAL, NULL, 0, 0, "unknown key 'Dir'"},
    {"dir=/a;sync=off", HF_EINVAL, NULL, 0, 0, "unknown key 'sync'"},
    {"dir=/a;;create=no", HF_EINVAL, NULL, 0, 0, "unknown key ''"},
    {" dir=/a", HF_EINVAL, NULL, 0, 0, "unknown key ' dir'"},
};

static void openstring__takes_what_the_header_says(void **state)
{
    struct kv_openstring got;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("'%s'\n", rows[i].text);
        t_rc(rows[i].rc, hf__kv_openstring_parse(rows[i].text, &got));
        if (rows[i].rc != HF_OK) {
            assert_non_null(strstr(hf_error_last()->text, rows[i].error));
            continue;
        }
        assert_string_equal(got.dir, rows[i].dir);
        assert_int_equal(got.wait_ms, rows[i].wait_ms);
        assert_int_equal(got.create, rows[i].create);
    }
}

static void openstring__has_at_most_255_bytes(void **state)
{
    struct kv_openstring got;
    char text[MAXINFOSIZE + 1];

    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text, "dir=", 4);
    text[MAXINFOSIZE - 1] = '\0';
    t_ok(hf__kv_openstring_parse(text, &got));
    assert_int_equal(strlen(got.dir), MAXINFOSIZE - 1 - 4);
    text[MAXINFOSIZE - 1] = 'a';
    text[MAXINFOSIZE] = '\0';
    t_rc(HF_EINVAL, hf__kv_openstring_parse(text, &got));
    t_rc(HF_EINVAL, hf__kv_openstring_parse(NULL, &got));
}

/* A password has no business in an open string of kv, but a mistyped one must not be shown. */
static void openstring__never_shows_a_value(void **state)
{
    struct kv_openstring got;

    (void)state;
    t_rc(HF_EINVAL, hf__kv_openstring_parse("dir=/a;password=sesame", &got));
    assert_null(strstr(hf_error_last()->text, "sesame"));
    t_rc(HF_EINVAL, hf__kv_openstring_parse("dir=/a;wait_ms=sesame", &got));
    assert_null(strstr(hf_error_last()->text, "sesame"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openstring__takes_what_the_header_says),
        cmocka_unit_test(openstring__has_at_most_255_bytes),
        cmocka_unit_test(openstring__never_shows_a_value),
    };

    return cmocka_run_group_tests_name("kv.openstring", tests, NULL, NULL);
}
