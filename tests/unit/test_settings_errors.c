/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Every class of configuration error, with its exact file and line, and nothing else reported.
 */
#include "tests/unit/settings_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define END ((const char *)NULL)

static void unknown_names_when_loaded_get_the_nearest_name(void **state)
{
	expect_errors(
		*state,
		CONF("",
		     "mtv = 1500;",
		     "heartbeat_intervall = \"1 s\";\nudp_port = 3;",
		     "arenas: { slots = 3; };\nzzzzzzzz = 1;"),
		"main.conf:5: unknown setting \"client.mtv\"; did you mean \"mtu\"?",
		"main.conf:8: unknown setting \"replication.heartbeat_intervall\"; did you mean "
		"\"heartbeat_interval\"?",
		"main.conf:9: unknown setting \"replication.udp_port\"; did you mean "
		"\"client.udp_port\"?",
		"main.conf:11: unknown group \"arenas\"; did you mean \"arena\"?",
		"main.conf:12: unknown setting \"zzzzzzzz\"",
		END
	);
	assert_null(strstr(((struct fixture *)*state)->errors.items[4].text, "did you mean"));
}

static void wrong_types_when_loaded_say_what_is_expected(void **state)
{
	expect_errors(
		*state,
		CONF("status_interval = true;",
		     "mtu = \"1500\";\ndescriptors = 1024.0; mac = 5;",
		     "ack = [ \"none\" ];",
		     "arena = 5;\nlimits: { max_payload: { }; };\ndpdk: { eal_args = \"-v\"; };"),
		"main.conf:2: node.status_interval: expected a string with a unit, such as \"1 "
		"s\", found true or false",
		"main.conf:5: client.mtu: expected an integer such as 1500, found a string",
		"main.conf:6: client.descriptors: expected an integer such as 1024, found a number "
		"with a fraction",
		"main.conf:6: client.mac: expected a string such as \"auto\", found an integer",
		"main.conf:9: replication.ack: expected one of \"received\", \"durable\", "
		"\"none\", found an array [ ]",
		"main.conf:11: arena: expected a group { }, found an integer",
		"main.conf:12: limits.max_payload: expected an integer such as 256, found a group "
		"{ }",
		"main.conf:13: dpdk.eal_args: expected an array of strings, found a string",
		END
	);
}

static void values_out_of_range_when_loaded_say_the_range(void **state)
{
	expect_errors(
		*state,
		CONF("status_interval = \"1 ns\";",
		     "mtu = 100;\nudp_port = -1;\ndescriptors = 1000;",
		     "ethertype = 0x10;\nheartbeat_interval = \"11 s\";\nwindow = "
		     "5000000000L;\nethertype2 = 1;",
		     "dpdk: { memory = \"1 KiB\"; };\nlimits: { max_payload = 1335; max_answer = "
		     "1327; };"),
		"main.conf:2: node.status_interval: 1 ns is out of range: 10 ms to 1 h",
		"main.conf:5: client.mtu: 100 is out of range: 1280 to 9000 bytes",
		"main.conf:6: client.udp_port: -1 is out of range: 1 to 65535",
		"main.conf:7: client.descriptors: 1000 is no power of two: 64 to 16384, a power of "
		"two",
		"main.conf:10: replication.ethertype: 0x10 is out of range: 0x600 to 0xFFFF",
		"main.conf:11: replication.heartbeat_interval: 11 s is out of range: 100 us to 10 "
		"s",
		"main.conf:12: replication.window: 5000000000 is out of range: 32 to 8388608 "
		"entries",
		"main.conf:13: unknown setting \"replication.ethertype2\"; did you mean "
		"\"ethertype\"?",
		"main.conf:15: dpdk.memory: 1 KiB is out of range: 64 MiB to 1024 GiB",
		"main.conf:16: limits.max_payload: 1335 is out of range: 8 to 1334 bytes",
		"main.conf:16: limits.max_answer: 1327 is out of range: 16 to 1326 bytes",
		END
	);
}

