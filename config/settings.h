/* SPDX-License-Identifier: BSD-3-Clause
 *
 * All settings of a node, as one struct that every process reads at its start and nobody writes
 * afterwards. One schema table (config/schema.c; the idea of Redis's config.c) holds a row per
 * setting: path in the libconfig file, type, unit, default, range, help, whether it must be equal
 * on both nodes. Parsing, checking, `standfast check`, `config dump [--docs]` and the configuration
 * digest all come from that table.
 *
 * Units last in the names; durations in the file are strings such as "250 ms", sizes "64 MiB".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CFG_NAME_BYTES 32  /* names of clusters, nodes and models, with the final 0 */
#define CFG_TEXT_BYTES 256 /* device strings, paths */
#define CFG_MAX_LCORES 66  /* data lcores of one node */
#define CFG_MAX_WORKERS 64 /* asset workers; assets are spread over 64 partitions */
#define CFG_MAX_INGRESS 8  /* RX queues of the client port */
#define CFG_MAX_EAL_ARGS 16
#define CFG_MAX_ENDPOINTS 8 /* of an arbiter */
#define CFG_MAX_ROUTES 32   /* names besides the pair's */
#define CFG_MAX_ROWS 112    /* settings of the schema table */
#define CFG_MAX_FILES 16    /* the configuration file and what it includes */

enum cfg_role { CFG_ROLE_PRIMARY, CFG_ROLE_STANDBY };
enum cfg_ack { CFG_ACK_RECEIVED, CFG_ACK_DURABLE, CFG_ACK_NONE };
enum cfg_tristate { CFG_AUTO, CFG_ON, CFG_OFF };
enum cfg_sync { CFG_SYNC_GROUP, CFG_SYNC_INTERVAL, CFG_SYNC_NONE };
enum cfg_io { CFG_IO_AUTO, CFG_IO_URING, CFG_IO_PWRITEV2 };
enum cfg_idle {
	CFG_IDLE_AUTO, /* spin when every lcore has a CPU of its own, else yield */
	CFG_IDLE_SPIN,
	CFG_IDLE_PAUSE,
	CFG_IDLE_YIELD,
	CFG_IDLE_BACKOFF,
	CFG_IDLE_SLEEP,
};
enum cfg_arbiter {
	CFG_ARBITER_NONE,
	CFG_ARBITER_FILE, /* a file under a lock: both nodes on one host */
	CFG_ARBITER_ETCD,
};
/* Who serves when the nodes lose each other and there is no arbiter (roles.md, section 4). */
enum cfg_lost_peer {
	CFG_PRIMARY_CONTINUES,	/* N1 */
	CFG_STANDBY_TAKES_OVER, /* N2 */
	CFG_SPLIT_ALLOWED,	/* N3 */
};
enum cfg_bootstrap { CFG_BOOTSTRAP_MANUAL, CFG_BOOTSTRAP_AUTO };
enum cfg_device {
	CFG_DEVICE_PCI,		 /* "0000:8a:00.0" */
	CFG_DEVICE_MEMIF_SERVER, /* "memif-server:SOCKET"  (listens; creates the socket) */
	CFG_DEVICE_MEMIF_CLIENT, /* "memif-client:SOCKET"  (connects, again and again) */
	CFG_DEVICE_AF_PACKET,	 /* "af_packet:IFACE" */
	CFG_DEVICE_AF_XDP,	 /* "af_xdp:IFACE" */
	CFG_DEVICE_TAP,		 /* "tap:IFACE" */
	CFG_DEVICE_RING,	 /* "ring:NAME": both ends in one process, for tests and benches */
	CFG_DEVICE_VDEV,	 /* "vdev:net_…,args": any other DPDK vdev, as EAL spells it */
};

struct cfg_port {
	enum cfg_device kind;
	char device[CFG_TEXT_BYTES]; /* what follows the colon, or the PCI address */
	uint8_t mac[6];		     /* all 0: the device's own */
	uint16_t mtu_bytes;	     /* of the Ethernet payload: 1280 to 9000 */
	uint16_t descriptors;	     /* per queue and direction, power of two */
};

