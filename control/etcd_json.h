/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is said to etcd's JSON gateway (/v3, etcd 3.4 and later) and what it answers. Keys and
 * values are base64, 64-bit integers are strings, and what is false, zero or empty is left out:
 * "succeeded" that is absent is false.
 *
 * The parsers believe nothing: an answer counts only when all that is looked at is there, once, of
 * its type and about our key; bodies beyond CTL_ETCD_BODY_BYTES are not looked at. Members that
 * they do not know are passed over, as a newer etcd may have more of them. Whatever else is no
 * answer, and the outcome unknown (W10).
 *
 * Pure but for jansson's memory. Never aborts on any input.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTL_ETCD_BODY_BYTES (64 * 1024)
#define CTL_ETCD_VALUE_BYTES 1024 /* a longer value is none of ours */
#define CTL_ETCD_TOKEN_BYTES 4096 /* with the final 0 */
#define CTL_ETCD_ERROR_BYTES 160

/* gRPC's codes in error bodies, those that matter here. */
enum ctl_etcd_code {
	CTL_ETCD_INVALID = 3,
	CTL_ETCD_DENIED = 7,
	CTL_ETCD_UNAUTHENTICATED = 16,
};

struct ctl_etcd_found {
	uint64_t cluster_id; /* never 0 */
	uint64_t revision;   /* of etcd's whole store */
	bool succeeded;	     /* of a transaction */
	bool present; /* the key is there; after a transaction that succeeded not looked at */
	uint64_t mod_revision;
	uint32_t value_bytes; /* 0 also when it is longer than the room here */
	char value[CTL_ETCD_VALUE_BYTES];
};

/* Bodies of requests: owned by the caller (free), NULL without memory. Keys and values are text. */
char *ctl_etcd_put_range(const char *key);
/* One transaction: if the key's value is `from` (NULL: if there is no such key), put `to`; else
 * tell what is there. Only the value is compared. */
char *ctl_etcd_put_exchange(const char *key, const char *from, const char *to);
char *ctl_etcd_put_login(const char *user, const char *password);

/* Answers. false: it is none, and why (CTL_ETCD_ERROR_BYTES) says so in a part of a sentence. */
bool ctl_etcd_take_range(
	const char *body, size_t bytes, const char *key, struct ctl_etcd_found *found, char *why
);
bool ctl_etcd_take_exchange(
	const char *body, size_t bytes, const char *key, struct ctl_etcd_found *found, char *why
);
bool ctl_etcd_take_login(
	const char *body, size_t bytes, char token[CTL_ETCD_TOKEN_BYTES], char *why
);
/* The body of any status but 200: gRPC's code, or -1, and the printable part of the message. */
int ctl_etcd_take_error(const char *body, size_t bytes, char text[CTL_ETCD_ERROR_BYTES]);

/* Base64 of RFC 4648, with padding and nothing else. The room of an encoded text with its final 0
 * is CTL_BASE64_BYTES; a decoder's room is what fits, its result the bytes, or -1. */
#define CTL_BASE64_BYTES(bytes) (((bytes) + 2) / 3 * 4 + 1)
void ctl_base64_put(const void *data, size_t bytes, char *text);
int64_t ctl_base64_take(const char *text, void *data, size_t room);
