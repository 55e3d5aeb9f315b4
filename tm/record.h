/*
 * tm/record.h - what the decision log and the history hold, as bytes and as structures.
 *
 * These are payloads: the store seals each with magic, version, length, sequence and checksum. All
 * numbers are big-endian. The format has one number for the whole log, HF__LOG_FORMAT; fields are
 * only ever added at the end of a payload, under a higher number, and an older log always opens.
 *
 *   key                  payload
 *   'N'                  node:        highest incarnation 4 | next rm id 4 | flags 4 | 0 4 |
 *   machine 16 |
 *                                     file system 8 | inode 8 | nonce 8 | 0 8
 *   'I' number 4         incarnation: state 1 | 0 3 | uid 4 | pid 8 | claimed ms 8 | pid namespace
 *   8 |
 *                                     fenced by 4 | nonce 4
 *   'R' rm id 4          binding:     has identity 1 | name bytes 1 | 0 2 | identity 32 | name 32
 *   'T' gtrid 28         transaction: decision 1 | outcome 1 | by recovery 1 | 0 1 | branches 4 |
 *                                     decided ms 8 | written by incarnation 4 | 0 4, then each
 *                                     branch: rm id 4 | number 4 | state 1 | token bytes 1 | code 2
 *                                     | token
 *   'O' gtrid 28         left:        a transaction's payload, of a former identity of the node:
 *                                     it belongs to the original that this node is a copy of
 *   'Q' number 8         request:     verb 1 | state 1 | 0 2 | uid 4 | asked ms 8 | done ms 8 |
 *                                     incarnation 4 | rm id 4 | reason bytes 2 | reason, then, of
 *                                     a request to forget: gtrid 28 | result 4
 * The history is a store of its own with the keys
 *   'H' number 8         finished:    gtrid 28 | 0 4 | a transaction's payload, then, but for older
 *                                     ones, open 1 | spans 1 | 0 2 | spans: see timeline.h
 *   'G' gtrid 28         index:       number 8
 *   'L'                  last:        number 8 of the newest entry
 */
#ifndef HF_TM_RECORD_H
#define HF_TM_RECORD_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coordinator.h"
#include "holdfast/inspect.h"
#include "holdfast/internal/store.h"
#include "holdfast/tm.h"

enum {
    HF__LOG_APPLICATION = 0x48464c47,     /* "HFLG" */
    HF__HISTORY_APPLICATION = 0x48464849, /* "HFHI" */
    HF__LOG_FORMAT = 1,
    HF__HISTORY_FORMAT = 1,

    HF__NODE_ID_SIZE = HF__STORE_ID_SIZE, /* a node's identity is its log's */
    HF__GTRID_SIZE = 28,                  /* node 16 | incarnation 4 | sequence 8 */
    HF__BQUAL_SIZE = 8,                   /* rm id 4 | branch number 4 */
    HF__RM_NAME_SIZE = 32,

    HF__NODE_BYTES = 64,
    HF__INCARNATION_BYTES = 40,
    HF__BINDING_BYTES = 68,
    HF__REQUEST_BYTES = 34,    /* without the reason */
    HF__REQUEST_ABOUT = 32,    /* behind it: what a request to forget is about */
    HF__REQUEST_BYTES_MAX = 34 + 128 + 32,
    HF__REC_BYTES = 24,        /* without branches */
    HF__REC_BRANCH_BYTES = 12, /* without the token */
    HF__FINISHED_BYTES = 32,   /* before the transaction's payload */
    HF__SPANS_BYTES = 4,       /* behind it, before the spans */
    HF__SPANS_MAX = 8,         /* of one transaction */
    HF__BRANCHES_MAX = 1000,
    HF__NONCE_BITS = 24, /* of a sequence, the highest; the rest counts */

    HF__NODE_BACK_IN_TIME = 1, /* flag of the node record: no automatic rollback any more */
};
static_assert(HF__GTRID_SIZE <= MAXGTRIDSIZE && HF__BQUAL_SIZE <= MAXBQUALSIZE, "[XA] 4.2");

#define HF__LOG_FILE "decisions.mdb"
#define HF__HISTORY_FILE "history.mdb"
#define HF__LOCK_FILE "incarnations"
#define HF__PAGE_FILE "shared.page"
#define HF__LOG_COMPANIONS HF__HISTORY_FILE " " HF__HISTORY_FILE "-lock " HF__PAGE_FILE
#define HF__HISTORY_COMPANIONS                                                                     \
    HF__LOG_FILE " " HF__LOG_FILE "-lock " HF__LOCK_FILE " " HF__PAGE_FILE

struct hf__node {
    uint32_t highest;    /* incarnation */
    uint32_t next_rm_id; /* from 1 */
    uint32_t flags;
    unsigned char machine[16]; /* where the log lived when it was made: machine id, */
    uint64_t file_system;      /* file system id */
    uint64_t inode;            /* and inode of the log; 0: not known */
    uint64_t nonce;            /* hash of the embedder's own; 0: none */
};

