/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The sections arbiter and roles: values, and what contradicts what.
 */
#include "tests/unit/settings_fixture.h"

#include <stdio.h>
#include <string.h>

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define END ((const char *)NULL)

static void arbiter_when_written_arrives_and_is_dumped(void **state)
{
	struct fixture *f = *state;
	const struct cfg_settings *s = &f->settings;
	static char text[32768];

	expect_errors(
		f,
		CONF("",
		     "",
		     "",
		     "roles: { lost_peer = \"split-allowed\"; bootstrap = \"auto\"; "
		     "preferred_primary = 1; hold_down = \"0 s\"; max_role_changes_per_hour = 0; "
		     "takeover_delay = \"1 s\"; };"),
		(const char *)NULL
	);
	assert_int_equal(s->roles.lost_peer, CFG_SPLIT_ALLOWED);
	assert_int_equal(s->roles.bootstrap, CFG_BOOTSTRAP_AUTO);
	assert_int_equal(s->roles.preferred_primary, 1);
	assert_int_equal(s->roles.hold_down_ns, 0);
	assert_int_equal(s->roles.max_changes_per_hour, 0);
	assert_int_equal(s->roles.takeover_delay_ns, 1000000000);
	expect_errors(
		f,
		CONF("", "", "", "arbiter: { kind = \"file\"; dir = \"/x\"; };"),
		(const char *)NULL
	);
	assert_int_equal(s->arbiter.kind, CFG_ARBITER_FILE);
	assert_string_equal(s->arbiter.dir, "/x");
	if (!cfg_has_etcd())
		return;
	expect_errors(
		f,
		CONF("",
		     "",
		     "",
		     "arbiter: { kind = \"etcd\"; endpoints = [ \"https://10.0.0.3:2379\", "
		     "\"https://[fd00::1]:2379\", \"https://etcd-3.example.com:65535\" ];\n"
		     "key = \"/k\"; ca_file = \"/ca\"; certificate_file = \"/c\"; "
		     "private_key_file = \"/p\"; user = \"none\"; token_file = \"/t\"; "
		     "timeout = \"1 s\"; };"),
		(const char *)NULL
	);
	assert_int_equal(s->arbiter.endpoint_count, 3);
	assert_string_equal(s->arbiter.endpoints[1], "https://[fd00::1]:2379");
	assert_string_equal(s->arbiter.user, "");
	FILE *to = fmemopen(text, sizeof(text), "w");
	assert_non_null(to);
	cfg_dump(s, to);
	fclose(to);
	assert_non_null(strstr(
		text,
		"\narbiter.endpoints = [ \"https://10.0.0.3:2379\", \"https://[fd00::1]:2379\", "
	));
	assert_non_null(strstr(text, "\narbiter.user = \"none\";  // "));
	assert_non_null(strstr(text, "\narbiter.key = \"/k\";  // "));
	assert_non_null(strstr(text, "\narbiter.dir = \"none\";  // default"));
	assert_non_null(strstr(text, "\nroles.lost_peer = \"primary-continues\";  // default"));
}

static void endpoints_when_not_of_their_form_are_refused(void **state)
{
	static const char *const bad[] = {
		"10.0.0.3:2379",
		"http://10.0.0.3",
		"http://10.0.0.3:",
		"http://:2379",
		"http://a:0",
		"http://a:x",
		"http://a:1 ",
		"http://a:1/",
		"http://a:1/v3",
		"http://u:p@a:1",
		"http://a b:1",
		"http://fd00::1:1",
		"http://[fd00::1:1",
		"HTTP://a:1",
		"ftp://a:1",
		"http://a:1?x",
		"",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[1024];
		snprintf(
			text,
			sizeof(text),
			CONF("", "", "", "arbiter: {\nendpoints = [ \"http://a:1\",\n\"%s\" ]; };"),
			bad[i]
		);
		char wanted[256];
		snprintf(
			wanted,
			sizeof(wanted),
			"main.conf:12: arbiter.endpoints: \"%s\" must be http",
			bad[i]
		);
		expect_errors(*state, text, wanted, END);
	}
	expect_errors(
		*state,
		CONF("",
		     "",
		     "",
		     "arbiter: { endpoints = [ \"http://a:65536\" ]; timeout = \"2 s\"; };\n"
		     "roles: { preferred_primary = 2; max_role_changes_per_hour = 33; lost_peer = "
		     "\"none\"; };"),
		"main.conf:10: arbiter.endpoints: \"http://a:65536\" has a port above 65535",
		"main.conf:10: arbiter.timeout: 2 s is out of range: 10 ms to 1 s",
		"main.conf:11: roles.preferred_primary: 2 is out of range: 0 to 1",
		"main.conf:11: roles.max_role_changes_per_hour: 33 is out of range: 0 to 32",
		"main.conf:11: roles.lost_peer: \"none\" is not one of",
		END
	);
}

static void arbiter_when_settings_contradict_each_other_is_refused(void **state)
{
	expect_errors(
		*state,
		CONF("", "", "", "arbiter: { kind = \"file\"; };\nlog: { enabled = \"off\"; };"),
		"main.conf:10: arbiter.kind: an arbiter needs nodes that do not forget, and "
		"log.enabled is \"off\"",
		"main.conf:10: arbiter.kind: \"file\" needs arbiter.dir",
		END
	);
	expect_errors(
		*state,
		CONF("",
		     "",
		     "",
		     "arbiter: { kind = \"file\"; dir = \"/x\"; };\n"
		     "roles: { lost_peer = \"primary-continues\"; };"),
		"main.conf:11: roles.lost_peer: is for pairs without an arbiter",
		END
	);
	expect_errors(
		*state,
		CONF("",
		     "",
		     "",
		     "arbiter: { endpoints = [ \"http://a:1\" ]; ca_file = \"/ca\";\n"
		     "private_key_file = \"/p\"; user = \"u\";\ntoken_file = \"/t\"; };"),
		"main.conf:10: arbiter.endpoints: http://a:1 has no TLS, and certificates are "
		"given",
		"main.conf:11: arbiter.private_key_file: needs arbiter.certificate_file too",
		"main.conf:11: arbiter.user: needs arbiter.password_file too",
		"main.conf:12: arbiter.token_file: is instead of arbiter.user",
		END
	);
	if (cfg_has_etcd())
		expect_errors(
			*state,
			CONF("", "", "", "arbiter: { kind = \"etcd\"; };"),
			"main.conf:10: arbiter.kind: \"etcd\" needs arbiter.endpoints",
			END
		);
	else
		expect_errors(
			*state,
			CONF("",
			     "",
			     "",
			     "arbiter: { kind = \"etcd\"; endpoints = [ \"http://a:1\" ]; };"),
			"main.conf:10: arbiter.kind: this build has no etcd",
			END
		);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(arbiter_when_written_arrives_and_is_dumped),
		TEST(endpoints_when_not_of_their_form_are_refused),
		TEST(arbiter_when_settings_contradict_each_other_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
