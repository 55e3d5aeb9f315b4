/*
 * tm/tx/config.c - the configuration file: from text to struct hf_config.
 *
 * One table of keys says what there is, of what kind, and where it goes. inih splits the lines;
 * this file counts them, joins a value that goes on in the next line, and stops at the first thing
 * that is wrong.
 *
 *   F1  The value of an open or close string is in no error text.
 *   F2  A file that holds one is read only if it belongs to this user and is open to nobody else;
 *       it is opened first and judged by its descriptor.
 *   F3  The configuration itself names libraries that are loaded into the process: it has to belong
 *       to this user or to root, and must not be everybody's to write.
 */
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "configuration.h"

enum {
    LINE_BYTES_MAX = 196, /* inih's own buffer has 200 */
    VALUE_BYTES_MAX = 4096,
    TIMEOUT_MAX_S = UINT32_MAX / 1000,
};

int hf__config_error(const hf_config *config, unsigned line, int code, const char *format, ...)
{
    char what[256], text[256];
    int native = code == HF_EIO || code == HF_ENOMEM || code == HF_ENOTFOUND ? errno : 0;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    if (line > 0)
        (void)snprintf(text, sizeof(text), "%.120s:%u: %.120s", config->path, line, what);
    else
        (void)snprintf(text, sizeof(text), "%.120s: %.120s", config->path, what);
    return hf_error_set(code, native, text);
}

/* -- the keys --------------------------------------------------------------------------------- */

enum kind { TEXT, STRING, NUMBER, CHOICE };

static const char *const no_yes[] = {"no", "yes", NULL};
static const char *const histories[] = {"worthy", "all", "none", NULL};
static const char *const logs[] = {"none", "stderr", NULL};
static const char *const registrations[] = {"either", "static", "dynamic", NULL};
static const char *const rmids[] = {"thread", "process", NULL};

struct key {
    const char *name;
    enum kind kind;
    size_t at; /* a char * for TEXT and STRING, else an int64_t */
    int64_t min, max;
    const char *const *choices; /* the value is the index */
};

#define NODE(name, kind, ...)                                                                      \
    {                                                                                              \
#name, kind, offsetof(struct hf_config, name), __VA_ARGS__                                 \
    }
#define RM_AS(text, name, kind, ...)                                                               \
    {                                                                                              \
        text, kind, offsetof(struct hf__tx_rm, name), __VA_ARGS__                                  \
    }
#define RM(name, kind, ...) RM_AS(#name, name, kind, __VA_ARGS__)

static const struct key node_keys[] = {
    NODE(node, TEXT, 0, 0, NULL),
    NODE(nonce, TEXT, 0, 0, NULL),
    NODE(background, CHOICE, 0, 0, no_yes),
    NODE(history, CHOICE, 0, 0, histories),
    NODE(history_max, NUMBER, 1, UINT32_MAX, NULL),
    NODE(slow_ms, NUMBER, 1, UINT32_MAX, NULL),
    NODE(unconfirmed_ms, NUMBER, 1, UINT32_MAX, NULL),
    NODE(recover_ms, NUMBER, 1, UINT32_MAX, NULL),
    NODE(recover_max_ms, NUMBER, 1, UINT32_MAX, NULL),
    NODE(start_wait_ms, NUMBER, 0, UINT32_MAX, NULL),
    NODE(close_wait_ms, NUMBER, 0, UINT32_MAX, NULL),
    NODE(timeout, NUMBER, 0, TIMEOUT_MAX_S, NULL),
    NODE(log, CHOICE, 0, 0, logs),
    {0},
};

static const struct key rm_keys[] = {
    RM(type, TEXT, 0, 0, NULL),
    RM(library, TEXT, 0, 0, NULL),
    RM(symbol, TEXT, 0, 0, NULL),
    RM(extension, TEXT, 0, 0, NULL),
    RM_AS("open", open_info, STRING, 0, 0, NULL),
    RM_AS("close", close_info, STRING, 0, 0, NULL),
    RM(open_file, TEXT, 0, 0, NULL),
    RM(close_file, TEXT, 0, 0, NULL),
    RM(rank, NUMBER, INT32_MIN, INT32_MAX, NULL),
    RM(registration, CHOICE, 0, 0, registrations),
    RM(thread_bound, CHOICE, 0, 0, no_yes),
    RM_AS("rmid", one_rmid, CHOICE, 0, 0, rmids),
    {0},
};

