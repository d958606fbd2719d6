/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Verdicts as text, without the C library's printf: the monitors are pure like the machines, and
 * what they import shows it. Only what verdicts use: %s, %u, %llu and %%.
 */
#include "tests/pipeline/monitor_state.h"

struct pl_text {
	char *text;
	size_t bytes, used;
};

static void put(struct pl_text *t, char letter)
{
	if (t->used + 1 < t->bytes)
		t->text[t->used++] = letter;
}

static void put_text(struct pl_text *t, const char *text)
{
	for (; text && *text; text++)
		put(t, *text);
}

static void put_number(struct pl_text *t, unsigned long long number)
{
	char digits[20]; /* of 2^64 - 1 */
	uint32_t count = 0;
	do {
		digits[count++] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	while (count > 0)
		put(t, digits[--count]);
}

bool pl_text_begins(const char *text, const char *what)
{
	while (*what && *text == *what) {
		text++;
		what++;
	}
	return *what == 0;
}

size_t pl_text_put(char *text, size_t bytes, const char *format, va_list list)
{
	struct pl_text t = {.text = text, .bytes = bytes};
	if (bytes == 0)
		return 0;
	for (; *format; format++) {
		if (*format != '%') {
			put(&t, *format);
		} else if (pl_text_begins(format, "%llu")) {
			put_number(&t, va_arg(list, unsigned long long));
			format += 3;
		} else if (pl_text_begins(format, "%u")) {
			put_number(&t, va_arg(list, unsigned));
			format++;
		} else if (pl_text_begins(format, "%s")) {
			put_text(&t, va_arg(list, const char *));
			format++;
		} else {
			/* Behind what is not known here no argument can be found any more. */
			put(&t, '%');
			if (format[1] != '%')
				break;
			format++;
		}
	}
	text[t.used] = 0;
	return t.used;
}
