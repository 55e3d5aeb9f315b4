/*
 * tm/page.c - the shared page: acknowledgements that outlive their process.
 *
 * A finished decision leaves the log with a later batch. A process that is killed before that batch
 * leaves it behind, and recovery would have to prove it, branch by branch. So the incarnation also
 * notes it in a file that it has mapped: a store into the page cache, which survives the process,
 * and costs no flush. Recovery drops what is noted without asking anybody.
 *
 * An entry says: every branch of this global transaction has acknowledged, or was proved to have.
 * It is written where the removal is queued, on the same evidence as the removal itself, so it is
 * as true as a removal that became durable. And it is a fact: once true it is so for ever, because
 * no gtrid is ever issued twice (its sequence holds the nonce of its incarnation).
 *
 * A slot also shows what its owner is doing (struct hf__live). These numbers are for people on the
 * same machine, in its order of bytes, not sealed, and nothing is concluded from them.
 *
 * The file is an array of slots, one for each incarnation that has the node open; other numbers are
 * big-endian.
 *   slot    head 64 | struct hf__live | 0 to byte 4,096 | 1,024 entries | unused to byte 65,536
 *   head    magic 4 | version 4 | node 16 | incarnation 4 | nonce 4 | pid 8 | claimed ms 8 |
 *           0 8 | XXH3 of all that 8
 *   entry   incarnation 4 | 0 4 | sequence 8 | XXH3 of the head's checksum and all that 8
 *
 * Invariants
 *   P1  An entry is believed only if its checksum is right for the head of its slot, and the head's
 *       own is, and the head is of this node's identity. A torn entry, one of the slot's former
 *       owner, of another node's file, or garbage has another checksum.
 *   P2  An entry is overwritten only after the removal it stands for is durable: it has the place
 *       that the removal has in the log's ring.
 *   P3  Nothing depends on an entry that is not there: the record is proved, as without the page.
 *   P4  No file is truncated, and no page is written that has no room on the disk: the slot is
 *       filled with zeros when it is claimed. (A file system that copies on write may still run
 *       full later and raise SIGBUS, as for any mapped file; so may one that is shut down under us,
 *       in a page that was written out since our last store, populated and locked or not.)
 *
 * What the page may be beside the log                    and then
 *   older, torn or lost (power cut; it is never synced)  entries are missing (P3), or wrong (P1)
 *   newer than the log (power cut, a restored log)       the decision is there again and the entry
 *                                                        is still true: it is dropped again
 *   of the original, in a copy                           as long as the copy has its identity the
 *                                                        node does not open; adopted as copied it
 *                                                        has another (P1). Moved: still true
 *   older than a number given out twice                  the nonce in the sequence is another
 *   newer than the resource managers (restored from      recovery asks the scans first: a branch
 *   a backup that is not one instant)                    that is prepared although it acknowledged
 *                                                        is committed, and an alarm is raised
 *
 * If we crash ...                        in the file               the next opening
 *   before the zeros are written         the former owner's slot   claims it, or another
 *   before the head                      zeros                     takes it for free
 *   in an entry                          torn                      does not believe it
 *   after it                             the entry                 drops the record
 *   after a clean close's last batch     entries of no record      finds nothing to drop
 *
 * Threads: an incarnation writes its own slot, under the lock of the log's ring. Others read the
 * file by pread(), whenever they like: what they see half written is P1. Two that write one slot (a
 * process whose log failed has let go of its lock, and counts as dead) spoil each other's entries,
 * and no more (P1, P3).
 */
#include "page.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "holdfast/internal/fault.h"

enum {
    MAGIC = 0x48465047, /* "HFPG" */
    VERSION = 1,
    SLOTS = 64,
    SLOT_BYTES = 1 << 16, /* a multiple of every page size */
    HEAD_BYTES = 64,
    CHECK_BYTES = 8,
    ENTRIES_AT = 4096,
    ENTRY_BYTES = 24,
    USED_BYTES = ENTRIES_AT + HF__PAGE_ACKS * ENTRY_BYTES,
    PATH_SIZE = 4096 + 16,
};
static_assert(USED_BYTES <= SLOT_BYTES, "a slot holds its entries");
static_assert(HEAD_BYTES + sizeof(struct hf__live) <= ENTRIES_AT, "and its numbers before them");

