/*
 * What: the shared page believes what an incarnation of this node noted, and nothing else: P1 to P3
 *       of tm/page.c.
 * How:  pages in a directory of their own, without a log; the file is then changed byte by byte as
 *       power cuts, copies and strangers would.
 */
#include "support/t.h"

#include <fcntl.h>

#include "page.h"

enum { SLOT_BYTES = 65536, ENTRIES_AT = 4096, ENTRY_BYTES = 24, SLOTS = 64 };

static char *dir;

static int setup(void **state)
{
    (void)state;
    dir = t_dir_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    t_dir_remove(dir);
    return 0;
}
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static const unsigned char node[HF__NODE_ID_SIZE] = {1, 2, 3};
static const unsigned char other_node[HF__NODE_ID_SIZE] = {9};

static bool nobody_lives(void *user, uint32_t incarnation)
{
    (void)user, (void)incarnation;
    return false;
}

static bool all_live(void *user, uint32_t incarnation)
{
    (void)user, (void)incarnation;
    return true;
}

static struct hf__page *open_as(const unsigned char *id, uint32_t incarnation)
{
    struct hf__page_owner owner = {.incarnation = incarnation, .nonce = incarnation * 7};
    struct hf__page *page = NULL;

    memcpy(owner.node, id, sizeof(owner.node));
    t_ok(hf__page_open(dir, &owner, all_live, NULL, &page));
    return page;
}

static void ack(struct hf__page *page, uint64_t place, uint32_t incarnation, uint64_t sequence)
{
    unsigned char gtrid[HF__GTRID_SIZE];

    hf__gtrid_make(gtrid, node, incarnation, sequence);
    hf__page_ack(page, place, gtrid);
}

/* Is it noted? The count of everything that is noted goes to *ret_count, unless that is NULL. */
static bool noted(struct hf__page *page, uint32_t incarnation, uint64_t sequence, size_t *ret_count)
{
    struct hf__acks acks = {0};
    unsigned char gtrid[HF__GTRID_SIZE];
    bool have;

    hf__gtrid_make(gtrid, node, incarnation, sequence);
    t_ok(hf__page_read(page, &acks));
    have = hf__acks_have(&acks, gtrid);
    if (ret_count != NULL)
        *ret_count = acks.count;
    hf__acks_free(&acks);
    return have;
}

/* Change a byte of the file behind everybody's back. */
static void spoil(off_t at)
{
    int fd = open(t_path(dir, HF__PAGE_FILE), O_RDWR);
    unsigned char byte;

    assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 0x10;
    assert_true(pwrite(fd, &byte, 1, at) == 1);
    assert_int_equal(close(fd), 0);
}

static void note__outlives_who_made_it(void **state)
{
    struct hf__page *first = open_as(node, 1), *second;
    size_t count;

    (void)state;
    ack(first, 0, 1, 5);
    ack(first, 1, 1, 6);
    second = open_as(node, 2); /* it lives */
    assert_true(noted(second, 1, 5, &count) && noted(second, 1, 6, NULL));
    assert_int_equal(count, 2);
    assert_false(noted(second, 2, 5, NULL) || noted(second, 1, 7, NULL));
    hf__page_close(first, false); /* it died */
    assert_true(noted(second, 1, 5, NULL));
    ack(second, 0, 1, 9); /* of a transaction that it recovered */
    assert_true(noted(second, 1, 9, &count));
    assert_int_equal(count, 3);
    hf__page_close(second, true);
}

/* Nothing of it is in the log any more: nobody has to look through its notes. */
static void slot__is_free_after_a_clean_close(void **state)
{
    struct hf__page *page = open_as(node, 1);
    struct stat st;
    size_t count;

    (void)state;
    ack(page, 0, 1, 5);
    hf__page_close(page, true);
    page = open_as(node, 2);
    assert_false(noted(page, 1, 5, &count));
    assert_int_equal(count, 0);
    assert_int_equal(stat(t_path(dir, HF__PAGE_FILE), &st), 0);
    assert_true(st.st_size <= SLOT_BYTES); /* the same slot */
    assert_int_equal(st.st_mode & 07777, 0600);
    hf__page_close(page, true);
}

