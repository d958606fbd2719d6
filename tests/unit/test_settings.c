/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Good configurations: examples, defaults, values, digest, dump; and bytes that are no
 * configuration, which must never end the process.
 */
#include "config/schema.h"
#include "tests/unit/settings_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static void load_example(struct fixture *f, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", EXAMPLES_DIR, name);
	bool good = cfg_load(path, &f->settings, &f->errors);
	cfg_errors_print(&f->errors, stderr);
	assert_true(good);
}

static void pair_of_examples_when_loaded_fits_together(void **state)
{
	static const char *const pairs[] = {"demo-memif", "nic"};
	struct fixture *f = *state;
	static struct cfg_settings a;
	char name[64];

	for (size_t i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s-a.conf", pairs[i]);
		load_example(f, name);
		a = f->settings;
		snprintf(name, sizeof(name), "%s-b.conf", pairs[i]);
		load_example(f, name);
		const struct cfg_settings *b = &f->settings;
		assert_int_equal(cfg_digest(&a), cfg_digest(b));
		assert_int_equal(a.node.id ^ b->node.id, 1);
		assert_int_not_equal(a.node.role, b->node.role);
		assert_string_equal(a.node.name, b->peer.name);
		assert_string_equal(a.peer.name, b->node.name);
		assert_int_equal(a.client.address, b->peer.address);
		assert_int_equal(a.peer.address, b->client.address);
	}
}

static void nic_example_when_loaded_has_one_agent_per_lcore(void **state)
{
	struct fixture *f = *state;
	const struct cfg_settings *s = &f->settings;

	load_example(f, "nic-a.conf");
	assert_int_equal(s->client.port.kind, CFG_DEVICE_PCI);
	assert_string_equal(s->client.port.device, "0000:8a:00.0");
	assert_int_equal(s->replication.port.mtu_bytes, 9000);
	assert_int_equal(s->dpdk.memory_bytes, 4ull << 30);
	assert_int_equal(s->dpdk.eal_arg_count, 1);
	assert_string_equal(s->dpdk.eal_args[0], "--iova-mode=va");
	assert_int_equal(s->lcore_count, 5);
	assert_true(s->lcores[0].ingress[0] && s->lcores[1].sequencer && s->lcores[2].journal);
	assert_true(s->lcores[3].worker[0] && s->lcores[4].worker[1]);
	assert_false(s->lcores[0].sequencer || s->lcores[3].worker[1]);
	assert_string_equal(s->lcores[4].cpus, "6");
	assert_int_equal(s->lcores[2].idle, CFG_IDLE_BACKOFF);
	assert_int_equal(s->lcores[3].idle, CFG_IDLE_SPIN); /* dataplane.idle */
}

static void veth_example_when_loaded_has_all_agents_on_one_lcore(void **state)
{
	struct fixture *f = *state;
	const struct cfg_settings *s = &f->settings;

	load_example(f, "veth-a.conf");
	assert_int_equal(s->client.port.kind, CFG_DEVICE_AF_PACKET);
	assert_string_equal(s->client.port.device, "sf-client");
	assert_int_equal(s->lcore_count, 1);
	assert_string_equal(s->lcores[0].cpus, "any");
	assert_true(s->lcores[0].ingress[0] && s->lcores[0].sequencer && s->lcores[0].journal);
	assert_true(s->lcores[0].worker[0]);
	assert_int_equal(s->lcores[0].idle, CFG_IDLE_YIELD);
}

