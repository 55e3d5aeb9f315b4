/*
 * tools/bank/ledger.h - what the bank keeps in its two stores, and how it is spelled.
 *
 *   acct/NAME   the balance as decimal text, in one store: the one that ledger_home() names
 *   done/ID     the XID of the transaction that carried transfer ID out, in both stores
 *
 * The calls are for an instance that is enlisted in the thread's transaction, and return what
 * hf_kv_get() and hf_kv_put() return, above all HF_EROLLEDBACK. HF_EDAMAGED: a balance that is
 * not a number.
 */
#ifndef BANK_LEDGER_H
#define BANK_LEDGER_H

#include "holdfast/transaction.h"

enum { EAST, WEST, STORE_COUNT };
enum { LEDGER_OPENING_BALANCE = 1000 };

/* The store of an account: the top bit of the 32-bit FNV-1a hash of its name; 0 is east. */
int ledger_home(const char *account);

/* Open an account with LEDGER_OPENING_BALANCE, unless it is open. */
int ledger_open(hf_instance *const at[STORE_COUNT], const char *account);

/* Add to a balance; amount may be negative. HF_ENOTFOUND: no such account; HF_ELIMIT: overflow. */
int ledger_add(hf_instance *const at[STORE_COUNT], const char *account, int64_t amount);

/*
 * HF_OK: done. HF_ENOTFOUND: not. Without a transaction it sees what is committed and waits for
 * nobody.
 */
int ledger_is_done(hf_instance *store, const char *id);

/* Write down that tx carries the transfer out. HF_EEXIST: one did before. */
int ledger_mark_done(hf_instance *store, const char *id, const hf_tx *tx);

#endif