/* P2: a place is used again by the one that comes 1,024 later. */
static void notes__go_round_in_their_places(void **state)
{
    struct hf__page *page = open_as(node, 3);
    size_t count;

    (void)state;
    for (uint64_t i = 1; i <= HF__PAGE_ACKS + 2; i++)
        ack(page, i, 3, i);
    assert_false(noted(page, 3, 1, &count) || noted(page, 3, 2, NULL));
    assert_int_equal(count, HF__PAGE_ACKS);
    for (uint64_t i = 3; i <= HF__PAGE_ACKS + 2; i++)
        assert_true(noted(page, 3, i, NULL));
    hf__page_close(page, true);
}

/* P1, for every byte of an entry and of a head: one that is torn is none. */
static void note__with_a_byte_that_is_wrong_is_none(void **state)
{
    struct hf__page *page = open_as(node, 1);

    (void)state;
    ack(page, 0, 1, 5);
    ack(page, 1, 1, 6);
    for (off_t at = ENTRIES_AT; at < ENTRIES_AT + ENTRY_BYTES; at++) {
        spoil(at);
        assert_false(noted(page, 1, 5, NULL));
        assert_true(noted(page, 1, 6, NULL));
        spoil(at);
        assert_true(noted(page, 1, 5, NULL));
    }
    for (off_t at = 0; at < 64; at++) {
        size_t count;

        spoil(at);
        assert_false(noted(page, 1, 5, &count));
        assert_int_equal(count, 0);
        spoil(at);
    }
    assert_true(noted(page, 1, 5, NULL));
    hf__page_close(page, false);
}

/* Adopted as copied, a node has another identity, and the original's file beside it. */
static void note__of_another_node_is_none(void **state)
{
    struct hf__page *original = open_as(node, 1), *copy;
    size_t count;

    (void)state;
    ack(original, 0, 1, 5);
    hf__page_close(original, false);
    copy = open_as(other_node, 2); /* takes the slot: to it, it is free */
    assert_false(noted(copy, 1, 5, &count));
    assert_int_equal(count, 0);
    hf__page_close(copy, true);
}

/* Entries of the slot's former owner lie under the head of the next one. */
static void note__of_the_slots_former_owner_is_none(void **state)
{
    struct hf__page_owner owner = {.incarnation = 2};
    struct hf__page *page = open_as(node, 1);
    unsigned char entry[ENTRY_BYTES];
    size_t count;
    int fd;

    (void)state;
    memcpy(owner.node, node, sizeof(node));
    ack(page, 0, 1, 5);
    fd = open(t_path(dir, HF__PAGE_FILE), O_RDWR);
    assert_true(fd >= 0 && pread(fd, entry, sizeof(entry), ENTRIES_AT) == ENTRY_BYTES);
    hf__page_close(page, true);
    page = open_as(node, 2);
    assert_true(pwrite(fd, entry, sizeof(entry), ENTRIES_AT) == ENTRY_BYTES);
    assert_false(noted(page, 1, 5, &count));
    assert_int_equal(count, 0);
    assert_int_equal(close(fd), 0);
    hf__page_close(page, true);
}

static void garbage__is_nothing(void **state)
{
    FILE *file = fopen(t_path(dir, HF__PAGE_FILE), "w");
    struct hf__page *page;
    unsigned seed = 1;
    size_t count;

    (void)state;
    assert_non_null(file);
    for (int i = 0; i < 3 * SLOT_BYTES + 100; i++)
        assert_true(fputc(rand_r(&seed) & 0xff, file) != EOF);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(t_path(dir, HF__PAGE_FILE), 0600), 0);
    page = open_as(node, 1);
    assert_false(noted(page, 1, 5, &count));
    assert_int_equal(count, 0);
    ack(page, 0, 1, 5);
    assert_true(noted(page, 1, 5, &count));
    assert_int_equal(count, 1);
    assert_int_equal(truncate(t_path(dir, HF__PAGE_FILE), 100), 0); /* what is left of a copy */
    assert_false(noted(page, 1, 5, NULL));
    hf__page_close(page, false);
}

