/*
 * tm/adopt.c - is a node still where it was, and whose is it if it is not?
 *
 * The node record remembers machine id, file system and inode of the log, and a hash of the
 * embedder's nonce. An opening that finds another refuses: two running copies of one node would
 * take each other's prepared branches for those of a dead incarnation, and roll them back. Only a
 * person can say which of two things happened:
 *
 *   moved    the original is gone. The identity stays, and with it every unfinished transaction;
 *            the place is stored anew. A node that was restored from a backup has moved, too.
 *   copied   the original lives, and finishes what it began: its branches are prepared under its
 *            identity at resource managers that both may reach. So the copy gets an identity of its
 *            own. Recovery touches no branch of another identity. The records of unfinished
 *            transactions are kept as 'O', left to the original, and nobody acts on them; the
 *            incarnations go, for nobody here ever was one of them. Their highest number stays, and
 *            so do the ids of resource managers: neither is ever given out twice.
 *
 * What always holds
 *   D1  All of it is one batch of the decision log: an adoption is there whole or not at all.
 *   D2  It happens while nobody has the node open, and nobody can open it: byte 0 of the lock file
 *       and every incarnation's byte are ours.
 *   D3  Who did it, when and why stays in the log as a request that is done.
 *
 * If we crash ...                    on disk                            the next opening
 *   before the batch                 the old identity and place         refuses, as before
 *   after the batch of "moved"       the place                          opens
 *   after the batch of "copied"      the new identity; the lock file    sees that it is the head's
 *                                    has the mark of the old one        former one, and writes the
 *                                                                       mark (store.c)
 *   after that                       all of it                          opens
 * Twice is the same as once for "moved". A second "copied" gives another new identity, and leaves
 * what was begun under the first one.
 *
 * The records of kind 'O' stay for good. Whether the original has finished such a transaction
 * cannot be told from here: a branch that a resource manager no longer lists may have been ended by
 * the original, or by a hand, and one that it does not list yet may come. They are what
 * hf_tm_outcome() and `txctl tx show` know of a branch that is met under the old identity. They
 * are as many as were unfinished at the moment of the copy, cost their part of the walk that
 * verifies an opening, and nothing else: recovery does not read them.
 *
 * The file system counts only where its id comes from the file system itself: others (xfs, f2fs,
 * vfat) give the device's number, which changes from boot to boot.
 */
#include "adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "holdfast/internal/fault.h"

enum { PATH_SIZE = 4096 };

/* -- the place -------------------------------------------------------------------------------- */

static void find_machine(unsigned char ret[16])
{
    char text[33] = "";
    int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

    for (int i = 0; got == 32 && i < 16; i++) {
        char two[3] = {text[2 * i], text[2 * i + 1], '\0'};

        ret[i] = (unsigned char)strtoul(two, NULL, 16);
    }
    if (fd >= 0)
        (void)close(fd);
}

