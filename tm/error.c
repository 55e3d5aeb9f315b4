/*
 * tm/error.c - result codes as text, the thread's last error, panics, and what a fork changes.
 *
 * These are three of the few globals that the library has: the last error of each thread, the
 * host's panic callback, and a number that a child process after fork sees changed.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "holdfast/base.h"
#include "holdfast/internal/store.h"

static _Thread_local hf_error last_error;

static void (*panic_fn)(void *user, const char *text);
static void *panic_user;
static pthread_mutex_t panic_lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned process_number; /* written in a child after fork only, by its one thread */
static pthread_once_t process_once = PTHREAD_ONCE_INIT;
static atomic_bool process_watched;

static void count_fork(void)
{
    process_number++;
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, count_fork); /* ENOMEM: forks go unnoticed, nothing worse */
}

unsigned hf__process(void)
{
    /* Every call of the library comes here: a load is what it may cost. */
    if (!atomic_load_explicit(&process_watched, memory_order_acquire)) {
        (void)pthread_once(&process_once, watch_forks);
        atomic_store_explicit(&process_watched, true, memory_order_release);
    }
    return process_number;
}

#define STRING_(x) #x
#define STRING(x) STRING_(x)

const char *hf_version(void)
{
    return STRING(HF_VERSION_MAJOR) "." STRING(HF_VERSION_MINOR) "." STRING(HF_VERSION_PATCH);
}

const char *hf_strerror(int code)
{
    switch (code) {
    case HF_OK:
        return "done";
#define HF_ERROR(name, number, text)                                                               \
    case number:                                                                                   \
        return text;
#include "holdfast/errors.def"
#undef HF_ERROR
    default:
        return "unknown code";
    }
}

const char *hf_strerror_name(int code)
{
    switch (code) {
    case HF_OK:
        return "OK";
#define HF_ERROR(name, number, text)                                                               \
    case number:                                                                                   \
        return #name;
#include "holdfast/errors.def"
#undef HF_ERROR
    default:
        return NULL;
    }
}

const char *hf_outcome_name(int outcome)
{
    static const char *const names[] = {"unknown", "committed", "rolledback", "mixed", "hazard"};

    return outcome >= HF_UNKNOWN && outcome <= HF_HAZARD ? names[outcome] : NULL;
}

const hf_error *hf_error_last(void)
{
    return &last_error;
}

int hf__error(int code, int native, const char *format, ...)
{
    va_list args;

    last_error.code = code;
    last_error.native_code = native;
    last_error.xa_code = XA_OK;
    va_start(args, format);
    (void)vsnprintf(last_error.text, sizeof(last_error.text), format,
                    args); /* cut is good enough */
    va_end(args);
    return code;
}

int hf_error_set(int code, int native_code, const char *text)
{
    return hf__error(code, native_code, "%s", text != NULL ? text : "");
}

int hf__error_xa(int code, int xa_code)
{
    last_error.xa_code = xa_code;
    return code;
}

void hf__panic_hook(void (*fn)(void *user, const char *text), void *user)
{
    (void)pthread_mutex_lock(&panic_lock);
    panic_fn = fn;
    panic_user = user;
    (void)pthread_mutex_unlock(&panic_lock);
}

void hf__panic_unhook(void (*fn)(void *user, const char *text), const void *user)
{
    (void)pthread_mutex_lock(&panic_lock);
    if (panic_fn == fn && panic_user == user)
        panic_fn = NULL;
    (void)pthread_mutex_unlock(&panic_lock);
}

_Noreturn void hf__panic(const char *what, const char *file, int line)
{
    char text[256];
    void (*fn)(void *, const char *);
    void *user;

    (void)snprintf(text, sizeof(text), "broken invariant: %s (%s:%d)", what, file, line);
    (void)pthread_mutex_lock(&panic_lock);
    fn = panic_fn;
    user = panic_user;
    (void)pthread_mutex_unlock(&panic_lock);
    if (fn != NULL)
        fn(user, text);
    abort();
}
