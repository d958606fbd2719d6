/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/histogram.h"

#include <string.h>

STATIC_CHECK(sizeof(struct sf_histogram) % sizeof(uint64_t) == 0, "counts follow without padding");

static uint16_t half_mag_of(uint32_t digits)
{
	CHECK(digits == 2 || digits == 3);
	return digits == 2 ? SF_HISTOGRAM_2D_HALF_MAG : SF_HISTOGRAM_3D_HALF_MAG;
}

/* Each bucket doubles the range; the first one covers [0, 2 << half_mag). */
uint32_t sf_histogram_buckets(uint32_t digits, uint64_t highest)
{
	uint16_t half = half_mag_of(digits);
	CHECK(highest >= 2 && highest < 1ull << 62);
	uint32_t buckets = 1;
	for (uint64_t beyond = 2ull << half; beyond <= highest; beyond <<= 1)
		buckets++;
	return buckets;
}

uint32_t sf_histogram_slots(uint32_t digits, uint64_t highest)
{
	return (sf_histogram_buckets(digits, highest) + 1) << half_mag_of(digits);
}

uint64_t sf_histogram_bytes(uint32_t digits, uint64_t highest)
{
	return sizeof(struct sf_histogram) +
	       (uint64_t)sf_histogram_slots(digits, highest) * sizeof(uint64_t);
}

void sf_histogram_init(struct sf_histogram *h, uint32_t digits, uint64_t highest)
{
	h->highest = highest;
	h->count_slots = sf_histogram_slots(digits, highest);
	h->half_mag = half_mag_of(digits);
	h->digits = (uint16_t)digits;
	sf_histogram_reset(h);
}

void sf_histogram_reset(struct sf_histogram *h)
{
	h->max = 0;
	h->min = UINT64_MAX;
	h->total = 0;
	h->clipped = 0;
	memset(h->counts, 0, (uint64_t)h->count_slots * sizeof(h->counts[0]));
}

void sf_histogram_add(struct sf_histogram *into, const struct sf_histogram *from)
{
	CHECK(into->highest == from->highest && into->digits == from->digits);
	CHECK(into->count_slots == from->count_slots);
	for (uint32_t i = 0; i < from->count_slots; i++)
		into->counts[i] += from->counts[i];
	into->total += from->total;
	into->clipped += from->clipped;
	if (from->max > into->max)
		into->max = from->max;
	if (from->min < into->min)
		into->min = from->min;
}

/* Bits that a value's slot does not tell apart. */
static uint32_t shift_of(const struct sf_histogram *h, uint64_t value)
{
	uint64_t mask = (2ull << h->half_mag) - 1;
	return 64 - (uint32_t)__builtin_clzll(value | mask) - (h->half_mag + 1u);
}

uint64_t sf_histogram_highest_equivalent(const struct sf_histogram *h, uint64_t value)
{
	return value | ((1ull << shift_of(h, value)) - 1);
}

uint64_t sf_histogram_median_equivalent(const struct sf_histogram *h, uint64_t value)
{
	uint32_t shift = shift_of(h, value);
	return (value >> shift << shift) + ((1ull << shift) >> 1);
}

uint64_t sf_histogram_value_at(const struct sf_histogram *h, uint32_t index)
{
	uint32_t half_count = 1u << h->half_mag;
	if (index < 2 * half_count)
		return index;
	uint32_t bucket = (index >> h->half_mag) - 1;
	return (uint64_t)((index & (half_count - 1)) + half_count) << bucket;
}

/* How many records lie at or below a percentile: rounded up, but from one representable step below,
 * so that 99.9 % of 1000 is 999 although the product is a hair above. */
static uint64_t records_at(double percentile, uint64_t total)
{
	if (!(percentile > 0))
		return 1;
	if (percentile >= 100)
		return total;
	uint64_t bits;
	memcpy(&bits, &percentile, sizeof(bits));
	bits--;
	memcpy(&percentile, &bits, sizeof(bits));
	double exact = percentile * (double)total / 100.0;
	uint64_t whole = (uint64_t)exact;
	if ((double)whole < exact)
		whole++;
	return whole == 0 ? 1 : whole;
}

uint64_t sf_histogram_percentile(const struct sf_histogram *h, double percentile)
{
	uint64_t wanted = records_at(percentile, h->total);
	uint64_t seen = 0;
	uint32_t last = 0;
	if (h->total == 0)
		return 0;
	for (uint32_t i = 0; i < h->count_slots; i++) {
		if (h->counts[i] == 0)
			continue;
		seen += h->counts[i];
		last = i;
		if (seen >= wanted)
			break;
	}
	/* A reader that raced the writer may have seen a total ahead of the counts: the last slot
	 * seen is then the answer. */
	return sf_histogram_highest_equivalent(h, sf_histogram_value_at(h, last));
}

double sf_histogram_mean(const struct sf_histogram *h)
{
	double sum = 0;
	if (h->total == 0)
		return 0;
	for (uint32_t i = 0; i < h->count_slots; i++) {
		if (h->counts[i] == 0)
			continue;
		uint64_t value = sf_histogram_value_at(h, i);
		sum += (double)sf_histogram_median_equivalent(h, value) * (double)h->counts[i];
	}
	return sum / (double)h->total;
}

/* Newton's iteration from half the exponent: the pure library must not import libm. */
static double square_root(double x)
{
	if (!(x > 0))
		return 0;
	uint64_t bits;
	memcpy(&bits, &x, sizeof(bits));
	bits = (bits >> 1) + (1023ull << 51);
	double root;
	memcpy(&root, &bits, sizeof(root));
	for (int i = 0; i < 6; i++)
		root = 0.5 * (root + x / root);
	return root;
}

double sf_histogram_stddev(const struct sf_histogram *h)
{
	double mean = sf_histogram_mean(h);
	double sum = 0;
	if (h->total == 0)
		return 0;
	for (uint32_t i = 0; i < h->count_slots; i++) {
		if (h->counts[i] == 0)
			continue;
		uint64_t value = sf_histogram_value_at(h, i);
		double away = (double)sf_histogram_median_equivalent(h, value) - mean;
		sum += away * away * (double)h->counts[i];
	}
	return square_root(sum / (double)h->total);
}
