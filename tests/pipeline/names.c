/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/machine.h"

static const char *const messages[] = {
#define PL_X(name) #name,
	PL_MESSAGES(PL_X)
#undef PL_X
};

static const char *const effects[] = {
#define PL_X(name) #name,
	PL_EFFECTS(PL_X)
#undef PL_X
};

static const char *const statuses[] = {"OK", "FAILED", "FULL", "NOTHING", "CONFLICT"};

/* As they are typed. The preprocessor cannot make them, so a test compares them with the list. */
static const char *const defects[] = {
	"remove-by-position", "edge-recovery",		"no-request-ids",   "double-poll",
	"no-unique-key",      "modelled-monitors",	"remove-first",	    "send-first",
	"remove-before-send", "destination-forgets",	"switch-undrained", "queue-lifo",
	"queue-drops",	      "replicator-drops",	"replicator-swaps", "majority-of-one",
	"alternate-always",   "container-wrong-region", "changes-value",    "never-probes",
};

static const char *const defect_texts[] = {
#define PL_X(name, text) text,
	PL_DEFECTS(PL_X)
#undef PL_X
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
_Static_assert(COUNT(statuses) == PL_STATUSES, "a name for each status");
_Static_assert(COUNT(defects) == PL_DEFECT_COUNT, "a name for each defect");
#define NAME(table, index) ((index) < COUNT(table) ? (table)[index] : "unknown")

const char *pl_message_name(uint32_t kind)
{
	return NAME(messages, kind);
}

const char *pl_effect_name(uint32_t kind)
{
	return NAME(effects, kind);
}

const char *pl_status_name(uint32_t status)
{
	return NAME(statuses, status);
}

const char *pl_defect_name(uint32_t defect)
{
	return NAME(defects, defect);
}

const char *pl_defect_text(uint32_t defect)
{
	return NAME(defect_texts, defect);
}
