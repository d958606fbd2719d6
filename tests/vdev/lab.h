/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A small laboratory for tests that need DPDK: every scenario runs in a child process of its own,
 * because EAL starts once per process, and may run in a network namespace of its own, which ends
 * with it. Nothing here waits without a deadline.
 */
#pragma once

#include "config/settings.h"
#include "dataplane/port.h"

#include <setjmp.h> /* this and the next two are what cmocka.h needs before it */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* In the parent. */

/* Forks a child that runs scenario and exits with what it returns: 0, 77, or anything else. It is
 * killed when the parent dies. */
pid_t lab_fork(int (*scenario)(void *context), void *context);
/* Exit code of the child; killed and -1 when it has not ended in time; -2 when a signal ended it.
 */
int lab_wait(pid_t child, unsigned seconds);
/* Makes a directory below /tmp; removed with what is in it by lab_remove. */
void lab_make_directory(char *path, size_t bytes);
void lab_remove(const char *path);

/* In the child. */

uint64_t lab_now_ns(void);
/* A network namespace of this process alone; false when the machine refuses. */
bool lab_enter_namespace(void);
/* Runs a command; true when it exits with 0. */
bool lab_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Starts EAL with ordinary pages and as many lcores, or prints why not. */
bool lab_start_eal(uint32_t memory_mib, uint32_t lcore_count);
/* Opens a port by its device string, one queue each way, or prints why not. */
bool lab_open(const char *device, uint16_t mtu_bytes, struct dp_port *port);
/* Waits for the link, which memif has only when both ends are there. */
bool lab_wait_link(const struct dp_port *port, bool up, unsigned seconds);

/* Frames of the laboratory: Ethernet header with our own EtherType, number, length, and bytes that
 * follow from both. */
#define LAB_ETHERTYPE 0x88B6
#define LAB_MIN_FRAME_BYTES 60
struct rte_mbuf *lab_make_frame(struct rte_mempool *pool, uint32_t number, uint32_t bytes);
/* 1: ours and whole, with its number; 0: someone else's frame; -1: ours and damaged. */
int lab_read_frame(const struct rte_mbuf *frame, uint32_t *number);
/* Sends count frames of sizes between the least and max_bytes from one port to the other, checks
 * that all arrive, whole and in order, and that no mbuf is lost. */
bool lab_exchange(struct dp_port *from, struct dp_port *to, uint32_t count, uint32_t max_bytes);

#define LAB_CHECK(condition)                                                                    \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			return 1;                                                               \
		}                                                                               \
	} while (0)
