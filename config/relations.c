/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/relations.h"

#include "config/bytes.h"
#include "config/check.h"
#include "config/lcores.h"
#include "config/routes.h"

#include <string.h>
#include <strings.h>

/* What surrounds a payload on the wire: the replication frame's header and the entry's header, and
 * on the client network what client-protocol.md's 1,334 and 1,326 bytes leave of 1,500. */
#define FRAME_HEADER_BYTES 96
#define ENTRY_HEADER_BYTES 64
#define REQUEST_OVERHEAD_BYTES (1500 - 1334)
#define ANSWER_OVERHEAD_BYTES (1500 - 1326)
#define MAX_KEPT_ANSWERS (1u << 24)

bool cfg_has_etcd(void)
{
#ifdef SF_ETCD
	return true;
#else
	return false;
#endif
}

struct judge {
	const struct cfg_settings *settings;
	const bool *bad;
	struct cfg_errors *errors;
};

static uint32_t row_index(const char *path)
{
	const struct cfg_row *row = cfg_row_find(path);
	CHECK(row); /* The paths below are our own. */
	return cfg_row_index(row);
}

static bool good(const struct judge *judge, const char *path)
{
	return !judge->bad[row_index(path)];
}

/* The place for an error about two settings: that of a, or of b if a has its default. */
static struct cfg_origin place(const struct judge *judge, const char *a, const char *b)
{
	struct cfg_origin origin = judge->settings->origins[row_index(a)];
	return origin.file != 0 ? origin : judge->settings->origins[row_index(b)];
}

#define DENY(judge, a, b, ...) \
	cfg_errors_add_at((judge)->errors, (judge)->settings, place((judge), (a), (b)), __VA_ARGS__)

static void check_nodes(const struct judge *judge)
{
	const struct cfg_settings *s = judge->settings;

	if (good(judge, "node.name") && good(judge, "peer.name") &&
	    strcmp(s->node.name, s->peer.name) == 0)
		DENY(judge,
		     "peer.name",
		     "node.name",
		     "peer.name: \"%s\" is node.name too; the other node must have another",
		     s->peer.name);
	if (!good(judge, "client.address"))
		return;
	if (good(judge, "peer.address") && s->peer.address == s->client.address)
		DENY(judge,
		     "peer.address",
		     "client.address",
		     "peer.address: is client.address too; the other node must have another");
	if (good(judge, "client.service_address") && s->client.service_address != 0 &&
	    (s->client.service_address == s->client.address ||
	     (good(judge, "peer.address") && s->client.service_address == s->peer.address)))
		DENY(judge,
		     "client.service_address",
		     "client.address",
		     "client.service_address: is one node's own address too; it must be a third");
}

static bool is_memif(const struct cfg_port *port)
{
	return port->kind == CFG_DEVICE_MEMIF_SERVER || port->kind == CFG_DEVICE_MEMIF_CLIENT;
}

static void check_ports(const struct judge *judge)
{
	const struct cfg_port *client = &judge->settings->client.port;
	const struct cfg_port *replication = &judge->settings->replication.port;

	if (good(judge, "client.device") && good(judge, "replication.device") &&
	    strcmp(client->device, replication->device) == 0 &&
	    (client->kind == replication->kind || (is_memif(client) && is_memif(replication))))
		DENY(judge,
		     "replication.device",
		     "client.device",
		     "replication.device: is client.device too; they must be two ports");
	static const uint8_t none[6];
	if (good(judge, "replication.peer_mac") && good(judge, "replication.mac") &&
	    memcmp(judge->settings->replication.peer_mac, none, 6) != 0 &&
	    memcmp(judge->settings->replication.peer_mac, replication->mac, 6) == 0)
		DENY(judge,
		     "replication.peer_mac",
		     "replication.mac",
		     "replication.peer_mac: is replication.mac too; the other port must have "
		     "another");
}

static void check_ethertype(const struct judge *judge)
{
	uint16_t type = judge->settings->replication.ethertype;

	/* IPv4, ARP, VLAN, IPv6, QinQ: a switch or the client side would take them for its own. */
	if (good(judge, "replication.ethertype") &&
	    (type == 0x0800 || type == 0x0806 || type == 0x8100 || type == 0x86dd || type == 0x88a8
	    ))
		DENY(judge,
		     "replication.ethertype",
		     "replication.ethertype",
		     "replication.ethertype: 0x%04X belongs to another protocol",
		     type);
}

