/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/bench/options.h"

#include "client/messages.h"
#include "perf/bench/transport.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_PAYLOAD 256 /* limits.max_payload, unless set */
#define MAX_BATCH (CLI_MAX_DATAGRAM_BYTES / CLI_MESSAGE_BYTES(struct cli_update_request, 8))

enum option_id {
	TO = 256,
	ADDRESSES,
	RESOLVER,
	OWN_ADDRESS,
	RATE,
	OUTSTANDING,
	CLIENTS,
	BATCH,
	DURATION,
	UPDATES,
	ASSETS,
	FIRST_ASSET,
	MODEL,
	PAYLOAD,
	READS,
	SEED,
	TIMEOUT,
	DRAIN,
	CPU,
	SPIN,
	NO_HUGEPAGES,
	OUT,
	JSON,
	TRACE,
	NO_LEDGER,
	HELP,
	VERSION,
};

static const struct option names[] = {
	{"to", required_argument, NULL, TO},
	{"addresses", required_argument, NULL, ADDRESSES},
	{"own-address", required_argument, NULL, OWN_ADDRESS},
	{"rate", required_argument, NULL, RATE},
	{"outstanding", required_argument, NULL, OUTSTANDING},
	{"clients", required_argument, NULL, CLIENTS},
	{"batch", required_argument, NULL, BATCH},
	{"duration", required_argument, NULL, DURATION},
	{"updates", required_argument, NULL, UPDATES},
	{"assets", required_argument, NULL, ASSETS},
	{"first-asset", required_argument, NULL, FIRST_ASSET},
	{"model", required_argument, NULL, MODEL},
	{"payload", required_argument, NULL, PAYLOAD},
	{"reads", required_argument, NULL, READS},
	{"resolver", required_argument, NULL, RESOLVER},
	{"seed", required_argument, NULL, SEED},
	{"timeout", required_argument, NULL, TIMEOUT},
	{"drain", required_argument, NULL, DRAIN},
	{"cpu", required_argument, NULL, CPU},
	{"spin", no_argument, NULL, SPIN},
	{"no-hugepages", no_argument, NULL, NO_HUGEPAGES},
	{"out", required_argument, NULL, OUT},
	{"json", no_argument, NULL, JSON},
	{"trace", no_argument, NULL, TRACE},
	{"no-ledger", no_argument, NULL, NO_LEDGER},
	{"help", no_argument, NULL, HELP},
	{"version", no_argument, NULL, VERSION},
	{0},
};

static const char help[] =
	"usage: standfast-bench --to udp:HOST:PORT,…|memif:SOCKET,… [options]\n"
	"Loads a pair of nodes, measures latency, and checks that every acknowledged update was "
	"kept.\n"
	"\n"
	"  --to udp:HOST:PORT,…     kernel UDP; all nodes of the pair, in any order\n"
	"  --resolver A:PORT,…      udp: name servers for names in --to, instead of the system's\n"
	"  --to memif:SOCKET,…      DPDK shared-memory ports of nodes on this host\n"
	"  --addresses A,…          memif: the nodes' client addresses (10.77.0.1,10.77.0.2)\n"
	"  --own-address A          memif: ours (10.77.0.100)\n"
	"  --rate N                 open loop: N requests a second (also 100K, 1M), whatever "
	"happens\n"
	"  --outstanding N          closed loop: always N requests under way (default 1)\n"
	"  --clients N              sessions (default: as many as needed)\n"
	"  --batch N                requests in one datagram (default 1)\n"
	"  --duration T             how long to send: 10s, 500ms (default 10s)\n"
	"  --updates N              how many requests to send instead\n"
	"  --assets N               assets to spread the updates over (default 1024)\n"
	"  --first-asset ID         the lowest of their ids (default 1)\n"
	"  --model register         the nodes' asset model\n"
	"  --payload N              bytes of an update's payload, a multiple of 8 (default 8); "
	"more\n"
	"                           fills logs: register rejects it; only with --no-ledger\n"
	"  --reads PERCENT          of the requests that are reads (default 0)\n"
	"  --seed N                 of all random choices (default: from the clock; printed)\n"
	"  --timeout T              first retry of a request without answer (default 20ms)\n"
	"  --drain T                longest wait for the last answers (default 10s)\n"
	"  --cpu N --spin           run on this CPU; never give it up\n"
	"  --no-hugepages           memif: take ordinary pages even where hugepages are free\n"
	"  --no-ledger              do not check (saves 32 bytes of memory per update)\n"
	"  --out DIR                write histograms, summary.json and env.json there\n"
	"  --trace                  … and every request as a line of trace.csv\n"
	"  --json                   the summary as JSON on standard output\n"
	"exit: 0 good, 1 requests without answer, 2 usage, 3 no node answers, 4 a promise was "
	"broken\n";

/* A number with an optional K, M or G (powers of 1000). */
static bool parse_count(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
	char *end;
	errno = 0;
	if (*text < '0' || *text > '9')
		return false;
	*value = strtoull(text, &end, 0);
	uint64_t unit = 1;
	if (*end == 'K' || *end == 'k')
		unit = 1000;
	else if (*end == 'M')
		unit = 1000000;
	else if (*end == 'G')
		unit = 1000000000;
	if (unit > 1)
		end++;
	if (errno != 0 || *end != '\0' || __builtin_mul_overflow(*value, unit, value))
		return false;
	return *value >= least && *value <= most;
}

