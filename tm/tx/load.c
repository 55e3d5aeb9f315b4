/*
 * tm/tx/load.c - switches from shared objects, and a node from a configuration.
 *
 * A library is loaded with its symbols to itself (RTLD_LOCAL) and never unloaded: it may have left
 * threads, keys or handlers behind. What it needs of us, ax_reg and ax_unreg, it finds in the
 * global scope; so libholdfast is put there before, wherever the program has got it from.
 *
 *   type       library                       switch              extension
 *   kv         libholdfast, or the program   hf_kv_switch        hf_kv_ext
 *   postgres   libholdfast-postgres.so.0     hf_postgres_switch  hf_postgres_ext
 *   mariadb    libholdfast-mariadb.so.0      hf_mariadb_switch   hf_mariadb_ext
 *
 * The latter two are looked for beside this library first, then as dlopen() does.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configuration.h"

static const struct type {
    const char *name;
    const char *library; /* NULL: libholdfast */
    const char *symbol;
    const char *extension;
} types[] = {
    {"kv", NULL, "hf_kv_switch", "hf_kv_ext"},
    {"postgres", "libholdfast-postgres.so", "hf_postgres_switch", "hf_postgres_ext"},
    {"mariadb", "libholdfast-mariadb.so", "hf_mariadb_switch", "hf_mariadb_ext"},
};

/* The object that has libholdfast in it, its symbols made global; it is loaded already. */
static void *open_holdfast(void)
{
    Dl_info info;
    void *handle = NULL;

    if (dladdr((const void *)&hf_error_last, &info) != 0 && info.dli_fname != NULL)
        handle = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_GLOBAL);
    return handle != NULL ? handle : dlopen(NULL, RTLD_LAZY); /* linked into the program */
}

