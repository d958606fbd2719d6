/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/schema.h"

#include "config/check.h"

#include <string.h>

#define US 1000ull
#define MS 1000000ull
#define SECOND 1000000000ull
#define HOUR (3600 * SECOND)
#define MIB (1024 * 1024ull)

#define FIELD(member)                                    \
	.offset = offsetof(struct cfg_settings, member), \
	.bytes = sizeof(((struct cfg_settings *)NULL)->member)
#define LCORE_FIELD(member)                           \
	.offset = offsetof(struct cfg_lcore, member), \
	.bytes = sizeof(((struct cfg_lcore *)NULL)->member)
#define RANGE(least, most) .min = (least), .max = (most)

static const struct cfg_word roles[] = {
	{"primary", CFG_ROLE_PRIMARY}, {"standby", CFG_ROLE_STANDBY}, {NULL, 0}};
static const struct cfg_word acks[] = {
	{"received", CFG_ACK_RECEIVED},
	{"durable", CFG_ACK_DURABLE},
	{"none", CFG_ACK_NONE},
	{NULL, 0}};
static const struct cfg_word syncs[] = {
	{"group", CFG_SYNC_GROUP},
	{"interval", CFG_SYNC_INTERVAL},
	{"none", CFG_SYNC_NONE},
	{NULL, 0}};
static const struct cfg_word ios[] = {
	{"auto", CFG_IO_AUTO},
	{"io_uring", CFG_IO_URING},
	{"pwritev2", CFG_IO_PWRITEV2},
	{NULL, 0}};
static const struct cfg_word arbiters[] = {
	{"none", CFG_ARBITER_NONE},
	{"file", CFG_ARBITER_FILE},
	{"etcd", CFG_ARBITER_ETCD},
	{NULL, 0}};
static const struct cfg_word lost_peers[] = {
	{"primary-continues", CFG_PRIMARY_CONTINUES},
	{"standby-takes-over", CFG_STANDBY_TAKES_OVER},
	{"split-allowed", CFG_SPLIT_ALLOWED},
	{NULL, 0}};
static const struct cfg_word bootstraps[] = {
	{"manual", CFG_BOOTSTRAP_MANUAL}, {"auto", CFG_BOOTSTRAP_AUTO}, {NULL, 0}};
static const struct cfg_word switches[] = {{"on", CFG_ON}, {"off", CFG_OFF}, {NULL, 0}};
static const struct cfg_word tristates[] = {
	{"auto", CFG_AUTO}, {"on", CFG_ON}, {"off", CFG_OFF}, {NULL, 0}};
static const struct cfg_word idles[] = {
	{"auto", CFG_IDLE_AUTO},
	{"spin", CFG_IDLE_SPIN},
	{"pause", CFG_IDLE_PAUSE},
	{"yield", CFG_IDLE_YIELD},
	{"backoff", CFG_IDLE_BACKOFF},
	{"sleep", CFG_IDLE_SLEEP},
	{NULL, 0},
};

#define DEVICE_HELP                                                                                \
	"A PCI address (\"0000:8a:00.0\"), or memif-server:SOCKET (listens), memif-client:SOCKET " \
	"(connects), af_packet:IFACE, af_xdp:IFACE, tap:IFACE, ring:NAME (tests), "                \
	"vdev:net_…,ARGUMENTS (any other DPDK device)."