static void units_when_missing_or_unknown_are_named(void **state)
{
	expect_errors(
		*state,
		CONF("status_interval = 5;",
		     "",
		     "heartbeat_interval = \"100\";\nretransmit_min = \"1 msec\";",
		     "limits: { session_timeout = \"1.5 h\"; };\ndpdk: { memory = \"256 MB\"; };"),
		"main.conf:2: node.status_interval: the unit is missing: expected a string with a "
		"unit, such as \"1 s\"",
		"main.conf:8: replication.heartbeat_interval: \"100\": the unit is missing (one of "
		"ns us ms s m h)",
		"main.conf:9: replication.retransmit_min: \"1 msec\": the unit is unknown (one of "
		"ns us ms s m h)",
		"main.conf:11: limits.session_timeout: \"1.5 h\": does not begin with a whole "
		"number",
		"main.conf:12: dpdk.memory: \"256 MB\": the unit is unknown (one of B KiB MiB GiB)",
		END
	);
}

static void required_keys_when_missing_are_named_at_their_group(void **state)
{
	expect_errors(
		*state,
		"node: { id = 0; };\n\n  client:\n{ address = \"10.0.0.1\"; };\n",
		"main.conf: cluster: required and missing (for example demo)",
		"main.conf: peer.name: required and missing",
		"main.conf: peer.address: required and missing",
		"main.conf: replication.device: required and missing",
		"main.conf:1: node.name: required and missing",
		"main.conf:1: node.role: required and missing",
		"main.conf:3: client.device: required and missing",
		END
	);
}

/* 4294967396 is 100 in its low 32 bits, which libconfig would hand out without a word. */
static void numbers_when_beyond_their_bits_are_refused(void **state)
{
	expect_errors(
		*state,
		CONF("",
		     "udp_port = 4294967396;",
		     "window = 0x100000400;\nethertype = 0x88B5; heartbeat_misses =\n  2147483658;",
		     "arena: { slots = 99999999999999999999L;\n side_slots = -2147483649; };\n"
		     "assets: { max = 0x10000000000000400L; digest_interval = 2147483647; };"),
		"main.conf:5: the number 4294967396 does not fit 32 bits and would be read as "
		"another one; end large numbers with L",
		"main.conf:8: the number 0x100000400 does not fit 32 bits",
		"main.conf:10: the number 2147483658 does not fit 32 bits",
		"main.conf:12: the number 99999999999999999999L does not fit 64 bits",
		"main.conf:13: the number -2147483649 does not fit 32 bits",
		"main.conf:14: the number 0x10000000000000400L does not fit 64 bits",
		END
	);
}

static void numbers_when_in_comments_strings_and_names_are_no_numbers(void **state)
{
	expect_errors(
		*state,
		CONF("",
		     "# 99999999999\n// 99999999999",
		     "/* 99999999999\n @include \"x\" */",
		     "dpdk: { eal_args = [ \"99999999999 \\\" 99999999999\",\n\"\n@include "
		     "\\\"x\\\"\n\" ]; };"),
		END
	);
}

static void duplicate_name_when_loaded_is_an_error_at_the_second(void **state)
{
	expect_errors(
		*state,
		CONF("", "mtu = 1500;\nudp_port = 9400;\nmtu = 1500;", "", ""),
		"main.conf:7: duplicate setting name",
		END
	);
}

static void syntax_errors_when_loaded_have_their_line(void **state)
{
	expect_errors(*state, "cluster = \"c\";\nnode {\n};\n", "main.conf:2: syntax error", END);
	expect_errors(
		*state,
		"cluster = \"c\";\nx = \"abc\n\ny = 1;\n",
		"main.conf:2: the string that begins here is never closed",
		END
	);
	expect_errors(
		*state,
		"cluster = \"c\";\n\n/* abc\n\ny = 1;\n",
		"main.conf:3: the comment that begins here is never closed",
		END
	);
	expect_errors(
		*state,
		"cluster = \"c\";\nx = [ 1, \"a\" ];\n",
		"main.conf:2: mismatched element type in array",
		END
	);
}

