/*
 * tm/check.h - HF_CHECK(): an assertion that stays on in production.
 *
 * For what only a defect of ours can break. Going on would mean to guess about somebody's money:
 * the host is told, then the process stops, and the next opening recovers.
 */
#ifndef HF_TM_CHECK_H
#define HF_TM_CHECK_H

#define HF_CHECK(cond) ((cond) ? (void)0 : hf__panic(#cond, __FILE__, __LINE__))

_Noreturn void hf__panic(const char *what, const char *file, int line);

/* Whom hf__panic tells before it aborts; the last one set wins. */
void hf__panic_hook(void (*fn)(void *user, const char *text), void *user);
/* Nobody, if it is still the one that was set. */
void hf__panic_unhook(void (*fn)(void *user, const char *text), const void *user);

#endif