/* The oldest dead one makes room; as long as all live there is none, and what is noted is read. */
static void slots__are_as_many_as_there_are(void **state)
{
    struct hf__page_owner owner = {.incarnation = SLOTS + 1};
    struct hf__page *pages[SLOTS], *more = NULL;
    size_t count;

    (void)state;
    memcpy(owner.node, node, sizeof(node));
    for (uint32_t i = 0; i < SLOTS; i++) {
        pages[i] = open_as(node, SLOTS - i);
        ack(pages[i], 0, SLOTS - i, 1);
    }
    t_rc(HF_ELIMIT, hf__page_open(dir, &owner, all_live, NULL, &more));
    assert_non_null(more);
    ack(more, 0, SLOTS + 1, 1); /* nowhere */
    assert_true(noted(more, 7, 1, &count));
    assert_int_equal(count, SLOTS);
    hf__page_close(more, true);
    t_ok(hf__page_open(dir, &owner, nobody_lives, NULL, &more));
    ack(more, 1, SLOTS + 1, 1);
    assert_true(noted(more, SLOTS + 1, 1, &count));
    assert_int_equal(count, SLOTS);
    assert_false(noted(more, 1, 1, NULL)); /* of the oldest */
    hf__page_close(more, true);
    for (uint32_t i = 0; i < SLOTS; i++)
        hf__page_close(pages[i], true);
}

static void refuse(void)
{
    struct hf__page_owner owner = {.incarnation = 1};
    struct hf__page *page = NULL;
    int rc = hf__page_open(dir, &owner, all_live, NULL, &page);

    assert_true(rc == HF_EOWNER || rc == HF_EIO);
    assert_null(page);
}

static void file__that_is_not_ours_alone_is_not_used(void **state)
{
    char path[PATH_MAX];

    (void)state;
    strcpy(path, t_path(dir, HF__PAGE_FILE));
    assert_int_equal(symlink("/dev/null", path), 0);
    refuse();
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    refuse();
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse();
    assert_int_equal(unlink(path), 0);
    hf__page_close(open_as(node, 1), true);
    assert_int_equal(chmod(path, 0640), 0);
    refuse();
    assert_int_equal(chmod(path, 0600), 0);
    hf__page_close(open_as(node, 1), true);
}

static void numbers__are_seen_from_outside(void **state)
{
    struct hf__page *page = open_as(node, 4);
    struct hf__live live;

    (void)state;
    hf__live_set(&hf__page_live(page)->begun, 11);
    hf__live_set(&hf__page_live(page)->alarms, 12);
    ack(page, 0, 4, 1); /* the entries lie behind them */
    t_ok(hf__page_look(dir, node, 4, &live));
    assert_true(live.begun == 11 && live.alarms == 12 && live.committed == 0);
    assert_true(noted(page, 4, 1, NULL));
    t_rc(HF_ENOTFOUND, hf__page_look(dir, node, 5, &live));
    t_rc(HF_ENOTFOUND, hf__page_look(dir, other_node, 4, &live));
    spoil(70); /* they are not sealed: nothing depends on them */
    t_ok(hf__page_look(dir, node, 4, &live));
    hf__page_close(page, true);
    t_rc(HF_ENOTFOUND, hf__page_look(dir, node, 4, &live));
    assert_int_equal(unlink(t_path(dir, HF__PAGE_FILE)), 0);
    t_rc(HF_ENOTFOUND, hf__page_look(dir, node, 4, &live));
    assert_int_equal(access(t_path(dir, HF__PAGE_FILE), F_OK), -1); /* looking makes nothing */
}

/* A log without a page has no notes to make, and reads none. */
static void no_page__is_no_trouble(void **state)
{
    struct hf__acks acks = {0};

    (void)state;
    ack(NULL, 0, 1, 1);
    assert_null(hf__page_live(NULL));
    t_ok(hf__page_read(NULL, &acks));
    assert_int_equal(acks.count, 0);
    hf__acks_free(&acks);
    hf__page_close(NULL, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(note__outlives_who_made_it),
        T(slot__is_free_after_a_clean_close),
        T(notes__go_round_in_their_places),
        T(note__with_a_byte_that_is_wrong_is_none),
        T(note__of_another_node_is_none),
        T(note__of_the_slots_former_owner_is_none),
        T(garbage__is_nothing),
        T(slots__are_as_many_as_there_are),
        T(file__that_is_not_ours_alone_is_not_used),
        T(numbers__are_seen_from_outside),
        T(no_page__is_no_trouble),
    };

    return cmocka_run_group_tests_name("tm.page", tests, NULL, NULL);
}
