/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/model/model.h"

#include <stdbool.h>
#include <stddef.h>

static const struct dp_model *const models[] = {
	&dp_model_register,
};

/* Not strcmp: the pure libraries import nothing of the C library but the four memory functions. */
static bool same_name(const char *a, const char *b)
{
	while (*a != 0 && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

const struct dp_model *dp_model_find(const char *name)
{
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
		if (same_name(models[i]->name, name))
			return models[i];
	return NULL;
}
