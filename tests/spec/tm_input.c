/*
 * What: what hf_rm_register takes for a resource manager, and what the text form of an XID is (tm.h
 *       hf_rm_config; base.h hf_xid_format, hf_xid_parse; [XA] 4.3).
 * How:  one thing is wrong at a time; the same registration without it is good.
 */
#include "support/fake_rm.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

static int try_register(struct world *w, const char *name, const struct xa_switch_t *xa)
{
    hf_rm_config c = HF_RM_CONFIG_INIT;
    hf_rm *rm = NULL;
    int rc;

    c.name = name;
    c.xa = xa;
    rc = hf_rm_register(w->tm, &c, &rm);
    assert_true((rc == HF_OK) == (rm != NULL));
    if (rc == HF_OK)
        assert_string_equal(hf_rm_name(rm), name);
    else
        assert_int_equal(hf_error_last()->code, rc);
    return rc;
}

static void switch__of_another_version_is_refused(void **state)
{
    struct world *w = *state;
    struct xa_switch_t xa = *fake_switch(A);

    world_open(w);
    xa.version = 1;
    t_rc(HF_ESWITCH, try_register(w, "a", &xa));
    xa.version = -1;
    t_rc(HF_ESWITCH, try_register(w, "a", &xa));
    xa.version = 0;
    t_ok(try_register(w, "a", &xa));
}

static void switch__with_a_null_entry_is_refused(void **state)
{
    struct world *w = *state;
    struct xa_switch_t xa;

    world_open(w);
#define WITHOUT(entry)                                                                             \
    do {                                                                                           \
        xa = *fake_switch(A);                                                                      \
        xa.entry = NULL;                                                                           \
        t_rc(HF_ESWITCH, try_register(w, "a", &xa));                                               \
    } while (0)
    WITHOUT(xa_open_entry);
    WITHOUT(xa_close_entry);
    WITHOUT(xa_start_entry);
    WITHOUT(xa_end_entry);
    WITHOUT(xa_rollback_entry);
    WITHOUT(xa_prepare_entry);
    WITHOUT(xa_commit_entry);
    WITHOUT(xa_recover_entry);
    WITHOUT(xa_forget_entry);
    WITHOUT(xa_complete_entry);
#undef WITHOUT
    t_ok(try_register(w, "a", fake_switch(A)));
}

static void switch__whose_name_has_no_end_is_refused(void **state)
{
    struct world *w = *state;
    struct xa_switch_t xa = *fake_switch(A);

    world_open(w);
    memset(xa.name, 'x', sizeof(xa.name));
    t_rc(HF_ESWITCH, try_register(w, "a", &xa));
    xa.name[sizeof(xa.name) - 1] = '\0';
    t_ok(try_register(w, "a", &xa));
}

static void name__has_1_to_31_bytes_and_is_used_once(void **state)
{
    struct world *w = *state;
    char name[33];

    world_open(w);
    memset(name, 'n', sizeof(name));
    name[32] = '\0';
    t_rc(HF_EINVAL, try_register(w, name, fake_switch(A)));
    name[31] = '\0';
    t_ok(try_register(w, name, fake_switch(A)));
    t_rc(HF_EEXIST, try_register(w, name, fake_switch(B)));
    assert_non_null(strstr(hf_error_last()->text, name));
    t_rc(HF_EINVAL, try_register(w, "", fake_switch(A)));
    t_rc(HF_EINVAL, try_register(w, NULL, fake_switch(A)));
    t_rc(HF_EINVAL, try_register(w, "b", NULL));
    t_ok(try_register(w, "b", fake_switch(A))); /* one switch, two names */
}

static void open_and_close_string__have_at_most_255_bytes(void **state)
{
    struct world *w = *state;
    hf_rm_config c = HF_RM_CONFIG_INIT;
    char info[300];
    hf_rm *rm = NULL;

    world_open(w);
    memset(info, 'p', sizeof(info));
    info[256] = '\0';
    c.name = "a";
    c.xa = fake_switch(A);
    c.open_info = info;
    t_rc(HF_EINVAL, hf_rm_register(w->tm, &c, &rm));
    assert_null(strstr(hf_error_last()->text, "ppp")); /* it may hold a password */
    c.open_info = NULL;
    c.close_info = info;
    t_rc(HF_EINVAL, hf_rm_register(w->tm, &c, &rm));
    info[255] = '\0';
    c.open_info = info;
    t_ok(hf_rm_register(w->tm, &c, &rm));
}

