/*
 * holdfast/base.h - what every Holdfast header shares: linkage, version, result codes, outcomes.
 *
 * [XA] is X/Open CAE Specification C193, "The XA Specification", December 1991.
 */
#ifndef HOLDFAST_BASE_H
#define HOLDFAST_BASE_H

#include <stddef.h>
#include <stdint.h>

#include "xa.h"

#ifdef __cplusplus
#define HF_BEGIN_DECLS extern "C" {
#define HF_END_DECLS }
#else
#define HF_BEGIN_DECLS
#define HF_END_DECLS
#endif

#if defined(__GNUC__)
#define HF_API __attribute__((visibility("default")))
#define HF_MUST_CHECK __attribute__((warn_unused_result))
#else
#define HF_API
#define HF_MUST_CHECK
#endif

#define HF_VERSION_MAJOR 0
#define HF_VERSION_MINOR 1
#define HF_VERSION_PATCH 0

HF_BEGIN_DECLS

/** Result codes. 0 is good, everything else is negative; see holdfast/errors.def. */
enum hf_code {
    HF_OK = 0,
#define HF_ERROR(name, number, text) HF_##name = number,
#include "holdfast/errors.def"
#undef HF_ERROR
    HF_CODE_LAST = -32199 /**< the end of the block; never returned */
};

/**
 * How a global transaction ended. An outcome is a value of its own, not an error: a result code
 * says whether somebody has to act, the outcome says what became of the transaction. Stored in the
 * log and in JSON: never renumbered.
 */
typedef enum hf_outcome {
    HF_UNKNOWN = 0,    /**< the decision may or may not be on disk */
    HF_COMMITTED = 1,  /**< decided: every branch commits */
    HF_ROLLEDBACK = 2, /**< every branch rolls back */
    HF_MIXED = 3,      /**< a branch ended otherwise than the rest [XA 2.3.3] */
    HF_HAZARD = 4      /**< a branch may have ended otherwise [XA 2.3.3] */
} hf_outcome;

/** The last failure of a Holdfast call in this thread. */
typedef struct hf_error {
    int code;        /**< HF_E..., as the call returned it */
    int native_code; /**< errno, LMDB's or XA's code behind it; 0 if there is none */
    char text[256];  /**< what was attempted and why it failed; no secrets; lower case */
    int xa_code;     /**< what an xa_ call answered, if that is what failed; else XA_OK */
} hf_error;

/** The version of the library, "major.minor.patch". Static. Any thread. */
HF_API const char *hf_version(void);

/** A sentence for a result code; "unknown code" for any other number. Static. Any thread. */
HF_API const char *hf_strerror(int code);

/** The name of a result code, such as "EBUSY", as the tools' JSON has it; NULL for any other
    number. */
HF_API const char *hf_strerror_name(int code);

/** "unknown", "committed", "rolledback", "mixed", "hazard"; NULL for any other number. Static. */
HF_API const char *hf_outcome_name(int outcome);

/** The calling thread's last failure; borrowed, valid until this thread's next failure. Never
    NULL. */
HF_API const hf_error *hf_error_last(void);

/**
 * Make this the calling thread's last failure: for libraries that stand on this one.
 *
 * @param text  Copied, cut at 255 bytes; no secrets. NULL is "".
 * @return code
 *
 * Threads: any.
 */
HF_API int hf_error_set(int code, int native_code, const char *text);

/* -- transaction identifiers in text ---------------------------------------------------------- */

/** Bytes of the longest text of an XID of ours, with its NUL. */
#define HF_XID_TEXT_SIZE 80

/** The formatID of every XID that Holdfast issues: "HFTX". */
#define HF_XID_FORMAT 0x48465458L

/**
 * Write an XID of ours as text: the gtrid as hex in three dash-separated groups (node, incarnation,
 * sequence); then, if the XID has a branch qualifier, a slash, the resource manager's id, a dash
 * and the branch number. This is the only text form: print, JSON, log and input all use it.
 *
 * @param ret_text  HF_XID_TEXT_SIZE bytes; always terminated.
 * @retval HF_OK
 * @retval HF_EINVAL  not an XID of Holdfast's form; ret_text is then "foreign".
 *
 * Threads: any.
 */
HF_API int hf_xid_format(const XID *xid, char ret_text[HF_XID_TEXT_SIZE]);

/**
 * Read the text form back. Strict: exactly the form above, lower-case hex, nothing after it.
 *
 * @param ret_xid  Zeroed whole, then filled. bqual_length is 0 where the text names no branch.
 * @retval HF_OK
 * @retval HF_EINVAL  not of that form; ret_xid is untouched.
 *
 * Threads: any.
 */
HF_API int hf_xid_parse(const char *text, XID *ret_xid);

HF_END_DECLS

#endif
