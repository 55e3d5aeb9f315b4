/*
 * tools/bank/ledger.h - what the bank keeps in its two stores. Two files offer it, each for a
 * program of its own: ledger.c over two key-value stores, ledger_sql.c over PostgreSQL (east) and
 * MariaDB (west). How it is spelled there stands at their heads.
 *
 *   an account    its balance, in one store: the one that ledger_home() names
 *   a done mark   the XID of the transaction that carried a transfer out, in both stores
 *
 * The calls are for an instance that is enlisted in the thread's transaction. Also, with each:
 *
 *   HF_EROLLEDBACK   the store gave the work up: roll back, and do all of it again
 *   HF_ERM           the instance has lost its store: the same, with another instance
 *   HF_EDAMAGED      what is stored is not what a bank writes
 *   HF_EIO           a statement was refused for good: its words are on stderr
 */
#ifndef BANK_LEDGER_H
#define BANK_LEDGER_H

#include "holdfast/holder.h"
#include "holdfast/transaction.h"

enum { EAST, WEST, STORE_COUNT };
enum { LEDGER_OPENING_BALANCE = 1000 };

/*
 * Tell the transaction manager of both stores, "east" and "west"; where they are is known from the
 * bank's directory. HF_ELIMIT: a path is too long; HF_EIO: no good file DIR/stores; else as
 * hf_rm_register(). Why is on stderr where hf_error_last() does not know it.
 */
int ledger_register(hf_tm *tm, const char *dir, hf_rm *ret_store[STORE_COUNT]);

/* What a pool of a store's instances needs to know beside XA; NULL: nothing. */
const hf_xa_hooks *ledger_hooks(int store);

/* The store of an account: the top bit of the 32-bit FNV-1a hash of its name; 0 is east. */
static inline int ledger_home(const char *account)
{
    uint32_t hash = 2166136261u;

    for (; *account != '\0'; account++)
        hash = (hash ^ (unsigned char)*account) * 16777619u;
    return hash >> 31 == 0 ? EAST : WEST;
}

/* Open an account with LEDGER_OPENING_BALANCE, unless it is open. */
int ledger_open(hf_instance *const at[STORE_COUNT], const char *account);

/* Add to a balance; amount may be negative. HF_ENOTFOUND: no such account; HF_ELIMIT: overflow. */
int ledger_add(hf_instance *const at[STORE_COUNT], const char *account, int64_t amount);

/*
 * Of a transfer, in one store. HF_OK: done. HF_ENOTFOUND: not. Without a transaction it sees what
 * is committed and waits for nobody.
 */
int ledger_is_done(hf_instance *const at[STORE_COUNT], int store, const char *id);

/* Write down in both that tx carries the transfer out. HF_EEXIST: one did before. */
int ledger_mark_done(hf_instance *const at[STORE_COUNT], const char *id, const hf_tx *tx);

#endif
