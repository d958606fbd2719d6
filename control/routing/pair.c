/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/routing/pair.h"

struct ctl_pair_verdict ctl_pair_judge(const struct ctl_pair_view *view)
{
	struct ctl_pair_verdict verdict = {.is_silent = !view->is_alive};
	uint8_t own = view->own_id & 1, peer = own ^ 1;
	bool peer_serves = view->is_told ? view->peer_serves : !view->own_is_primary;
	if (verdict.is_silent)
		return verdict;
	verdict.serves[own] = view->own_serves;
	/* Its own word comes first: a peer that it took over from may be heard a moment longer. */
	verdict.serves[peer] = !view->own_serves && view->peer_is_heard && peer_serves;
	if (view->is_told && view->record_is_there)
		verdict.first = view->record_primary & 1;
	else if (!view->is_told)
		verdict.first = view->own_is_primary ? own : peer;
	return verdict;
}