/* "10s", "500 ms", "20us", "3m"; a plain number is seconds. */
static bool parse_duration(const char *text, uint64_t *ns)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}, {"m", 60e9}};
	char *end;
	if (*text < '0' || *text > '9')
		return false;
	double value = strtod(text, &end);
	while (*end == ' ')
		end++;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		double exact = value * units[i].ns;
		if (!(exact >= 1 && exact <= 86400e9 * 30))
			return false;
		*ns = (uint64_t)exact;
		return true;
	}
	return false;
}

static bool parse_u32(const char *text, uint64_t least, uint64_t most, uint32_t *value)
{
	uint64_t wide;
	if (!parse_count(text, least, most, &wide))
		return false;
	*value = (uint32_t)wide;
	return true;
}

static bool parse_target(const char *text, struct bench_options *o)
{
	if (strncmp(text, "udp:", 4) == 0 && text[4] != '\0')
		o->udp = text + 4;
	else if (strncmp(text, "memif:", 6) == 0 && text[6] != '\0')
		o->memif = text + 6;
	else
		return false;
	return true;
}

static bool take_option(int id, const char *text, struct bench_options *o)
{
	switch (id) {
	case TO:
		return parse_target(text, o);
	case ADDRESSES:
		o->addresses = text;
		return true;
	case RESOLVER:
		o->resolver = text;
		return true;
	case OWN_ADDRESS:
		o->own_address = text;
		return true;
	case RATE:
		return parse_count(text, 1, 1000000000, &o->rate);
	case OUTSTANDING:
		return parse_u32(text, 1, 1u << 20, &o->outstanding);
	case CLIENTS:
		return parse_u32(text, 1, 4096, &o->clients);
	case BATCH:
		return parse_u32(text, 1, MAX_BATCH, &o->batch);
	case DURATION:
		return parse_duration(text, &o->duration_ns);
	case UPDATES:
		return parse_count(text, 1, 1ull << 40, &o->updates);
	case ASSETS:
		return parse_u32(text, 1, 1u << 28, &o->assets);
	case FIRST_ASSET:
		return parse_count(text, 0, 1ull << 63, &o->first_asset);
	case MODEL:
		return strcmp(text, "register") == 0;
	case PAYLOAD:
		return parse_u32(text, 8, MAX_PAYLOAD, &o->payload) && o->payload % 8 == 0;
	case READS:
		return parse_u32(text, 0, 100, &o->read_percent);
	case SEED:
		return parse_count(text, 0, UINT64_MAX, &o->seed);
	case TIMEOUT:
		return parse_duration(text, &o->timeout_ns);
	case DRAIN:
		return parse_duration(text, &o->drain_ns);
	case CPU:
		o->cpu = text;
		return true;
	case OUT:
		o->out = text;
		return true;
	}
	return false;
}

static bool take_switch(int id, struct bench_options *o)
{
	switch (id) {
	case SPIN:
		o->spin = true;
		return true;
	case NO_HUGEPAGES:
		o->no_hugepages = true;
		return true;
	case JSON:
		o->json = true;
		return true;
	case TRACE:
		o->trace = true;
		return true;
	case NO_LEDGER:
		o->ledger = false;
		return true;
	}
	return false;
}

static bool is_whole(struct bench_options *o, char *error, size_t error_bytes)
{
	const char *wrong = NULL;
	if ((o->udp == NULL) == (o->memif == NULL))
		wrong = "exactly one --to udp:HOST:PORT,… or --to memif:SOCKET,… is needed";
	else if (o->rate != 0 && o->outstanding != 0)
		wrong = "--rate (open loop) and --outstanding (closed loop) exclude each other";
	else if (o->trace && o->out == NULL)
		wrong = "--trace needs --out";
	else if (o->payload > 8 && (o->ledger || o->read_percent > 0))
		wrong = "--payload above 8 goes only with --no-ledger and without --reads";
	else if (o->batch * (CLI_MESSAGE_BYTES(struct cli_update_request, 8) + o->payload - 8) > CLI_MAX_DATAGRAM_BYTES)
		wrong = "--batch: so many requests of --payload bytes do not fit into a datagram";
	if (wrong != NULL) {
		snprintf(error, error_bytes, "%s", wrong);
		return false;
	}
	if (o->rate == 0 && o->outstanding == 0)
		o->outstanding = 1;
	if (o->updates == 0 && o->duration_ns == 0)
		o->duration_ns = 10000000000u;
	return true;
}

static uint64_t seed_from_clock(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool bench_options_parse(
	int argc, char **argv, struct bench_options *o, char *error, size_t error_bytes
)
{
	int id;
	*error = '\0';
	*o = (struct bench_options){
		.addresses = "10.77.0.1,10.77.0.2",
		.own_address = "10.77.0.100",
		.batch = 1,
		.payload = 8,
		.assets = 1024,
		.first_asset = 1,
		.seed = seed_from_clock(),
		.timeout_ns = 20000000,
		.drain_ns = 10000000000u,
		.ledger = true,
	};
	opterr = 0;
	optind = 0;
	while ((id = getopt_long(argc, argv, ":", names, NULL)) != -1) {
		if (id == HELP || id == VERSION) {
			fputs(id == HELP ? help : "standfast-bench " SF_VERSION "\n", stdout);
			return false;
		}
		if (id == '?' || id == ':') {
			snprintf(
				error,
				error_bytes,
				id == '?' ? "unknown option %s" : "%s needs a value",
				argv[optind - 1]
			);
			return false;
		}
		if (optarg != NULL ? !take_option(id, optarg, o) : !take_switch(id, o)) {
			snprintf(error, error_bytes, "bad value: %s", argv[optind - 1]);
			return false;
		}
	}
	if (optind < argc) {
		snprintf(error, error_bytes, "unexpected word: %s", argv[optind]);
		return false;
	}
	return is_whole(o, error, error_bytes);
}