static void least_file_when_loaded_has_the_defaults(void **state)
{
	struct fixture *f = *state;
	const struct cfg_settings *s = &f->settings;

	expect_errors(f, CONF("", "", "", ""), (const char *)NULL);
	assert_int_equal(s->limits.max_payload_bytes, 256);
	assert_int_equal(s->limits.max_answer_bytes, 256);
	assert_int_equal(s->limits.max_inflight, 64);
	assert_int_equal(s->limits.max_sessions, 4096);
	assert_int_equal(s->limits.session_timeout_ns, 3600000000000ull);
	assert_int_equal(s->limits.session_min_idle_ns, 10000000000ull);
	assert_int_equal(s->arena.slots, 65536);
	assert_int_equal(s->arena.side_slots, 4096);
	assert_int_equal(s->replication.window, 32768);
	assert_int_equal(s->replication.heartbeat_interval_ns, 100000000);
	assert_int_equal(s->replication.heartbeat_misses, 10);
	assert_int_equal(s->replication.ethertype, 0x88b5);
	assert_int_equal(s->replication.ack, CFG_ACK_RECEIVED);
	assert_int_equal(s->client.port.mtu_bytes, 1500);
	assert_int_equal(s->client.port.descriptors, 1024);
	assert_int_equal(s->client.address, 0x0a000001);
	assert_int_equal(s->client.service_address, 0);
	assert_int_equal(s->client.udp_port, 9400);
	assert_int_equal(s->client.rx_queues, 1);
	assert_string_equal(s->assets.model, "register");
	assert_int_equal(s->workers, 1);
	assert_int_equal(s->lcore_count, 1);
	assert_true(s->lcores[0].sequencer);
	assert_int_equal(s->arbiter.kind, CFG_ARBITER_NONE);
	assert_int_equal(s->arbiter.endpoint_count, 0);
	assert_string_equal(s->arbiter.key, "");
	assert_string_equal(s->arbiter.user, "");
	assert_int_equal(s->arbiter.timeout_ns, 500000000);
	assert_int_equal(s->roles.lost_peer, CFG_PRIMARY_CONTINUES);
	assert_int_equal(s->roles.bootstrap, CFG_BOOTSTRAP_MANUAL);
	assert_int_equal(s->roles.preferred_primary, 0);
	assert_int_equal(s->roles.hold_down_ns, 2000000000);
	assert_int_equal(s->roles.max_changes_per_hour, 20);
	assert_int_equal(s->roles.takeover_delay_ns, 200000000);
}

static void values_when_written_arrive_in_their_fields(void **state)
{
	struct fixture *f = *state;
	const struct cfg_settings *s = &f->settings;
	static const uint8_t mac[6] = {2, 0, 0xab, 0xcd, 0xef, 1};

	expect_errors(
		f,
		"cluster = \"x.1-y_z\";\n"
		"node: { name = \"a\"; id = 1; role = \"standby\"; runtime_dir = \"/r\"; "
		"status_interval = \"50 ms\"; };\n"
		"peer: { name = \"b\"; address = \"192.168.255.1\"; port = 65535; };\n"
		"client: { device = \"8a:00.1\"; mac = \"02:00:aB:CD:ef:01\"; mtu = 9000L; address "
		"= \"10.0.0.1\";\n"
		" rx_queues = 2; verify_udp_checksum = \"off\"; };\n"
		"replication: { device = \"vdev:net_null0,copy=1\"; ethertype = 0x88B6; ack = "
		"\"durable\";\n"
		" peer_mac = \"02:00:ab:cd:ef:01\"; };\n"
		"dataplane: { workers = 3; idle = \"sleep\"; lcores = (\n"
		" { agents = [ \"ingress\", \"sequencer\" ]; },\n"
		" { cpus = \"0-1\"; agents = [ \"worker\" ]; idle = \"pause\"; } ); };\n"
		"log: { enabled = \"on\"; };\n"
		"dpdk: { eal_args = ( \"-v\", \"--log-level=8\" ); hugepages = \"off\"; };\n",
		(const char *)NULL
	);
	assert_string_equal(s->cluster, "x.1-y_z");
	assert_int_equal(s->node.id, 1);
	assert_int_equal(s->node.role, CFG_ROLE_STANDBY);
	assert_int_equal(s->node.status_interval_ns, 50000000);
	assert_int_equal(s->peer.address, 0xc0a8ff01);
	assert_int_equal(s->peer.port, 65535);
	assert_string_equal(s->client.port.device, "0000:8a:00.1");
	assert_memory_equal(s->client.port.mac, mac, 6);
	assert_memory_equal(s->replication.peer_mac, mac, 6);
	assert_int_equal(s->client.port.mtu_bytes, 9000);
	assert_int_equal(s->client.verify_udp_checksum, CFG_OFF);
	assert_int_equal(s->replication.port.kind, CFG_DEVICE_VDEV);
	assert_string_equal(s->replication.port.device, "net_null0,copy=1");
	assert_int_equal(s->replication.ethertype, 0x88b6);
	assert_int_equal(s->replication.ack, CFG_ACK_DURABLE);
	assert_int_equal(s->dpdk.eal_arg_count, 2);
	assert_int_equal(s->dpdk.hugepages, CFG_OFF);
	assert_int_equal(s->lcore_count, 2);
	assert_true(s->lcores[0].ingress[1] && !s->lcores[0].ingress[2]);
	assert_true(s->lcores[0].journal); /* named nowhere: with the sequencer */
	assert_int_equal(s->lcores[0].idle, CFG_IDLE_SLEEP);
	assert_true(s->lcores[1].worker[2] && !s->lcores[1].worker[3]);
	assert_int_equal(s->lcores[1].idle, CFG_IDLE_PAUSE);
	assert_string_equal(s->lcores[1].cpus, "0-1");
}

