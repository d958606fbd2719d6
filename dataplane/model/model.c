/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/model/model.h"

#include <string.h>

static const struct dp_model *const models[] = {
	&dp_model_register,
};

const struct dp_model *dp_model_find(const char *name)
{
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
		if (strcmp(models[i]->name, name) == 0)
			return models[i];
	return NULL;
}
