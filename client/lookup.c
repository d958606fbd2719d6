/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lookup.h"

#include "config/bytes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_BYTES 12
#define TYPE_A 1
#define CLASS_IN 1
#define SYSTEM_PAUSE_NS 1000000000ull /* the system's resolver tells no TTL, and waits */
#define MAX_TTL_S 86400u
#define MAX_READS 64 /* datagrams in one go */
#define S_NS 1000000000ull

static uint16_t load16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* ---- pure ---- */

size_t cli_lookup_write(uint8_t query[CLI_LOOKUP_BYTES], const char *name, uint16_t id)
{
	static const uint8_t flags_and_counts[] = {
		1, 0, 0, 1, 0, 0, 0, 0, 0, 0}; /* RD, one question */
	static const uint8_t tail[] = {0, 0, TYPE_A, 0, CLASS_IN};
	size_t at = HEADER_BYTES;
	query[0] = (uint8_t)(id >> 8);
	query[1] = (uint8_t)id;
	memcpy(query + 2, flags_and_counts, sizeof(flags_and_counts));
	if (*name == 0 || strlen(name) >= CLI_HOST_BYTES)
		return 0;
	while (*name) {
		size_t length = strcspn(name, ".");
		if (length == 0 || length > 63)
			return 0;
		query[at++] = (uint8_t)length;
		memcpy(query + at, name, length);
		at += length;
		name += length + (name[length] == '.');
	}
	memcpy(query + at, tail, sizeof(tail));
	return at + sizeof(tail);
}

/* Behind a name that begins at `at`; 0 when it does not end. Pointers end a name and are not
 * followed: where they lead does not matter here. */
static size_t skip_name(const uint8_t *message, size_t bytes, size_t at)
{
	while (at < bytes && message[at] != 0) {
		if (message[at] >= 0xc0)
			return at + 2 <= bytes ? at + 2 : 0;
		if (message[at] > 63)
			return 0;
		at += 1u + message[at];
	}
	return at < bytes ? at + 1 : 0;
}

int cli_lookup_read(
	const uint8_t *answer,
	size_t answer_bytes,
	const uint8_t *query,
	size_t query_bytes,
	uint8_t (*ips)[4],
	uint32_t room,
	uint32_t *ttl_s
)
{
	uint32_t found = 0;
	*ttl_s = MAX_TTL_S;
	if (answer_bytes < query_bytes || memcmp(answer, query, 2) != 0 || !(answer[2] & 0x80) ||
	    memcmp(answer + HEADER_BYTES, query + HEADER_BYTES, query_bytes - HEADER_BYTES) != 0)
		return -EBADMSG;
	uint8_t code = answer[3] & 15;
	if (answer[2] & 2 || (code != 0 && code != 3))
		return -EAGAIN;
	size_t at = query_bytes;
	for (uint32_t left = load16(answer + 6); left > 0; left--) {
		at = skip_name(answer, answer_bytes, at);
		if (at == 0 || at + 10 > answer_bytes)
			return -EBADMSG;
		const uint8_t *head = answer + at;
		size_t length = load16(head + 8);
		uint32_t ttl = (uint32_t)load16(head + 4) << 16 | load16(head + 6);
		at += 10 + length;
		if (at > answer_bytes)
			return -EBADMSG;
		if (load16(head) != TYPE_A || load16(head + 2) != CLASS_IN || length != 4)
			continue; /* an alias, of which the server gives the address too */
		if (ttl < *ttl_s)
			*ttl_s = ttl;
		if (found < room)
			memcpy(ips[found++], head + 10, 4);
	}
	return found > 0 ? (int)found : -ENOENT;
}

/* ---- texts ---- */

/* Cuts "HOST[:PORT]". */
static int split(char *text, uint16_t *port)
{
	char *colon = strchr(text, ':');
	*port = CLI_DEFAULT_PORT;
	if (colon != NULL) {
		char *end;
		unsigned long number = strtoul(colon + 1, &end, 10);
		if (end == colon + 1 || *end != '\0' || number == 0 || number > UINT16_MAX)
			return -EINVAL;
		*port = (uint16_t)number;
		*colon = '\0';
	}
	return *text == '\0' || strlen(text) >= CLI_HOST_BYTES ? -EINVAL : 0;
}