/* -- reading ---------------------------------------------------------------------------------- */

struct reading {
    hf_config *config;
    FILE *file;
    unsigned line;
    unsigned section; /* line of the last [section] */
    bool continues;   /* this line goes on with the value of the one before */
    bool empty;       /* no key has come since the last [section] */
    const struct key *last;
    void *last_base;
    int rc; /* of the first thing that is wrong; nothing is read after it */
};

static char *copy_text(const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL)
        (void)hf_error_set(HF_ENOMEM, ENOMEM, "read a configuration");
    return copy;
}

static int set_text(struct reading *r, const struct key *key, void *base, const char *value)
{
    char **to = (char **)((char *)base + key->at);
    size_t before = *to != NULL ? strlen(*to) : 0, more = strlen(value);
    size_t limit = key->kind == STRING ? HF__TX_STRING_MAX : VALUE_BYTES_MAX;
    char *joined;

    if (before + more > limit)
        return hf__config_error(r->config, r->line, HF_EINVAL, "%s is over %zu bytes", key->name,
                                limit);
    joined = realloc(*to, before + more + 1);
    if (joined == NULL)
        return hf_error_set(HF_ENOMEM, ENOMEM, "read a configuration");
    memcpy(joined + before, value, more + 1);
    *to = joined;
    return HF_OK;
}

static int set_number(struct reading *r, const struct key *key, int64_t *to, const char *value)
{
    char *end;
    long long n;

    errno = 0;
    n = strtoll(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0 || n < key->min || n > key->max)
        return hf__config_error(r->config, r->line, HF_EINVAL,
                                "%s = %s: not a number from %lld to %lld", key->name, value,
                                (long long)key->min, (long long)key->max);
    *to = n;
    return HF_OK;
}

static int set_choice(struct reading *r, const struct key *key, int64_t *to, const char *value)
{
    char all[64] = "";

    for (int64_t i = 0; key->choices[i] != NULL; i++) {
        size_t used = strlen(all);

        if (strcmp(key->choices[i], value) == 0) {
            *to = i;
            return HF_OK;
        }
        (void)snprintf(all + used, sizeof(all) - used, "%s%s", used > 0 ? ", " : "",
                       key->choices[i]);
    }
    return hf__config_error(r->config, r->line, HF_EINVAL, "%s = %s: not one of %s", key->name,
                            value, all);
}

static int set_value(struct reading *r, const struct key *key, void *base, const char *value)
{
    int64_t *number = (int64_t *)(void *)((char *)base + key->at);

    switch (key->kind) {
    case NUMBER:
        return set_number(r, key, number, value);
    case CHOICE:
        return set_choice(r, key, number, value);
    default:
        return set_text(r, key, base, value);
    }
}

/* A section that goes on elsewhere is one that somebody has copied. */
static int check_section(struct reading *r, unsigned section)
{
    if (section == r->section)
        return HF_OK;
    return hf__config_error(r->config, r->line, HF_EINVAL,
                            "this section is given twice: it begins in line %u", section);
}

/* The section [rm NAME], which begins with its first key. */
static int find_rm(struct reading *r, const char *name, struct hf__tx_rm **ret)
{
    hf_config *c = r->config;
    struct hf__tx_rm *rms;

    for (unsigned i = 0; i < c->count; i++)
        if (strcmp(c->rms[i].name, name) == 0) {
            *ret = &c->rms[i];
            return check_section(r, c->rms[i].section);
        }
    if (name[0] == '\0' || strlen(name) >= HF__TX_NAME_SIZE)
        return hf__config_error(c, r->line, HF_EINVAL,
                                "[rm %s]: a resource manager's name has 1 to %d bytes", name,
                                HF__TX_NAME_SIZE - 1);
    if (c->count == HF__TX_RMS_MAX)
        return hf__config_error(c, r->line, HF_EINVAL, "over %d resource managers", HF__TX_RMS_MAX);
    rms = realloc(c->rms, (c->count + 1) * sizeof(*rms));
    if (rms == NULL)
        return hf_error_set(HF_ENOMEM, ENOMEM, "read a configuration");
    c->rms = rms;
    *ret = &rms[c->count++];
    **ret = (struct hf__tx_rm){.line = r->line, .section = r->section};
    (void)snprintf((*ret)->name, sizeof((*ret)->name), "%s", name);
    return HF_OK;
}