/* One glance per row is worth more here than the formatter's one item per line. */
/* clang-format off */
const struct cfg_row cfg_rows[] = {
	{"cluster", CFG_TYPE_NAME, CFG_REQUIRED | CFG_SAME, "demo", FIELD(cluster),
	 .help = "Name of the pair. Frames of other clusters on the same wire are ignored."},

	{"node.name", CFG_TYPE_NAME, CFG_REQUIRED, "a", FIELD(node.name),
	 .help = "Name of this node, unique in the cluster; names its files."},
	{"node.id", CFG_TYPE_INTEGER, CFG_REQUIRED, "0", RANGE(0, 1), FIELD(node.id),
	 .help = "0 on one node, 1 on the other."},
	{"node.role", CFG_TYPE_WORD, CFG_REQUIRED, "primary", .words = roles, FIELD(node.role),
	 .help = "Without a log: the role of this node, primary on one and standby on the other. With a "
		 "log the pair record decides."},
	{"node.runtime_dir", CFG_TYPE_PATH, 0, "/run/standfast", FIELD(node.runtime_dir),
	 .help = "Folder of the shared memory file and the control socket."},
	{"node.status_interval", CFG_TYPE_DURATION, 0, "1 s", RANGE(10 * MS, HOUR),
	 FIELD(node.status_interval_ns), .help = "How often slow status values are refreshed."},

	{"peer.name", CFG_TYPE_NAME, CFG_REQUIRED, "b", FIELD(peer.name),
	 .help = "The other node's node.name."},
	{"peer.address", CFG_TYPE_IPV4, CFG_REQUIRED, "10.77.0.2", FIELD(peer.address),
	 .help = "The other node's client.address, given to clients that ask the wrong node."},
	{"peer.port", CFG_TYPE_INTEGER, 0, "9400", RANGE(1, 65535), FIELD(peer.port),
	 .help = "The other node's client.udp_port."},

	{"client.device", CFG_TYPE_DEVICE, CFG_REQUIRED, "ring:client", FIELD(client.port),
	 .help = "The port that clients reach. " DEVICE_HELP},
	{"client.mac", CFG_TYPE_MAC, 0, "auto", FIELD(client.port.mac),
	 .help = "MAC address of the port; auto: the device's own."},
	{"client.mtu", CFG_TYPE_INTEGER, 0, "1500", RANGE(1280, 9000), .unit = "bytes",
	 FIELD(client.port.mtu_bytes), .help = "Largest IPv4 packet on the client network."},
	{"client.descriptors", CFG_TYPE_INTEGER, CFG_POWER_OF_TWO, "1024", RANGE(64, 16384),
	 FIELD(client.port.descriptors), .help = "Ring size per queue and direction."},
	{"client.address", CFG_TYPE_IPV4, CFG_REQUIRED, "10.77.0.1", FIELD(client.address),
	 .help = "IPv4 address of this node on the client network; not to be set in the kernel."},
	{"client.service_address", CFG_TYPE_IPV4, CFG_SAME, "none", FIELD(client.service_address),
	 .help = "IPv4 address that moves with the primary, or none."},
	{"client.udp_port", CFG_TYPE_INTEGER, 0, "9400", RANGE(1, 65535), FIELD(client.udp_port),
	 .help = "UDP port of the client protocol."},
	{"client.rx_queues", CFG_TYPE_INTEGER, 0, "1", RANGE(1, CFG_MAX_INGRESS),
	 FIELD(client.rx_queues), .help = "Receive queues, each with an ingress agent of its own."},
	{"client.verify_udp_checksum", CFG_TYPE_WORD, 0, "auto", .words = tristates,
	 FIELD(client.verify_udp_checksum),
	 .help = "auto: not on af_packet and af_xdp, where senders on the same host leave the "
		 "checksum unfinished."},

	{"replication.device", CFG_TYPE_DEVICE, CFG_REQUIRED, "ring:replication",
	 FIELD(replication.port), .help = "The port to the other node. " DEVICE_HELP},
	{"replication.mac", CFG_TYPE_MAC, 0, "auto", FIELD(replication.port.mac),
	 .help = "MAC address of the port; auto: the device's own."},
	{"replication.mtu", CFG_TYPE_INTEGER, CFG_SAME, "1500", RANGE(1280, 9000), .unit = "bytes",
	 FIELD(replication.port.mtu_bytes),
	 .help = "Largest Ethernet payload on the replication link; larger ones carry more entries "
		 "per frame."},
	{"replication.descriptors", CFG_TYPE_INTEGER, CFG_POWER_OF_TWO, "1024", RANGE(64, 16384),
	 FIELD(replication.port.descriptors), .help = "Ring size per queue and direction."},
	{"replication.ethertype", CFG_TYPE_INTEGER, CFG_SAME | CFG_HEX, "0x88B5",
	 RANGE(0x600, 0xffff), FIELD(replication.ethertype),
	 .help = "EtherType of replication frames; 0x88B5 and 0x88B6 are for local experiments."},
	{"replication.peer_mac", CFG_TYPE_MAC, 0, "auto", FIELD(replication.peer_mac),
	 .help = "MAC address of the other node's port; auto: learned from its first frame."},
	{"replication.heartbeat_interval", CFG_TYPE_DURATION, CFG_SAME, "100 ms",
	 RANGE(100 * US, 10 * SECOND), FIELD(replication.heartbeat_interval_ns),
	 .help = "A frame leaves at least this often. 1 ms is for isolated cores; shared machines "
		 "stall for hundreds of milliseconds."},
	{"replication.heartbeat_misses", CFG_TYPE_INTEGER, CFG_SAME, "10", RANGE(2, 1000),
	 FIELD(replication.heartbeat_misses),
	 .help = "Intervals of silence after which the other node is taken for lost."},
	{"replication.retransmit_min", CFG_TYPE_DURATION, 0, "1 ms", RANGE(10 * US, SECOND),
	 FIELD(replication.retransmit_min_ns),
	 .help = "Least time before an unacknowledged tail is sent again."},
	{"replication.window", CFG_TYPE_INTEGER, CFG_SAME, "32768", RANGE(32, 1 << 23),
	 .unit = "entries", FIELD(replication.window),
	 .help = "Entries sent and not yet acknowledged; at most half of arena.slots."},
	{"replication.ack", CFG_TYPE_WORD, CFG_SAME, "received", .words = acks,
	 FIELD(replication.ack),
	 .help = "What an answer waits for: received by the standby, durable on its disk, or none "
		 "(UNSAFE: acknowledged updates can be lost)."},

	{"arena.slots", CFG_TYPE_INTEGER, CFG_SAME | CFG_POWER_OF_TWO, "65536",
	 RANGE(1024, 1 << 24), .unit = "entries", FIELD(arena.slots),
	 .help = "Entries kept in memory: in flight, for retransmission, for the journal."},
	{"arena.side_slots", CFG_TYPE_INTEGER, CFG_POWER_OF_TWO, "4096", RANGE(64, 1 << 20),
	 FIELD(arena.side_slots), .help = "Reads and repeats under way, per worker."},

	{"log.enabled", CFG_TYPE_WORD, 0, "on", .words = switches, FIELD(log.enabled),
	 .help = "off (UNSAFE, for benches): nothing is written to disk, and a node that ends has "
		 "forgotten everything."},
	{"log.dir", CFG_TYPE_PATH, 0, "/var/lib/standfast", FIELD(log.dir),
	 .help = "Folder of the nodes' state; this node's is NODE/ in it: log/, snap/, identity."},
	{"log.segment_size", CFG_TYPE_SIZE, 0, "64 MiB", RANGE(MIB, 4096 * MIB),
	 FIELD(log.segment_bytes),
	 .help = "Size of one log file; two are prepared ahead."},
	{"log.sync", CFG_TYPE_WORD, 0, "group", .words = syncs, FIELD(log.sync),
	 .help = "group: each group of entries (of 4 ms, or 256 KiB) is synced as soon as it is "
		 "written; interval: each "
		 "log.sync_interval; none: when a segment is full and at the end. With "
		 "replication.ack = durable it is always group."},
	{"log.sync_interval", CFG_TYPE_DURATION, 0, "10 ms", RANGE(100 * US, 10 * SECOND),
	 FIELD(log.sync_interval_ns),
	 .help = "With log.sync = interval: what both nodes may lose when both lose power at once."},
	{"log.buffer", CFG_TYPE_SIZE, 0, "8 MiB", RANGE(256 * 1024, 1024 * MIB),
	 FIELD(log.buffer_bytes),
	 .help = "Memory for groups on their way to the disk; what does not fit waits in the arena."},
	{"log.io", CFG_TYPE_WORD, 0, "auto", .words = ios, FIELD(log.io),
	 .help = "How the journal's thread writes: io_uring hands a write and its sync to the kernel "
		 "together; auto: that where the kernel allows it, else pwritev2."},
	{"log.direct", CFG_TYPE_WORD, 0, "auto", .words = tristates, FIELD(log.direct),
	 .help = "O_DIRECT, past the page cache; auto: where the file system has it."},
	{"log.reserve", CFG_TYPE_SIZE, 0, "256 MiB", RANGE(0, 1024 * 1024 * MIB),
	 FIELD(log.reserve_bytes),
	 .help = "Free space of the file system below which no segment is prepared any more: the "
		 "node gives up its role before the disk is full."},
	{"log.snapshot_interval", CFG_TYPE_DURATION, 0, "60 s", RANGE(100 * MS, 720 * HOUR),
	 FIELD(log.snapshot_interval_ns), .help = "A snapshot at least this often, if anything changed."},
	{"log.snapshot_entries", CFG_TYPE_INTEGER, 0, "10000000", RANGE(1000, 1ull << 40),
	 .unit = "entries", FIELD(log.snapshot_entries),
	 .help = "A snapshot at least each so many entries."},

	{"arbiter.kind", CFG_TYPE_WORD, CFG_SAME, "none", .words = arbiters, FIELD(arbiter.kind),
	 .help = "Who keeps the record of which node may serve: etcd, in a third failure domain; file, "
		 "for two nodes on one host; none: the nodes themselves, as roles.lost_peer says."},
	{"arbiter.dir", CFG_TYPE_PATH, 0, "none", FIELD(arbiter.dir),
	 .help = "kind file: folder of the record, on a local file system and the same for both nodes; "
		 "CLUSTER.pair and CLUSTER.lock are in it."},
	{"arbiter.endpoints", CFG_TYPE_ENDPOINTS, 0, "[ ]", FIELD(arbiter.endpoints),
	 .help = "kind etcd: its members' client URLs, such as \"https://10.0.0.3:2379\", tried in "
		 "turn; at most 8."},
	{"arbiter.key", CFG_TYPE_PATH, CFG_SAME, "auto", FIELD(arbiter.key),
	 .help = "kind etcd: the key that holds the record; auto: /standfast/CLUSTER/pair."},
	{"arbiter.ca_file", CFG_TYPE_PATH, 0, "none", FIELD(arbiter.ca_file),
	 .help = "kind etcd: certificates that the members' must be signed by; none: the system's."},
	{"arbiter.certificate_file", CFG_TYPE_PATH, 0, "none", FIELD(arbiter.certificate_file),
	 .help = "kind etcd: this node's own certificate, where the members want one."},
	{"arbiter.private_key_file", CFG_TYPE_PATH, 0, "none", FIELD(arbiter.private_key_file),
	 .help = "kind etcd: the key of arbiter.certificate_file."},
	{"arbiter.user", CFG_TYPE_NAME, 0, "none", FIELD(arbiter.user),
	 .help = "kind etcd: user, with the password that arbiter.password_file holds."},
	{"arbiter.password_file", CFG_TYPE_PATH, 0, "none", FIELD(arbiter.password_file),
	 .help = "kind etcd: file with the password of arbiter.user; others must not be able to read "
		 "it."},
	{"arbiter.token_file", CFG_TYPE_PATH, 0, "none", FIELD(arbiter.token_file),
	 .help = "kind etcd: file with a token that is sent as it is, instead of user and password; "
		 "others must not be able to read it."},
	{"arbiter.timeout", CFG_TYPE_DURATION, 0, "500 ms", RANGE(10 * MS, SECOND),
	 FIELD(arbiter.timeout_ns),
	 .help = "Longest time for one question, all endpoints together. What took longer than a second "
		 "would be too old to act on."},

	{"roles.lost_peer", CFG_TYPE_WORD, CFG_SAME, "primary-continues", .words = lost_peers,
	 FIELD(roles.lost_peer),
	 .help = "Without an arbiter only: who goes on when the nodes lose each other. "
		 "primary-continues: the standby never takes over by itself; standby-takes-over: the "
		 "primary stops serving; split-allowed (UNSAFE): both serve, and what the loser "
		 "acknowledged meanwhile is set aside and counted."},
	{"roles.bootstrap", CFG_TYPE_WORD, CFG_SAME, "manual", .words = bootstraps,
	 FIELD(roles.bootstrap),
	 .help = "How a new pair begins: manual: by standfast init; auto: two blank nodes that see each "
		 "other, and no record at the arbiter, found the cluster (laboratory and demo)."},
	{"roles.preferred_primary", CFG_TYPE_INTEGER, CFG_SAME, "0", RANGE(0, 1),
	 FIELD(roles.preferred_primary),
	 .help = "node.id of the node that becomes primary when a new pair begins."},
	{"roles.hold_down", CFG_TYPE_DURATION, CFG_SAME, "2 s", RANGE(0, HOUR),
	 FIELD(roles.hold_down_ns),
	 .help = "A standby does not take over so soon after it was admitted; \"0 s\": at any time."},
	{"roles.max_role_changes_per_hour", CFG_TYPE_INTEGER, CFG_SAME, "20", RANGE(0, 32),
	 FIELD(roles.max_changes_per_hour),
	 .help = "More changes than these within an hour wait for the operator; 0: any number."},
	{"roles.takeover_delay", CFG_TYPE_DURATION, CFG_SAME, "200 ms", RANGE(0, 60 * SECOND),
	 FIELD(roles.takeover_delay_ns),
	 .help = "A standby acts so much later than the primary when they lose each other, so that a "
		 "healthy primary comes first: more than half a round trip and one question to the "
		 "arbiter."},

	{"routing.enabled", CFG_TYPE_WORD, 0, "off", .words = switches, FIELD(routing.enabled),
	 .help = "on: control answers DNS queries for the pair's name with the node that serves."},
	{"routing.address", CFG_TYPE_IPV4, 0, "127.0.0.1", FIELD(routing.address),
	 .help = "Address of this host to listen on; also that of ns.ZONE."},
	{"routing.port", CFG_TYPE_INTEGER, 0, "5300", RANGE(1, 65535), FIELD(routing.port),
	 .help = "UDP and TCP port; 53 needs a privilege."},
	{"routing.zone", CFG_TYPE_NAME, 0, "standfast.test", FIELD(routing.zone),
	 .help = "The zone that is answered for; delegate it to both nodes' controls."},
	{"routing.name", CFG_TYPE_NAME, 0, "auto", FIELD(routing.name),
	 .help = "The pair's name in the zone; auto: the cluster's."},
	{"routing.ttl", CFG_TYPE_DURATION, 0, "1 s", RANGE(0, 24 * HOUR), FIELD(routing.ttl_ns),
	 .help = "How long resolvers may keep an answer: whole seconds; \"0 s\": not at all."},
	{"routing.health_interval", CFG_TYPE_DURATION, 0, "100 ms", RANGE(10 * MS, 60 * SECOND),
	 FIELD(routing.health_interval_ns),
	 .help = "How often the node's status is looked at; a takeover shows within one of them."},
	{"routing.fall", CFG_TYPE_DURATION, 0, "0 s", RANGE(0, HOUR), FIELD(routing.fall_ns),
	 .help = "A node that does not serve is named for so long before it counts as unhealthy."},
	{"routing.rise", CFG_TYPE_DURATION, 0, "0 s", RANGE(0, HOUR), FIELD(routing.rise_ns),
	 .help = "A node serves for so long before it counts as healthy."},
	{"routing.rate", CFG_TYPE_INTEGER, 0, "1000", RANGE(1, 10000000), .unit = "queries a second",
	 FIELD(routing.rate), .help = "Taken from each network of 256 addresses."},
	{"routing.rate_all", CFG_TYPE_INTEGER, 0, "20000", RANGE(1, 10000000),
	 .unit = "queries a second", FIELD(routing.rate_all), .help = "Taken from all together."},
	{"routing.names", CFG_TYPE_ROUTES, 0, "[ ]", FIELD(routing.names),
	 .help = "More names of the zone, each a string: \"NAME failover|alternate|weighted "
		 "node|queue|stream|api ADDRESS:PORT[*WEIGHT] …\", 1 to 8 endpoints (failover: 2 at "
		 "most). Nobody watches these endpoints: standfast route switches them."},

	{"limits.max_payload", CFG_TYPE_INTEGER, CFG_SAME, "256", RANGE(8, 1334), .unit = "bytes",
	 FIELD(limits.max_payload_bytes), .help = "Largest payload of an update request."},
	{"limits.max_answer", CFG_TYPE_INTEGER, CFG_SAME, "256", RANGE(16, 1326), .unit = "bytes",
	 FIELD(limits.max_answer_bytes), .help = "Largest answer of the asset model."},
	{"limits.max_inflight", CFG_TYPE_INTEGER, CFG_SAME | CFG_POWER_OF_TWO, "64",
	 RANGE(1, 1024), FIELD(limits.max_inflight),
	 .help = "Requests that a session may have unfinished; as many answers are kept for it."},
	{"limits.max_sessions", CFG_TYPE_INTEGER, CFG_SAME, "4096", RANGE(1, 1 << 20),
	 FIELD(limits.max_sessions), .help = "Open sessions; times max_inflight at most 2^24."},
	{"limits.session_timeout", CFG_TYPE_DURATION, CFG_SAME, "1 h", RANGE(SECOND, 720 * HOUR),
	 FIELD(limits.session_timeout_ns), .help = "An idle session is closed after this."},
	{"limits.session_min_idle", CFG_TYPE_DURATION, CFG_SAME, "10 s", RANGE(MS, 720 * HOUR),
	 FIELD(limits.session_min_idle_ns),
	 .help = "When all sessions are open, one that was idle this long makes room for another."},

	{"assets.model", CFG_TYPE_NAME, CFG_SAME, "register", FIELD(assets.model),
	 .help = "The asset model that executes updates."},
	{"assets.max", CFG_TYPE_INTEGER, CFG_SAME, "65536", RANGE(64, 1 << 24), FIELD(assets.max),
	 .help = "Assets of the node; each of the 64 partitions holds a 64th of them."},
	{"assets.digest_interval", CFG_TYPE_INTEGER, CFG_SAME, "65536", RANGE(64, 1 << 30),
	 .unit = "entries", FIELD(assets.digest_interval),
	 .help = "At each multiple of this sequence both nodes compute the state's digest."},

	{"dataplane.workers", CFG_TYPE_INTEGER, 0, "1", RANGE(1, CFG_MAX_WORKERS), FIELD(workers),
	 .help = "Asset workers; the nodes may differ in it."},
	{"dataplane.idle", CFG_TYPE_WORD, 0, "auto", .words = idles, FIELD(idle),
	 .help = "What an lcore does when there was nothing to do; auto: spin where every lcore has "
		 "a CPU of its own, else yield."},
	{CFG_LCORES "[].cpus", CFG_TYPE_CPUS, 0, "any", LCORE_FIELD(cpus),
	 .help = "CPUs of this lcore: \"3\", \"0-1\" or \"any\". Without lcores: one, on any CPU, "
		 "with all agents."},
	{CFG_LCORES "[].agents", CFG_TYPE_AGENTS, CFG_REQUIRED, "[ \"all\" ]",
	 .bytes = sizeof(struct cfg_lcore),
	 .help = "Agents of this lcore, polled in this order: ingress, sequencer, journal, worker. "
		 "ingress0, worker3: one of them; ingress, worker: all of the kind; all. Each is on "
		 "exactly one lcore; a journal that is named nowhere is with the sequencer."},
	{CFG_LCORES "[].idle", CFG_TYPE_WORD, 0, NULL, .words = idles, LCORE_FIELD(idle),
	 .help = "As dataplane.idle, for this lcore; without it that of dataplane.idle."},

	{"dpdk.memory", CFG_TYPE_SIZE, 0, "256 MiB", RANGE(64 * MIB, 1024 * 1024 * MIB),
	 FIELD(dpdk.memory_bytes),
	 .help = "Memory for DPDK without hugepages, and the least that must be free with them."},
	{"dpdk.hugepages", CFG_TYPE_WORD, 0, "auto", .words = tristates, FIELD(dpdk.hugepages),
	 .help = "auto: when enough are free."},
	{"dpdk.eal_args", CFG_TYPE_TEXTS, 0, "[ ]", FIELD(dpdk.eal_args),
	 .help = "Raw arguments for DPDK's EAL, after ours."},
};
/* clang-format on */