static bool has_own_id(const struct statfs *fs)
{
    static const uint32_t types[] = {
        0xef53 /* ext */,       0x9123683e /* btrfs */,   0x2fc12fc1 /* zfs */,
        0x01021994 /* tmpfs */, 0x794c7630 /* overlay */, 0xca451a4e /* bcachefs */,
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if ((uint32_t)fs->f_type == types[i])
            return true;
    return false;
}

void hf__place_find(const char *dir, struct hf__node *ret)
{
    char path[PATH_SIZE];
    struct statfs fs;
    struct stat st;

    find_machine(ret->machine);
    if (statfs(dir, &fs) == 0 && has_own_id(&fs))
        memcpy(&ret->file_system, &fs.f_fsid, sizeof(ret->file_system));
    (void)snprintf(path, sizeof(path), "%s/%s", dir, HF__LOG_FILE);
    if (stat(path, &st) == 0)
        ret->inode = st.st_ino;
}

uint64_t hf__place_nonce(const char *text)
{
    uint64_t hash;

    if (text == NULL || text[0] == '\0')
        return 0;
    hash = hf__store_hash(text, strlen(text));
    return hash != 0 ? hash : 1;
}

/* What is not known, then or now, is no difference. */
static bool number_differs(uint64_t was, uint64_t now)
{
    return was != 0 && now != 0 && was != now;
}

static bool machine_differs(const struct hf__node *was, const struct hf__node *now)
{
    static const unsigned char unknown[16];

    return memcmp(was->machine, unknown, sizeof(unknown)) != 0 &&
           memcmp(now->machine, unknown, sizeof(unknown)) != 0 &&
           memcmp(was->machine, now->machine, sizeof(unknown)) != 0;
}

int hf__place_check(const char *dir, const struct hf__node *was, const struct hf__node *now)
{
    bool machine = machine_differs(was, now);
    bool file_system = number_differs(was->file_system, now->file_system);
    bool inode = number_differs(was->inode, now->inode);
    bool nonce = was->nonce != 0 && was->nonce != now->nonce; /* none now is another one, too */

    if (!machine && !file_system && !inode && !nonce)
        return HF_OK;
    return hf__error(HF_EMOVED, 0,
                     "%s: moved or copied: it has another%s%s%s%s than when it was used last; "
                     "txctl log adopt takes it as either",
                     dir, machine ? " machine id" : "",
                     file_system ? machine ? ", file system" : " file system" : "",
                     inode ? machine || file_system ? ", inode" : " inode" : "",
                     nonce ? machine || file_system || inode ? ", nonce" : " nonce" : "");
}

/* -- adoption --------------------------------------------------------------------------------- */

struct adoption {
    int how;
    struct hf__node place;
    unsigned char identity[HF__STORE_ID_SIZE]; /* of a copy */
    struct hf__request audit;
};

/* The first record under a prefix, copied: a batch must not write while it walks. */
struct first {
    unsigned char key[HF__KEY_SIZE_MAX];
    size_t key_size;
    unsigned char *payload;
    size_t size;
};

static int copy_first(void *user, const unsigned char *key, size_t key_size,
                      const struct hf__record *r)
{
    struct first *f = user;

    if (key_size > sizeof(f->key))
        return hf__error(HF_EDAMAGED, 0, "the log has a key of %zu bytes", key_size);
    f->payload = malloc(r->size + 1);
    if (f->payload == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "copy a record of %zu bytes", r->size);
    memcpy(f->key, key, key_size);
    f->key_size = key_size;
    memcpy(f->payload, r->data, r->size);
    f->size = r->size;
    return 1; /* no more */
}

/* Take away every record of a kind; as: the kind under which its payload is kept, or 0. */
static int take_all(struct hf__store_txn *t, char kind, char as)
{
    int rc;

    for (;;) { /* bound: the records of the kind */
        struct first f = {.payload = NULL};

        rc = hf__store_each(t, &kind, 1, copy_first, &f);
        if (rc != 1)
            return rc;
        rc = hf__store_delete(t, f.key, f.key_size);
        f.key[0] = (unsigned char)as;
        if (rc == HF_OK && as != 0)
            rc = hf__store_put(t, f.key, f.key_size, (uint8_t)as, f.payload, f.size);
        free(f.payload);
        if (rc != HF_OK)
            return rc;
    }
}

static int put_adoption(struct hf__store_txn *t, void *arg)
{
    struct adoption *a = arg;
    unsigned char buf[HF__NODE_BYTES];
    struct hf__node node;
    struct hf__record r;
    int rc = hf__store_get(t, "N", 1, &r);

    if (rc == HF_ENOTFOUND)
        return hf__error(HF_ENOTNODE, 0, "the node was never opened: there is nothing to adopt");
    if (rc == HF_OK)
        rc = hf__node_decode(&r, &node);
    if (rc != HF_OK)
        return rc;
    memcpy(node.machine, a->place.machine, sizeof(node.machine));
    node.file_system = a->place.file_system;
    node.inode = a->place.inode;
    node.nonce = 0; /* the next opening stores its own */
    if (a->how == HF_ADOPT_COPIED) {
        node.flags &= ~(uint32_t)HF__NODE_BACK_IN_TIME; /* that was said of the old identity */
        rc = take_all(t, 'T', 'O');
        if (rc == HF_OK)
            rc = take_all(t, 'I', 0);
        hf__store_renew(t, a->identity);
    }
    hf__node_encode(&node, buf);
    if (rc == HF_OK)
        rc = hf__store_put(t, "N", 1, 'N', buf, sizeof(buf));
    return rc == HF_OK ? hf__put_request(t, &a->audit) : rc;
}

int hf__open_alone(const char *dir, struct hf__store **ret)
{
    struct hf__store_config config = {.dir = dir,
                                      .file = HF__LOG_FILE,
                                      .lock_file = HF__LOCK_FILE,
                                      .companions = HF__LOG_COMPANIONS,
                                      .application = HF__LOG_APPLICATION,
                                      .format = HF__LOG_FORMAT};
    int rc = hf__store_open(&config, ret); /* byte 0 stays locked: we do not let go of it */

    if (rc != HF_OK)
        return rc;
    rc = hf__store_lock_all(*ret);
    if (rc == HF_OK)
        rc = hf__store_verify(*ret);
    if (rc != HF_OK) {
        hf__store_close(*ret);
        *ret = NULL;
    }
    return rc;
}

int hf__adopt(const char *dir, int how, const char *reason)
{
    struct adoption a = {.how = how};
    struct hf__store *store = NULL;
    int rc;

    if (how != HF_ADOPT_MOVED && how != HF_ADOPT_COPIED)
        return hf__error(HF_EINVAL, 0, "%s: adopt: neither moved nor copied", dir);
    if (getrandom(a.identity, sizeof(a.identity), 0) != (ssize_t)sizeof(a.identity))
        return hf__error(HF_EIO, errno, "%s: make an identity: %s", dir, strerror(errno));
    a.audit.verb = how == HF_ADOPT_MOVED ? HF_REQUEST_ADOPT_MOVED : HF_REQUEST_ADOPT_COPIED;
    a.audit.state = 1; /* done */
    a.audit.uid = getuid();
    a.audit.asked_ms = a.audit.done_ms = hf__now_ms();
    (void)snprintf(a.audit.reason, sizeof(a.audit.reason), "%s", reason != NULL ? reason : "");
    rc = hf__open_alone(dir, &store);
    if (rc != HF_OK)
        return rc;
    hf__place_find(dir, &a.place);
    HF_FAULT("adopt:alone");
    rc = hf__store_apply(store, put_adoption, &a);
    HF_FAULT("adopt:stored");
    hf__store_close(store);
    if (rc == HF_OK && how == HF_ADOPT_COPIED && hf__open_alone(dir, &store) == HF_OK)
        hf__store_close(store); /* that wrote the mark; else the next opening does */
    return rc;
}