static void check_ack(const struct judge *judge)
{
	const struct cfg_settings *s = judge->settings;

	if (!good(judge, "replication.ack") || !good(judge, "log.enabled"))
		return;
	if (s->replication.ack == CFG_ACK_DURABLE && s->log.enabled != CFG_ON)
		DENY(judge,
		     "replication.ack",
		     "log.enabled",
		     "replication.ack: \"durable\" needs a log, and log.enabled is \"off\"");
	if (s->replication.ack == CFG_ACK_NONE && s->log.enabled != CFG_ON)
		DENY(judge,
		     "replication.ack",
		     "log.enabled",
		     "replication.ack: \"none\" needs a log, from which a follower that fell "
		     "behind "
		     "catches up, and log.enabled is \"off\"");
}

static bool is_written(const struct judge *judge, const char *path)
{
	return judge->settings->origins[row_index(path)].file != 0;
}

static void check_lost_peer(const struct judge *judge)
{
	const struct cfg_settings *s = judge->settings;

	if (good(judge, "arbiter.kind") && good(judge, "roles.lost_peer") &&
	    s->arbiter.kind != CFG_ARBITER_NONE &&
	    (is_written(judge, "roles.lost_peer") || s->roles.lost_peer != CFG_PRIMARY_CONTINUES))
		DENY(judge,
		     "roles.lost_peer",
		     "arbiter.kind",
		     "roles.lost_peer: is for pairs without an arbiter; with one, whichever node "
		     "it "
		     "names goes on");
}

/* Either both are given, or none. */
static void
check_both(const struct judge *judge, const char *a, bool a_given, const char *b, bool b_given)
{
	if (a_given != b_given && good(judge, a) && good(judge, b))
		DENY(judge, a, b, "%s: needs %s too", a_given ? a : b, a_given ? b : a);
}

static void check_credentials(const struct judge *judge)
{
	const struct cfg_settings *s = judge->settings;
	bool certificate = s->arbiter.certificate_file[0] != 0;
	bool user = s->arbiter.user[0] != 0;

	check_both(
		judge,
		"arbiter.certificate_file",
		certificate,
		"arbiter.private_key_file",
		s->arbiter.private_key_file[0] != 0
	);
	check_both(
		judge,
		"arbiter.user",
		user,
		"arbiter.password_file",
		s->arbiter.password_file[0] != 0
	);
	if (user && s->arbiter.token_file[0] != 0)
		DENY(judge,
		     "arbiter.token_file",
		     "arbiter.user",
		     "arbiter.token_file: is instead of arbiter.user, which is given too");
	for (uint32_t i = 0; i < s->arbiter.endpoint_count; i++) {
		bool plain = strncmp(s->arbiter.endpoints[i], "http://", 7) == 0;
		if (plain && (certificate || s->arbiter.ca_file[0] != 0)) {
			DENY(judge,
			     "arbiter.endpoints",
			     "arbiter.kind",
			     "arbiter.endpoints: %s has no TLS, and certificates are given",
			     s->arbiter.endpoints[i]);
			break;
		}
	}
}

static void check_arbiter(const struct judge *judge)
{
	const struct cfg_settings *s = judge->settings;
	enum cfg_arbiter kind = s->arbiter.kind;

	check_lost_peer(judge);
	check_credentials(judge);
	if (!good(judge, "arbiter.kind") || kind == CFG_ARBITER_NONE)
		return;
	if (good(judge, "log.enabled") && s->log.enabled != CFG_ON)
		DENY(judge,
		     "arbiter.kind",
		     "log.enabled",
		     "arbiter.kind: an arbiter needs nodes that do not forget, and log.enabled is "
		     "\"off\"");
	if (kind == CFG_ARBITER_FILE && good(judge, "arbiter.dir") && s->arbiter.dir[0] == 0)
		DENY(judge,
		     "arbiter.kind",
		     "arbiter.dir",
		     "arbiter.kind: \"file\" needs arbiter.dir");
	if (kind != CFG_ARBITER_ETCD)
		return;
	if (!cfg_has_etcd())
		DENY(judge,
		     "arbiter.kind",
		     "arbiter.endpoints",
		     "arbiter.kind: this build has no etcd (it was made without libcurl)");
	if (good(judge, "arbiter.endpoints") && s->arbiter.endpoint_count == 0)
		DENY(judge,
		     "arbiter.kind",
		     "arbiter.endpoints",
		     "arbiter.kind: \"etcd\" needs arbiter.endpoints");
}