/* Of the two, the one that comes second is wrong. */
static int check_pauses(struct reading *r)
{
    const hf_config *c = r->config;

    if (c->recover_max_ms == 0 || c->recover_ms <= c->recover_max_ms)
        return HF_OK;
    return hf__config_error(c, r->line, HF_EINVAL,
                            "recover_ms = %lld is above recover_max_ms = %lld",
                            (long long)c->recover_ms, (long long)c->recover_max_ms);
}

static int take_key(struct reading *r, const char *section, const char *name, const char *value)
{
    const struct key *keys = node_keys;
    void *base = r->config;
    uint64_t *given = &r->config->given;
    struct hf__tx_rm *rm = NULL;
    unsigned i = 0;
    int rc;

    if (strncmp(section, "rm ", 3) == 0) {
        rc = find_rm(r, section + 3 + strspn(section + 3, " "), &rm);
        if (rc != HF_OK)
            return rc;
        keys = rm_keys;
        base = rm;
        given = &rm->given;
    } else if (strcmp(section, "holdfast") != 0) {
        return hf__config_error(r->config, r->line, HF_EINVAL,
                                "[%s]: a section is [holdfast] or [rm NAME]", section);
    } else {
        if (r->config->section == 0)
            r->config->section = r->section;
        rc = check_section(r, r->config->section);
        if (rc != HF_OK)
            return rc;
    }
    while (keys[i].name != NULL && strcmp(keys[i].name, name) != 0)
        i++;
    if (keys[i].name == NULL)
        return hf__config_error(r->config, r->line, HF_EINVAL, "unknown key %s in [%s]", name,
                                section);
    if (r->continues && (&keys[i] != r->last || base != r->last_base ||
                         (keys[i].kind != TEXT && keys[i].kind != STRING)))
        return hf__config_error(r->config, r->line, HF_EINVAL,
                                "begins with white space, and nothing goes on here");
    if (!r->continues && (*given & 1ull << i) != 0)
        return hf__config_error(r->config, r->line, HF_EINVAL, "%s is given twice", name);
    *given |= 1ull << i;
    r->last = &keys[i];
    r->last_base = base;
    rc = set_value(r, &keys[i], base, value);
    return rc == HF_OK ? check_pauses(r) : rc;
}

/* inih's handler: it goes on whatever this returns, so that the first error has to be kept. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;

    r->empty = false;
    if (r->rc == HF_OK)
        r->rc = take_key(r, section, name, value);
    return 1;
}

/* inih does not tell of a section without keys, which is one that somebody has lost. */
static bool begins_section(struct reading *r, const char *line)
{
    if (line != NULL && line[0] != '[')
        return true;
    if (r->empty)
        r->rc = hf__config_error(r->config, r->line, HF_EINVAL, "the section before has no keys");
    r->section = r->line;
    r->empty = line != NULL;
    return r->rc == HF_OK;
}

/* inih's reader. */
static char *next_line(char *buf, int size, void *user)
{
    struct reading *r = user;
    size_t length;

    if (r->rc != HF_OK)
        return NULL;
    if (fgets(buf, size, r->file) == NULL) {
        (void)begins_section(r, NULL);
        return NULL;
    }
    r->line++;
    length = strlen(buf);
    r->continues = buf[0] == ' ' || buf[0] == '\t';
    if (length > LINE_BYTES_MAX || (length > 0 && buf[length - 1] != '\n' && !feof(r->file))) {
        r->rc = hf__config_error(r->config, r->line, HF_EINVAL,
                                 "over %d bytes, or with a zero byte; a long value goes on in the "
                                 "next line, after white space",
                                 LINE_BYTES_MAX);
        return NULL;
    }
    return begins_section(r, buf) ? buf : NULL;
}

