/*
 * tests/support/tx_world.c - a configuration, its switches, and names of TX codes.
 */
#include "support/tx_world.h"

#include "holdfast/kv.h"

struct xa_switch_t rm_a, rm_b, rm_c, rm_d;

/* kv is in the program, too, where `type = kv` looks for it. */
extern const void *const tx_world_kv[];
const void *const tx_world_kv[] = {&hf_kv_switch, &hf_kv_ext};

static void told(void *user, int level, const char *text)
{
    struct world *w = user;
    size_t used = strlen(w->told);

    w->alarms += level == HF_LOG_ALARM;
    snprintf(w->told + used, sizeof(w->told) - used, "%s\n", text);
}

int tx_world_setup(void **state)
{
    int rc = world_setup(state);

    if (rc == 0)
        hf_opened_log(told, *state);
    return rc;
}

int tx_world_teardown(void **state)
{
    if (tx_info(NULL) == 1) {
        (void)tx_set_transaction_control(TX_UNCHAINED);
        (void)tx_rollback();
    }
    (void)tx_close();
    hf_opened_log(NULL, NULL);
    (void)unsetenv("HOLDFAST_CONFIG");
    return world_teardown(state);
}

struct world *tx_world_again(void **state)
{
    assert_int_equal(tx_world_teardown(state), 0);
    assert_int_equal(tx_world_setup(state), 0);
    return *state;
}

const char *tx_world_write(struct world *w, const char *text)
{
    const char *path = t_path(w->dir, "tx.ini");
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(setenv("HOLDFAST_CONFIG", path, 1), 0);
    return path;
}

void tx_world_configure(struct world *w, int count, const char *node_keys, const char *rm_keys)
{
    struct xa_switch_t *const switches[] = {&rm_a, &rm_b, &rm_c, &rm_d};
    char text[8192];
    int used = snprintf(text, sizeof(text), "[holdfast]\nnode = %s\n%s\n", w->node,
                        node_keys != NULL ? node_keys : "background = no");

    for (int n = 0; n < count; n++) {
        *switches[n] = *fake_switch(n);
        used += snprintf(text + used, sizeof(text) - (size_t)used, "[rm %c]\nsymbol = rm_%c\n%s\n",
                         'a' + n, 'a' + n, rm_keys != NULL ? rm_keys : "");
    }
    (void)tx_world_write(w, text);
}

void tx_world_open(struct world *w, int count)
{
    tx_world_configure(w, count, NULL, NULL);
    t_tx(TX_OK, tx_open());
    world_trace_clear();
}

int tx_world_state(void)
{
    TXINFO info;
    int in = tx_info(&info);

    if (in == TX_PROTOCOL_ERROR)
        return 0;
    assert_true(in == 0 || in == 1);
    assert_int_equal(info.xid.formatID, in == 1 ? HF_XID_FORMAT : -1);
    return 1 + (info.transaction_control == TX_CHAINED) + 2 * in;
}

const char *tx_code_name(int code)
{
    static const struct {
        int code;
        const char *name;
    } names[] = {
        {TX_NOT_SUPPORTED, "TX_NOT_SUPPORTED"},
        {TX_OK, "TX_OK"},
        {TX_OUTSIDE, "TX_OUTSIDE"},
        {TX_ROLLBACK, "TX_ROLLBACK"},
        {TX_MIXED, "TX_MIXED"},
        {TX_HAZARD, "TX_HAZARD"},
        {TX_PROTOCOL_ERROR, "TX_PROTOCOL_ERROR"},
        {TX_ERROR, "TX_ERROR"},
        {TX_FAIL, "TX_FAIL"},
        {TX_EINVAL, "TX_EINVAL"},
        {TX_COMMITTED, "TX_COMMITTED"},
        {TX_NO_BEGIN, "TX_NO_BEGIN"},
        {TX_ROLLBACK_NO_BEGIN, "TX_ROLLBACK_NO_BEGIN"},
        {TX_MIXED_NO_BEGIN, "TX_MIXED_NO_BEGIN"},
        {TX_HAZARD_NO_BEGIN, "TX_HAZARD_NO_BEGIN"},
        {TX_COMMITTED_NO_BEGIN, "TX_COMMITTED_NO_BEGIN"},
    };
    static char number[16];

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (names[i].code == code)
            return names[i].name;
    snprintf(number, sizeof(number), "%d", code);
    return number;
}

void t__tx(int want, int got, const char *expr, const char *file, int line)
{
    if (got == want)
        return;
    print_error("%s\n    returned %s, ", expr, tx_code_name(got));
    print_error("wanted %s; last error: %s\n", tx_code_name(want), hf_error_last()->text);
    _fail(file, line);
}
