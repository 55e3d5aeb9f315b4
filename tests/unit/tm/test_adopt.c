/*
 * What: where a node lives: which differences count, and how they are named (tm/adopt.h).
 * How:  a table of node records that differ in one field each; a directory that is looked at twice.
 */
#include "support/t.h"

#include "adopt.h"

static const struct hf__node home = {
    .machine = {1, 2, 3}, .file_system = 10, .inode = 20, .nonce = 30};

static void place__names_what_differs_and_nothing_else(void **state)
{
    struct {
        const char *name;
        struct hf__node now;
    } rows[] = {{"machine id", home}, {"file system", home}, {"inode", home}, {"nonce", home}};

    (void)state;
    rows[0].now.machine[15] = 9;
    rows[1].now.file_system = 11;
    rows[2].now.inode = 21;
    rows[3].now.nonce = 31;
    for (size_t i = 0; i < 4; i++) {
        t_rc(HF_EMOVED, hf__place_check("/the/node", &home, &rows[i].now));
        assert_non_null(strstr(hf_error_last()->text, "/the/node"));
        assert_non_null(strstr(hf_error_last()->text, "txctl log adopt"));
        for (size_t k = 0; k < 4; k++)
            assert_int_equal(strstr(hf_error_last()->text, rows[k].name) != NULL, i == k);
        t_ok(hf__place_check("/the/node", &rows[i].now, &rows[i].now));
    }
    t_rc(HF_EMOVED,
         hf__place_check("/n", &home, &(struct hf__node){.machine = {4}, .inode = 5, .nonce = 6}));
    assert_non_null(strstr(hf_error_last()->text, "another machine id, inode, nonce than"));
}

static void place__that_is_not_known_is_no_difference(void **state)
{
    const struct hf__node nothing = {.highest = 7};
    struct hf__node now = nothing;

    (void)state;
    t_ok(hf__place_check("/n", &nothing, &home));
    t_ok(hf__place_check("/n", &nothing, &nothing));
    now.nonce = home.nonce; /* a nonce is known if it was given: none is another one */
    t_ok(hf__place_check("/n", &home, &now));
    t_rc(HF_EMOVED, hf__place_check("/n", &home, &nothing));
}

static void place__is_the_same_when_looked_at_twice(void **state)
{
    char *dir = t_dir_make();
    struct hf__node first = {0}, second = {0}, none = {0};
    FILE *file;

    (void)state;
    hf__place_find(dir, &none);
    assert_true(none.inode == 0); /* there is no log */
    file = fopen(t_path(dir, HF__LOG_FILE), "w");
    assert_non_null(file);
    hf__place_find(dir, &first);
    hf__place_find(dir, &second);
    assert_true(first.inode != 0 && first.inode == second.inode);
    assert_memory_equal(&first, &second, sizeof(first));
    assert_int_equal(fclose(file), 0);
    t_dir_remove(dir);
}

static void nonce__is_a_number_that_is_not_0(void **state)
{
    (void)state;
    assert_true(hf__place_nonce(NULL) == 0 && hf__place_nonce("") == 0);
    assert_true(hf__place_nonce("a") != 0 && hf__place_nonce("a") != hf__place_nonce("b"));
    assert_true(hf__place_nonce("pod-1") == 0x27bc1567e7d4207dULL); /* it is stored: for ever */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(place__names_what_differs_and_nothing_else),
        cmocka_unit_test(place__that_is_not_known_is_no_difference),
        cmocka_unit_test(place__is_the_same_when_looked_at_twice),
        cmocka_unit_test(nonce__is_a_number_that_is_not_0),
    };

    return cmocka_run_group_tests_name("tm.adopt", tests, NULL, NULL);
}
