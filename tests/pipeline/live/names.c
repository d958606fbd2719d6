/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/live/names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define ORIGIN "pipeline.test"
#define RATE 1000000ull /* queries a second: the chain asks once for each record */
#define RETRY_NS 50000000ull
#define TRIES 5
#define ADDRESS(name, region) (0x7f4d0000u | ((name) + 1u) << 8 | (region))
#define TYPE_A 1
#define CLASS_IN 1
#define MESSAGE_BYTES 512

/* ---- the wire (RFC 1035) ---- */

static size_t put_name(uint8_t *to, const char *text)
{
	size_t used = 0;
	while (*text) {
		size_t length = strcspn(text, ".");
		to[used++] = (uint8_t)length;
		memcpy(to + used, text, length);
		used += length;
		text += length + (text[length] == '.');
	}
	to[used++] = 0;
	return used;
}

/* region 0: the name that the policy is for. */
static size_t put_query(uint8_t *to, uint16_t id, const char *name, uint32_t region)
{
	const uint8_t header[12] = {(uint8_t)(id >> 8), (uint8_t)id, 0, 0, 0, 1};
	const uint8_t end[4] = {0, TYPE_A, 0, CLASS_IN};
	char full[2 * PL_NAME_BYTES];
	if (region > 0)
		snprintf(full, sizeof(full), "%u.%s." ORIGIN, region, name);
	else
		snprintf(full, sizeof(full), "%s." ORIGIN, name);
	memcpy(to, header, sizeof(header));
	size_t used = sizeof(header) + put_name(to + sizeof(header), full);
	memcpy(to + used, end, sizeof(end));
	return used + sizeof(end);
}

static size_t skip_name(const uint8_t *data, size_t at, size_t bytes)
{
	while (at < bytes && data[at] != 0) {
		if (data[at] >= 0xc0)
			return at + 2;
		at += data[at] + 1u;
	}
	return at + 1;
}

static uint32_t word(const uint8_t *data)
{
	return (uint32_t)data[0] << 8 | data[1];
}

/* The first A record's address, in host order; 0: there is none. */
static uint32_t address_in(const uint8_t *data, size_t bytes, uint32_t *ttl_s)
{
	if (bytes < 12 || (data[3] & 15) != 0)
		return 0;
	uint32_t answers = word(data + 6);
	size_t at = skip_name(data, 12, bytes) + 4;
	for (uint32_t i = 0; i < answers && i < 16; i++) {
		at = skip_name(data, at, bytes);
		if (at + 10 > bytes)
			return 0;
		uint32_t type = word(data + at), length = word(data + at + 8);
		*ttl_s = word(data + at + 4) << 16 | word(data + at + 6);
		at += 10;
		if (at + length > bytes)
			return 0;
		if (type == TYPE_A && length == 4)
			return word(data + at) << 16 | word(data + at + 2);
		at += length;
	}
	return 0;
}

/* ---- queries ---- */

static const char *name_of(uint32_t which)
{
	static const char *const names[PL_LIVE_NAMES] = {"in-dns", "out-dns"};
	return names[which];
}

static void send_query(struct pl_live_names *names, struct pl_query *query, uint64_t now_ns)
{
	uint8_t data[MESSAGE_BYTES];
	size_t bytes = put_query(data, query->id, name_of(query->name), query->region);
	query->sent_ns = now_ns;
	query->tries++;
	names->queries_sent++;
	names->repeated += query->tries > 1;
	/* One that is not sent is one that is lost. */
	(void)!send(names->fd, data, bytes, 0);
}

static void
answer(struct pl_live_names *names,
       struct pl_query *query,
       uint32_t region,
       uint64_t ttl_ns,
       uint64_t now_ns)
{
	const struct pl_params *params = &names->machines[query->name].params;
	struct pl_out out;
	pl_runtime_prepare(names->runtime, params->self, &out);
	bool good = region >= 1 && region <= params->endpoint_count;
	struct pl_message *message =
		pl_reply(&out, &query->asked, PL_RESOLVED, good ? PL_OK : PL_FAILED);
	message->argument = good ? params->endpoints[region - 1] : PL_NOBODY;
	message->region = (uint8_t)region;
	message->position = ttl_ns;
	names->failed += !good;
	query->is_open = false;
	pl_runtime_give(names->runtime, params->self, &out, now_ns);
}

