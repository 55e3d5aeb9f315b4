/*
 * What: the write set (rm/kv/writes.c W1, W2): order, replacement, seeking, its counts.
 * How:  ten thousand writes and deletes of 400 possible keys from a fixed seed, against a plain
 * table.
 */
#include "support/t.h"

#include "writes.h"

enum { KEYS = 400, STEPS = 10000 };

/* The model: what was last written to key number k. */
struct model {
    int op; /* 0: nothing yet */
    uint32_t value;
};

/* Keys of different lengths, some a prefix of others: "1", "10", "100", ... */
static size_t key_of(unsigned k, char key[16])
{
    return (size_t)snprintf(key, 16, "%u", k);
}

static void compare(const struct kv_writes *set, const struct model *model)
{
    const struct kv_write *before = NULL;
    uint64_t count = 0, bytes = 0, listed = 0;
    char key[16];

    for (unsigned k = 0; k < KEYS; k++) {
        size_t size = key_of(k, key);
        const struct kv_write *w = hf__kv_writes_find(set, key, size);

        assert_int_equal(w != NULL, model[k].op != 0);
        if (w == NULL)
            continue;
        count++;
        bytes += size + (model[k].op == KV_PUT ? sizeof(uint32_t) : 0);
        assert_int_equal(w->op, model[k].op);
        if (w->op == KV_PUT)
            assert_memory_equal(w->value, &model[k].value, sizeof(uint32_t));
    }
    for (const struct kv_write *w = set->first[0]; w != NULL; before = w, w = w->next[0]) {
        listed++;
        if (before != NULL)
            assert_true(hf__kv_writes_compare(before->key, before->key_size, w->key, w->key_size) <
                        0);
    }
    assert_int_equal(set->count, count);
    assert_int_equal(listed, count);
    assert_int_equal(set->bytes, bytes);
}

static void writes__are_sorted_and_the_last_one_counts(void **state)
{
    static struct model model[KEYS];
    struct kv_writes set = {0};
    uint32_t r = 12345;
    char key[16];

    (void)state;
    for (uint32_t step = 0; step < STEPS; step++) {
        r = r * 1664525 + 1013904223;
        unsigned k = (r >> 8) % KEYS;
        size_t size = key_of(k, key);

        model[k].op = (r >> 30) == 0 ? KV_DELETE : KV_PUT;
        model[k].value = step;
        if (model[k].op == KV_PUT)
            t_ok(hf__kv_writes_put(&set, key, size, &step, sizeof(step)));
        else
            t_ok(hf__kv_writes_delete(&set, key, size));
        if (step % 1000 == 0)
            compare(&set, model);
    }
    compare(&set, model);
    hf__kv_writes_clear(&set);
    assert_int_equal(set.count, 0);
    assert_null(set.first[0]);
}

static void writes__seek_finds_the_first_not_below(void **state)
{
    static const char *const keys[] = {"b", "bb", "d"};
    struct kv_writes set = {0};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        t_ok(hf__kv_writes_put(&set, keys[i], strlen(keys[i]), NULL, 0));
    assert_memory_equal(hf__kv_writes_seek(&set, "", 0)->key, "b", 1);
    assert_memory_equal(hf__kv_writes_seek(&set, "b", 1)->key, "b", 1);
    assert_int_equal(hf__kv_writes_seek(&set, "b\0", 2)->key_size, 2);
    assert_memory_equal(hf__kv_writes_seek(&set, "c", 1)->key, "d", 1);
    assert_null(hf__kv_writes_seek(&set, "d\0", 2));
    assert_null(hf__kv_writes_find(&set, "c", 1));
    hf__kv_writes_clear(&set);
}

static void writes__compare_bytes_as_unsigned(void **state)
{
    (void)state;
    assert_true(hf__kv_writes_compare("\x7f", 1, "\x80", 1) < 0);
    assert_true(hf__kv_writes_compare("a", 1, "ab", 2) < 0);
    assert_true(hf__kv_writes_compare("b", 1, "ab", 2) > 0);
    assert_int_equal(hf__kv_writes_compare("", 0, "", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes__are_sorted_and_the_last_one_counts),
        cmocka_unit_test(writes__seek_finds_the_first_not_below),
        cmocka_unit_test(writes__compare_bytes_as_unsigned),
    };

    return cmocka_run_group_tests_name("kv.writes", tests, NULL, NULL);
}