static int take_resolvers(struct cli_lookup *lookup, const char *given)
{
	int rc = 0;
	char *rest = NULL, *text;
	if (given == NULL || *given == '\0')
		given = getenv("STANDFAST_RESOLVER");
	if (given == NULL || *given == '\0')
		return 0;
	text = strdup(given);
	if (text == NULL)
		return -ENOMEM;
	for (char *one = strtok_r(text, ",", &rest); one != NULL && rc == 0;
	     one = strtok_r(NULL, ",", &rest)) {
		struct cli_address address;
		bool has_port = strchr(one, ':') != NULL;
		rc = lookup->resolver_count < CLI_MAX_RESOLVERS ? split(one, &address.port)
								: -EINVAL;
		if (rc == 0 && inet_pton(AF_INET, one, address.ip) != 1)
			rc = -EINVAL;
		if (!has_port)
			address.port = 53;
		if (rc == 0)
			lookup->resolvers[lookup->resolver_count++] = address;
	}
	free(text);
	return rc == 0 && lookup->resolver_count == 0 ? -EINVAL : rc;
}

/* ---- asking ---- */

static void end_query(struct cli_lookup *lookup)
{
	if (lookup->fd >= 0)
		close(lookup->fd);
	lookup->fd = -1;
}

/* A new socket, and so a new port, for each query: a port and an id are what a forger must guess.
 */
static bool begin_query(struct cli_lookup *lookup, uint64_t now_ns)
{
	uint16_t id = 0;
	const struct cli_address *to = &lookup->resolvers[lookup->resolver];
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(to->port)};
	memcpy(&in.sin_addr, to->ip, sizeof(to->ip));
	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return false;
	lookup->query_bytes = cli_lookup_write(lookup->query, lookup->names[lookup->name].host, id);
	lookup->sent_ns = now_ns;
	lookup->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (lookup->fd < 0 || lookup->query_bytes == 0 ||
	    connect(lookup->fd, (struct sockaddr *)&in, sizeof(in)) != 0)
		return false;
	return send(lookup->fd, lookup->query, lookup->query_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) >
	       0;
}

/* The next server; after all of them a pause. */
static void fail_query(struct cli_lookup *lookup, uint64_t now_ns)
{
	end_query(lookup);
	lookup->resolver = (lookup->resolver + 1) % lookup->resolver_count;
	if (++lookup->failed_count % lookup->resolver_count == 0)
		lookup->next_ns = now_ns + CLI_LOOKUP_PAUSE_NS;
}

