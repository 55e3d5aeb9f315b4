/*
 * tm/tx/configuration.h - a configuration as it was read: what config.c and load.c share.
 */
#ifndef HF_TX_CONFIGURATION_H
#define HF_TX_CONFIGURATION_H

#include <stdbool.h>

#include "holdfast/config.h"

enum {
    HF__TX_NAME_SIZE = 32,   /* of a resource manager's name, with its NUL */
    HF__TX_STRING_MAX = 255, /* bytes of an open or close string [XA 4.3] */
    HF__TX_RMS_MAX = 256,
};

enum hf__tx_registration { HF__TX_ANY, HF__TX_STATIC, HF__TX_DYNAMIC };

/* A section [rm NAME]. Texts are its own, NULL where the file has none. */
struct hf__tx_rm {
    char name[HF__TX_NAME_SIZE];
    unsigned line;    /* of the section's first key */
    unsigned section; /* its own line */
    uint64_t given;   /* keys, a bit for each row of the table in config.c */
    char *type;
    char *library;
    char *symbol;
    char *extension;
    char *open_info, *close_info; /* may hold secrets */
    char *open_file, *close_file;
    int64_t rank;
    int64_t registration; /* enum hf__tx_registration */
    int64_t thread_bound;
    int64_t one_rmid;
    const struct xa_switch_t *xa; /* load.c */
    const hf_rm_ext *ext;
    hf_rm *rm; /* once registered */

    /* Tries of tx_begin() to open what could not be opened, of all threads: thread.c's lock. */
    uint64_t again_ms; /* monotonic: the next one, not before */
    uint32_t pause_ms; /* doubles with each; 0: the last one, of any call, succeeded */
    bool trying;       /* a thread is at it */
};

struct hf_config {
    char *path;
    unsigned section; /* line of [holdfast] */
    uint64_t given;
    char *node;
    char *nonce;
    int64_t background;
    int64_t history, history_max, slow_ms, unconfirmed_ms;
    int64_t recover_ms, recover_max_ms;
    int64_t start_wait_ms, close_wait_ms;
    int64_t timeout; /* seconds */
    int64_t log;     /* 1: to stderr */
    struct hf__tx_rm *rms;
    unsigned count;
    bool opened;
};

/* Set the thread's last error: "PATH:LINE: ...", or without the line if it is 0. Returns code. */
int hf__config_error(const hf_config *config, unsigned line, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Are its associations bound to the thread that made them? */
bool hf__config_rm_bound(const struct hf__tx_rm *rm);

/* -- load.c ----------------------------------------------------------------------------------- */

/* Find the switch, and the extension, of each resource manager. As hf_config_load(). */
int hf__config_load_switches(hf_config *config);

#endif