/* Where a setting was written: file counts from 1 in cfg_settings.files, 0 means the default. For
 * messages and `config dump` only. */
struct cfg_origin {
	uint16_t file;
	uint16_t line;
};

/* One data lcore and the agents on it. */
struct cfg_lcore {
	char cpus[CFG_NAME_BYTES]; /* "3", "0-1" or "any" */
	bool ingress[CFG_MAX_INGRESS];
	bool sequencer;
	bool journal;
	bool worker[CFG_MAX_WORKERS];
	enum cfg_idle idle;
};

struct cfg_settings {
	char cluster[CFG_NAME_BYTES];
	struct {
		char name[CFG_NAME_BYTES];
		uint8_t id; /* 0 or 1 */
		enum cfg_role role;
		char runtime_dir[CFG_TEXT_BYTES];
		uint64_t status_interval_ns;
	} node;
	struct {
		char name[CFG_NAME_BYTES];
		uint32_t address; /* IPv4 on the client network, host order; hint in NOT_PRIMARY */
		uint16_t port;
	} peer;
	struct {
		struct cfg_port port;
		uint32_t address;	  /* IPv4, host order */
		uint32_t service_address; /* 0: none */
		uint16_t udp_port;
		uint16_t rx_queues;
		enum cfg_tristate verify_udp_checksum;
	} client;
	struct {
		struct cfg_port port;
		uint16_t ethertype;
		uint8_t peer_mac[6]; /* all 0: learned from the peer's HELLO */
		uint64_t heartbeat_interval_ns;
		uint32_t heartbeat_misses;
		uint64_t retransmit_min_ns;
		uint32_t window; /* entries in flight */
		enum cfg_ack ack;
	} replication;
	struct {
		uint32_t slots;	     /* power of two */
		uint32_t side_slots; /* reads and repeats under way, per worker; power of two */
	} arena;
	struct {
		enum cfg_tristate enabled; /* ON or OFF */
		char dir[CFG_TEXT_BYTES];
		uint64_t segment_bytes;
		enum cfg_sync sync;
		uint64_t sync_interval_ns;
		uint64_t buffer_bytes;
		enum cfg_io io;
		enum cfg_tristate direct;
		uint64_t reserve_bytes;
		uint64_t snapshot_interval_ns;
		uint64_t snapshot_entries;
	} log;
	struct {
		enum cfg_arbiter kind;
		char dir[CFG_TEXT_BYTES]; /* of the file; this and the texts below: "" is none */
		uint32_t endpoint_count;
		char endpoints[CFG_MAX_ENDPOINTS][CFG_TEXT_BYTES]; /* "http://HOST:PORT" */
		char key[CFG_TEXT_BYTES];			   /* "": /standfast/CLUSTER/pair */
		char ca_file[CFG_TEXT_BYTES];
		char certificate_file[CFG_TEXT_BYTES];
		char private_key_file[CFG_TEXT_BYTES];
		char user[CFG_NAME_BYTES];
		char password_file[CFG_TEXT_BYTES];
		char token_file[CFG_TEXT_BYTES];
		uint64_t timeout_ns; /* of one question, all endpoints together */
	} arbiter;
	struct {
		enum cfg_lost_peer lost_peer; /* only without an arbiter */
		enum cfg_bootstrap bootstrap;
		uint8_t preferred_primary; /* node id */
		uint64_t hold_down_ns;
		uint32_t max_changes_per_hour; /* 0: any number */
		uint64_t takeover_delay_ns;
	} roles;
	struct {
		enum cfg_tristate enabled; /* ON or OFF */
		uint32_t address;	   /* IPv4 to listen on, host order */
		uint16_t port;
		char zone[CFG_NAME_BYTES * 2];
		char name[CFG_NAME_BYTES]; /* of the pair, in the zone; "": the cluster's */
		uint64_t ttl_ns;	   /* whole seconds */
		uint64_t health_interval_ns, fall_ns, rise_ns;
		uint64_t rate, rate_all; /* queries a second */
		uint32_t name_count;
		char names[CFG_MAX_ROUTES][CFG_TEXT_BYTES]; /* as config/routes.h reads them */
	} routing;
	struct {
		uint16_t max_payload_bytes;
		uint16_t max_answer_bytes;
		uint16_t max_inflight;
		uint32_t max_sessions;
		uint64_t session_timeout_ns;
		uint64_t session_min_idle_ns;
	} limits;
	struct {
		char model[CFG_NAME_BYTES];
		uint32_t max; /* assets of the node; the bound holds per partition of 64 */
		uint32_t digest_interval; /* entries */
	} assets;
	uint32_t workers;
	enum cfg_idle idle;   /* for lcores that do not say */
	uint32_t lcore_count; /* never 0 after cfg_load: a file without lcores gets one, on any CPU,
				 with all agents */
	struct cfg_lcore lcores[CFG_MAX_LCORES];
	struct {
		uint64_t memory_bytes; /* without hugepages, and the least that must be free with
					  them */
		enum cfg_tristate hugepages;
		uint32_t eal_arg_count;
		char eal_args[CFG_MAX_EAL_ARGS][CFG_TEXT_BYTES];
	} dpdk;

