/*
 * holdfast/config.h - the configuration file: a node and its resource managers, without a program.
 *
 * Used by tx_open(), which finds the file by the environment's HOLDFAST_CONFIG, by `txctl config
 * check`, and by native programs. Part of libholdfast-tx.
 *
 *   [holdfast]
 *   node = /var/lib/shop/node       the node's directory; required
 *
 *   [rm stock]                      a section for each resource manager; the name is 1 to 31 bytes
 *   type = kv                       kv, postgres or mariadb; or, for any vendor's switch:
 *   library = libdb-5.3.so          what dlopen() takes; without it the program itself is searched
 *   symbol = db_xa_switch
 *   open = dir=/var/lib/shop/stock  its open string
 *
 * Further keys of [holdfast]:
 *   nonce = TEXT                    hf_tm_config.nonce
 *   background = yes|no             hf_tm_config.background; preset yes. With no the program calls
 *                                   hf_tm_tick(), after tx_open() with hf_opened_tm()
 *   history = worthy|all|none       hf_tm_config.history; history_max and slow_ms are numbers, as
 *                                   there
 *   unconfirmed_ms = N              hf_tm_config.unconfirmed_ms: how long a commit that nobody can
 *                                   confirm stays in doubt
 *   recover_ms, recover_max_ms = N  hf_tm_config.recover_ms and recover_max_ms: the pauses between
 *                                   recovery passes; and, by the same rule, between two tries of
 *                                   tx_begin(), in any thread, to open a resource manager that
 *                                   could not be opened by tx_open(). No pause is shorter than the
 *                                   try before it took
 *   start_wait_ms = N               for hf_tm_start(); preset 0
 *   close_wait_ms = N               for hf_tm_close() by the last tx_close(); preset 10000
 *   timeout = SECONDS               the initial transaction_timeout of each thread; preset 0, none
 *   log = none|stderr               where tx_open() and what follows tell what an operator should
 *                                   know, if hf_opened_log() was not called; preset none
 *
 * Further keys of [rm NAME]:
 *   extension = SYMBOL              an hf_rm_ext in the same library; kv, postgres and mariadb
 *                                   bring theirs
 *   close = TEXT                    the close string
 *   open_file, close_file = PATH    instead of open and close, for secrets: the first line of a
 *                                   file that belongs to this user and is open to nobody else
 *   rank = N                        hf_rm_config.rank
 *   registration = static|dynamic   what the switch has to be, checked; preset: either
 *   thread_bound = yes|no           hf_rm_config.thread_bound
 *   rmid = thread|process           one rmid for each thread, or one for all of them, as
 *                                   hf_rm_config.one_rmid says; preset thread. Not for a
 *                                   type: an rmid of these is a session
 *
 * A line is at most 196 bytes; a longer value goes on in the next line, after white space. # and ;
 * begin a comment at the beginning of a line, and ; after white space. An unknown key is an error,
 * and so is a key or section that is repeated, with file and line. A resource manager that is no
 * longer in the file keeps what the log says it is owed: `txctl status` shows it.
 */
#ifndef HOLDFAST_CONFIG_H
#define HOLDFAST_CONFIG_H

#include "holdfast/tm.h"

HF_BEGIN_DECLS

/** A configuration that was read. Used by one thread at a time. */
typedef struct hf_config hf_config;

/** One resource manager of it. Texts are borrowed, and live as long as the configuration. */
typedef struct hf_config_rm {
    size_t size;                  /**< set by the caller: sizeof(hf_config_rm) */
    const char *name;             /**< of the section */
    const char *library;          /**< that the switch is in; "" for the program or libholdfast */
    const char *symbol;           /**< of the switch */
    const struct xa_switch_t *xa; /**< the switch */
    int rank;
    uint32_t dynamic;      /**< 1: it registers by ax_reg() */
    uint32_t thread_bound; /**< as configured, or because of TMNOMIGRATE or TMREGISTER */
    uint32_t one_rmid;     /**< 1: one rmid for the process */
    hf_rm *rm;             /**< after hf_config_open(); else NULL */
} hf_config_rm;

