/*
 * tm/store_pages.c - the structure of an LMDB file, checked without LMDB: see store_pages.h.
 *
 * What LMDB 0.9 writes on a 64-bit machine, in its own byte order:
 *
 *   page      number 8 | pad 2 | kind 2 | lower 2, upper 2, or pages of an overflow chain 4
 *   meta      at 16 of pages 0 and 1: magic 4 | version 4 | address 8 | map size 8 |
 *             free list 48 | database 48 | last page 8 | transaction 8
 *   tree      page size 4 | flags 2 | depth 2 | branch, leaf, overflow pages 8 each | entries 8 |
 *             root 8 (all ones: empty)
 *   node      at one of the offsets (2 each) that follow a page's header: low 2 | high 2 |
 *             flags 2 | key size 2 | key | data. In a branch low, high and flags are the child's
 *             number; in a leaf low and high are the data's size, and flags 1 says that it lies in
 *             an overflow chain whose number is here instead.
 *   free list transaction 8 -> count 8, page numbers 8 each, highest first
 *
 * Commit n writes the meta page n mod 2. Every commit is one higher than the last, so that the two
 * differ by one. Both trees are whole: what commit n took out of use is used again by n + 2 at the
 * earliest.
 *
 * A commit whose meta page could not be written is taken back: the page gets the number of the
 * commit before last again, but keeps the tree of the failed one.
 *
 * Bytes that LMDB does not read, or that it sets anew, are not looked at.
 */
#include "store_pages.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "holdfast/base.h"
#include "holdfast/internal/store.h"

enum {
    META_PAGES = 2,
    FORMAT = 1,
    PAGE_HEAD = 16,
    NODE_HEAD = 8,
    PAGE_SIZE_MIN = 512,
    PAGE_SIZE_MAX = 32768,
    DEPTH_MAX = 32,
    KEY_MAX = 511,
    TREES = 2,
    FREE_LIST = 0,
};
enum { P_BRANCH = 1, P_LEAF = 2, P_OVERFLOW = 4, P_META = 8 };
enum { F_BIGDATA = 1 };
enum { DB_REVERSEKEY = 0x02, DB_DUPSORT = 0x04, DB_INTEGERKEY = 0x08, DB_OTHERS = 0x70 };
enum { DB_ORDER = DB_REVERSEKEY | DB_DUPSORT | DB_INTEGERKEY | DB_OTHERS };

static const uint32_t META_MAGIC = 0xBEEFC0DE;
static const uint64_t NO_PAGE = UINT64_MAX;

struct tree {
    uint16_t flags, depth;
    uint64_t branches, leaves, overflows, entries, root;
};

struct meta {
    uint32_t page_size;
    struct tree trees[TREES];
    uint64_t last_page, txnid;
    uint64_t commit; /* that made the tree, as its first entry says; 0: it does not */
};

/* A key, in the page it lies in. */
struct key {
    const unsigned char *bytes;
    size_t size;
};

/* Where a walk is: a page on the way from the root, and which of its nodes. */
struct step {
    unsigned char *page;
    unsigned at, count;
    struct key low, high; /* what its keys lie between; bytes NULL: no bound */
};

struct check {
    int fd;
    const char *what;
    uint64_t file_size;
    struct meta meta;
    unsigned char *seen; /* a bit for each page */
    struct step steps[DEPTH_MAX];
    unsigned depth;
    struct tree counted;
    bool free_list; /* the tree that is walked */
};