	char files[CFG_MAX_FILES][CFG_TEXT_BYTES];
	struct cfg_origin origins[CFG_MAX_ROWS];	 /* by row of the schema table */
	struct cfg_origin lcore_origins[CFG_MAX_LCORES]; /* of lcores[i].agents */
};

/* Where an error was found. Settings that no file was read for have an empty file name. */
struct cfg_error {
	char file[CFG_TEXT_BYTES];
	int line; /* 0: the file as a whole, such as "cannot open" */
	char text[512];
};

struct cfg_errors {
	struct cfg_error *items; /* owned; freed by cfg_errors_free; sorted by file and line */
	size_t count;
	size_t found; /* also those beyond the list's bound (config/errors.h) */
};

/* Reads and checks a file and what it includes ("@include" names are relative to the including
 * file). errors starts as {0} and may gather the errors of several files. All errors are found in
 * one pass and added to errors; returns true when there were none, and only then is settings
 * complete. Never aborts, whatever the file holds. */
bool cfg_load(const char *path, struct cfg_settings *settings, struct cfg_errors *errors);

/* Defaults for everything, as from a file that names only what has no default (tests, benches);
 * that gets the example value of the schema: node a of cluster demo, primary, ring devices. */
void cfg_defaults(struct cfg_settings *settings);

/* Puts all agents on one lcore on any CPU: for settings made by hand, after changing the number of
 * workers or queues. */
void cfg_place_all(struct cfg_settings *settings);

/* Relations between settings (window below slots, every agent on exactly one lcore, …): called by
 * cfg_load; for settings made by hand, call it yourself. */
bool cfg_check(const struct cfg_settings *settings, struct cfg_errors *errors);

/* Was this build made with libcurl, and so has the arbiter "etcd"? */
bool cfg_has_etcd(void);

/* "FILE:LINE: text" lines, sorted by file and line; "FILE: text" when it is about the whole file.
 */
void cfg_errors_print(const struct cfg_errors *errors, FILE *to);
void cfg_errors_free(struct cfg_errors *errors);

/* Hash of all rows that must be equal on both nodes (cluster, limits, model, digest interval …). */
uint64_t cfg_digest(const struct cfg_settings *settings);

/* Effective values, one "path = value;  // origin" line each, or the reference of all rows. */
void cfg_dump(const struct cfg_settings *settings, FILE *to);
void cfg_dump_docs(FILE *to);

/* The file to use: the argument if not NULL, $STANDFAST_CONFIG, ./standfast.conf,
 * /etc/standfast/standfast.conf; NULL when none exists. */
const char *cfg_find(const char *argument);