/* What has come: a count as of cli_lookup_read, or -EINPROGRESS. */
static int take_answer(struct cli_lookup *lookup, uint64_t now_ns, uint8_t (*ips)[4], uint32_t room)
{
	uint8_t answer[CLI_LOOKUP_BYTES];
	uint32_t ttl_s;
	/* Bounded: whoever sends guesses faster than we read them must not hold us up. */
	for (uint32_t i = 0; i < MAX_READS; i++) {
		ssize_t got = recv(lookup->fd, answer, sizeof(answer), MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return now_ns - lookup->sent_ns < CLI_LOOKUP_PATIENCE_NS ? -EINPROGRESS
										 : -ETIMEDOUT;
		if (got < 0)
			return -errno;
		int count = cli_lookup_read(
			answer, (size_t)got, lookup->query, lookup->query_bytes, ips, room, &ttl_s
		);
		if (count == -EBADMSG)
			continue; /* somebody guesses */
		if (count > 0) {
			uint64_t kept_ns = sf_min64(ttl_s * S_NS, CLI_LOOKUP_HOLD_MAX_NS);
			end_query(lookup);
			lookup->failed_count = 0;
			lookup->resolver = (lookup->resolver + 1) % lookup->resolver_count;
			lookup->next_ns = lookup->sent_ns + sf_max64(kept_ns, CLI_LOOKUP_PAUSE_NS);
		}
		return count;
	}
	return now_ns - lookup->sent_ns < CLI_LOOKUP_PATIENCE_NS ? -EINPROGRESS : -ETIMEDOUT;
}

static uint32_t
ask_system(struct cli_lookup *lookup, uint64_t now_ns, uint8_t (*ips)[4], uint32_t room)
{
	struct addrinfo wanted = {.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM};
	struct addrinfo *found = NULL;
	uint32_t count = 0;
	if (getaddrinfo(lookup->names[lookup->name].host, NULL, &wanted, &found) == 0) {
		for (struct addrinfo *i = found; i != NULL && count < room; i = i->ai_next)
			memcpy(ips[count++],
			       &((const struct sockaddr_in *)(void *)i->ai_addr)->sin_addr,
			       4);
		freeaddrinfo(found);
	}
	lookup->next_ns = now_ns + SYSTEM_PAUSE_NS;
	return count;
}

/* Waits: each server once, and twice around. */
static uint32_t ask(struct cli_lookup *lookup, uint8_t (*ips)[4], uint32_t room)
{
	if (lookup->resolver_count == 0)
		return ask_system(lookup, cli_now_ns(), ips, room);
	for (uint32_t i = 0; i < 2 * lookup->resolver_count; i++) {
		int count = -EIO;
		end_query(lookup);
		if (begin_query(lookup, cli_now_ns())) {
			struct pollfd wait = {.fd = lookup->fd, .events = POLLIN};
			while ((count = take_answer(lookup, cli_now_ns(), ips, room)) ==
			       -EINPROGRESS)
				poll(&wait, 1, 5);
		}
		if (count > 0)
			return (uint32_t)count;
		fail_query(lookup, cli_now_ns());
		if (count == -ENOENT)
			break; /* said by somebody who knows */
	}
	return 0;
}

/* Once each. */
static void add_address(
	struct cli_address *found,
	uint32_t room,
	uint32_t *found_count,
	const uint8_t ip[4],
	uint16_t port
)
{
	for (uint32_t i = 0; i < *found_count; i++)
		if (memcmp(found[i].ip, ip, sizeof(found[i].ip)) == 0 && found[i].port == port)
			return;
	if (*found_count == room)
		return;
	memcpy(found[*found_count].ip, ip, sizeof(found[0].ip));
	found[(*found_count)++].port = port;
}

static int open_one(
	struct cli_lookup *lookup,
	char *text,
	struct cli_address *found,
	uint32_t room,
	uint32_t *found_count
)
{
	uint8_t ips[CLI_MAX_NODES][4];
	uint16_t port;
	uint8_t query[CLI_LOOKUP_BYTES];
	if (split(text, &port) != 0)
		return -EINVAL;
	if (*found_count == room)
		return 0;
	if (inet_pton(AF_INET, text, ips[0]) == 1) {
		add_address(found, room, found_count, ips[0], port);
		return 0;
	}
	if (lookup->name_count == CLI_MAX_NODES || cli_lookup_write(query, text, 0) == 0)
		return -EINVAL;
	lookup->name = lookup->name_count++;
	strcpy(lookup->names[lookup->name].host, text);
	lookup->names[lookup->name].port = port;
	uint32_t count = ask(lookup, ips, CLI_MAX_NODES);
	for (uint32_t i = 0; i < count; i++)
		add_address(found, room, found_count, ips[i], port);
	return 0;
}

int cli_lookup_open(
	struct cli_lookup *lookup,
	const char *nodes,
	const char *resolver,
	struct cli_address *found,
	uint32_t room,
	uint32_t *found_count
)
{
	char *rest = NULL, *text = strdup(nodes);
	memset(lookup, 0, sizeof(*lookup));
	lookup->fd = -1;
	*found_count = 0;
	if (text == NULL)
		return -ENOMEM;
	int rc = take_resolvers(lookup, resolver);
	for (char *one = strtok_r(text, ",", &rest); one != NULL && rc == 0;
	     one = strtok_r(NULL, ",", &rest))
		rc = open_one(lookup, one, found, room, found_count);
	free(text);
	if (rc == 0 && *found_count == 0)
		return lookup->name_count > 0 ? -EHOSTUNREACH : -EINVAL;
	return rc;
}

void cli_lookup_cancel(struct cli_lookup *lookup)
{
	end_query(lookup);
}

void cli_lookup_close(struct cli_lookup *lookup)
{
	end_query(lookup);
}

/* One of the addresses of the name that was asked for. */
static bool
take_one(struct cli_lookup *lookup, uint8_t (*ips)[4], uint32_t count, struct cli_address *found)
{
	if (count == 0)
		return false;
	memcpy(found->ip, ips[lookup->turn++ % count], sizeof(found->ip));
	found->port = lookup->names[lookup->name].port;
	return true;
}

bool cli_lookup_step(struct cli_lookup *lookup, uint64_t now_ns, struct cli_address *found)
{
	uint8_t ips[CLI_MAX_NODES][4];
	if (lookup->name_count == 0)
		return false;
	if (lookup->fd < 0) {
		if (now_ns < lookup->next_ns)
			return false;
		lookup->name = (lookup->name + 1) % lookup->name_count;
		if (lookup->resolver_count == 0) {
			uint32_t known = ask_system(lookup, now_ns, ips, CLI_MAX_NODES);
			return take_one(lookup, ips, known, found);
		}
		if (!begin_query(lookup, now_ns)) {
			fail_query(lookup, now_ns);
			return false;
		}
	}
	int count = take_answer(lookup, now_ns, ips, CLI_MAX_NODES);
	if (count > 0)
		return take_one(lookup, ips, (uint32_t)count, found);
	if (count != -EINPROGRESS)
		fail_query(lookup, now_ns);
	return false;
}

uint64_t cli_lookup_expiry(const struct cli_lookup *lookup)
{
	if (lookup->name_count == 0)
		return CLI_NEVER;
	return lookup->fd >= 0 ? lookup->sent_ns + CLI_LOOKUP_PATIENCE_NS : lookup->next_ns;
}
