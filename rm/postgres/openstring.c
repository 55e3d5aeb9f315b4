/*
 * rm/postgres/openstring.c - take our keys out of the open string, and leave the rest to libpq.
 *
 * Pairs are split as libpq splits them: white space around keys and equals signs, values in single
 * quotes or without, backslash escapes in both. A pair that is not ours is copied as it stands. A
 * URI has no room for a key of ours and goes to libpq whole.
 *
 * What libpq says of a string that it cannot read quotes it, and a password with a space in it is
 * then quoted in part: so its words are not used.
 *
 * Threads: no state.
 * Spec: [XA] xa_open(); MAXINFOSIZE limits the string.
 */
#include "openstring.h"

#include <string.h>

static const char *const not_pairs = "the open string is not libpq's key=value pairs, nor a URI";

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static const char *skip_space(const char *at)
{
    while (is_space(*at))
        at++;
    return at;
}

/* Past a value; NULL: its quote is not closed. */
static const char *skip_value(const char *at)
{
    int quoted = *at == '\'';

    at += quoted;
    while (*at != '\0' && (quoted ? *at != '\'' : !is_space(*at)))
        at += at[0] == '\\' && at[1] != '\0' ? 2 : 1;
    if (quoted && *at != '\'')
        return NULL;
    return at + quoted;
}

static int is(const char *text, size_t size, const char *word)
{
    return size == strlen(word) && memcmp(text, word, size) == 0;
}

/* One pair, from its key on; NULL: *ret_wrong says why. */
static const char *take_pair(const char *key, struct pg_openstring *out, const char **ret_wrong)
{
    size_t key_size = strcspn(key, "= \t\n\r\f\v");
    const char *value = skip_space(key + key_size);
    const char *end = NULL;
    size_t used = strlen(out->conninfo);

    if (*value == '=') {
        value = skip_space(value + 1);
        end = skip_value(value);
    }
    if (end == NULL || key_size == 0) {
        *ret_wrong = not_pairs;
        return NULL;
    }
    if (!is(key, key_size, "unsafe")) {
        memcpy(out->conninfo + used, key, (size_t)(end - key));
        memcpy(out->conninfo + used + (end - key), " ", 2);
        return end;
    }
    if (!is(value, (size_t)(end - value), "yes") && !is(value, (size_t)(end - value), "no")) {
        *ret_wrong = "open string: the value of 'unsafe' is neither yes nor no";
        return NULL;
    }
    out->unsafe = *value == 'y';
    return end;
}

const char *hf__pg_openstring_parse(const char *text, struct pg_openstring *ret)
{
    const char *wrong = NULL;

    memset(ret, 0, sizeof(*ret));
    if (text == NULL || strnlen(text, MAXINFOSIZE) >= MAXINFOSIZE)
        return "the open string is missing, or over 255 bytes";
    if (strstr(text, "://") != NULL && strncmp(text, "postgres", 8) == 0) {
        strcpy(ret->conninfo, text);
        return NULL;
    }
    for (text = skip_space(text); *text != '\0'; text = skip_space(text)) {
        text = take_pair(text, ret, &wrong);
        if (text == NULL)
            return wrong;
    }
    return NULL;
}
