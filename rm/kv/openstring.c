/*
 * rm/kv/openstring.c - read the open string of xa_open(): key=value pairs between semicolons.
 *
 * Strict: an unknown, repeated or empty key, a value out of range and a missing dir are errors, for
 * a mistyped option that is silently ignored is found in production. A value is never put into an
 * error text; its key is. A semicolon at the end is allowed.
 *
 * Threads: no state.
 * Spec: [XA] xa_open(); MAXINFOSIZE limits the string.
 */
#include "openstring.h"

#include <string.h>

#include "holdfast/base.h"
#include "holdfast/internal/store.h"

enum { WAIT_MS_PRESET = 5000, WAIT_MS_MAX = 3600000 };
enum { SEEN_DIR = 1, SEEN_WAIT_MS = 2, SEEN_CREATE = 4 };

static int is(const char *text, size_t size, const char *word)
{
    return size == strlen(word) && memcmp(text, word, size) == 0;
}

static int read_dir(const char *value, size_t size, struct kv_openstring *out)
{
    if (size == 0 || size >= sizeof(out->dir))
        return HF_EINVAL;
    memcpy(out->dir, value, size);
    out->dir[size] = '\0';
    return HF_OK;
}

static int read_wait_ms(const char *value, size_t size, struct kv_openstring *out)
{
    uint32_t n = 0;

    if (size == 0)
        return HF_EINVAL;
    for (size_t i = 0; i < size; i++) {
        if (value[i] < '0' || value[i] > '9')
            return HF_EINVAL;
        n = n * 10 + (uint32_t)(value[i] - '0');
        if (n > WAIT_MS_MAX)
            return HF_EINVAL;
    }
    out->wait_ms = n;
    return HF_OK;
}

static int read_create(const char *value, size_t size, struct kv_openstring *out)
{
    if (!is(value, size, "yes") && !is(value, size, "no"))
        return HF_EINVAL;
    out->create = is(value, size, "yes");
    return HF_OK;
}

static const struct {
    const char *key;
    unsigned seen;
    int (*read)(const char *value, size_t size, struct kv_openstring *out);
} options[] = {
    {"dir", SEEN_DIR, read_dir},
    {"wait_ms", SEEN_WAIT_MS, read_wait_ms},
    {"create", SEEN_CREATE, read_create},
};
enum { OPTION_COUNT = sizeof(options) / sizeof(options[0]) };

/* One "key=value" of size bytes. */
static int read_pair(const char *pair, size_t size, unsigned *seen, struct kv_openstring *out)
{
    const char *equals = memchr(pair, '=', size);
    size_t key_size = equals == NULL ? size : (size_t)(equals - pair);
    size_t i = 0;

    while (i < OPTION_COUNT && !is(pair, key_size, options[i].key))
        i++;
    if (i == OPTION_COUNT)
        return hf__error(HF_EINVAL, 0, "open string: unknown key '%.*s'",
                         (int)(key_size > 32 ? 32 : key_size), pair);
    if (equals == NULL)
        return hf__error(HF_EINVAL, 0, "open string: '%s' has no value", options[i].key);
    if ((*seen & options[i].seen) != 0)
        return hf__error(HF_EINVAL, 0, "open string: '%s' is there twice", options[i].key);
    *seen |= options[i].seen;
    if (options[i].read(equals + 1, size - key_size - 1, out) != HF_OK)
        return hf__error(HF_EINVAL, 0, "open string: the value of '%s' is not valid",
                         options[i].key);
    return HF_OK;
}

int hf__kv_openstring_parse(const char *text, struct kv_openstring *ret)
{
    struct kv_openstring out = {.wait_ms = WAIT_MS_PRESET, .create = 1};
    unsigned seen = 0;
    size_t size;

    if (text == NULL || strnlen(text, MAXINFOSIZE) == MAXINFOSIZE)
        return hf__error(HF_EINVAL, 0, "open string: missing, or over %d bytes", MAXINFOSIZE - 1);
    while (*text != '\0') {
        size = strcspn(text, ";");
        if (read_pair(text, size, &seen, &out) != HF_OK)
            return HF_EINVAL;
        text += size;
        if (*text == ';')
            text++;
    }
    if ((seen & SEEN_DIR) == 0)
        return hf__error(HF_EINVAL, 0, "open string: 'dir' is missing");
    *ret = out;
    return HF_OK;
}
