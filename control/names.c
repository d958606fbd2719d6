/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/names.h"

#include "config/routes.h"
#include "control/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define S_NS 1000000000ull

/* --- What the pair's name means --- */

static bool serves(uint64_t mode)
{
	return mode == REP_MODE_PAIRED || mode == REP_MODE_ALONE || mode == REP_MODE_ASYNC;
}

static struct ctl_pair_view look(struct ctl_names *names, uint64_t now_ns)
{
	const struct cfg_settings *settings = names->settings;
	struct ctl_pair_view view = {.own_id = settings->node.id};
	char ignored[256];
	if (names->shm && dp_shm_replaced(settings, names->shm)) {
		dp_shm_detach(names->shm);
		names->shm = NULL;
	}
	if (!dp_shm_alive(settings))
		return view;
	if (!names->shm &&
	    dp_shm_attach_file(settings, false, &names->shm, ignored, sizeof(ignored)) < 0)
		return view;
	const struct dp_shm_status *status = &names->shm->status;
	uint64_t beat_ns = dp_shm_load(&status->heartbeat_ns), mode = dp_shm_load(&status->mode);
	view.is_alive = beat_ns != 0 && beat_ns + CTL_NAMES_STUCK_NS > now_ns;
	view.is_told = dp_shm_load(&status->told) != 0;
	view.peer_is_heard = dp_shm_load(&status->peer_reachable) != 0;
	view.record_primary = (uint8_t)dp_shm_load(&status->pair_primary);
	view.record_is_there = dp_shm_load(&status->pair_epoch) != 0;
	view.own_is_primary = dp_shm_load(&status->role) == REP_PRIMARY;
	view.own_serves = serves(mode);
	view.peer_serves = serves(dp_shm_load(&status->peer_mode));
	return view;
}

/* On the server's thread, each health interval. */
static void tick(void *context)
{
	struct ctl_names *names = context;
	const struct cfg_settings *settings = names->settings;
	uint64_t now_ns = ctl_monotonic_ns();
	struct ctl_pair_view view = look(names, now_ns);
	struct ctl_pair_verdict verdict = ctl_pair_judge(&view);
	ctl_zone_set_silent(&names->zone, names->pair, verdict.is_silent);
	if (verdict.is_silent) {
		names->is_known = false;
		return;
	}
	for (uint32_t i = 0; i < CTL_PAIR_NODES; i++) {
		struct ctl_health *health = &names->health[i];
		/* What is seen first needs no threshold: there is nothing to hold on to. */
		if (names->is_known)
			ctl_health_look(health, verdict.serves[i], now_ns);
		else
			ctl_health_init(
				health,
				verdict.serves[i],
				settings->routing.fall_ns,
				settings->routing.rise_ns
			);
		ctl_zone_set_healthy(&names->zone, names->pair, i, health->healthy);
	}
	names->is_known = true;
	uint32_t first = verdict.serves[0] ? 0 : verdict.serves[1] ? 1 : verdict.first;
	ctl_zone_switch_to(&names->zone, names->pair, first);
}

/* --- Making the zone --- */

static struct ctl_zone_endpoint endpoint_of(const char *label, uint32_t address, uint16_t port)
{
	struct ctl_zone_endpoint endpoint = {.address = address, .port = port};
	snprintf(endpoint.label, sizeof(endpoint.label), "%s", label);
	return endpoint;
}

static int add_pair(struct ctl_names *names)
{
	const struct cfg_settings *s = names->settings;
	uint32_t own = s->node.id;
	struct ctl_zone_name name = {
		.kind = CTL_ENDPOINT_NODE,
		.ttl_s = (uint32_t)(s->routing.ttl_ns / S_NS),
		.is_followed = true,
		.is_silent = true,
	};
	snprintf(
		name.name,
		sizeof(name.name),
		"%s",
		s->routing.name[0] ? s->routing.name : s->cluster
	);
	ctl_route_init(&name.route, CTL_ROUTE_FAILOVER, CTL_PAIR_NODES, 0);
	name.endpoints[own] = endpoint_of(s->node.name, s->client.address, s->client.udp_port);
	name.endpoints[!own] = endpoint_of(s->peer.name, s->peer.address, s->peer.port);
	return ctl_zone_add(&names->zone, &name);
}

