/*
 * tools/bank/ledger.c - the ledger in two key-value stores, DIR/east and DIR/west. Begins and ends
 * no transaction.
 *
 *   acct/NAME   the balance as decimal text
 *   done/ID     the XID as text
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

int ledger_is_done(hf_instance *const at[STORE_COUNT], int store, const char *id)
{
    char key[KEY_SIZE];
    int size = snprintf(key, sizeof(key), "done/%s", id);

    return hf_kv_get(hf_instance_rmid(at[store]), key, (size_t)size, NULL, 0, NULL);
}

int ledger_mark_done(hf_instance *const at[STORE_COUNT], const char *id, const hf_tx *tx)
{
    char key[KEY_SIZE], text[HF_XID_TEXT_SIZE];
    int size = snprintf(key, sizeof(key), "done/%s", id);
    XID xid;
    int code = hf_tx_xid(tx, &xid);

    if (code == HF_OK)
        code = hf_xid_format(&xid, text);
    for (int store = EAST; store < STORE_COUNT && code == HF_OK; store++) {
        code = ledger_is_done(at, store, id);
        if (code == HF_OK)
            return HF_EEXIST;
        if (code == HF_ENOTFOUND)
            code = hf_kv_put(hf_instance_rmid(at[store]), key, (size_t)size, text, strlen(text));
    }
    return code;
}

static int register_store(hf_tm *tm, const char *dir, const char *name, hf_rm **ret)
{
    hf_rm_config config = HF_RM_CONFIG_INIT;
    char open_info[MAXINFOSIZE];
    int size = snprintf(open_info, sizeof(open_info), "dir=%s/%s", dir, name);

    if ((size_t)size >= sizeof(open_info))
        return HF_ELIMIT;
    config.name = name;
    config.xa = &hf_kv_switch;
    config.ext = &hf_kv_ext;
    config.open_info = open_info;
    return hf_rm_register(tm, &config, ret);
}

int ledger_register(hf_tm *tm, const char *dir, hf_rm *ret_store[STORE_COUNT])
{
    int code = register_store(tm, dir, "east", &ret_store[EAST]);

    return code == HF_OK ? register_store(tm, dir, "west", &ret_store[WEST]) : code;
}

const hf_xa_hooks *ledger_hooks(int store)
{
    (void)store; /* a key-value store keeps nothing of its last user, and does not go away */
    return NULL;
}
