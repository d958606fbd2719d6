/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/histogram_file.h"

#include "config/bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <zlib.h>

#define NS_PER_US 1000.0
#define TICKS_PER_HALF_DISTANCE 5
#define COOKIE 0x1c849313u	      /* V2 with LEB128-64b9B counts */
#define COMPRESSED_COOKIE 0x1c849314u /* the same, deflated */
#define HEAD_BYTES 40u
#define MAX_LEB_BYTES 9u

/* One step towards 100 %: the nearer, the smaller, so that each halving of the rest gets as many
 * lines as the one before. */
static double next_level(double level)
{
	double halvings = floor(log2(100.0 / (100.0 - level))) + 1;
	return level + 100.0 / (TICKS_PER_HALF_DISTANCE * exp2(halvings));
}

static void write_levels(const struct sf_histogram *h, uint64_t total, FILE *out)
{
	uint64_t seen = 0;
	double level = 0;
	for (uint32_t i = 0; i < h->count_slots && seen < total; i++) {
		if (h->counts[i] == 0)
			continue;
		seen += h->counts[i];
		uint64_t value = sf_histogram_highest_equivalent(h, sf_histogram_value_at(h, i));
		double us = (double)value / NS_PER_US;
		while (100.0 * (double)seen / (double)total >= level) {
			fprintf(out,
				"%12.*f %2.12f %10" PRIu64 " %14.2f\n",
				h->digits,
				us,
				level / 100.0,
				seen,
				1 / (1 - level / 100.0));
			level = next_level(level);
			if (seen >= total)
				break;
		}
		if (seen >= total)
			fprintf(out, "%12.*f %2.12f %10" PRIu64 "\n", h->digits, us, 1.0, seen);
	}
}

/* The sum of the counts, which a copy taken while the writer ran may disagree on with total. */
static uint64_t count_all(const struct sf_histogram *h)
{
	uint64_t total = 0;
	for (uint32_t i = 0; i < h->count_slots; i++)
		total += h->counts[i];
	return total;
}

int sf_histogram_write_hgrm(const struct sf_histogram *h, FILE *out)
{
	uint64_t total = count_all(h);
	uint64_t max = h->total ? sf_histogram_highest_equivalent(h, h->max) : 0;
	int d = h->digits;

	fprintf(out,
		"%12s %14s %10s %14s\n\n",
		"Value",
		"Percentile",
		"TotalCount",
		"1/(1-Percentile)");
	write_levels(h, total, out);
	fprintf(out,
		"#[Mean    = %12.*f, StdDeviation   = %12.*f]\n",
		d,
		sf_histogram_mean(h) / NS_PER_US,
		d,
		sf_histogram_stddev(h) / NS_PER_US);
	fprintf(out,
		"#[Max     = %12.*f, Total count    = %12" PRIu64 "]\n",
		d,
		(double)max / NS_PER_US,
		total);
	fprintf(out,
		"#[Buckets = %12u, SubBuckets     = %12u]\n",
		sf_histogram_buckets(h->digits, h->highest),
		2u << h->half_mag);
	return ferror(out) ? -EIO : 0;
}

/* Closing is where a full disk may show. */
static int close_file(FILE *file)
{
	int failed = ferror(file);
	if (fclose(file) != 0)
		return -errno;
	return failed ? -EIO : 0;
}

int sf_histogram_save_hgrm(const struct sf_histogram *h, const char *path)
{
	FILE *file = fopen(path, "we");
	if (file == NULL)
		return -errno;
	int written = sf_histogram_write_hgrm(h, file);
	int closed = close_file(file);
	return written != 0 ? written : closed;
}

static uint8_t *put_big32(uint8_t *at, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(at, &v, sizeof(v));
	return at + sizeof(v);
}

static uint8_t *put_big64(uint8_t *at, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(at, &v, sizeof(v));
	return at + sizeof(v);
}

/* Sign folded into bit 0, then seven bits to a byte; a ninth byte carries eight. */
static uint8_t *put_zigzag(uint8_t *at, int64_t value)
{
	uint64_t u = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
	for (unsigned i = 1; i < MAX_LEB_BYTES && u >= 0x80; i++, u >>= 7)
		*at++ = (uint8_t)(u | 0x80);
	*at++ = (uint8_t)u;
	return at;
}

static uint8_t *put_counts(uint8_t *at, const struct sf_histogram *h, uint32_t slots)
{
	for (uint32_t i = 0; i < slots;) {
		uint32_t zeros = 0;
		while (i + zeros < slots && h->counts[i + zeros] == 0)
			zeros++;
		if (zeros > 1)
			at = put_zigzag(at, -(int64_t)zeros);
		else if (zeros == 1)
			at = put_zigzag(at, 0);
		else
			at = put_zigzag(at, (int64_t)h->counts[i]);
		i += zeros ? zeros : 1;
	}
	return at;
}