/* F3. */
static int open_file(const hf_config *config, FILE **ret)
{
    struct stat st;

    *ret = fopen(config->path, "re");
    if (*ret == NULL || fstat(fileno(*ret), &st) != 0)
        return hf__config_error(config, 0, errno == ENOENT ? HF_ENOTFOUND : HF_EIO, "%s",
                                strerror(errno));
    if (!S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0) ||
        (st.st_mode & S_IWOTH) != 0)
        return hf__config_error(config, 0, HF_EOWNER,
                                "has to be a file of this user or of root, and not everybody's to "
                                "write: it names libraries");
    return HF_OK;
}

static int read_file(hf_config *config)
{
    struct reading r = {.config = config};
    int bad;

    r.rc = open_file(config, &r.file);
    if (r.rc != HF_OK) {
        if (r.file != NULL)
            (void)fclose(r.file);
        return r.rc;
    }
    bad = ini_parse_stream(next_line, &r, on_key, &r);
    if (r.rc == HF_OK && ferror(r.file))
        r.rc = hf__config_error(config, 0, HF_EIO, "cannot be read");
    if (bad > 0 && (r.rc == HF_OK || (unsigned)bad < r.line)) /* inih goes on after its own */
        r.rc =
            hf__config_error(config, (unsigned)bad, HF_EINVAL, "neither [section] nor key = value");
    if (r.rc == HF_OK && bad < 0)
        r.rc = hf_error_set(HF_ENOMEM, ENOMEM, "read a configuration");
    (void)fclose(r.file);
    return r.rc;
}

/* -- what goes together ----------------------------------------------------------------------- */

/* F2. The first line of the file. */
static int read_secret(const hf_config *c, const struct hf__tx_rm *rm, const char *path, char **ret)
{
    char buf[HF__TX_STRING_MAX + 2];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    ssize_t n;
    int rc = HF_OK;

    if (fd == -1 || fstat(fd, &st) != 0) {
        rc = hf__config_error(c, rm->line, errno == ENOENT ? HF_ENOTFOUND : HF_EIO, "%s: %s", path,
                              strerror(errno));
    } else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
               (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        rc = hf__config_error(c, rm->line, HF_EOWNER,
                              "%s has to be a file of this user, open to nobody else (mode 0600)",
                              path);
    } else if ((n = read(fd, buf, sizeof(buf))) < 0) {
        rc = hf__config_error(c, rm->line, HF_EIO, "%s: %s", path, strerror(errno));
    } else {
        size_t length = 0;

        while (length < (size_t)n && buf[length] != '\n' && buf[length] != '\0')
            length++;
        if (length > HF__TX_STRING_MAX)
            rc = hf__config_error(c, rm->line, HF_EINVAL, "%s: its first line is over %d bytes",
                                  path, HF__TX_STRING_MAX);
        else if ((*ret = strndup(buf, length)) == NULL)
            rc = hf_error_set(HF_ENOMEM, ENOMEM, "read a configuration");
    }
    explicit_bzero(buf, sizeof(buf));
    if (fd != -1)
        (void)close(fd);
    return rc;
}

static int check_rm(const hf_config *c, struct hf__tx_rm *rm)
{
    const char *type = rm->type;
    int rc = HF_OK;

    if (type != NULL && strcmp(type, "kv") != 0 && strcmp(type, "postgres") != 0 &&
        strcmp(type, "mariadb") != 0)
        return hf__config_error(c, rm->line, HF_EINVAL,
                                "[rm %s]: type = %s: not one of kv, postgres, mariadb", rm->name,
                                type);
    if ((type != NULL) == (rm->symbol != NULL))
        return hf__config_error(c, rm->line, HF_EINVAL, "[rm %s] needs either a type or a symbol",
                                rm->name);
    if (type != NULL && rm->extension != NULL)
        return hf__config_error(c, rm->line, HF_EINVAL, "[rm %s]: a type brings its own extension",
                                rm->name);
    if (type != NULL && rm->one_rmid != 0)
        return hf__config_error(c, rm->line, HF_EINVAL,
                                "[rm %s]: rmid = process: an rmid of %s is one thread's", rm->name,
                                type);
    if ((rm->open_info != NULL && rm->open_file != NULL) ||
        (rm->close_info != NULL && rm->close_file != NULL))
        return hf__config_error(c, rm->line, HF_EINVAL,
                                "[rm %s]: a string is given by its key or by a file, not by both",
                                rm->name);
    if (rm->open_file != NULL)
        rc = read_secret(c, rm, rm->open_file, &rm->open_info);
    if (rc == HF_OK && rm->close_file != NULL)
        rc = read_secret(c, rm, rm->close_file, &rm->close_info);
    return rc;
}