static void file_when_unreadable_gives_the_reason(void **state)
{
	struct fixture *f = *state;
	char folder[128];

	assert_false(fixture_load(f, NULL));
	expect_found(
		f,
		(const char *[]
		){"main.conf: cannot read the configuration: No such file or directory"},
		1
	);
	snprintf(folder, sizeof(folder), "%s/main.conf", f->folder);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_false(fixture_load(f, NULL));
	expect_found(
		f, (const char *[]){"main.conf: cannot read the configuration: Is a directory"}, 1
	);
	assert_int_equal(remove(folder), 0);
	assert_int_equal(mkfifo(folder, 0600), 0);
	assert_false(fixture_load(f, NULL));
	expect_found(
		f,
		(const char *[]){"main.conf: cannot read the configuration: it is no regular file"},
		1
	);
	assert_int_equal(remove(folder), 0);
	fixture_write(f, "main.conf", "cluster =\n\"a\0b\";", 16);
	assert_false(fixture_load(f, NULL));
	expect_found(f, (const char *[]){"main.conf:2: a zero byte: this is no text file"}, 1);
	expect_errors(
		f,
		"",
		"main.conf: cluster: required and missing",
		"main.conf: node.name:",
		"main.conf: node.id:",
		"main.conf: node.role:",
		"main.conf: peer.name:",
		"main.conf: peer.address:",
		"main.conf: client.device:",
		"main.conf: client.address:",
		"main.conf: replication.device:",
		END
	);
}

static void texts_with_a_form_when_bad_say_what_is_wrong(void **state)
{
	expect_errors(
		*state,
		"cluster = \"a b\";\n"
		"node: { name = \"\"; id = 0; role = \"master\";\n runtime_dir = \"run\"; };\n"
		"peer: { name = \"b\"; address = \"10.0.0\"; };\n"
		"client: { device = \"eth0\"; mac = \"02:00:00:00:00\";\n"
		" address = \"10.0.0.256\"; service_address = \"224.0.0.1\"; };\n"
		"replication: { device = \"memif-server:sock\";\n mac = \"01:00:00:00:00:01\";\n "
		"peer_mac = \"02-00-00-00-00-01\"; };\n",
		"main.conf:1: cluster: \"a b\" must begin with a letter or digit",
		"main.conf:2: node.name: \"\" must begin with a letter or digit",
		"main.conf:2: node.role: \"master\" is not one of \"primary\", \"standby\"",
		"main.conf:3: node.runtime_dir: \"run\" must be an absolute path",
		"main.conf:4: peer.address: \"10.0.0\" is no IPv4 address",
		"main.conf:5: client.device: \"eth0\" is neither a PCI address",
		"main.conf:5: client.mac: \"02:00:00:00:00\" is no MAC address",
		"main.conf:6: client.address: \"10.0.0.256\" is no IPv4 address",
		"main.conf:6: client.service_address: \"224.0.0.1\" is no IPv4 address of one host",
		"main.conf:7: replication.device: \"memif-server:sock\" needs an absolute socket "
		"path",
		"main.conf:8: replication.mac: \"01:00:00:00:00:01\" is no MAC address of one "
		"device",
		"main.conf:9: replication.peer_mac: \"02-00-00-00-00-01\" is no MAC address",
		END
	);
}

static void texts_when_longer_than_their_field_are_refused(void **state)
{
	char text[2048], name[33], path[257], socket_path[109], argument[257];

	memset(name, 'n', 32);
	memset(path, '/', 256);
	memset(socket_path, '/', 108);
	memset(argument, 'x', 256);
	name[32] = path[256] = socket_path[108] = argument[256] = 0;
	snprintf(
		text,
		sizeof(text),
		"cluster = \"%s\";\nnode: { name = \"a\"; id = 0; role = \"primary\";\n"
		"runtime_dir = \"%s\"; };\npeer: { name = \"b\"; address = \"10.0.0.2\"; };\n"
		"client: { device = \"memif-server:%s\"; address = \"10.0.0.1\"; };\n"
		"replication: { device = \"tap:sixteen-bytes-xx\"; };\ndpdk: { eal_args = [ "
		"\"-v\",\n\"%s\" ]; };\n",
		name,
		path,
		socket_path,
		argument
	);
	expect_errors(
		*state,
		text,
		"main.conf:1: cluster: a text of 32 bytes is too long: at most 31",
		"main.conf:3: node.runtime_dir: a text of 256 bytes is too long: at most 255",
		"main.conf:5: client.device: ",
		"main.conf:6: replication.device: \"tap:sixteen-bytes-xx\" needs the name of an "
		"interface",
		"main.conf:8: dpdk.eal_args: an argument of 256 bytes: 1 to 255 are possible",
		END
	);
	assert_non_null(
		strstr(((struct fixture *)*state)->errors.items[2].text, "more than 99 bytes")
	);
}