static void config__of_another_size_is_refused(void **state)
{
    struct world *w = *state;
    hf_rm_config c = HF_RM_CONFIG_INIT;
    hf_rm_ext ext = {.size = 3};
    hf_rm *rm = NULL;

    world_open(w);
    c.name = "a";
    c.xa = fake_switch(A);
    c.size = 0;
    t_rc(HF_EINVAL, hf_rm_register(w->tm, &c, &rm));
    c.size = sizeof(c) + 8;
    t_rc(HF_EINVAL, hf_rm_register(w->tm, &c, &rm));
    c.size = sizeof(c);
    c.ext = &ext;
    t_rc(HF_EINVAL, hf_rm_register(w->tm, &c, &rm));
    ext.size = sizeof(ext);
    t_ok(hf_rm_register(w->tm, &c, &rm));
}

static void config__is_copied(void **state)
{
    struct world *w = *state;
    hf_rm_config c = HF_RM_CONFIG_INIT;
    char name[] = "mine", info[] = "dir=x";

    world_open(w);
    c.name = name;
    c.open_info = info;
    c.xa = fake_switch(A);
    t_ok(hf_rm_register(w->tm, &c, &w->rm[A]));
    memset(name, 'x', sizeof(name) - 1);
    memset(info, 'x', sizeof(info) - 1);
    memset(&c, 0xff, sizeof(c));
    assert_string_equal(hf_rm_name(w->rm[A]), "mine");
    t_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 1);
}

/* A name keeps its durable id over openings; another name never gets it. */
static void name__keeps_its_durable_id(void **state)
{
    struct world *w = *state;
    XID first[2], again[2];
    hf_tx *tx;

    for (int i = 0; i < 2; i++) {
        XID *xids = i == 0 ? first : again;

        world_start(w, 2);
        world_begin(w, 2, &tx);
        xids[A] = fake_last_xid(A);
        xids[B] = fake_last_xid(B);
        t_ok(hf_tx_commit(tx, NULL));
        world_close(w);
    }
    assert_memory_equal(first[A].data + 28, again[A].data + 28, 4);
    assert_memory_equal(first[B].data + 28, again[B].data + 28, 4);
    assert_memory_not_equal(first[A].data + 28, first[B].data + 28, 4);
}

/* -- the text form ----------------------------------------------------------------------------- */

static void xid__of_somebody_else_is_foreign(void **state)
{
    static const struct {
        long format, gtrid, bqual;
    } rows[] = {
        {0, 28, 8},
        {-1, 0, 0},
        {HF_XID_FORMAT, 27, 8},
        {HF_XID_FORMAT, 29, 8},
        {HF_XID_FORMAT, 28, 7},
        {HF_XID_FORMAT, 28, 64},
        {HF_XID_FORMAT, 64, 64},
        {HF_XID_FORMAT, -1, -1},
        {HF_XID_FORMAT, 0x7fffffffffffffffL, 8},
    };
    char text[HF_XID_TEXT_SIZE];
    XID x;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        memset(&x, 'x', sizeof(x));
        x.formatID = rows[i].format;
        x.gtrid_length = rows[i].gtrid;
        x.bqual_length = rows[i].bqual;
        memset(text, 'y', sizeof(text));
        t_rc(HF_EINVAL, hf_xid_format(&x, text));
        assert_string_equal(text, "foreign");
    }
    t_rc(HF_EINVAL, hf_xid_format(NULL, text));
    assert_string_equal(text, "foreign");
}

static void xid__is_written_and_read_back(void **state)
{
    static const char branch[] = "000102030405060708090a0b0c0d0e0f-10111213-1415161718191a1b/";
    char text[HF_XID_TEXT_SIZE], half[HF_XID_TEXT_SIZE];
    XID x, y;

    (void)state;
    memset(&x, 0, sizeof(x));
    x.formatID = HF_XID_FORMAT;
    x.gtrid_length = 28;
    x.bqual_length = 8;
    for (int i = 0; i < 28; i++)
        x.data[i] = (char)i;
    x.data[31] = 2; /* resource manager 2, branch 5 */
    x.data[35] = 5;
    t_ok(hf_xid_format(&x, text));
    assert_memory_equal(text, branch, sizeof(branch) - 1);
    t_ok(hf_xid_parse(text, &y));
    assert_memory_equal(&x, &y, sizeof(x));
    x.bqual_length = 0;
    t_ok(hf_xid_format(&x, half));
    assert_memory_equal(half, branch, sizeof(branch) - 2);
    assert_null(strchr(half, '/'));
}

