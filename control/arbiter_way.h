/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the kinds of arbiter have in common (arbiter.c) and what each does itself (arbiter_file.c,
 * arbiter_etcd.c): a register of text, read and compared-and-set. A way believes whatever it finds
 * and says what is certain; the judgement is arbiter.c's. Private to these files.
 */
#pragma once

#include "control/arbiter.h"
#include "control/etcd_json.h"

/* What stands in the register. */
struct arbiter_found {
	bool present;
	uint64_t id; /* of the arbiter; not 0 */
	uint64_t revision;
	size_t bytes; /* of text; not 0-terminated */
	char text[CTL_ETCD_VALUE_BYTES];
};

enum arbiter_result {
	ARBITER_FOUND,	 /* read; or a swap that was not made, for that is what stands there */
	ARBITER_SWAPPED, /* the new text stands there now, with found's id and revision */
	ARBITER_SILENT,	 /* no answer, and nothing was changed or will be */
	ARBITER_UNKNOWN, /* no answer, and a swap may have been made, or may yet be */
};

struct arbiter_way {
	enum arbiter_result (*read
	)(struct arbiter_way *way, uint64_t deadline_ns, struct arbiter_found *found, char *why);
	/* from: NULL when nothing may be there. */
	enum arbiter_result (*swap
	)(struct arbiter_way *way,
	  const char *from,
	  const char *to,
	  uint64_t deadline_ns,
	  struct arbiter_found *found,
	  char *why);
	/* What it found was not believed: look elsewhere next time, if there is another place. */
	void (*shun)(struct arbiter_way *way);
	void (*close)(struct arbiter_way *way);
};
/* why is CTL_ARBITER_WHY_BYTES long everywhere. Errors: NULL and why. */
struct arbiter_way *arbiter_open_file(const struct cfg_settings *settings, bool make, char *why);
struct arbiter_way *arbiter_open_etcd(const struct cfg_settings *settings, char *why);

/* Deliberate bugs for the checkers of the tests, in a twin of these sources that only they link. */
enum arbiter_canary {
	ARBITER_CANARY_NONE,
	ARBITER_CANARY_NO_COMPARE,	/* a swap that does not look at the old value */
	ARBITER_CANARY_NO_LOCK,		/* of the file */
	ARBITER_CANARY_SILENCE_IS_LOST, /* after a swap */
	ARBITER_CANARY_TRUSTS,		/* whatever the arbiter says */
	ARBITER_CANARIES,
};
#ifdef CTL_ARBITER_CANARIES
extern enum arbiter_canary arbiter_canary;
#define CTL_ARBITER_CANARY(id) (arbiter_canary == ARBITER_CANARY_##id)
#else
#define CTL_ARBITER_CANARY(id) 0
#endif
