/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What /sys and /proc say about the host, and what a busy loop feels of it. All read-only; what is
 * not there reads as nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* First line of a small file, without its end; false when it cannot be read. */
bool ctl_host_text(const char *path, char *text, size_t bytes);
/* Last part of what a symbolic link names. */
bool ctl_host_link_name(const char *path, char *text, size_t bytes);
uint64_t ctl_host_available_bytes(void);
/* Free hugepages of all sizes. */
uint64_t ctl_host_free_hugepage_bytes(void);
uint32_t ctl_host_numa_nodes(void);
/* Spins on the clock for so long; the longest time between two readings. */
uint64_t ctl_host_worst_gap_ns(uint64_t measured_ns);