/* Bytes of the plain encoding at plain, which has room for the head and every count. */
static uint32_t encode_plain(const struct sf_histogram *h, uint8_t *plain)
{
	const double ratio = 1.0;
	uint64_t ratio_bits;
	uint32_t slots = sf_histogram_index(h, h->max) + 1;

	memcpy(&ratio_bits, &ratio, sizeof(ratio_bits));
	uint8_t *end = put_counts(plain + HEAD_BYTES, h, slots);
	uint8_t *at = put_big32(plain, COOKIE);
	at = put_big32(at, (uint32_t)(end - plain) - HEAD_BYTES);
	at = put_big32(at, 0); /* normalizing index offset */
	at = put_big32(at, h->digits);
	at = put_big64(at, 1); /* lowest discernible value */
	at = put_big64(at, h->highest);
	put_big64(at, ratio_bits);
	return (uint32_t)(end - plain);
}

static char *encode_base64(const uint8_t *bytes, uint64_t count)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc((count + 2) / 3 * 4 + 1);
	if (text == NULL)
		return NULL;
	char *at = text;
	for (uint64_t i = 0; i < count; i += 3) {
		uint64_t left = count - i;
		uint32_t group = (uint32_t)bytes[i] << 16;
		group |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
		group |= left > 2 ? bytes[i + 2] : 0;
		*at++ = digits[group >> 18];
		*at++ = digits[group >> 12 & 63];
		*at++ = left > 1 ? digits[group >> 6 & 63] : '=';
		*at++ = left > 2 ? digits[group & 63] : '=';
	}
	*at = '\0';
	return text;
}

char *sf_histogram_encode(const struct sf_histogram *h)
{
	uint64_t plain_room = HEAD_BYTES + (uint64_t)h->count_slots * MAX_LEB_BYTES;
	uLong packed_room = compressBound(plain_room);
	uint8_t *plain = malloc(plain_room);
	uint8_t *packed = malloc(8 + packed_room);
	char *text = NULL;

	if (plain != NULL && packed != NULL) {
		uLongf packed_bytes = packed_room;
		uint32_t plain_bytes = encode_plain(h, plain);
		if (compress(packed + 8, &packed_bytes, plain, plain_bytes) == Z_OK) {
			put_big32(put_big32(packed, COMPRESSED_COOKIE), (uint32_t)packed_bytes);
			text = encode_base64(packed, 8 + packed_bytes);
		}
	}
	free(plain);
	free(packed);
	return text;
}

int sf_histogram_log_open(struct sf_histogram_log *log, const char *path, uint64_t base_unix_ns)
{
	char date[64];
	struct tm tm;
	time_t seconds = (time_t)(base_unix_ns / 1000000000u);
	uint64_t ms = base_unix_ns / 1000000u;

	log->base_unix_ns = ms * 1000000u;
	log->file = fopen(path, "we");
	if (log->file == NULL)
		return -errno;
	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%a %b %d %H:%M:%S UTC %Y", &tm);
	/* One known reader takes lines of at most 126 bytes, and no comment after the legend. */
	fprintf(log->file, "#[Logged with standfast " SF_VERSION "]\n");
	fprintf(log->file, "#[Histogram log format version 1.3]\n");
	fprintf(log->file,
		"#[StartTime: %" PRIu64 ".%03u (seconds since epoch), %s]\n",
		ms / 1000,
		(unsigned)(ms % 1000),
		date);
	fprintf(log->file,
		"#[BaseTime: %" PRIu64 ".%03u (seconds since epoch)]\n",
		ms / 1000,
		(unsigned)(ms % 1000));
	fprintf(log->file,
		"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
		"\"Interval_Compressed_Histogram\"\n");
	return ferror(log->file) ? -EIO : 0;
}

static bool tag_is_plain(const char *tag)
{
	for (; *tag != '\0'; tag++)
		if (*tag == ',' || *tag <= ' ' || *tag == 0x7f)
			return false;
	return true;
}

int sf_histogram_log_write(
	struct sf_histogram_log *log,
	const char *tag,
	uint64_t start_unix_ns,
	uint64_t length_ns,
	const struct sf_histogram *h
)
{
	if ((tag != NULL && !tag_is_plain(tag)) || start_unix_ns < log->base_unix_ns)
		return -EINVAL;
	char *text = sf_histogram_encode(h);
	if (text == NULL)
		return -ENOMEM;
	uint64_t max = h->total ? sf_histogram_highest_equivalent(h, h->max) : 0;
	if (tag != NULL)
		fprintf(log->file, "Tag=%s,", tag);
	fprintf(log->file,
		"%.3f,%.3f,%.3f,%s\n",
		(double)(start_unix_ns - log->base_unix_ns) / 1e9,
		(double)length_ns / 1e9,
		(double)max / NS_PER_US,
		text);
	free(text);
	return ferror(log->file) ? -EIO : 0;
}

int sf_histogram_log_close(struct sf_histogram_log *log)
{
	if (log->file == NULL)
		return 0;
	int result = close_file(log->file);
	log->file = NULL;
	return result;
}