static bool look(void *context, uint64_t now_ns)
{
	struct pl_live_names *names = context;
	uint8_t data[MESSAGE_BYTES];
	bool worked = false;
	ssize_t got;
	for (int burst = 0; burst < 64; burst++) {
		got = recv(names->fd, data, sizeof(data), MSG_DONTWAIT);
		if (got < 12)
			break;
		uint16_t id = (uint16_t)word(data);
		struct pl_query *query = &names->queries[id % PL_LIVE_QUERIES];
		worked = true;
		if (!query->is_open || query->id != id) {
			names->strange++;
			continue;
		}
		uint32_t ttl_s = 0, address = address_in(data, (size_t)got, &ttl_s);
		bool ours = (address & 0xffffff00u) == ADDRESS(query->name, 0u);
		answer(names, query, ours ? address & 0xff : 0, ttl_s * 1000000000ull, now_ns);
	}
	for (uint32_t i = 0; i < PL_LIVE_QUERIES; i++) {
		struct pl_query *query = &names->queries[i];
		if (!query->is_open || now_ns < query->sent_ns + RETRY_NS)
			continue;
		if (query->tries == TRIES)
			answer(names, query, 0, 0, now_ns);
		else
			send_query(names, query, now_ns);
	}
	return worked;
}

static uint64_t due(void *context)
{
	const struct pl_live_names *names = context;
	uint64_t first = PL_NEVER;
	for (uint32_t i = 0; i < PL_LIVE_QUERIES; i++) {
		const struct pl_query *query = &names->queries[i];
		if (query->is_open && query->sent_ns + RETRY_NS < first)
			first = query->sent_ns + RETRY_NS;
	}
	return first;
}

/* ---- the machine ---- */

static void
resolve(struct pl_live_names *names,
	uint32_t which,
	const struct pl_message *message,
	uint64_t now_ns)
{
	for (uint32_t i = 0; i < PL_LIVE_QUERIES; i++) {
		uint16_t id = names->next_id++;
		struct pl_query *query = &names->queries[id % PL_LIVE_QUERIES];
		if (query->is_open)
			continue;
		*query = (struct pl_query){
			.asked = *message,
			.id = id,
			.name = (uint8_t)which,
			.region = message->region,
			.is_open = true,
		};
		send_query(names, query, now_ns);
		return;
	}
	names->failed++; /* nobody asks again before the answer, so there are not so many */
}

static void
command(struct pl_live_names *names,
	uint32_t which,
	const struct pl_message *message,
	struct pl_out *out)
{
	uint32_t index = names->machines[which].index;
	uint32_t endpoint = message->region - 1u;
	bool good;
	if (message->kind == PL_SWITCH || message->kind == PL_SWITCH_FORCED)
		good = ctl_zone_switch_to(&names->zone, index, endpoint);
	else
		good = ctl_zone_set_offline(
			&names->zone, index, endpoint, message->kind == PL_OFFLINE
		);
	if (good && message->kind == PL_SWITCH) {
		pl_effect(out, PL_EFFECT_SWITCHED, (struct pl_record){0});
		out->effects[out->effect_count - 1].region = message->region;
	}
	pl_reply(out, message, PL_COMMAND_DONE, good ? PL_OK : PL_FAILED);
}

static void
dns_step(void *state, const struct pl_message *message, uint64_t now_ns, struct pl_out *out)
{
	struct pl_live_names *names = state;
	uint32_t which = out->self == names->machines[0].params.self ? 0 : 1;
	const struct pl_params *params = &names->machines[which].params;
	switch (message->kind) {
	case PL_RESOLVE:
		resolve(names, which, message, now_ns);
		break;
	case PL_ROUTE_USED:
		for (uint32_t i = 0; i < params->endpoint_count; i++)
			if (params->endpoints[i] == message->argument)
				ctl_zone_accepted(
					&names->zone, names->machines[which].index, (int)i
				);
		break;
	case PL_SWITCH:
	case PL_SWITCH_FORCED:
	case PL_OFFLINE:
	case PL_ONLINE:
		command(names, which, message, out);
		break;
	case PL_RECOVER:
		pl_reply(out, message, PL_COMMAND_DONE, PL_OK);
		break;
	case PL_FAIL:
	case PL_CRASH:
	case PL_STOP_CARRYING:
	case PL_CARRY_AGAIN:
		pl_reply(out, message, PL_COMMAND_DONE, PL_FAILED);
		break;
	default:
		pl_effect(out, PL_EFFECT_STRAY, (struct pl_record){0});
	}
}