static int check(hf_config *c)
{
    int rc = HF_OK;

    if (c->node == NULL || c->node[0] == '\0')
        return hf__config_error(c, 0, HF_EINVAL, "[holdfast] has no node = DIRECTORY");
    for (unsigned i = 0; rc == HF_OK && i < c->count; i++)
        rc = check_rm(c, &c->rms[i]);
    return rc;
}

/* -- the interface ---------------------------------------------------------------------------- */

int hf_config_load(const char *path, hf_config **ret_config)
{
    hf_config *c;
    int rc = HF_OK;

    if (path == NULL || ret_config == NULL)
        return hf_error_set(HF_EINVAL, 0, "read a configuration: a null argument");
    c = calloc(1, sizeof(*c));
    if (c == NULL)
        return hf_error_set(HF_ENOMEM, ENOMEM, "read a configuration");
    c->background = 1;
    c->close_wait_ms = 10000;
    c->path = copy_text(path);
    if (c->path == NULL)
        rc = HF_ENOMEM;
    if (rc == HF_OK)
        rc = read_file(c);
    if (rc == HF_OK)
        rc = check(c);
    if (rc == HF_OK)
        rc = hf__config_load_switches(c);
    if (rc != HF_OK) {
        hf_config_free(c);
        return rc;
    }
    *ret_config = c;
    return HF_OK;
}

static void free_secret(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
}

void hf_config_free(hf_config *config)
{
    if (config == NULL)
        return;
    for (unsigned i = 0; i < config->count; i++) {
        struct hf__tx_rm *rm = &config->rms[i];

        free(rm->type);
        free(rm->library);
        free(rm->symbol);
        free(rm->extension);
        free(rm->open_file);
        free(rm->close_file);
        free_secret(rm->open_info);
        free_secret(rm->close_info);
    }
    free(config->rms);
    free(config->node);
    free(config->nonce);
    free(config->path);
    free(config);
}

const char *hf_config_node(const hf_config *config)
{
    return config->node;
}

unsigned hf_config_rm_count(const hf_config *config)
{
    return config->count;
}

bool hf__config_rm_bound(const struct hf__tx_rm *rm)
{
    return rm->thread_bound != 0 || rm->one_rmid != 0 ||
           (rm->xa->flags & (TMNOMIGRATE | TMREGISTER)) != 0;
}

int hf_config_get_rm(const hf_config *config, unsigned index, hf_config_rm *ret_rm)
{
    const struct hf__tx_rm *rm;

    if (config == NULL || ret_rm == NULL || ret_rm->size != sizeof(*ret_rm))
        return hf_error_set(HF_EINVAL, 0, "hf_config_get_rm: a null, or an unknown size");
    if (index >= config->count)
        return hf_error_set(HF_ENOTFOUND, 0, "there are not so many resource managers");
    rm = &config->rms[index];
    *ret_rm = (hf_config_rm){
        .size = sizeof(*ret_rm),
        .name = rm->name,
        .library = rm->library != NULL ? rm->library : "",
        .symbol = rm->symbol,
        .xa = rm->xa,
        .rank = (int)rm->rank,
        .dynamic = (rm->xa->flags & TMREGISTER) != 0,
        .thread_bound = hf__config_rm_bound(rm),
        .one_rmid = rm->one_rmid != 0,
        .rm = rm->rm,
    };
    return HF_OK;
}

hf_rm *hf_config_find_rm(const hf_config *config, const char *name)
{
    for (unsigned i = 0; config != NULL && name != NULL && i < config->count; i++)
        if (strcmp(config->rms[i].name, name) == 0)
            return config->rms[i].rm;
    return NULL;
}