struct hf__page {
    int fd;
    unsigned char *slot;             /* mapped: USED_BYTES; NULL: we have none */
    unsigned char seal[CHECK_BYTES]; /* of our head */
    unsigned char node[HF__NODE_ID_SIZE];
    char path[PATH_SIZE];
};

/* One that was read. */
struct hf__ack {
    uint32_t incarnation;
    uint64_t sequence;
};

/* -- bytes ------------------------------------------------------------------------------------ */

/* Of an entry; seal: the checksum of the head that it lies under. */
static uint64_t check_of(const unsigned char seal[CHECK_BYTES],
                         const unsigned char entry[ENTRY_BYTES])
{
    unsigned char bytes[ENTRY_BYTES];

    memcpy(bytes, seal, CHECK_BYTES);
    memcpy(bytes + CHECK_BYTES, entry, ENTRY_BYTES - CHECK_BYTES);
    return hf__store_hash(bytes, sizeof(bytes));
}

static void put_head(unsigned char p[HEAD_BYTES], const struct hf__page_owner *owner)
{
    memset(p, 0, HEAD_BYTES);
    hf__put32(p, MAGIC);
    hf__put32(p + 4, VERSION);
    memcpy(p + 8, owner->node, HF__NODE_ID_SIZE);
    hf__put32(p + 24, owner->incarnation);
    hf__put32(p + 28, owner->nonce);
    hf__put64(p + 32, (uint64_t)getpid());
    hf__put64(p + 40, hf__now_ms());
    hf__put64(p + HEAD_BYTES - CHECK_BYTES, hf__store_hash(p, HEAD_BYTES - CHECK_BYTES));
}

/* P1. False also for a slot that nobody has. */
static bool head_is_good(const unsigned char p[HEAD_BYTES],
                         const unsigned char node[HF__NODE_ID_SIZE])
{
    return hf__get32(p) == MAGIC && hf__get32(p + 4) == VERSION &&
           memcmp(p + 8, node, HF__NODE_ID_SIZE) == 0 &&
           hf__get64(p + HEAD_BYTES - CHECK_BYTES) == hf__store_hash(p, HEAD_BYTES - CHECK_BYTES);
}

