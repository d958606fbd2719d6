/* SPDX-License-Identifier: BSD-3-Clause */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "config/log.h"

#include <regex.h>
#include <string.h>
#include <unistd.h>

/* Standard error goes into a pipe meanwhile; a line is far below what a pipe holds. */
static int saved, ends[2];

static void begin(void)
{
	assert_int_equal(pipe(ends), 0);
	saved = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
}

static size_t end(char *text, size_t bytes)
{
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	ssize_t got = read(ends[0], text, bytes - 1);
	close(ends[0]);
	text[got > 0 ? got : 0] = 0;
	return got > 0 ? (size_t)got : 0;
}

static void assert_matches(const char *text, const char *pattern)
{
	regex_t regex;
	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	int result = regexec(&regex, text, 0, NULL, 0);
	regfree(&regex);
	assert_int_equal(result, 0);
}

static void line_when_logged_has_time_program_node_and_level(void **state)
{
	char text[4096];

	begin();
	sf_log(SF_NOTICE, "first");
	sf_log_name("standfast-dataplane", "a");
	sf_log(SF_WARNING, "peer %s lost after %d ms", "b", 10);
	end(text, sizeof(text));
	assert_matches(
		text,
		"^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}Z "
		"standfast notice: first\n[-0-9T:.]{23}Z standfast-dataplane\\[a\\] warning: peer "
		"b "
		"lost after 10 ms\n$"
	);
}

static void level_when_below_the_least_is_silent(void **state)
{
	char text[4096];

	begin();
	sf_log(SF_DEBUG, "no");
	sf_log_level(SF_ERROR);
	sf_log(SF_WARNING, "no");
	sf_log(SF_ERROR, "yes");
	sf_log_level(SF_INFO);
	end(text, sizeof(text));
	assert_null(strstr(text, "no\n"));
	assert_non_null(strstr(text, "error: yes\n"));
}

static void line_when_too_long_is_cut_and_still_ends(void **state)
{
	char text[4096], body[3000];

	memset(body, 'x', sizeof(body) - 1);
	body[sizeof(body) - 1] = 0;
	begin();
	sf_log(SF_ERROR, "%s", body);
	size_t bytes = end(text, sizeof(text));
	assert_int_equal(bytes, 1023);
	assert_string_equal(text + bytes - 3, "xx\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_when_logged_has_time_program_node_and_level),
		cmocka_unit_test(level_when_below_the_least_is_silent),
		cmocka_unit_test(line_when_too_long_is_cut_and_still_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
