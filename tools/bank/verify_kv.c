/*
 * tools/bank/verify_kv.c - read the bank's key-value stores, through their public header.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "holdfast/kv.h"

#include "bank_verify.h"

enum { TEXT_SIZE = sizeof("done/") + 40 };

struct walk {
    struct audit *audit;
    int store;
};

static int found_key(void *user, const void *key, size_t key_size, const void *value,
                     size_t value_size)
{
    const struct walk *w = user;
    char text[TEXT_SIZE];
    bool fits;

    snprintf(text, sizeof(text), "%.*s", (int)key_size, (const char *)key);
    fits = strlen(text) == key_size; /* not cut, and no zero byte inside */
    if (fits && strncmp(text, "done/", 5) == 0)
        verify_found_done(w->audit, w->store, text + 5, value, value_size);
    else if (fits && strncmp(text, "acct/", 5) == 0)
        verify_found_account(w->audit, w->store, text + 5, value, value_size);
    else
        violation(w->audit, "%s: a key that no bank writes: %s", verify_names[w->store], text);
    return 0;
}

/* V6 at a store: a whole scan lists nothing. */
static void check_prepared(struct audit *a, int store, int rmid)
{
    XID xid;
    char text[HF_XID_TEXT_SIZE];
    int count = hf_kv_switch.xa_recover_entry(&xid, 1, rmid, TMSTARTRSCAN);

    for (; count == 1; count = hf_kv_switch.xa_recover_entry(&xid, 1, rmid, TMNOFLAGS)) {
        (void)hf_xid_format(&xid, text); /* "foreign" says enough */
        violation(a, "%s: still prepared: %s", verify_names[store], text);
    }
    if (count < 0)
        violation(a, "%s: xa_recover answers %d", verify_names[store], count);
}

void verify_read_store(struct audit *a, const char *dir, int store)
{
    struct walk walk = {a, store};
    char info[MAXINFOSIZE];
    int rmid = store + 1;
    int code;

    if ((size_t)snprintf(info, sizeof(info), "dir=%s/%s;create=no", dir, verify_names[store]) >=
        sizeof(info)) {
        violation(a, "%s: the path is too long", verify_names[store]);
        return;
    }
    code = hf_kv_switch.xa_open_entry(info, rmid, TMNOFLAGS);
    if (code != XA_OK) {
        violation(a, "%s: xa_open answers %d: %s", verify_names[store], code,
                  hf_error_last()->text);
        return;
    }
    code = hf_kv_each(rmid, "", 0, found_key, &walk);
    if (code != HF_OK)
        violation(a, "%s: cannot be read: %s", verify_names[store], hf_strerror(code));
    check_prepared(a, store, rmid);
    info[0] = '\0';
    code = hf_kv_switch.xa_close_entry(info, rmid, TMNOFLAGS);
    if (code != XA_OK)
        violation(a, "%s: xa_close answers %d", verify_names[store], code);
}