/* A library of ours: beside this one, installed with a version or lying in a build directory. */
static void *open_sister(const char *library)
{
    static const char *const endings[] = {".0", ""};
    char path[PATH_MAX];
    Dl_info info;
    void *handle = NULL;
    const char *slash = NULL;

    if (dladdr((const void *)&hf_config_load, &info) != 0 && info.dli_fname != NULL)
        slash = strrchr(info.dli_fname, '/');
    for (unsigned i = 0; handle == NULL && slash != NULL && i < 2; i++) {
        if (snprintf(path, sizeof(path), "%.*s/%s%s", (int)(slash - info.dli_fname), info.dli_fname,
                     library, endings[i]) < (int)sizeof(path))
            handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    for (unsigned i = 0; handle == NULL && i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s%s", library, endings[i]);
        handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    return handle;
}

static const char *why_not(void)
{
    const char *why = dlerror();

    errno = 0;
    return why != NULL ? why : "no reason given";
}

/* Fill in what its type stands for, and open the library. */
static int open_library(hf_config *c, struct hf__tx_rm *rm, void **ret_handle)
{
    const struct type *type = NULL;

    for (size_t i = 0; rm->type != NULL && i < sizeof(types) / sizeof(*types); i++)
        if (strcmp(types[i].name, rm->type) == 0)
            type = &types[i];
    if (type != NULL) {
        rm->symbol = strdup(type->symbol);
        rm->extension = strdup(type->extension);
        if (rm->symbol == NULL || rm->extension == NULL)
            return hf_error_set(HF_ENOMEM, ENOMEM, "read a configuration");
    }
    if (rm->library != NULL)
        *ret_handle = dlopen(rm->library, RTLD_NOW | RTLD_LOCAL);
    else if (type != NULL)
        *ret_handle = type->library != NULL ? open_sister(type->library) : open_holdfast();
    else
        *ret_handle = dlopen(NULL, RTLD_LAZY);
    if (*ret_handle == NULL)
        return hf__config_error(c, rm->line, HF_ENOTFOUND, "[rm %s]: %s", rm->name, why_not());
    return HF_OK;
}

static int check_switch(const hf_config *c, const struct hf__tx_rm *rm)
{
    bool dynamic;
    int rc = hf_switch_check(rm->name, rm->xa);

    if (rc != HF_OK) /* the text names the resource manager */
        return hf__config_error(c, rm->line, rc, "%s", hf_error_last()->text);
    dynamic = (rm->xa->flags & TMREGISTER) != 0;
    if (rm->registration != HF__TX_ANY && dynamic != (rm->registration == HF__TX_DYNAMIC))
        return hf__config_error(c, rm->line, HF_ESWITCH, "[rm %s]: the switch %s is a %s one",
                                rm->name, rm->symbol, dynamic ? "dynamic" : "static");
    return HF_OK;
}

static int load_switch(hf_config *c, struct hf__tx_rm *rm)
{
    void *handle = NULL;
    int rc = open_library(c, rm, &handle);

    if (rc != HF_OK)
        return rc;
    rm->xa = dlsym(handle, rm->symbol);
    if (rm->xa == NULL)
        return hf__config_error(c, rm->line, HF_ENOTFOUND, "[rm %s]: no symbol %s: %s", rm->name,
                                rm->symbol, why_not());
    if (rm->extension != NULL && (rm->ext = dlsym(handle, rm->extension)) == NULL)
        return hf__config_error(c, rm->line, HF_ENOTFOUND, "[rm %s]: no symbol %s: %s", rm->name,
                                rm->extension, why_not());
    return check_switch(c, rm);
}

int hf__config_load_switches(hf_config *config)
{
    int rc = HF_OK;

    (void)open_holdfast(); /* only for ax_reg and ax_unreg: it stays loaded anyway */
    for (unsigned i = 0; rc == HF_OK && i < config->count; i++)
        rc = load_switch(config, &config->rms[i]);
    return rc;
}

/* -- a node from it --------------------------------------------------------------------------- */

static int register_all(hf_config *c, hf_tm *tm)
{
    int rc = HF_OK;

    for (unsigned i = 0; rc == HF_OK && i < c->count; i++) {
        struct hf__tx_rm *rm = &c->rms[i];
        hf_rm_config config = HF_RM_CONFIG_INIT;

        config.name = rm->name;
        config.xa = rm->xa;
        config.open_info = rm->open_info;
        config.close_info = rm->close_info;
        config.rank = (int)rm->rank;
        config.thread_bound = rm->thread_bound != 0;
        config.one_rmid = rm->one_rmid != 0;
        config.ext = rm->ext;
        rc = hf_rm_register(tm, &config, &rm->rm);
    }
    return rc;
}

int hf_config_open(hf_config *config, const hf_config_host *host, hf_tm **ret_tm)
{
    hf_tm_config tm_config = HF_TM_CONFIG_INIT;
    hf_tm *tm = NULL;
    int rc;

    if (config == NULL || ret_tm == NULL || (host != NULL && host->size != sizeof(*host)))
        return hf_error_set(HF_EINVAL, 0, "hf_config_open: a null, or an unknown size");
    if (config->opened)
        return hf_error_set(HF_ESTATE, 0, "hf_config_open: opened already");
    tm_config.dir = config->node;
    tm_config.nonce = config->nonce;
    tm_config.background = config->background != 0;
    tm_config.history = (uint32_t)config->history;
    tm_config.history_max = (uint32_t)config->history_max;
    tm_config.slow_ms = (uint32_t)config->slow_ms;
    tm_config.unconfirmed_ms = (uint32_t)config->unconfirmed_ms;
    tm_config.recover_ms = (uint32_t)config->recover_ms;
    tm_config.recover_max_ms = (uint32_t)config->recover_max_ms;
    if (host != NULL) {
        tm_config.log = host->log;
        tm_config.user = host->user;
        tm_config.panic = host->panic;
    }
    rc = hf_tm_open(&tm_config, &tm);
    if (rc != HF_OK)
        return rc;
    rc = register_all(config, tm);
    if (rc != HF_OK) {
        hf_error why = *hf_error_last();

        (void)hf_tm_close(tm, 0, NULL); /* nothing has begun yet */
        return hf_error_set(why.code, why.native_code, why.text);
    }
    config->opened = true;
    *ret_tm = tm;
    return HF_OK;
}