#define ROWS (sizeof(cfg_rows) / sizeof(cfg_rows[0]))
const uint32_t cfg_row_count = ROWS;
STATIC_CHECK(ROWS <= CFG_MAX_ROWS, "cfg_settings.origins has a place for each row");

const struct cfg_row *cfg_row_find(const char *path)
{
	for (uint32_t i = 0; i < ROWS; i++) {
		if (strcmp(cfg_rows[i].path, path) == 0)
			return &cfg_rows[i];
	}
	return NULL;
}

uint32_t cfg_row_index(const struct cfg_row *row)
{
	return (uint32_t)(row - cfg_rows);
}

bool cfg_path_is_prefix(const char *prefix)
{
	for (uint32_t i = 0; i < ROWS; i++) {
		if (strncmp(cfg_rows[i].path, prefix, strlen(prefix)) == 0)
			return true;
	}
	return false;
}

bool cfg_row_is_of_lcore(const struct cfg_row *row)
{
	return strncmp(row->path, CFG_LCORES "[].", strlen(CFG_LCORES "[].")) == 0;
}

bool cfg_row_is_list(const struct cfg_row *row)
{
	return row->type == CFG_TYPE_TEXTS || row->type == CFG_TYPE_ENDPOINTS ||
	       row->type == CFG_TYPE_ROUTES;
}