static void check_sizes(const struct judge *judge)
{
	const struct cfg_settings *s = judge->settings;
	uint64_t frame = FRAME_HEADER_BYTES + ENTRY_HEADER_BYTES +
			 sf_round_up(s->limits.max_payload_bytes, 8);

	if (good(judge, "limits.max_payload") && good(judge, "replication.mtu") &&
	    frame > s->replication.port.mtu_bytes)
		DENY(judge,
		     "limits.max_payload",
		     "replication.mtu",
		     "limits.max_payload: an entry of %u bytes makes a frame of %u, more than "
		     "replication.mtu = %u",
		     s->limits.max_payload_bytes,
		     (unsigned)frame,
		     s->replication.port.mtu_bytes);
	if (good(judge, "client.mtu") && good(judge, "limits.max_payload") &&
	    s->limits.max_payload_bytes + REQUEST_OVERHEAD_BYTES > s->client.port.mtu_bytes)
		DENY(judge,
		     "client.mtu",
		     "limits.max_payload",
		     "client.mtu: %u bytes have no room for a request of limits.max_payload = %u",
		     s->client.port.mtu_bytes,
		     s->limits.max_payload_bytes);
	if (good(judge, "client.mtu") && good(judge, "limits.max_answer") &&
	    s->limits.max_answer_bytes + ANSWER_OVERHEAD_BYTES > s->client.port.mtu_bytes)
		DENY(judge,
		     "client.mtu",
		     "limits.max_answer",
		     "client.mtu: %u bytes have no room for an answer of limits.max_answer = %u",
		     s->client.port.mtu_bytes,
		     s->limits.max_answer_bytes);
}

static void check_limits(const struct judge *judge)
{
	const struct cfg_settings *s = judge->settings;

	if (good(judge, "replication.window") && good(judge, "arena.slots") &&
	    s->replication.window > s->arena.slots / 2)
		DENY(judge,
		     "replication.window",
		     "arena.slots",
		     "replication.window: %u is more than half of arena.slots = %u",
		     s->replication.window,
		     s->arena.slots);
	if (good(judge, "limits.max_sessions") && good(judge, "limits.max_inflight") &&
	    (uint64_t)s->limits.max_sessions * s->limits.max_inflight > MAX_KEPT_ANSWERS)
		DENY(judge,
		     "limits.max_sessions",
		     "limits.max_inflight",
		     "limits.max_sessions: %u sessions times limits.max_inflight = %u are more "
		     "than "
		     "%u kept answers",
		     s->limits.max_sessions,
		     s->limits.max_inflight,
		     MAX_KEPT_ANSWERS);
	if (good(judge, "limits.session_min_idle") && good(judge, "limits.session_timeout") &&
	    s->limits.session_min_idle_ns > s->limits.session_timeout_ns)
		DENY(judge,
		     "limits.session_min_idle",
		     "limits.session_timeout",
		     "limits.session_min_idle: is longer than limits.session_timeout");
	/* Else a lost tail could not be sent again before the peer is taken for lost. */
	if (good(judge, "replication.retransmit_min") &&
	    good(judge, "replication.heartbeat_interval") &&
	    good(judge, "replication.heartbeat_misses") &&
	    s->replication.retransmit_min_ns >=
		    s->replication.heartbeat_interval_ns * s->replication.heartbeat_misses)
		DENY(judge,
		     "replication.retransmit_min",
		     "replication.heartbeat_interval",
		     "replication.retransmit_min: is not shorter than heartbeat_interval times "
		     "heartbeat_misses");
}

static void check_routes(const struct judge *judge, const char *own)
{
	const struct cfg_settings *s = judge->settings;
	struct cfg_route route, other;

	for (uint32_t i = 0; i < s->routing.name_count; i++) {
		if (cfg_parse_route(s->routing.names[i], &route))
			continue; /* A hand-made one; whoever uses it reads it too. */
		bool twice = strcasecmp(route.name, own) == 0 || strcasecmp(route.name, "ns") == 0;
		for (uint32_t k = 0; k < i; k++)
			twice |= !cfg_parse_route(s->routing.names[k], &other) &&
				 strcasecmp(route.name, other.name) == 0;
		if (twice)
			DENY(judge,
			     "routing.names",
			     "routing.names",
			     "routing.names: the name \"%s\" is there already",
			     route.name);
	}
}

