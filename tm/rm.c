/*
 * tm/rm.c - resource managers as they are registered, and the names of XA's codes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node.h"

const char *hf__xa_name(int xa_code)
{
    static const struct {
        int code;
        const char *name;
    } names[] = {
        {XA_OK, "XA_OK"},
        {XA_RDONLY, "XA_RDONLY"},
        {XA_RETRY, "XA_RETRY"},
        {XA_HEURMIX, "XA_HEURMIX"},
        {XA_HEURRB, "XA_HEURRB"},
        {XA_HEURCOM, "XA_HEURCOM"},
        {XA_HEURHAZ, "XA_HEURHAZ"},
        {XA_NOMIGRATE, "XA_NOMIGRATE"},
        {XA_RBROLLBACK, "XA_RBROLLBACK"},
        {XA_RBCOMMFAIL, "XA_RBCOMMFAIL"},
        {XA_RBDEADLOCK, "XA_RBDEADLOCK"},
        {XA_RBINTEGRITY, "XA_RBINTEGRITY"},
        {XA_RBOTHER, "XA_RBOTHER"},
        {XA_RBPROTO, "XA_RBPROTO"},
        {XA_RBTIMEOUT, "XA_RBTIMEOUT"},
        {XA_RBTRANSIENT, "XA_RBTRANSIENT"},
        {XAER_ASYNC, "XAER_ASYNC"},
        {XAER_RMERR, "XAER_RMERR"},
        {XAER_NOTA, "XAER_NOTA"},
        {XAER_INVAL, "XAER_INVAL"},
        {XAER_PROTO, "XAER_PROTO"},
        {XAER_RMFAIL, "XAER_RMFAIL"},
        {XAER_DUPID, "XAER_DUPID"},
        {XAER_OUTSIDE, "XAER_OUTSIDE"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (names[i].code == xa_code)
            return names[i].name;
    return "a code that is not XA's";
}

int hf__copy_sized(void *to, size_t to_size, const void *from, size_t from_size, const char *what)
{
    if (from_size != to_size)
        return hf__error(HF_EINVAL, 0, "%s has size %zu; this version knows %zu", what, from_size,
                         to_size);
    memcpy(to, from, to_size);
    return HF_OK;
}

int hf_switch_check(const char *rm, const struct xa_switch_t *xa)
{
    if (rm == NULL || xa == NULL)
        return hf__error(HF_EINVAL, 0, "%s: the switch is null", rm != NULL ? rm : "no name");
    if (memchr(xa->name, '\0', sizeof(xa->name)) == NULL)
        return hf__error(HF_ESWITCH, 0, "%s: the switch's name has no end within %d bytes", rm,
                         RMNAMESZ);
    if (xa->version != 0)
        return hf__error(HF_ESWITCH, 0,
                         "%s: the switch has version %ld, not 0; is its long of 32 bits?", rm,
                         xa->version);
    if (xa->xa_open_entry == NULL || xa->xa_close_entry == NULL || xa->xa_start_entry == NULL ||
        xa->xa_end_entry == NULL || xa->xa_rollback_entry == NULL || xa->xa_prepare_entry == NULL ||
        xa->xa_commit_entry == NULL || xa->xa_recover_entry == NULL ||
        xa->xa_forget_entry == NULL || xa->xa_complete_entry == NULL)
        return hf__error(HF_ESWITCH, 0, "%s: the switch has a null entry", rm);
    return HF_OK;
}

static int check_string(const char *rm, const char *what, const char *string)
{
    if (string != NULL && strlen(string) > HF__STRING_MAX)
        return hf__error(HF_EINVAL, 0, "%s: the %s string is over %d bytes", rm, what,
                         HF__STRING_MAX);
    return HF_OK;
}

static int check_config(const hf_rm_config *cfg)
{
    size_t length = cfg->name != NULL ? strlen(cfg->name) : 0;
    int rc;

    if (length == 0 || length >= HF__RM_NAME_SIZE)
        return hf__error(HF_EINVAL, 0, "a resource manager's name has 1 to %d bytes, not %zu",
                         HF__RM_NAME_SIZE - 1, length);
    rc = check_string(cfg->name, "open", cfg->open_info);
    if (rc == HF_OK)
        rc = check_string(cfg->name, "close", cfg->close_info);
    return rc == HF_OK ? hf_switch_check(cfg->name, cfg->xa) : rc;
}

/* Put it into the tm's list, unless its name is there. */
static int add(hf_tm *tm, hf_rm *rm)
{
    int rc = HF_OK;

    (void)pthread_mutex_lock(&tm->lock);
    if (tm->state == HF__TM_CLOSING)
        rc = hf__error(HF_ESTATE, 0, "%s: register: the node is closing", rm->name);
    for (const hf_rm *o = tm->rms; rc == HF_OK && o != NULL; o = o->next)
        if (strcmp(o->name, rm->name) == 0)
            rc = hf__error(HF_EEXIST, 0, "%s: a resource manager of this name is registered",
                           rm->name);
    if (rc == HF_OK) {
        rm->next = tm->rms;
        tm->rms = rm;
    }
    (void)pthread_mutex_unlock(&tm->lock);
    return rc;
}

int hf_rm_register(hf_tm *tm, const hf_rm_config *config, hf_rm **ret_rm)
{
    hf_rm_config cfg;
    hf_rm *rm;
    int rc = hf__tm_check(tm);

    if (rc == HF_OK && (config == NULL || ret_rm == NULL))
        rc = hf__error(HF_EINVAL, 0, "register a resource manager: a null argument");
    if (rc == HF_OK)
        rc = hf__copy_sized(&cfg, sizeof(cfg), config, config->size, "hf_rm_config");
    if (rc == HF_OK)
        rc = check_config(&cfg);
    if (rc != HF_OK)
        return rc;
    rm = calloc(1, sizeof(*rm));
    if (rm == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "%s: register", cfg.name);
    rm->magic = HF__RM_MAGIC;
    rm->tm = tm;
    rm->xa = cfg.xa;
    rm->rank = cfg.rank;
    rm->dynamic = (cfg.xa->flags & TMREGISTER) != 0;
    rm->one_rmid = cfg.one_rmid != 0;
    rm->thread_bound = cfg.thread_bound != 0 || (cfg.xa->flags & TMNOMIGRATE) != 0 ||
                       rm->dynamic || rm->one_rmid;
    rm->ext_user = cfg.ext_user;
    (void)snprintf(rm->name, sizeof(rm->name), "%s", cfg.name);
    (void)snprintf(rm->open_info, sizeof(rm->open_info), "%s", cfg.open_info ? cfg.open_info : "");
    (void)snprintf(rm->close_info, sizeof(rm->close_info), "%s",
                   cfg.close_info ? cfg.close_info : "");
    (void)pthread_mutex_init(&rm->lock, NULL);
    if (cfg.ext != NULL)
        rc = hf__copy_sized(&rm->ext, sizeof(rm->ext), cfg.ext, cfg.ext->size, "hf_rm_ext");
    if (rc == HF_OK)
        rc = add(tm, rm);
    if (rc != HF_OK) {
        (void)pthread_mutex_destroy(&rm->lock);
        free(rm);
        return rc;
    }
    *ret_rm = rm;
    return HF_OK;
}

const char *hf_rm_name(const hf_rm *rm)
{
    return rm->name;
}