static void relations_when_broken_are_reported_where_they_were_written(void **state)
{
	expect_errors(
		*state,
		"cluster = \"c\";\nnode: { name = \"a\"; id = 0; role = \"primary\"; };\n"
		"peer: { name = \"a\";\n address = \"10.0.0.1\"; };\n"
		"client: { device = \"memif-server:/s\"; address = \"10.0.0.1\";\n mtu = 1280;\n "
		"service_address = \"10.0.0.1\"; };\n"
		"replication: { device = \"memif-client:/s\";\n ethertype = 0x800;\n window = "
		"40000;\n mtu = 1400;\n"
		" heartbeat_interval = \"1 ms\"; heartbeat_misses = 2;\n retransmit_min = \"2 "
		"ms\";\n"
		" mac = \"02:00:00:00:00:01\";\n peer_mac = \"02:00:00:00:00:01\"; };\n"
		"arena: { slots = 65536; };\n"
		"limits: {\n max_payload = 1300;\n max_answer = 1200;\n max_inflight = 1024;\n "
		"max_sessions = 20000;\n"
		" session_timeout = \"1 m\";\n session_min_idle = \"2 m\"; };\n",
		"main.conf:3: peer.name: \"a\" is node.name too",
		"main.conf:4: peer.address: is client.address too",
		"main.conf:6: client.mtu: 1280 bytes have no room for a request of "
		"limits.max_payload = 1300",
		"main.conf:6: client.mtu: 1280 bytes have no room for an answer of "
		"limits.max_answer = 1200",
		"main.conf:7: client.service_address: is one node's own address too",
		"main.conf:8: replication.device: is client.device too",
		"main.conf:9: replication.ethertype: 0x0800 belongs to another protocol",
		"main.conf:10: replication.window: 40000 is more than half of arena.slots = 65536",
		"main.conf:13: replication.retransmit_min: is not shorter than heartbeat_interval "
		"times",
		"main.conf:15: replication.peer_mac: is replication.mac too",
		"main.conf:18: limits.max_payload: an entry of 1300 bytes makes a frame of 1464, "
		"more than replication.mtu = 1400",
		"main.conf:21: limits.max_sessions: 20000 sessions times limits.max_inflight = "
		"1024 are more than 16777216 kept answers",
		"main.conf:23: limits.session_min_idle: is longer than limits.session_timeout",
		END
	);
}

static void relation_when_one_side_is_a_default_is_at_the_other(void **state)
{
	expect_errors(
		*state,
		CONF("", "", "", "\narena: { slots = 4096; };"),
		"main.conf:11: replication.window: 32768 is more than half of arena.slots = 4096",
		END
	);
}

static void durable_acknowledgements_without_a_log_are_refused(void **state)
{
	expect_errors(
		*state,
		CONF("", "", "ack = \"durable\";", "\nlog: { enabled = \"off\"; };"),
		"main.conf:8: replication.ack: \"durable\" needs a log, and log.enabled is "
		"\"off\"",
		END
	);
}

static void acknowledgement_none_needs_a_log(void **state)
{
	expect_errors(
		*state,
		CONF("", "", "ack = \"none\";", "\nlog: { enabled = \"off\"; };"),
		"main.conf:8: replication.ack: \"none\" needs a log",
		END
	);
}