/* Bytes that the file has there, and zeros behind its end. */
static int read_at(const struct hf__page *page, void *to, size_t size, off_t at)
{
    size_t done = 0;

    memset(to, 0, size);
    while (done < size) {
        ssize_t n = pread(page->fd, (char *)to + done, size - done, at + (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hf__error(HF_EIO, errno, "%s: read: %s", page->path, strerror(errno));
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return HF_OK;
}

/* -- open and close --------------------------------------------------------------------------- */

static int open_file(struct hf__page *page, int flags)
{
    struct stat st;

    page->fd = open(page->path, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (page->fd < 0 || fstat(page->fd, &st) != 0)
        return hf__error(errno == ELOOP || errno == EACCES ? HF_EOWNER : HF_EIO, errno,
                         "%s: open: %s", page->path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return hf__error(HF_EOWNER, 0, "%s: is not a file", page->path);
    if (st.st_uid != geteuid() || (st.st_mode & (S_IRWXG | S_IRWXO)))
        return hf__error(HF_EOWNER, 0, "%s: belongs to user %u and has mode %o", page->path,
                         st.st_uid, st.st_mode & 07777);
    return HF_OK;
}

/* A free slot, or the one that has been dead for longest. */
static int choose_slot(const struct hf__page *page, bool (*alive)(void *, uint32_t), void *user,
                       unsigned *ret)
{
    uint32_t oldest = UINT32_MAX;

    for (unsigned i = 0; i < SLOTS; i++) {
        unsigned char head[HEAD_BYTES];
        uint32_t incarnation;
        int rc = read_at(page, head, sizeof(head), (off_t)i * SLOT_BYTES);

        if (rc != HF_OK)
            return rc;
        if (!head_is_good(head, page->node)) {
            *ret = i;
            return HF_OK;
        }
        incarnation = hf__get32(head + 24);
        if (incarnation < oldest && !alive(user, incarnation)) {
            oldest = incarnation;
            *ret = i;
        }
    }
    return oldest != UINT32_MAX
               ? HF_OK
               : hf__error(HF_ELIMIT, 0, "%s: %d processes have the node open", page->path, SLOTS);
}

/* Zeros first, so that the disk has room for every page (P4), the head last. */
static int take_slot(struct hf__page *page, unsigned slot, const struct hf__page_owner *owner)
{
    static const unsigned char zeros[USED_BYTES];
    off_t at = (off_t)slot * SLOT_BYTES;
    ssize_t n = pwrite(page->fd, zeros, sizeof(zeros), at);
    void *p;

    if (n != (ssize_t)sizeof(zeros)) {
        int err = n < 0 ? errno : ENOSPC;

        return hf__error(err == ENOSPC || err == EDQUOT ? HF_EFULL : HF_EIO, err,
                         "%s: make room: %s", page->path, strerror(err));
    }
    HF_FAULT("page:cleared");
    p = mmap(NULL, USED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, page->fd, at);
    if (p == MAP_FAILED)
        return hf__error(HF_EIO, errno, "%s: map: %s", page->path, strerror(errno));
    page->slot = p;
    put_head(page->slot, owner);
    memcpy(page->seal, page->slot + HEAD_BYTES - CHECK_BYTES, CHECK_BYTES);
    HF_FAULT("page:taken");
    return HF_OK;
}

int hf__page_open(const char *dir, const struct hf__page_owner *owner,
                  bool (*alive)(void *user, uint32_t incarnation), void *user,
                  struct hf__page **ret)
{
    struct hf__page *page = calloc(1, sizeof(*page));
    unsigned slot = 0;
    int rc;

    *ret = NULL;
    if (page == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "%s: open the shared page", dir);
    page->fd = -1;
    memcpy(page->node, owner->node, sizeof(page->node));
    (void)snprintf(page->path, sizeof(page->path), "%s/" HF__PAGE_FILE, dir); /* as the log's */
    rc = open_file(page, O_RDWR | O_CREAT);
    if (rc != HF_OK) {
        hf__page_close(page, false);
        return rc;
    }
    *ret = page;
    rc = choose_slot(page, alive, user, &slot);
    return rc == HF_OK ? take_slot(page, slot, owner) : rc;
}

void hf__page_close(struct hf__page *page, bool finished)
{
    if (page == NULL)
        return;
    if (page->slot != NULL && finished)
        memset(page->slot, 0, HEAD_BYTES);
    if (page->slot != NULL)
        (void)munmap(page->slot, USED_BYTES); /* an address that mmap() gave */
    if (page->fd >= 0)
        (void)close(page->fd); /* nothing was promised of it */
    free(page);
}

/* -- acknowledgements ------------------------------------------------------------------------- */

void hf__page_ack(struct hf__page *page, uint64_t place, const unsigned char gtrid[HF__GTRID_SIZE])
{
    unsigned char entry[ENTRY_BYTES] = {0};

    if (page == NULL || page->slot == NULL)
        return;
    memcpy(entry, gtrid + HF__NODE_ID_SIZE, 4); /* incarnation, sequence: as they are there */
    memcpy(entry + 8, gtrid + HF__NODE_ID_SIZE + 4, 8);
    hf__put64(entry + ENTRY_BYTES - CHECK_BYTES, check_of(page->seal, entry));
    memcpy(page->slot + ENTRIES_AT + place % HF__PAGE_ACKS * ENTRY_BYTES, entry, sizeof(entry));
    HF_FAULT("page:noted");
}

static int by_transaction(const void *a, const void *b)
{
    const struct hf__ack *x = a, *y = b;

    if (x->incarnation != y->incarnation)
        return x->incarnation < y->incarnation ? -1 : 1;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

/* Add what a slot has to the list. */
static int take_entries(const unsigned char slot[USED_BYTES], struct hf__acks *to)
{
    if (to->room - to->count < HF__PAGE_ACKS) {
        size_t room = to->room + 4 * (size_t)HF__PAGE_ACKS;
        struct hf__ack *list = realloc(to->list, room * sizeof(*list));

        if (list == NULL)
            return hf__error(HF_ENOMEM, ENOMEM, "read %zu acknowledgements", room);
        to->list = list;
        to->room = room;
    }
    for (size_t i = 0; i < HF__PAGE_ACKS; i++) {
        const unsigned char *entry = slot + ENTRIES_AT + i * ENTRY_BYTES;

        if (hf__get64(entry + ENTRY_BYTES - CHECK_BYTES) !=
            check_of(slot + HEAD_BYTES - CHECK_BYTES, entry))
            continue;
        to->list[to->count++] =
            (struct hf__ack){.incarnation = hf__get32(entry), .sequence = hf__get64(entry + 8)};
    }
    return HF_OK;
}

int hf__page_read(const struct hf__page *page, struct hf__acks *ret)
{
    unsigned char *slot;
    int rc = HF_OK;

    if (page == NULL)
        return HF_OK;
    slot = malloc(USED_BYTES);
    if (slot == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "read the shared page");
    for (unsigned i = 0; rc == HF_OK && i < SLOTS; i++) {
        rc = read_at(page, slot, HEAD_BYTES, (off_t)i * SLOT_BYTES);
        if (rc != HF_OK || !head_is_good(slot, page->node))
            continue;
        rc = read_at(page, slot, USED_BYTES, (off_t)i * SLOT_BYTES);
        if (rc == HF_OK && head_is_good(slot, page->node))
            rc = take_entries(slot, ret);
    }
    free(slot);
    if (ret->count > 0)
        qsort(ret->list, ret->count, sizeof(*ret->list), by_transaction);
    return rc;
}

bool hf__acks_have(const struct hf__acks *acks, const unsigned char gtrid[HF__GTRID_SIZE])
{
    struct hf__ack want = {.incarnation = hf__gtrid_incarnation(gtrid),
                           .sequence = hf__gtrid_sequence(gtrid)};

    return acks->count > 0 &&
           bsearch(&want, acks->list, acks->count, sizeof(want), by_transaction) != NULL;
}

void hf__acks_free(struct hf__acks *acks)
{
    free(acks->list);
    *acks = (struct hf__acks){0};
}

/* -- numbers ---------------------------------------------------------------------------------- */

struct hf__live *hf__page_live(struct hf__page *page)
{
    return page != NULL && page->slot != NULL ? (struct hf__live *)(void *)(page->slot + HEAD_BYTES)
                                              : NULL;
}

int hf__page_look(const char *dir, const unsigned char node[HF__NODE_ID_SIZE], uint32_t incarnation,
                  struct hf__live *ret)
{
    struct hf__page page = {.fd = -1};
    struct {
        unsigned char head[HEAD_BYTES];
        struct hf__live live;
    } slot;
    int rc = HF_ENOTFOUND;

    (void)snprintf(page.path, sizeof(page.path), "%s/" HF__PAGE_FILE, dir);
    if (open_file(&page, O_RDONLY) != HF_OK)
        goto out;
    for (unsigned i = 0; rc == HF_ENOTFOUND && i < SLOTS; i++) {
        if (read_at(&page, &slot, sizeof(slot), (off_t)i * SLOT_BYTES) != HF_OK)
            break;
        if (head_is_good(slot.head, node) && hf__get32(slot.head + 24) == incarnation)
            rc = HF_OK;
    }
    if (rc == HF_OK)
        memcpy((void *)ret, &slot.live, sizeof(*ret));
out:
    if (page.fd >= 0)
        (void)close(page.fd); /* it was only read */
    return rc;
}