/** Who is told what, for hf_config_open(). Start from HF_CONFIG_HOST_INIT. */
typedef struct hf_config_host {
    size_t size; /**< sizeof(hf_config_host) */
    void (*log)(void *user, int level, const char *text);  /**< hf_tm_config.log */
    void *user;                                            /**< hf_tm_config.user */
    void (*panic)(void *user, const char *text);           /**< hf_tm_config.panic */
} hf_config_host;
#define HF_CONFIG_HOST_INIT                                                                        \
    {                                                                                              \
        sizeof(hf_config_host), NULL, NULL, NULL                                                   \
    }

/**
 * Read a configuration file, load the libraries that it names, and check their switches. Nothing
 * of a resource manager is called. Libraries stay loaded until the process ends.
 *
 * @param path        The file.
 * @param ret_config  Written on success only. Free it with hf_config_free().
 *
 * @retval HF_OK
 * @retval HF_ENOTFOUND  no such file; or a library or a symbol is missing.
 * @retval HF_EINVAL     something in it is wrong; hf_error_last() says what, with file and line.
 * @retval HF_ESWITCH    a switch is not acceptable: see hf_switch_check(); or it registers
 *                       otherwise than the file says.
 * @retval HF_EOWNER     a file with an open or close string belongs to another user, or is open to
 *                       others; or the configuration is neither this user's nor root's, or anybody
 *                       can write it.
 * @retval HF_EIO, HF_ENOMEM
 *
 * Threads: any.
 */
HF_API int hf_config_load(const char *path, hf_config **ret_config) HF_MUST_CHECK;

/** Free it, after the node that was opened from it is closed. NULL is allowed. */
HF_API void hf_config_free(hf_config *config);

/**
 * Open the node and register every resource manager of the file. hf_tm_start() is the caller's.
 *
 * @param host    May be NULL.
 * @param ret_tm  Written on success only. Close it with hf_tm_close() before config is freed.
 *
 * @retval HF_OK
 * @retval HF_ESTATE  opened already.
 * @retval HF_EINVAL  a null, or an unknown size.
 * @return else what hf_tm_open() and hf_rm_register() return; nothing is left open.
 *
 * Threads: any.
 */
HF_API int hf_config_open(hf_config *config, const hf_config_host *host,
                          hf_tm **ret_tm) HF_MUST_CHECK;

/** The node's directory, as the file has it; borrowed. */
HF_API const char *hf_config_node(const hf_config *config);

/** How many resource managers it has. */
HF_API unsigned hf_config_rm_count(const hf_config *config);

/**
 * One of them, in the order of the file.
 *
 * @retval HF_OK
 * @retval HF_ENOTFOUND  index is not below hf_config_rm_count().
 * @retval HF_EINVAL     a null, or an unknown size.
 */
HF_API int hf_config_get_rm(const hf_config *config, unsigned index, hf_config_rm *ret_rm);

/** The resource manager of that name after hf_config_open(), else NULL; borrowed. */
HF_API hf_rm *hf_config_find_rm(const hf_config *config, const char *name);

/* -- for programs that are written to tx.h ----------------------------------------------------- */

/**
 * Have log called with what tx_open(), and what follows it, have to say: why a call failed, what
 * an operator should know. For the whole process, from the next tx_open() that opens the node. NULL
 * takes it back.
 *
 * Threads: any. log is called from any thread, with no lock held.
 */
HF_API void hf_opened_log(void (*log)(void *user, int level, const char *text), void *user);

/**
 * The rmid that the calling thread has a resource manager open by: for its native interface.
 *
 * @retval HF_OK
 * @retval HF_ESTATE     tx_open() was not called in this thread.
 * @retval HF_ENOTFOUND  no resource manager of this name is configured.
 * @retval HF_ERM        it could not be opened.
 * @retval HF_EINVAL     a null argument.
 *
 * It may change when the resource manager was lost and tx_begin() has opened it again. After a
 * commit with TX_COMMIT_DECISION_LOGGED it waits for the second phase, as tx_begin() does.
 */
HF_API int hf_opened_rmid(const char *name, int *ret_rmid) HF_MUST_CHECK;

/** The node that tx_open() has open in this process, or NULL; borrowed, until the last
    tx_close(). For hf_tm_get_stats(), hf_tm_outcome() and the like. */
HF_API hf_tm *hf_opened_tm(void);

HF_END_DECLS

#endif