struct hf__incarnation {
    uint32_t number; /* from the key */
    uint8_t state;   /* enum hf_incarnation_state */
    uint32_t uid;
    int64_t pid;
    uint64_t claimed_ms;
    uint64_t pid_namespace; /* inode of /proc/self/ns/pid; 0: not known */
    uint32_t fenced_by;     /* incarnation; 0: none */
    uint32_t nonce;         /* random; the high bits of its transactions' sequences */
};

struct hf__binding {
    uint32_t id; /* from the key */
    bool has_identity;
    char name[HF__RM_NAME_SIZE];
    unsigned char identity[HF_IDENTITY_SIZE];
};

struct hf__rec_branch {
    uint32_t rm_id;
    uint32_t number;
    uint8_t state; /* enum hf_branch_state */
    uint8_t token_size;
    int16_t code;
    unsigned char token[HF_TOKEN_SIZE_MAX];
};

/* A transaction in the log: decided to commit, or kept for what a branch did by itself. */
struct hf__rec {
    unsigned char gtrid[HF__GTRID_SIZE];
    uint8_t decision; /* enum hf__decision: HF__COMMIT or HF__ROLLBACK */
    uint8_t outcome;  /* hf_outcome */
    bool by_recovery;
    bool left;           /* to the original of a copy: it was read from an 'O' record */
    uint64_t decided_ms; /* since 1970 */
    uint32_t written_by; /* incarnation */
    uint64_t sequence;   /* of the record, as it was read; 0: it was not */
    uint32_t count;
    struct hf__rec_branch *branches;
};

struct hf__request {
    uint64_t number; /* from the key */
    uint8_t verb;    /* enum hf_request_verb */
    uint8_t state;   /* 0 waiting, 1 done */
    uint32_t uid;
    uint64_t asked_ms;
    uint64_t done_ms;
    uint32_t incarnation; /* that did it */
    uint32_t rm_id;       /* 0: all */
    char reason[128];
    unsigned char gtrid[HF__GTRID_SIZE]; /* of a request to forget */
    int32_t result;                      /* the same, done: a result code */
};

/* Encode into a buffer of the size above; decode returns HF_EDAMAGED, with the thread's error set,
   for what no version of ours wrote. Key and payload as the store gives them. */
void hf__node_encode(const struct hf__node *n, unsigned char buf[HF__NODE_BYTES]);
int hf__node_decode(const struct hf__record *r, struct hf__node *ret);
void hf__incarnation_encode(const struct hf__incarnation *i,
                            unsigned char buf[HF__INCARNATION_BYTES]);
int hf__incarnation_decode(const unsigned char *key, size_t key_size, const struct hf__record *r,
                           struct hf__incarnation *ret);
void hf__binding_encode(const struct hf__binding *b, unsigned char buf[HF__BINDING_BYTES]);
int hf__binding_decode(const unsigned char *key, size_t key_size, const struct hf__record *r,
                       struct hf__binding *ret);
size_t hf__request_encode(const struct hf__request *q, unsigned char buf[HF__REQUEST_BYTES_MAX]);
int hf__request_decode(const unsigned char *key, size_t key_size, const struct hf__record *r,
                       struct hf__request *ret);

size_t hf__rec_size(const struct hf__rec *rec);
void hf__rec_encode(const struct hf__rec *rec, unsigned char *buf);
/* ret->branches is allocated: free() it. HF_EDAMAGED, HF_ENOMEM. */
int hf__rec_decode(const unsigned char gtrid[HF__GTRID_SIZE], const unsigned char *payload,
                   size_t size, struct hf__rec *ret);

/* -- keys ------------------------------------------------------------------------------------- */

enum { HF__KEY_SIZE_MAX = 1 + HF__GTRID_SIZE };
size_t hf__key32(unsigned char key[HF__KEY_SIZE_MAX], char kind, uint32_t number);
size_t hf__key64(unsigned char key[HF__KEY_SIZE_MAX], char kind, uint64_t number);
size_t hf__key_gtrid(unsigned char key[HF__KEY_SIZE_MAX], char kind,
                     const unsigned char gtrid[HF__GTRID_SIZE]);

/* -- XIDs of ours ----------------------------------------------------------------------------- */

void hf__gtrid_make(unsigned char gtrid[HF__GTRID_SIZE], const unsigned char node[HF__NODE_ID_SIZE],
                    uint32_t incarnation, uint64_t sequence);
static inline uint32_t hf__gtrid_incarnation(const unsigned char gtrid[HF__GTRID_SIZE])
{
    return hf__get32(gtrid + HF__NODE_ID_SIZE);
}
static inline uint64_t hf__gtrid_sequence(const unsigned char gtrid[HF__GTRID_SIZE])
{
    return hf__get64(gtrid + HF__NODE_ID_SIZE + 4);
}
/* Zeroes the XID whole, then fills it. rm_id 0: no branch qualifier. */
void hf__xid_make(XID *xid, const unsigned char gtrid[HF__GTRID_SIZE], uint32_t rm_id,
                  uint32_t number);
/* Is it of the form that we issue? Then ret_gtrid points into it; ids are 0 without a qualifier. */
bool hf__xid_ours(const XID *xid, const unsigned char **ret_gtrid, uint32_t *ret_rm_id,
                  uint32_t *ret_number);

#endif