static void relation_when_one_side_was_refused_is_not_judged(void **state)
{
	expect_errors(
		*state,
		CONF("", "", "window = \"x\";", "arena: { slots = 4096; };"),
		"main.conf:8: replication.window: expected an integer",
		END
	);
}

static void agents_when_not_on_exactly_one_lcore_are_named(void **state)
{
	expect_errors(
		*state,
		CONF("",
		     "rx_queues = 2;",
		     "",
		     "dataplane: { workers = 2; lcores = (\n"
		     "{ agents = [ \"ingress0\", \"worker0\", \"worker0\" ]; },\n"
		     "{ cpus = \"1\"; agents = [ \"ingress\", \"journal\" ]; },\n"
		     "{ agents = [ \"journal\",\n\"ingress2\", \"wroker\" ]; }\n); };"),
		"main.conf:11: dataplane.lcores[0].agents: agent worker0 is named twice on this "
		"lcore",
		"main.conf:12: dataplane.lcores[1].agents: agent ingress0 is on "
		"dataplane.lcores[0] too",
		"main.conf:13: dataplane.lcores[2].agents: agent journal is on dataplane.lcores[1] "
		"too",
		"main.conf:14: dataplane.lcores[2].agents: there is no agent \"ingress2\": "
		"client.rx_queues is 2",
		"main.conf:14: dataplane.lcores[2].agents: \"wroker\" is no agent",
		END
	);
	expect_errors(
		*state,
		CONF("",
		     "rx_queues = 2;",
		     "",
		     "dataplane: { workers = 2; lcores = (\n"
		     "{ agents = [ \"ingress0\", \"worker1\" ]; },\n"
		     "{ agents = [ \"sequencer\" ]; } ); };"),
		"main.conf:11: dataplane.lcores: agent ingress1 is on no lcore",
		"main.conf:11: dataplane.lcores: agent worker0 is on no lcore",
		END
	);
}

static void lcores_when_malformed_are_reported(void **state)
{
	expect_errors(
		*state,
		CONF("",
		     "",
		     "",
		     "dataplane: { workers = 65; lcores = (\n"
		     "{ cpus = 3; agents = [ \"all\" ]; },\n"
		     "{ cpus = \"4-2\"; },\n"
		     "{ cpu = \"1\"; agents = [ ]; idle = \"busy\"; },\n"
		     "5,\n{ agents = ( 7 ); }\n ); };"),
		"main.conf:10: dataplane.workers: 65 is out of range: 1 to 64",
		"main.conf:11: dataplane.lcores[0].cpus: expected a string such as \"any\", found "
		"an integer",
		"main.conf:12: dataplane.lcores[1].cpus: \"4-2\" must be a CPU",
		"main.conf:12: dataplane.lcores[1]: names no agents",
		"main.conf:13: unknown setting \"dataplane.lcores[2].cpu\"; did you mean \"cpus\"?",
		"main.conf:13: dataplane.lcores[2].idle: \"busy\" is not one of",
		"main.conf:13: dataplane.lcores[2]: names no agents",
		"main.conf:14: dataplane.lcores[3]: expected a group { }, found an integer",
		"main.conf:15: dataplane.lcores[3].agents: expected strings, found an integer",
		END
	);
	expect_errors(
		*state,
		CONF("", "", "", "dataplane: { lcores = 2; };"),
		"main.conf:10: dataplane.lcores: expected a list of groups",
		END
	);
}