static const char *const dns_states[] = {"serves"};

static uint32_t dns_state_of(const void *state)
{
	(void)state;
	return 0;
}

const struct pl_kind pl_live_dns = {
	.name = "live-dns",
	.states = dns_states,
	.state_count = 1,
	.step = dns_step,
	.state_of = dns_state_of,
};

/* ---- beginning and end ---- */

/* A name with its policy, or, of one region, with that region's endpoint alone. */
static int add_name(
	struct pl_live_names *names, uint32_t which, uint32_t region, const struct pl_params *params
)
{
	struct ctl_zone_name name = {
		.kind = CTL_ENDPOINT_QUEUE,
		.ttl_s = (uint32_t)(params->ttl_ns / 1000000000u),
		.reports_acceptance = true,
	};
	uint32_t count = region ? 1 : params->endpoint_count;
	enum ctl_route_policy policy = region ? CTL_ROUTE_FAILOVER : params->policy;
	if (region)
		snprintf(name.name, sizeof(name.name), "%u.%s", region, name_of(which));
	else
		snprintf(name.name, sizeof(name.name), "%s", name_of(which));
	if (!ctl_route_init(&name.route, policy, count, params->seed))
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++) {
		name.endpoints[i].address = ADDRESS(which, region ? region : i + 1);
		name.endpoints[i].port = 1;
	}
	return ctl_zone_add(&names->zone, &name);
}

int pl_live_names_place(
	struct pl_live_names *names,
	struct pl_runtime *runtime,
	const struct pl_topology *topology,
	uint32_t thread
)
{
	const uint8_t machines[PL_LIVE_NAMES] = {topology->in_dns, topology->out_dns};
	names->runtime = runtime;
	names->count = PL_LIVE_NAMES;
	memset(names->queries, 0, sizeof(names->queries));
	/* Emptied and filled again under the server's eyes, but nobody asks between two runs. */
	pthread_mutex_lock(&names->zone.lock);
	names->zone.count = 0;
	pthread_mutex_unlock(&names->zone.lock);
	for (uint32_t i = 0; i < PL_LIVE_NAMES; i++) {
		const struct pl_params *params = &topology->machines[machines[i]].params;
		int index = add_name(names, i, 0, params), other = 0;
		for (uint32_t r = 1; r <= params->endpoint_count && other >= 0; r++)
			other = add_name(names, i, r, params);
		if (index < 0 || other < 0)
			return index < 0 ? index : other;
		names->machines[i].names = names;
		names->machines[i].params = *params;
		names->machines[i].index = (uint32_t)index;
		int rc =
			pl_runtime_place(runtime, machines[i], thread, &pl_live_dns, params, names);
		if (rc != 0)
			return rc;
	}
	pl_runtime_listen(
		runtime,
		thread,
		&(struct pl_listener){.fd = names->fd, .context = names, .look = look, .due = due}
	);
	return 0;
}

int pl_live_names_start(struct pl_live_names *names, char *error, size_t bytes)
{
	memset(names, 0, sizeof(*names));
	names->fd = -1;
	ctl_zone_init(&names->zone);
	struct ctl_name_server_options options = {
		.responder = {.origin = ORIGIN, .zone = &names->zone, .ttl_s = 0, .serial = 1},
		.address = INADDR_LOOPBACK,
		.rate = RATE,
		.rate_all = RATE,
	};
	int rc = ctl_name_server_start(&options, &names->server, error, bytes);
	if (rc != 0)
		return rc;
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(ctl_name_server_port(names->server)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	names->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (names->fd < 0 || connect(names->fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		rc = -errno;
		snprintf(error, bytes, "no socket for queries: %s", strerror(-rc));
	}
	return rc;
}

void pl_live_names_stop(struct pl_live_names *names)
{
	ctl_name_server_stop(names->server);
	if (names->fd >= 0)
		close(names->fd);
	ctl_zone_destroy(&names->zone);
}