static void xid_text__that_is_not_exact_is_refused(void **state)
{
    char good[HF_XID_TEXT_SIZE], bad[HF_XID_TEXT_SIZE + 2];
    XID x, untouched;
    size_t length;

    (void)state;
    memset(&x, 0, sizeof(x));
    x.formatID = HF_XID_FORMAT;
    x.gtrid_length = 28;
    x.bqual_length = 8;
    memset(x.data, 0xab, 36);
    t_ok(hf_xid_format(&x, good));
    length = strlen(good);
    memset(&x, 0x5a, sizeof(x));
    untouched = x;
    for (size_t i = 0; i < length; i++) {
        static const char wrong[] = "gG A/";

        for (size_t n = 0; n < sizeof(wrong) - 1; n++) {
            strcpy(bad, good);
            if (bad[i] == wrong[n])
                continue;
            bad[i] = wrong[n];
            t_rc(HF_EINVAL, hf_xid_parse(bad, &x));
        }
        strcpy(bad, good);
        bad[i] = '\0'; /* cut short; before the slash it names the whole transaction */
        if (i != (size_t)(strchr(good, '/') - good) && i < 59)
            t_rc(HF_EINVAL, hf_xid_parse(bad, &x));
    }
    snprintf(bad, sizeof(bad), "%s ", good);
    t_rc(HF_EINVAL, hf_xid_parse(bad, &x));
    snprintf(bad, sizeof(bad), " %s", good);
    t_rc(HF_EINVAL, hf_xid_parse(bad, &x));
    t_rc(HF_EINVAL, hf_xid_parse("", &x));
    t_rc(HF_EINVAL, hf_xid_parse("foreign", &x));
    t_rc(HF_EINVAL, hf_xid_parse(NULL, &x));
    assert_memory_equal(&x, &untouched, sizeof(x));
    t_rc(HF_EINVAL, hf_xid_parse(good, NULL));
}

/* -- codes ------------------------------------------------------------------------------------- */

static void codes__have_names_and_texts(void **state)
{
    (void)state;
#define HF_ERROR(name, number, text)                                                               \
    assert_string_equal(hf_strerror_name(HF_##name), #name);                                       \
    assert_string_equal(hf_strerror(HF_##name), text);
#include "holdfast/errors.def"
#undef HF_ERROR
    assert_string_equal(hf_strerror(4711), "unknown code");
    assert_null(hf_strerror_name(4711));
    assert_null(hf_strerror_name(HF_CODE_LAST));
    assert_string_not_equal(hf_strerror(HF_OK), "unknown code");
    assert_string_equal(hf_outcome_name(HF_UNKNOWN), "unknown");
    assert_string_equal(hf_outcome_name(HF_COMMITTED), "committed");
    assert_string_equal(hf_outcome_name(HF_ROLLEDBACK), "rolledback");
    assert_string_equal(hf_outcome_name(HF_MIXED), "mixed");
    assert_string_equal(hf_outcome_name(HF_HAZARD), "hazard");
    assert_null(hf_outcome_name(5));
    assert_null(hf_outcome_name(-1));
    assert_non_null(hf_error_last());
    assert_true(strlen(hf_version()) >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(switch__of_another_version_is_refused),
        T(switch__with_a_null_entry_is_refused),
        T(switch__whose_name_has_no_end_is_refused),
        T(name__has_1_to_31_bytes_and_is_used_once),
        T(open_and_close_string__have_at_most_255_bytes),
        T(config__of_another_size_is_refused),
        T(config__is_copied),
        T(name__keeps_its_durable_id),
        T(xid__of_somebody_else_is_foreign),
        T(xid__is_written_and_read_back),
        T(xid_text__that_is_not_exact_is_refused),
        T(codes__have_names_and_texts),
    };

    return cmocka_run_group_tests_name("tm.input", tests, NULL, NULL);
}