static void included_values_when_loaded_count_and_have_their_origin(void **state)
{
	struct fixture *f = *state;
	char text[16384] = "", expected[256];

	fixture_write(f, "link.inc", "window = 64;\nmtu = 9000;", 24);
	expect_errors(f, CONF("", "", "@include \"link.inc\"", ""), (const char *)NULL);
	assert_int_equal(f->settings.replication.window, 64);
	FILE *to = fmemopen(text, sizeof(text), "w");
	assert_non_null(to);
	cfg_dump(&f->settings, to);
	fclose(to);
	snprintf(
		expected, sizeof(expected), "replication.mtu = 9000;  // %s/link.inc:2\n", f->folder
	);
	assert_non_null(strstr(text, expected));
	snprintf(expected, sizeof(expected), "node.name = \"a\";  // %s/main.conf:2\n", f->folder);
	assert_non_null(strstr(text, expected));
	assert_non_null(strstr(text, "\nreplication.heartbeat_interval = \"100 ms\";  // default\n")
	);
	assert_non_null(strstr(text, "\nreplication.ethertype = 0x88B5;  // default\n"));
}

static void table_when_used_is_consistent(void **state)
{
	struct fixture *f = *state;
	static char docs[32768];

	cfg_defaults(&f->settings);
	assert_true(cfg_check(&f->settings, &f->errors));
	FILE *to = fmemopen(docs, sizeof(docs), "w");
	assert_non_null(to);
	cfg_dump_docs(to);
	fclose(to);
	for (uint32_t i = 0; i < cfg_row_count; i++) {
		const struct cfg_row *row = &cfg_rows[i];
		assert_ptr_equal(cfg_row_find(row->path), row); /* no path twice */
		assert_true(strlen(row->path) < CFG_PATH_BYTES);
		assert_non_null(strstr(docs, row->path));
		assert_non_null(strstr(docs, row->help));
		if (row->type == CFG_TYPE_INTEGER && row->bytes < 8)
			assert_true(row->max < 1ull << (8 * row->bytes)); /* the field holds it */
	}
}

static void hand_made_settings_when_changed_need_their_agents_placed(void **state)
{
	struct fixture *f = *state;

	cfg_defaults(&f->settings);
	f->settings.workers = 2;
	assert_false(cfg_check(&f->settings, &f->errors));
	assert_int_equal(f->errors.count, 1);
	assert_string_equal(
		f->errors.items[0].text, "dataplane.lcores: agent worker1 is on no lcore"
	);
	cfg_place_all(&f->settings);
	assert_true(cfg_check(&f->settings, &f->errors));
	f->settings.workers = 1;
	assert_false(cfg_check(&f->settings, &f->errors));
}

