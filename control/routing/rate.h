/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How many queries a name server takes: so many a second from each network of 256 addresses, and so
 * many in all, each with a burst of one second's worth. A reflection attack sends queries in the
 * name of its victim; whatever it sends, the victim gets no more answers than these.
 *
 * The generic cell rate algorithm (ITU-T I.371): a bucket is one time, when it will be empty. The
 * table of sources is of a fixed size: when its places are full, the source that is nearest to
 * empty is forgotten, and begins anew if it comes again; the bound in all is not touched by that.
 *
 * Pure; owner: one thread. Times are nanoseconds of any one monotonic clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CTL_RATE_SETS 1024
#define CTL_RATE_WAYS 4

struct ctl_rate_source {
	uint64_t empty_ns; /* the bucket is empty from then on; 0: never used */
	uint64_t key;
	uint64_t refused; /* since the bucket was last below its brim */
};

struct ctl_rate {
	uint64_t salt; /* random, so that nobody can aim at one set */
	uint64_t source_gap_ns, all_gap_ns;
	uint64_t all_empty_ns[2]; /* of what may be in a false name; of what is proven */
	struct ctl_rate_source sources[CTL_RATE_SETS][CTL_RATE_WAYS];
};

enum ctl_rate_verdict {
	CTL_RATE_PASS,
	CTL_RATE_SOURCE, /* this source has had its share */
	CTL_RATE_ALL,	 /* so have all together */
};

/* Both rates in queries a second, at least 1. */
void ctl_rate_init(struct ctl_rate *rate, uint64_t per_source, uint64_t all, uint64_t salt);

/* A query from this IPv4 address (host order). proven: it came over a connection, so the address is
 * its own; such queries have buckets, of the source and in all, apart from what is sent in false
 * names, so that no flood of datagrams shuts out who comes over TCP. *refused: how many of this
 * source were refused in a row, this one included; 0 unless the verdict is CTL_RATE_SOURCE. */
enum ctl_rate_verdict ctl_rate_take(
	struct ctl_rate *rate, uint32_t address, bool proven, uint64_t now_ns, uint64_t *refused
);
