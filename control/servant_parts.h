/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The parts of the servant among themselves.
 */
#pragma once

#include "control/servant.h"

bool ctl_servant_stopping(const struct ctl_servant *servant);
/* Something was given: the sequencer is to look. Any thread. */
void ctl_servant_ring(struct dp_shm *shm);
/* Until the sequencer rings, or a round is over. seen: the bell as it was before the last look. */
void ctl_servant_wait(struct dp_shm *shm, uint32_t seen);
/* Reads the role record, if that was not done yet; with the lock held. used: the log has held
 * entries. */
void ctl_servant_open_store(struct ctl_servant *servant, bool used);

/* servant_arbiter.c: the thread; its argument is the servant. */
void *ctl_servant_ask_always(void *servant);
