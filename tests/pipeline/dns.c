/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The name server of the pipeline: what control/routing's policies say, as a machine. RESOLVE of
 * region 0 asks the policy; one that names a region asks for that region's own endpoint, whose name
 * is under no policy: a region that is offline gets nothing new, and what it had accepted can still
 * be fetched there. The policies' health is not looked at here: scenarios switch by hand.
 */
#include "tests/pipeline/handlers.h"

static const char *const dns_states[] = {"answers"};

struct dns {
	struct pl_params params;
	struct ctl_route route;
	uint32_t count;
	uint32_t zero;
};

static size_t dns_bytes(const struct pl_params *params)
{
	return sizeof(struct dns);
}

static void dns_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	struct dns *d = state;
	memcpy(&d->params, params, sizeof(d->params));
	d->params.scenario = NULL;
	/* What cannot be a route has none, and every question is answered FAILED. */
	if (ctl_route_init(
		    &d->route,
		    (enum ctl_route_policy)params->policy,
		    params->endpoint_count,
		    params->seed
	    ))
		d->count = params->endpoint_count;
	out->timer_ns = PL_NEVER;
}

PL_ON(resolve)
{
	struct dns *d = state;
	int index = CTL_ROUTE_NONE;
	if (m->region == 0 && d->count > 0)
		index = ctl_route_pick(&d->route);
	else if (m->region <= d->count)
		index = m->region - 1;
	struct pl_message *answer =
		pl_reply(out, m, PL_RESOLVED, index == CTL_ROUTE_NONE ? PL_FAILED : PL_OK);
	if (index == CTL_ROUTE_NONE)
		return;
	answer->argument = d->params.endpoints[index];
	answer->region = (uint8_t)(index + 1);
	answer->position = d->params.ttl_ns;
	if (pl_has(d->params.defects, PL_DEFECT_ALTERNATE_ALWAYS) && m->region == 0)
		ctl_route_accepted(&d->route, index);
}

PL_ON(route_used)
{
	struct dns *d = state;
	if (pl_has(d->params.defects, PL_DEFECT_ALTERNATE_ALWAYS))
		return; /* it has moved on already */
	for (uint32_t i = 0; i < d->count; i++)
		if (d->params.endpoints[i] == m->argument) {
			ctl_route_accepted(&d->route, (int)i);
			return;
		}
}

static void done(const struct pl_message *m, bool good, struct pl_out *out)
{
	pl_reply(out, m, PL_COMMAND_DONE, good ? PL_OK : PL_FAILED)->region = m->region;
}

PL_ON(switch_to)
{
	struct dns *d = state;
	bool good = d->count > 0 && m->region > 0 && ctl_route_switch_to(&d->route, m->region - 1u);
	if (good)
		pl_effect_in(out, PL_EFFECT_SWITCHED, m->region, (struct pl_record){0});
	done(m, good, out);
}

PL_ON(take_offline)
{
	struct dns *d = state;
	done(m, m->region > 0 && ctl_route_set_offline(&d->route, m->region - 1u, true), out);
}

PL_ON(take_online)
{
	struct dns *d = state;
	done(m, m->region > 0 && ctl_route_set_offline(&d->route, m->region - 1u, false), out);
}

/* clang-format off */
PL_HANDLERS(handlers, 1) = {
	{
		[PL_RESOLVE] = resolve, [PL_ROUTE_USED] = route_used,
		/* A name has no drain: planned or forced is the same to it. */
		[PL_SWITCH] = switch_to, [PL_SWITCH_FORCED] = switch_to,
		[PL_OFFLINE] = take_offline, [PL_ONLINE] = take_online,
		/* It does not fail, here: control's own tests are where it does. */
		[PL_FAIL] = pl_refuse, [PL_RECOVER] = pl_agree, [PL_CRASH] = pl_refuse,
		PL_NO_TRANSPORT, PL_NO_WATCH, PL_NO_DATABASE, PL_NO_MEMBER, PL_NO_REPLICATOR,
		PL_NO_API, PL_NO_SOURCE, PL_NO_CARRYING,
		PL_STRAY_TRANSPORT, PL_STRAY_WATCH, PL_STRAY_DATABASE, PL_STRAY_MEMBER,
		PL_STRAY_REPLICATOR, PL_STRAY_API, PL_STRAY_ROUTING, PL_STRAY_COMMANDS,
		[PL_TIMER] = pl_no_timer,
	},
};
/* clang-format on */

static void dns_step(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	if (m->kind < PL_MESSAGE_KINDS)
		handlers[0][m->kind](state, m, now_ns, out);
}

static uint32_t dns_state_of(const void *state)
{
	return 0;
}

const struct pl_kind pl_dns = {
	.name = "dns",
	.states = dns_states,
	.state_count = 1,
	.bytes = dns_bytes,
	.init = dns_init,
	.step = dns_step,
	.state_of = dns_state_of,
};
