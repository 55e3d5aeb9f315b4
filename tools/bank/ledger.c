/*
 * tools/bank/ledger.c - balances and done keys in the two stores. Begins and ends no transaction.
 */
#include "ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/kv.h"

#include "bank_input.h"

enum { KEY_SIZE = sizeof("acct/") + NAME_SIZE };

static int get_balance(int rmid, const char *key, int64_t *ret_balance)
{
    char text[24];
    char *end;
    size_t size;
    int code = hf_kv_get(rmid, key, strlen(key), text, sizeof(text), &size);

    if (code != HF_OK)
        return code;
    if (size >= sizeof(text))
        return HF_EDAMAGED;
    text[size] = '\0';
    errno = 0;
    *ret_balance = strtoll(text, &end, 10);
    return end == text || *end != '\0' || errno != 0 ? HF_EDAMAGED : HF_OK;
}

static int put_balance(int rmid, const char *key, int64_t balance)
{
    char text[24];
    int size = snprintf(text, sizeof(text), "%" PRId64, balance);

    return hf_kv_put(rmid, key, strlen(key), text, (size_t)size);
}

int ledger_home(const char *account)
{
    uint32_t hash = 2166136261u;

    for (; *account != '\0'; account++)
        hash = (hash ^ (unsigned char)*account) * 16777619u;
    return hash >> 31 == 0 ? EAST : WEST;
}

int ledger_open(hf_instance *const at[STORE_COUNT], const char *account)
{
    int rmid = hf_instance_rmid(at[ledger_home(account)]);
    char key[KEY_SIZE];
    int64_t balance;
    int code;

    snprintf(key, sizeof(key), "acct/%s", account);
    code = get_balance(rmid, key, &balance);
    return code == HF_ENOTFOUND ? put_balance(rmid, key, LEDGER_OPENING_BALANCE) : code;
}

int ledger_add(hf_instance *const at[STORE_COUNT], const char *account, int64_t amount)
{
    int rmid = hf_instance_rmid(at[ledger_home(account)]);
    char key[KEY_SIZE];
    int64_t balance;
    int code;

    snprintf(key, sizeof(key), "acct/%s", account);
    code = hf_kv_lock(rmid, key, strlen(key)); /* we shall write what we read */
    if (code == HF_OK)
        code = get_balance(rmid, key, &balance);
    if (code != HF_OK)
        return code;
    if (__builtin_add_overflow(balance, amount, &balance))
        return HF_ELIMIT;
    return put_balance(rmid, key, balance);
}

int ledger_is_done(hf_instance *store, const char *id)
{
    char key[KEY_SIZE];
    int size = snprintf(key, sizeof(key), "done/%s", id);

    return hf_kv_get(hf_instance_rmid(store), key, (size_t)size, NULL, 0, NULL);
}

int ledger_mark_done(hf_instance *store, const char *id, const hf_tx *tx)
{
    char key[KEY_SIZE], text[HF_XID_TEXT_SIZE];
    int size = snprintf(key, sizeof(key), "done/%s", id);
    XID xid;
    int code = ledger_is_done(store, id);

    if (code != HF_ENOTFOUND)
        return code == HF_OK ? HF_EEXIST : code;
    code = hf_tx_xid(tx, &xid);
    if (code == HF_OK)
        code = hf_xid_format(&xid, text);
    if (code != HF_OK)
        return code;
    return hf_kv_put(hf_instance_rmid(store), key, (size_t)size, text, strlen(text));
}
