/*
 * tests/crash/crash_kit.h - what the crash programs share: checks, child processes, a node with kv
 * stores.
 */
#ifndef HF_TESTS_CRASH_KIT_H
#define HF_TESTS_CRASH_KIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/inspect.h"
#include "holdfast/kv.h"
#include "holdfast/transaction.h"

#define CHECK(cond, ...)                                                                           \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                             \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "; last error: %s\n", hf_error_last()->text);                          \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define OK(expr) CHECK((expr) == HF_OK, "failed")

static inline void nap_ms(long ms)
{
    const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    (void)nanosleep(&ts, NULL);
}

static inline void kit_log(void *user, int level, const char *text)
{
    if (level != HF_LOG_INFO)
        fprintf(stderr, "%s: %s\n", (const char *)user, text);
}

static inline hf_tm *kit_open_with(const char *dir, const char *who,
                                   void (*log)(void *user, int level, const char *text))
{
    hf_tm_config cfg = HF_TM_CONFIG_INIT;
    char path[512];
    hf_tm *tm;

    (void)snprintf(path, sizeof(path), "%s/node", dir);
    cfg.dir = path;
    cfg.log = log;
    cfg.user = (void *)who;
    OK(hf_tm_open(&cfg, &tm));
    return tm;
}

static inline hf_tm *kit_open(const char *dir, const char *who)
{
    return kit_open_with(dir, who, kit_log);
}

/* A kv store DIR/NAME under its own name. */
static inline hf_rm *kit_kv(hf_tm *tm, const char *dir, const char *name)
{
    hf_rm_config cfg = HF_RM_CONFIG_INIT;
    char info[256];
    hf_rm *rm;

    (void)snprintf(info, sizeof(info), "dir=%s/%s;wait_ms=2000", dir, name);
    cfg.name = name;
    cfg.xa = &hf_kv_switch;
    cfg.ext = &hf_kv_ext;
    cfg.open_info = info;
    OK(hf_rm_register(tm, &cfg, &rm));
    return rm;
}

/* Another process may hold the store for the moment of a recovery pass. */
static inline hf_instance *kit_instance(hf_rm *rm)
{
    hf_instance *instance = NULL;
    int rc = HF_ERM;

    for (int i = 0; i < 500 && (rc = hf_instance_open(rm, &instance)) == HF_ERM; i++)
        nap_ms(10);
    CHECK(rc == HF_OK, "%s cannot be opened", hf_rm_name(rm));
    return instance;
}

static inline int kit_has(hf_instance *instance, const char *key)
{
    int rc = hf_kv_get(hf_instance_rmid(instance), key, strlen(key), NULL, 0, NULL);

    CHECK(rc == HF_OK || rc == HF_ENOTFOUND, "read %s", key);
    return rc == HF_OK;
}

static inline void kit_tmpdir(char path[64])
{
    strcpy(path, "/tmp/holdfast-crash-XXXXXX");
    CHECK(mkdtemp(path) != NULL, "make a directory");
}

static inline void kit_remove(const char *path)
{
    pid_t pid = fork();

    if (pid == 0) {
        execlp("rm", "rm", "-rf", "--", path, (char *)NULL);
        _exit(127);
    }
    (void)waitpid(pid, NULL, 0);
}

#endif