static void errors_when_in_an_included_file_name_that_file(void **state)
{
	struct fixture *f = *state;
	static const char inner[] = "# comment\nmtu = 1;\nfoo = 1;\nudp_port = 99999999999;";

	fixture_write(f, "client.inc", inner, strlen(inner));
	expect_errors(
		f,
		CONF("",
		     "@include \"client.inc\"\nrx_queues = 9;",
		     "window = 1;",
		     "@include \"none.inc\"\n@include \"/\"\nx = 1;"),
		"client.inc:2: client.mtu: 1 is out of range",
		"client.inc:3: unknown setting \"client.foo\"",
		"client.inc:4: the number 99999999999 does not fit",
		"main.conf:6: client.rx_queues: 9 is out of range",
		"main.conf:9: replication.window: 1 is out of range",
		"main.conf:11: cannot read the included file ",
		"main.conf:12: cannot read the included file /: Is a directory",
		"main.conf:13: unknown setting \"x\"",
		END
	);
	assert_non_null(strstr(f->errors.items[5].text, "none.inc: No such file or directory"));
	fixture_write(f, "bad.inc", "a = 1;\nb c\n", 11);
	expect_errors(
		f, "cluster = \"c\";\n@include \"bad.inc\"\n", "bad.inc:2: syntax error", END
	);
	expect_errors(f, "@include x\n", "main.conf:1: @include needs a file name in quotes", END);
}

static void file_when_it_includes_itself_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_false(fixture_load(
		f, "cluster = \"c\";\n@include \"main.conf\"\n@include \"main.conf\"\n"
	));
	assert_true(f->errors.count >= 1);
	assert_int_equal(f->errors.items[0].line, 2);
	assert_non_null(strstr(f->errors.items[0].text, "more than 16 files"));
}

static void errors_when_very_many_are_bounded_and_counted(void **state)
{
	struct fixture *f = *state;
	char *text = calloc(1, 40000);
	size_t used = 0;

	assert_non_null(text);
	for (int i = 0; i < 2000; i++)
		used += (size_t)sprintf(text + used, "qqqqqq%d = 1;\n", i);
	assert_false(fixture_load(f, text));
	free(text);
	assert_int_equal(f->errors.found, 2000 + 9);
	assert_int_equal(f->errors.count, 257);
	assert_non_null(strstr(f->errors.items[0].text, "more than 256 errors"));
}

static void limits_of_text_when_exceeded_are_refused(void **state)
{
	struct fixture *f = *state;
	size_t bytes = (1 << 20) + 1;
	char *text = malloc(bytes);

	assert_non_null(text);
	memset(text, '\n', bytes);
	fixture_write(f, "main.conf", text, 60001);
	assert_false(fixture_load(f, NULL));
	expect_found(f, (const char *[]){"main.conf:60001: more lines than"}, 1);
	memset(text, ' ', bytes);
	fixture_write(f, "main.conf", text, bytes);
	assert_false(fixture_load(f, NULL));
	expect_found(
		f, (const char *[]){"main.conf: cannot read the configuration: File too large"}, 1
	);
	memset(text, '(', bytes);
	memcpy(text, "a=", 2);
	fixture_write(f, "main.conf", text, bytes - 1);
	assert_false(fixture_load(f, NULL));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unknown_names_when_loaded_get_the_nearest_name),
		TEST(wrong_types_when_loaded_say_what_is_expected),
		TEST(values_out_of_range_when_loaded_say_the_range),
		TEST(units_when_missing_or_unknown_are_named),
		TEST(required_keys_when_missing_are_named_at_their_group),
		TEST(numbers_when_beyond_their_bits_are_refused),
		TEST(numbers_when_in_comments_strings_and_names_are_no_numbers),
		TEST(duplicate_name_when_loaded_is_an_error_at_the_second),
		TEST(syntax_errors_when_loaded_have_their_line),
		TEST(file_when_unreadable_gives_the_reason),
		TEST(texts_with_a_form_when_bad_say_what_is_wrong),
		TEST(texts_when_longer_than_their_field_are_refused),
		TEST(relations_when_broken_are_reported_where_they_were_written),
		TEST(relation_when_one_side_is_a_default_is_at_the_other),
		TEST(relation_when_one_side_was_refused_is_not_judged),
		TEST(durable_acknowledgements_without_a_log_are_refused),
		TEST(acknowledgement_none_needs_a_log),
		TEST(agents_when_not_on_exactly_one_lcore_are_named),
		TEST(lcores_when_malformed_are_reported),
		TEST(errors_when_in_an_included_file_name_that_file),
		TEST(file_when_it_includes_itself_is_refused),
		TEST(errors_when_very_many_are_bounded_and_counted),
		TEST(limits_of_text_when_exceeded_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