static int add_route(struct ctl_names *names, const char *text)
{
	struct cfg_route route;
	uint64_t seed = 0;
	if (cfg_parse_route(text, &route))
		return -EINVAL;
	/* Two nodes must not draw the same row of endpoints. */
	(void)!getrandom(&seed, sizeof(seed), 0);
	struct ctl_zone_name name = {
		.kind = (enum ctl_endpoint_kind)route.kind,
		.ttl_s = (uint32_t)(names->settings->routing.ttl_ns / S_NS),
	};
	snprintf(name.name, sizeof(name.name), "%s", route.name);
	if (!ctl_route_init(
		    &name.route, (enum ctl_route_policy)route.policy, route.endpoint_count, seed
	    ))
		return -EINVAL;
	for (uint32_t i = 0; i < route.endpoint_count; i++) {
		name.endpoints[i] =
			endpoint_of("", route.endpoints[i].address, route.endpoints[i].port);
		ctl_route_set_weight(&name.route, i, route.endpoints[i].weight);
	}
	return ctl_zone_add(&names->zone, &name);
}

static int fill_zone(struct ctl_names *names, char *error, size_t error_bytes)
{
	const struct cfg_settings *settings = names->settings;
	int result = add_pair(names);
	names->pair = result >= 0 ? (uint32_t)result : 0;
	for (uint32_t i = 0; i < settings->routing.name_count && result >= 0; i++)
		result = add_route(names, settings->routing.names[i]);
	if (result < 0)
		snprintf(
			error,
			error_bytes,
			"a name of routing.* cannot be served: %s",
			strerror(-result)
		);
	return result < 0 ? result : 0;
}

int ctl_names_open(struct ctl_names *names, const struct cfg_settings *settings)
{
	if (settings->routing.enabled != CFG_ON)
		return 0;
	names->settings = settings;
	ctl_zone_init(&names->zone);
	int result = fill_zone(names, names->why, sizeof(names->why));
	if (result < 0)
		ctl_names_close(names);
	return result;
}

static int start_server(struct ctl_names *names, char *error, size_t error_bytes)
{
	const struct cfg_settings *settings = names->settings;
	const struct ctl_name_server_options options = {
		.responder =
			{
				.origin = settings->routing.zone,
				.zone = &names->zone,
				.ttl_s = (uint32_t)(settings->routing.ttl_ns / S_NS),
				.serial = (uint32_t)(ctl_unix_ns() / S_NS),
				.address = settings->routing.address,
			},
		.address = settings->routing.address,
		.port = settings->routing.port,
		.rate = settings->routing.rate,
		.rate_all = settings->routing.rate_all,
		.tick_interval_ns = settings->routing.health_interval_ns,
		.tick = tick,
		.context = names,
	};
	return ctl_name_server_start(&options, &names->server, error, error_bytes);
}

bool ctl_names_step(struct ctl_names *names, uint64_t now_ns, char *text, size_t text_bytes)
{
	char error[CTL_NAMES_WHY_BYTES];
	if (!names->settings || names->server || now_ns < names->next_try_ns)
		return false;
	bool was_down = names->why[0] != 0;
	if (start_server(names, error, sizeof(error)) == 0) {
		names->why[0] = 0;
		snprintf(
			text,
			text_bytes,
			"the name server listens at last, on port %u",
			names->settings->routing.port
		);
		return was_down;
	}
	names->pause_ns = was_down ? names->pause_ns * 2 : CTL_NAMES_PAUSE_MIN_NS;
	if (names->pause_ns > CTL_NAMES_PAUSE_MAX_NS)
		names->pause_ns = CTL_NAMES_PAUSE_MAX_NS;
	names->next_try_ns = now_ns + names->pause_ns;
	bool is_new = strcmp(names->why, error) != 0;
	snprintf(names->why, sizeof(names->why), "%s", error);
	snprintf(text, text_bytes, "no name server, tried again and again: %s", error);
	return is_new;
}

void ctl_names_close(struct ctl_names *names)
{
	if (!names->settings)
		return;
	ctl_name_server_stop(names->server);
	names->server = NULL;
	dp_shm_detach(names->shm);
	ctl_zone_destroy(&names->zone);
	names->settings = NULL;
}