static void digest_when_shared_rows_differ_differs_and_else_not(void **state)
{
	struct fixture *f = *state;
	uint64_t digest;

	expect_errors(f, CONF("", "", "", ""), (const char *)NULL);
	digest = cfg_digest(&f->settings);
	expect_errors(
		f,
		CONF("status_interval = \"2 s\";", "mtu = 1400;", "", "dataplane: { workers = 4; };"
		),
		(const char *)NULL
	);
	assert_int_equal(cfg_digest(&f->settings), digest);
	expect_errors(f, CONF("", "", "", "limits: { max_inflight = 64; };"), (const char *)NULL);
	assert_int_equal(cfg_digest(&f->settings), digest);
	expect_errors(f, CONF("", "", "", "limits: { max_inflight = 128; };"), (const char *)NULL);
	assert_int_not_equal(cfg_digest(&f->settings), digest);
	expect_errors(
		f, CONF("", "", "", "assets: { model = \"orderbook\"; };"), (const char *)NULL
	);
	assert_int_not_equal(cfg_digest(&f->settings), digest);
}

static void file_when_not_named_is_found_in_the_environment(void **state)
{
	setenv("STANDFAST_CONFIG", "/x/y.conf", 1);
	assert_string_equal(cfg_find("/a.conf"), "/a.conf");
	assert_string_equal(cfg_find(NULL), "/x/y.conf");
	unsetenv("STANDFAST_CONFIG");
	const char *found = cfg_find(NULL);
	assert_true(!found || strstr(found, "standfast.conf"));
}

/* Cuts, copies and overwrites parts of a good file (one in six stays whole): the loader may say
 * what it likes, but must come back; and when it says yes, the settings pass their checks. */
static void mutated_files_when_loaded_never_end_the_process(void **state)
{
	static const char text[] = CONF(
		"status_interval = \"1 s\";",
		"mtu = 1500;",
		"window = 64;\nethertype = 0x88B5;",
		"@include \"link.inc\"\ndataplane: { lcores = ( { agents = [ \"all\" ]; } ); };\n"
		"dpdk: { eal_args = [ \"-v\" ]; memory = \"64 MiB\"; };"
	);
	static const char alphabet[] = "\"\\{}[]()=:;,#/*@ \n\t.-+0x9L\xff\x01truefalse";
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	struct fixture *f = *state;
	char bytes[sizeof(text)];
	unsigned good = 0;

	printf("seed %u (SEED=%u repeats it)\n", seed, seed);
	srandom(seed);
	fixture_write(f, "link.inc", "assets: { max = 64; };", 22);
	for (int round = 0; round < 1500; round++) {
		size_t length = sizeof(text) - 1;
		memcpy(bytes, text, sizeof(text));
		for (long change = random() % 6; change > 0; change--) {
			size_t at = (size_t)random() % length;
			if (random() % 8 == 0)
				length = at + 1;
			else if (random() % 4 == 0)
				memmove(bytes + at,
					bytes + (size_t)random() % (at + 1),
					(length - at) / 2);
			else
				bytes[at] = alphabet[(size_t)random() % (sizeof(alphabet) - 1)];
		}
		fixture_write(f, "main.conf", bytes, length);
		if (fixture_load(f, NULL)) {
			assert_true(cfg_check(&f->settings, &f->errors));
			good++;
		} else {
			assert_true(f->errors.count > 0);
		}
	}
	printf("%u of 1500 were good all the same\n", good);
	assert_in_range(good, 1, 1499);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pair_of_examples_when_loaded_fits_together),
		TEST(nic_example_when_loaded_has_one_agent_per_lcore),
		TEST(veth_example_when_loaded_has_all_agents_on_one_lcore),
		TEST(least_file_when_loaded_has_the_defaults),
		TEST(values_when_written_arrive_in_their_fields),
		TEST(included_values_when_loaded_count_and_have_their_origin),
		TEST(table_when_used_is_consistent),
		TEST(hand_made_settings_when_changed_need_their_agents_placed),
		TEST(digest_when_shared_rows_differ_differs_and_else_not),
		TEST(file_when_not_named_is_found_in_the_environment),
		TEST(mutated_files_when_loaded_never_end_the_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
