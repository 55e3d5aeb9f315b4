/*
 * tm/store_dir.h - a store's directory, its lock file, and the registry: for store.c alone. See
 * store_dir.c, and holdfast/internal/store.h for the locks, whose functions store_dir.c has.
 */
#ifndef HF_TM_STORE_DIR_H
#define HF_TM_STORE_DIR_H

#include <stdbool.h>
#include <sys/types.h>

#include "holdfast/internal/store.h"

enum { HF__STORE_PATH_SIZE = 4096 };

/* All of it is set by hf__store_dir_open() and never changes, but `next`. */
struct hf__store_dir {
    int dir_fd;
    int lock_fd; /* -1: none */
    unsigned flags;
    unsigned process; /* hf__process() that opened it */
    dev_t dev;
    ino_t ino;
    struct hf__store_dir *next;     /* the registry's lock */
    char file[64];                  /* of the LMDB file */
    char path[HF__STORE_PATH_SIZE]; /* of the LMDB file, for messages */
};

/* The directory of an open store; part of it. */
struct hf__store_dir *hf__store_place(struct hf__store *store);

/*
 * Make the directory if config says so and it is not there, enter it in the registry, open the lock
 * file and take byte 0. Errors as hf__store_open(). After an error hf__store_dir_close() is still
 * to be called. dir must stay where it is until then.
 */
int hf__store_dir_open(struct hf__store_dir *dir, const struct hf__store_config *config);
void hf__store_dir_close(struct hf__store_dir *dir);

/* Does another process hold any byte but 0? True also if that cannot be told. */
bool hf__store_dir_shared(const struct hf__store_dir *dir);

/* Byte 0, so that one process at a time opens or closes. HF_OK also if there is no lock file. */
int hf__store_dir_take(const struct hf__store_dir *dir);

/* What the lock file says: HF_ENOTFOUND if it has no mark yet, else the identity. */
int hf__store_dir_mark(const struct hf__store_dir *dir, unsigned char ret_id[HF__STORE_ID_SIZE]);
int hf__store_dir_set_mark(const struct hf__store_dir *dir,
                           const unsigned char id[HF__STORE_ID_SIZE]);

/* Make sure that what will be read is what is on the disk: sync, then drop the cached pages.
   HF_ENOTFOUND: it is not there, and may be made. */
int hf__store_dir_check_file(const struct hf__store_dir *dir, const struct hf__store_config *config,
                             uint64_t *ret_bytes);

/* A new name is durable when the directory that holds it is synced; the directory may be new,
   too. */
int hf__store_dir_sync(const struct hf__store_dir *dir);

#endif