static void check_routing(const struct judge *judge)
{
	const struct cfg_settings *s = judge->settings;
	const char *name = s->routing.name[0] ? s->routing.name : s->cluster;

	if (s->routing.enabled != CFG_ON)
		return;
	if (good(judge, "routing.zone") && cfg_parse_domain(s->routing.zone))
		DENY(judge,
		     "routing.zone",
		     "routing.enabled",
		     "routing.zone: \"%s\" %s",
		     s->routing.zone,
		     cfg_parse_domain(s->routing.zone));
	if (good(judge, "routing.name") && good(judge, "cluster") && cfg_parse_domain(name))
		DENY(judge,
		     "routing.name",
		     "cluster",
		     "routing.name: \"%s\" %s",
		     name,
		     cfg_parse_domain(name));
	if (good(judge, "routing.name") && good(judge, "cluster") && strcasecmp(name, "ns") == 0)
		DENY(judge,
		     "routing.name",
		     "cluster",
		     "routing.name: \"%s\" is the name server's own name",
		     name);
	if (good(judge, "routing.ttl") && s->routing.ttl_ns % 1000000000 != 0)
		DENY(judge,
		     "routing.ttl",
		     "routing.enabled",
		     "routing.ttl: DNS counts in whole seconds");
	if (good(judge, "routing.names"))
		check_routes(judge, name);
}

/* ---------------------------------------------------------------- lcores */

static void check_agent(const struct judge *judge, uint32_t agent, bool complete)
{
	const struct cfg_settings *s = judge->settings;
	char name[CFG_AGENT_NAME_BYTES];
	uint32_t count = 0, first = 0;

	cfg_agent_name(agent, name);
	for (uint32_t i = 0; i < s->lcore_count; i++) {
		if (!cfg_agent_is_on(&s->lcores[i], agent))
			continue;
		if (!cfg_agent_exists(s, agent))
			cfg_errors_add_at(
				judge->errors,
				s,
				s->lcore_origins[i],
				CFG_LCORES "[%u].agents: there is no agent %s",
				i,
				name
			);
		else if (count++ == 0)
			first = i;
		else
			cfg_errors_add_at(
				judge->errors,
				s,
				s->lcore_origins[i],
				CFG_LCORES "[%u].agents: agent %s is on " CFG_LCORES "[%u] too",
				i,
				name,
				first
			);
	}
	if (count == 0 && complete && cfg_agent_exists(s, agent))
		cfg_errors_add_at(
			judge->errors,
			s,
			s->lcore_origins[0],
			CFG_LCORES ": agent %s is on no lcore",
			name
		);
}

static void check_lcores(const struct judge *judge)
{
	const struct cfg_settings *s = judge->settings;

	if (!good(judge, "client.rx_queues") || !good(judge, "dataplane.workers"))
		return;
	if (s->lcore_count > CFG_MAX_LCORES) {
		cfg_errors_add(judge->errors, s->files[0], 0, CFG_LCORES ": too many");
		return;
	}
	bool complete = good(judge, CFG_LCORES "[].agents");
	for (uint32_t agent = 0; agent < CFG_AGENTS; agent++)
		check_agent(judge, agent, complete);
}

void cfg_relations_check(
	const struct cfg_settings *settings, const bool bad[CFG_MAX_ROWS], struct cfg_errors *errors
)
{
	const struct judge judge = {.settings = settings, .bad = bad, .errors = errors};

	check_nodes(&judge);
	check_ports(&judge);
	check_ethertype(&judge);
	check_ack(&judge);
	check_arbiter(&judge);
	check_sizes(&judge);
	check_limits(&judge);
	check_routing(&judge);
	check_lcores(&judge);
}

bool cfg_check(const struct cfg_settings *settings, struct cfg_errors *errors)
{
	static const bool none_bad[CFG_MAX_ROWS];
	size_t before = errors->found;

	cfg_relations_check(settings, none_bad, errors);
	return errors->found == before;
}