static uint16_t get16(const unsigned char *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint32_t get32(const unsigned char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t get64(const unsigned char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static int bad(const struct check *c, uint64_t page, const char *why)
{
    return hf__error(HF_EDAMAGED, 0, "%s: page %llu: %s", c->what, (unsigned long long)page, why);
}

static int read_at(const struct check *c, uint64_t page, unsigned char *to, size_t size,
                   uint32_t page_size)
{
    uint64_t at = page * page_size;
    ssize_t n;

    if (at > c->file_size || c->file_size - at < size)
        return bad(c, page, "truncated: the file ends before it");
    n = pread(c->fd, to, size, (off_t)at);
    if (n < 0)
        return hf__error(HF_EIO, errno, "%s: read page %llu", c->what, (unsigned long long)page);
    return (size_t)n == size ? HF_OK : bad(c, page, "truncated: the file ends before it");
}

/* -- the meta pages --------------------------------------------------------------------------- */

static struct tree read_tree(const unsigned char *p)
{
    return (struct tree){.flags = get16(p + 4),
                         .depth = get16(p + 6),
                         .branches = get64(p + 8),
                         .leaves = get64(p + 16),
                         .overflows = get64(p + 24),
                         .entries = get64(p + 32),
                         .root = get64(p + 40)};
}

/* The meta page with this number. Its place in the file is known once the page size is. */
static int read_meta(const struct check *c, unsigned number, uint32_t page_size, struct meta *ret)
{
    unsigned char p[152];
    int rc = read_at(c, number, p, sizeof(p), page_size);

    if (rc != HF_OK)
        return rc;
    if (get64(p) != number || (get16(p + 10) & P_META) == 0 || get32(p + 16) != META_MAGIC)
        return bad(c, number, "not a meta page");
    if (get32(p + 20) > FORMAT)
        return hf__error(HF_ENEWER, 0, "%s: of a newer version of LMDB", c->what);
    if (get32(p + 20) != FORMAT)
        return bad(c, number, "another version of LMDB's format");
    *ret = (struct meta){.page_size = get32(p + 40),
                         .trees = {read_tree(p + 40), read_tree(p + 88)},
                         .last_page = get64(p + 136),
                         .txnid = get64(p + 144)};
    if (ret->page_size < PAGE_SIZE_MIN || ret->page_size > PAGE_SIZE_MAX ||
        (ret->page_size & (ret->page_size - 1)) != 0)
        return bad(c, number, "no possible page size");
    if ((ret->trees[FREE_LIST].flags & DB_ORDER) != DB_INTEGERKEY || ret->trees[1].flags != 0)
        return bad(c, number, "keys in another order than ours");
    if (ret->txnid != 0 && ret->txnid % 2 != number)
        return bad(c, number, "the number of another commit");
    return HF_OK;
}

/* Of the two, the one of commit txnid. The other is of the commit before, or of a later one. */
static int choose_meta(struct check *c, const struct meta metas[META_PAGES], uint64_t txnid)
{
    unsigned chosen = metas[0].txnid == txnid ? 0 : 1;
    uint64_t other = metas[1 - chosen].txnid;

    if (metas[chosen].txnid != txnid)
        return hf__error(HF_EBUSY, 0, "%s: commit %llu was overtaken", c->what,
                         (unsigned long long)txnid);
    if (txnid > 0 && other < txnid - 1)
        return bad(c, 1 - chosen, "commits are missing between the meta pages");
    c->meta = metas[chosen];
    if (c->meta.last_page < META_PAGES - 1 || c->meta.last_page >= c->file_size / c->meta.page_size)
        return bad(c, chosen, "the last page lies beyond the file");
    return HF_OK;
}

static uint64_t child_of(const unsigned char *node)
{
    return get16(node) | (uint64_t)get16(node + 2) << 16 | (uint64_t)get16(node + 4) << 32;
}

/* Down the left side of a meta page's tree to its first entry. */
static int read_commit(const struct check *c, struct meta *m, hf__pages_first_fn *first)
{
    unsigned char p[PAGE_SIZE_MAX];
    uint64_t page = m->trees[1].root;
    int rc = HF_OK;

    for (unsigned depth = page != NO_PAGE ? m->trees[1].depth : 0; depth > 0; depth--) {
        unsigned offset, size, room;

        rc = read_at(c, page, p, m->page_size, m->page_size);
        if (rc != HF_OK)
            return rc;
        offset = get16(p + PAGE_HEAD);
        if (get64(p) != page || offset < PAGE_HEAD || offset + NODE_HEAD > m->page_size)
            return bad(c, page, "not the page that it should be");
        if (depth > 1) {
            page = child_of(p + offset);
            continue;
        }
        size = get16(p + offset) + ((unsigned)get16(p + offset + 2) << 16);
        room = m->page_size - offset - NODE_HEAD;
        if (get16(p + offset + 6) > room || size > room - get16(p + offset + 6))
            return bad(c, page, "a node is longer than its page");
        m->commit = first(p + offset + NODE_HEAD + get16(p + offset + 6), size);
    }
    return rc;
}

/* Does the older of the two have the tree of its commit, or one that was taken back? */
static int check_commits(const struct check *c, const struct meta *newer, const struct meta *older,
                         uint64_t published)
{
    if (newer->commit != 0 && newer->commit != newer->txnid)
        return hf__error(HF_EBACKINTIME, 0, "%s: commit %llu has the state of %llu", c->what,
                         (unsigned long long)newer->txnid, (unsigned long long)newer->commit);
    if (older->commit == 0 || older->commit == older->txnid)
        return HF_OK;
    if (older->commit > newer->txnid && published < older->commit)
        return HF_OK;
    return hf__error(HF_EBACKINTIME, 0, "%s: an older state of it has come back: commit %llu",
                     c->what, (unsigned long long)newer->txnid);
}

static int read_metas(struct check *c, uint64_t txnid, hf__pages_first_fn *first,
                      uint64_t published)
{
    struct meta metas[META_PAGES];
    unsigned newer;
    int rc = read_meta(c, 0, 0, &metas[0]);

    if (rc == HF_OK)
        rc = read_meta(c, 1, metas[0].page_size, &metas[1]);
    if (rc != HF_OK)
        return rc;
    if (metas[1].page_size != metas[0].page_size)
        return bad(c, 1, "another page size than page 0");
    if (txnid == HF__PAGES_NEWEST)
        txnid = metas[0].txnid > metas[1].txnid ? metas[0].txnid : metas[1].txnid;
    newer = metas[0].txnid < metas[1].txnid ? 1 : 0; /* as LMDB chooses */
    if (rc == HF_OK)
        rc = read_commit(c, &metas[newer], first);
    if (rc == HF_OK)
        rc = read_commit(c, &metas[1 - newer], first);
    if (rc == HF_EDAMAGED && metas[newer].commit != 0) {
        metas[1 - newer].commit = 0; /* half overwritten after it was taken back: it does not say */
        rc = HF_OK;
    }
    if (rc == HF_OK)
        rc = check_commits(c, &metas[newer], &metas[1 - newer], published);
    return rc == HF_OK ? choose_meta(c, metas, txnid) : rc;
}

/* -- pages ------------------------------------------------------------------------------------ */

/* A page is met: used or free, but once. */
static int see(struct check *c, uint64_t page)
{
    unsigned char *byte, bit = (unsigned char)(1U << page % 8);

    if (page < META_PAGES || page > c->meta.last_page)
        return bad(c, page, "no such page");
    byte = &c->seen[page / 8];
    if ((*byte & bit) != 0)
        return bad(c, page, "in use twice, or free and in use");
    *byte |= bit;
    return HF_OK;
}

static const unsigned char *node_at(const struct step *s, unsigned i)
{
    return s->page + get16(s->page + PAGE_HEAD + 2 * i);
}

static struct key key_of(const unsigned char *node)
{
    return (struct key){node + NODE_HEAD, get16(node + 6)};
}

/* As LMDB orders them; those of the free list are numbers. */
static int compare(const struct check *c, struct key a, struct key b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order;

    if (c->free_list) {
        uint64_t x = get64(a.bytes), y = get64(b.bytes);

        return x < y ? -1 : x > y;
    }
    order = memcmp(a.bytes, b.bytes, size);
    return order != 0 ? order : a.size < b.size ? -1 : a.size > b.size;
}

/* One node: within its page, its key within bounds. The first of a branch has no key. */
static int check_node(const struct check *c, const struct step *s, uint64_t page, unsigned i,
                      bool leaf)
{
    unsigned upper = get16(s->page + 14);
    unsigned offset = get16(s->page + PAGE_HEAD + 2 * i), size;
    const unsigned char *node;
    struct key key;

    if (offset < upper || offset % 2 != 0 || offset + NODE_HEAD > c->meta.page_size)
        return bad(c, page, "a node lies outside");
    node = s->page + offset;
    key = key_of(node);
    size = NODE_HEAD + (unsigned)key.size;
    if (leaf && (get16(node + 4) & ~F_BIGDATA) != 0)
        return bad(c, page, "a node of a kind that we do not use");
    if (leaf)
        size += (get16(node + 4) & F_BIGDATA) != 0
                    ? 8
                    : get16(node) + ((unsigned)get16(node + 2) << 16);
    if (size > c->meta.page_size || offset + size > c->meta.page_size)
        return bad(c, page, "a node is longer than its page");
    if (!leaf && i == 0)
        return HF_OK;
    if (key.size == 0 || key.size > KEY_MAX || (c->free_list && key.size != 8))
        return bad(c, page, "a key of no possible size");
    if ((s->low.bytes != NULL && compare(c, key, s->low) < 0) ||
        (s->high.bytes != NULL && compare(c, key, s->high) >= 0))
        return bad(c, page, "a key lies outside what its page is for");
    if (i > (leaf ? 0U : 1U) && compare(c, key_of(node_at(s, i - 1)), key) >= 0)
        return bad(c, page, "keys are out of order");
    return HF_OK;
}

/* The page of a step: its head and all of its nodes. */
static int check_page(struct check *c, struct step *s, uint64_t page, bool leaf)
{
    unsigned lower, upper;
    int rc = HF_OK;

    if (get64(s->page) != page)
        return bad(c, page, "it says that it is another");
    if ((get16(s->page + 10) & (P_BRANCH | P_LEAF | P_OVERFLOW | P_META)) !=
            (leaf ? P_LEAF : P_BRANCH) ||
        (get16(s->page + 10) & 0x70) != 0)
        return bad(c, page, "of another kind");
    lower = get16(s->page + 12);
    upper = get16(s->page + 14);
    if (lower < PAGE_HEAD || lower % 2 != 0 || lower > upper || upper > c->meta.page_size)
        return bad(c, page, "its bounds are impossible");
    s->count = (lower - PAGE_HEAD) / 2;
    if (s->count == 0 || (!leaf && s->count < 2))
        return bad(c, page, "too few nodes");
    for (unsigned i = 0; rc == HF_OK && i < s->count; i++)
        rc = check_node(c, s, page, i, leaf);
    return rc;
}

/* -- leaves ----------------------------------------------------------------------------------- */

/* A list of free pages, highest first. */
static int see_free(struct check *c, uint64_t page, const unsigned char *data, uint64_t size)
{
    uint64_t count = size >= 8 ? get64(data) : 0, last = NO_PAGE;
    int rc = HF_OK;

    /* An empty one is good: LMDB reserves them ahead, and does not always need all. */
    if (size < 8 || count > size / 8 - 1)
        return bad(c, page, "a list of free pages of no possible length");
    for (uint64_t i = 1; rc == HF_OK && i <= count; i++) {
        uint64_t one = get64(data + 8 * i);

        if (one >= last)
            return bad(c, page, "a list of free pages is out of order");
        last = one;
        rc = see(c, one);
    }
    return rc;
}

/* An overflow chain; its data, if it is wanted, goes to *ret, which the caller frees. A chain may
   be longer than its data: LMDB does not shorten one that it writes again in the same transaction.
   */
static int see_overflow(struct check *c, uint64_t first, uint64_t size, unsigned char **ret)
{
    uint64_t needed = (PAGE_HEAD + size + c->meta.page_size - 1) / c->meta.page_size, pages;
    unsigned char head[PAGE_HEAD];
    int rc;

    if (first > c->meta.last_page)
        return bad(c, first, "no such page");
    rc = read_at(c, first, head, sizeof(head), c->meta.page_size);
    if (rc != HF_OK)
        return rc;
    pages = get32(head + 12);
    if (get64(head) != first || (get16(head + 10) & 0x7f) != P_OVERFLOW || pages < needed)
        return bad(c, first, "not the chain of pages that it should be");
    if (pages > c->meta.last_page - first + 1)
        return bad(c, first, "a chain of pages reaches beyond the last");
    for (uint64_t i = 0; rc == HF_OK && i < pages; i++)
        rc = see(c, first + i);
    c->counted.overflows += pages;
    if (rc != HF_OK || ret == NULL)
        return rc;
    *ret = malloc(pages * c->meta.page_size);
    if (*ret == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "%s: check %llu pages", c->what,
                         (unsigned long long)pages);
    return read_at(c, first, *ret, pages * c->meta.page_size, c->meta.page_size);
}

/* What the nodes of a leaf point to. */
static int check_leaf(struct check *c, const struct step *s, uint64_t page)
{
    int rc = HF_OK;

    c->counted.leaves++;
    c->counted.entries += s->count;
    for (unsigned i = 0; rc == HF_OK && i < s->count; i++) {
        const unsigned char *node = node_at(s, i), *data = node + NODE_HEAD + key_of(node).size;
        uint64_t size = get16(node) + ((uint64_t)get16(node + 2) << 16);
        unsigned char *chain = NULL;

        if ((get16(node + 4) & F_BIGDATA) != 0) {
            rc = see_overflow(c, get64(data), size, c->free_list ? &chain : NULL);
            data = chain != NULL ? chain + PAGE_HEAD : data;
        }
        if (rc == HF_OK && c->free_list)
            rc = see_free(c, page, data, size);
        free(chain);
    }
    return rc;
}

/* -- a tree ----------------------------------------------------------------------------------- */

/* Go down to a page; a leaf is dealt with at once. */
static int enter(struct check *c, uint64_t page, unsigned depth, struct key low, struct key high)
{
    struct step *s = &c->steps[c->depth];
    bool leaf = c->depth + 1 == depth;
    int rc = see(c, page);

    if (rc == HF_OK && s->page == NULL && (s->page = malloc(c->meta.page_size)) == NULL)
        rc = hf__error(HF_ENOMEM, ENOMEM, "%s: check its pages", c->what);
    if (rc == HF_OK)
        rc = read_at(c, page, s->page, c->meta.page_size, c->meta.page_size);
    if (rc != HF_OK)
        return rc;
    s->at = 0;
    s->low = low;
    s->high = high;
    rc = check_page(c, s, page, leaf);
    if (rc != HF_OK)
        return rc;
    if (leaf)
        return check_leaf(c, s, page);
    c->counted.branches++;
    c->depth++;
    return HF_OK;
}

/* The next page, down or sideways, until the root has no more. */
static int walk(struct check *c, const struct tree *tree)
{
    const struct key none = {NULL, 0};
    int rc = enter(c, tree->root, tree->depth, none, none);

    while (rc == HF_OK && c->depth > 0) {
        struct step *s = &c->steps[c->depth - 1];
        unsigned i = s->at++;

        if (i == s->count) {
            c->depth--;
            continue;
        }
        rc = enter(c, child_of(node_at(s, i)), tree->depth, i > 0 ? key_of(node_at(s, i)) : s->low,
                   i + 1 < s->count ? key_of(node_at(s, i + 1)) : s->high);
    }
    return rc;
}

static int check_tree(struct check *c, unsigned number)
{
    const struct tree *tree = &c->meta.trees[number];
    int rc = HF_OK;

    c->free_list = number == FREE_LIST;
    c->depth = 0;
    c->counted = (struct tree){.root = tree->root};
    if (tree->root != NO_PAGE) {
        if (tree->depth == 0 || tree->depth > DEPTH_MAX)
            return bad(c, tree->root, "a tree of no possible depth");
        rc = walk(c, tree);
    }
    if (rc == HF_OK &&
        (c->counted.branches != tree->branches || c->counted.leaves != tree->leaves ||
         c->counted.overflows != tree->overflows || c->counted.entries != tree->entries))
        rc = bad(c, tree->root, "a tree has not as many pages or entries as the meta page says");
    return rc;
}

static int check_all_seen(const struct check *c)
{
    for (uint64_t page = META_PAGES; page <= c->meta.last_page; page++)
        if ((c->seen[page / 8] & 1U << page % 8) == 0)
            return bad(c, page, "neither in use nor free");
    return HF_OK;
}

/* A meta page as LMDB makes it with the file: no commit, no root, and zeros behind it. */
static size_t blank_meta(const unsigned char *p, size_t page_size)
{
    enum { META_END = 152 };

    return page_size >= META_END && get32(p + 16) == META_MAGIC && get64(p + 80) == NO_PAGE &&
                   get64(p + 128) == NO_PAGE && get64(p + 144) == 0
               ? META_END
               : 0;
}

bool hf__pages_blank(int fd, size_t size)
{
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *p = malloc(PAGE_SIZE_MAX);
    ssize_t n = -1;
    bool blank = p != NULL;

    if (page_size > PAGE_SIZE_MAX)
        page_size = PAGE_SIZE_MAX; /* as LMDB does */
    for (size_t at = 0; blank && (n = pread(fd, p, page_size, (off_t)at)) > 0; at += (size_t)n) {
        size_t i = at / page_size < META_PAGES ? blank_meta(p, (size_t)n) : 0;

        while (i < (size_t)n && p[i] == 0)
            i++;
        blank = i == (size_t)n && at + (size_t)n <= size;
    }
    free(p);
    return blank && n == 0;
}

uint64_t hf__pages_published(int lock_fd)
{
    enum { TXNID_AT = 48 }; /* magic 4 | format 4 | mutex 40 | transaction 8 */
    unsigned char p[TXNID_AT + 8];

    if (pread(lock_fd, p, sizeof(p), 0) != (ssize_t)sizeof(p) || get32(p) != META_MAGIC)
        return 0;
    return get64(p + TXNID_AT);
}

int hf__pages_check(int fd, const char *what, uint64_t txnid, hf__pages_first_fn *first,
                    uint64_t published)
{
    struct check c = {.fd = fd, .what = what};
    struct stat st;
    int rc;

    if (fstat(fd, &st) != 0)
        return hf__error(HF_EIO, errno, "%s: fstat", what);
    c.file_size = (uint64_t)st.st_size;
    rc = read_metas(&c, txnid, first, published);
    if (rc == HF_OK && (c.seen = calloc(c.meta.last_page / 8 + 1, 1)) == NULL)
        rc = hf__error(HF_ENOMEM, ENOMEM, "%s: check its pages", what);
    for (unsigned i = 0; rc == HF_OK && i < TREES; i++)
        rc = check_tree(&c, i);
    if (rc == HF_OK)
        rc = check_all_seen(&c);
    for (unsigned i = 0; i < DEPTH_MAX; i++)
        free(c.steps[i].page);
    free(c.seen);
    return rc;
}
