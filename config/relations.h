/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Relations between settings. Private to config/; cfg_check() is the public form.
 */
#pragma once

#include "config/errors.h"
#include "config/schema.h"

/* bad marks the rows whose value in the file was refused: what depends on them is not judged, so
 * one mistake gives one error. */
void cfg_relations_check(
	const struct cfg_settings *settings, const bool bad[CFG_MAX_ROWS], struct cfg_errors *errors
);
