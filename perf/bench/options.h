/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The command line of standfast-bench. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_options {
	const char *resolver;  /* name servers for the hosts of udp, or NULL */
	const char *udp;       /* "HOST:PORT,…" of --to udp: */
	const char *memif;     /* "SOCKET,…" of --to memif: */
	const char *addresses; /* memif: the nodes' client addresses, in the order of the sockets */
	const char *own_address;
	uint64_t rate;	      /* requests a second; 0: closed loop */
	uint32_t outstanding; /* closed loop: requests under way */
	uint32_t clients;     /* sessions; 0: as many as needed */
	uint32_t batch;	      /* requests per datagram */
	uint64_t duration_ns; /* of sending; 0: until updates are sent */
	uint64_t updates;     /* requests to send; 0: for the duration */
	uint32_t assets;
	uint64_t first_asset; /* id of the first one */
	uint32_t payload;     /* bytes of an update's; with more than 8 the model rejects it */
	uint32_t read_percent;
	uint64_t seed;
	uint64_t timeout_ns; /* first retry of a request */
	uint64_t drain_ns;   /* wait for answers at the end, and for sessions at the start */
	const char *cpu;     /* to run on, or NULL */
	const char *out;     /* folder of the result files, or NULL */
	bool spin;	     /* never give up the CPU */
	bool no_hugepages;   /* memif: ordinary pages even where hugepages are free */
	bool ledger;
	bool json;
	bool trace; /* every request as a line of a CSV file in out */
};

/* Fills in the options; on a bad command line false with a sentence in error ("" when --help or
 * --version was asked for and answered). */
bool bench_options_parse(
	int argc, char **argv, struct bench_options *options, char *error, size_t error_bytes
);
