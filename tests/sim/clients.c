/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Clients: each has a session, some requests under way, retries, and the habits that bring trouble:
 * late duplicates, repeats that name another asset or payload, more requests than allowed, giving
 * up on requests, closing sessions, asking the standby.
 */
#include "config/bytes.h"
#include "tests/sim/sim.h"

#define RING (SIM_MAX_INFLIGHT * 2)

static uint64_t first_incomplete(const struct sim_client *client)
{
	uint64_t seq = client->next_seq;
	for (uint64_t back = 1; back <= RING && back < client->next_seq; back++)
		if (client->requests[(client->next_seq - back) % RING].open)
			seq = client->next_seq - back;
	return seq;
}

static uint32_t open_requests(const struct sim_client *client)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < RING; i++)
		count += client->requests[i].open;
	return count;
}

static void forget_session(struct sim_client *client)
{
	memset(client->requests, 0, sizeof(client->requests));
	client->client_id = 0;
	client->next_seq = 1;
	client->nonce = sim_next(&client->random) | 1;
	client->open_retry_ns = 0;
}

void sim_clients_start(struct sim *sim)
{
	sim->operations_left = sim->plan.operations;
	for (uint32_t c = 0; c < sim->plan.clients; c++) {
		struct sim_client *client = &sim->clients[c];
		client->random = sim_stream(sim->seed, 200 + c);
		client->finished = 0;
		client->final_done = false;
		client->target = 0;
		client->epoch = 0;
		forget_session(client);
		uint64_t start_ns = sim_below(&client->random, sim->plan.interval_ns * 2);
		sim_schedule(sim, start_ns, SIM_EVENT_CLIENT, c, 0);
	}
}

/* Whom the client takes for the primary, and now and then the other one. */
static void send(struct sim *sim, uint32_t c, const struct sim_message *request)
{
	struct sim_random *random = &sim->clients[c].random;
	uint32_t index = sim_message_new(sim);
	if (index == UINT32_MAX)
		return;
	sim->messages[index] = *request;
	sim->messages[index].client = (uint8_t)c;
	sim_note(sim, SIM_NOTE_REQUEST, c, request->client_id, request->request_seq, request->kind);
	uint32_t target = sim->clients[c].target;
	sim_client_send(sim, sim_chance(random, 30) ? 1 - target : target, index);
}

static void draw_update(struct sim *sim, struct sim_random *random, struct sim_request *request)
{
	static const uint8_t opcodes[] = {
		CLI_REGISTER_ADD, CLI_REGISTER_ADD, CLI_REGISTER_SET, CLI_REGISTER_CAS};
	int64_t operand = (int64_t)sim_below(random, 100) - 50;
	/* Few values, so that some CAS succeed; at times one that overflows. */
	if (sim_chance(random, 30))
		operand = sim_chance(random, 500) ? INT64_MAX : INT64_MIN;
	request->opcode = opcodes[sim_below(random, 4)];
	request->payload_bytes = 8;
	sf_store64(request->payload, (uint64_t)operand);
	if (request->opcode == CLI_REGISTER_CAS) {
		uint64_t asset = request->asset_id - SIM_ASSET_BASE;
		int64_t value = sim->ledger.views[sim_below(random, 2)].assets[asset].value;
		int64_t expected = sim_chance(random, 700) ? value : 0;
		sf_store64(request->payload, (uint64_t)expected);
		sf_store64(request->payload + 8, (uint64_t)operand);
		request->payload_bytes = 16;
	}
	if (sim->plan.honest)
		return;
	if (sim_chance(random, 20))
		request->opcode = (uint8_t)sim_between(random, 5, 255);
	if (sim_chance(random, 20))
		request->payload_bytes = (uint16_t)sim_below(random, sim->plan.max_payload + 1);
}

static void
send_request(struct sim *sim, uint32_t c, const struct sim_request *request, uint64_t first)
{
	struct sim_client *client = &sim->clients[c];
	struct sim_message message = {
		.kind = request->read ? SIM_READ : SIM_UPDATE,
		.opcode = request->opcode,
		.payload_bytes = request->payload_bytes,
		.client_id = client->client_id,
		.request_seq = request->request_seq,
		.first_incomplete_seq = first,
		.asset_id = request->asset_id,
		.floor_version = sim->ledger.acked_version[request->asset_id - SIM_ASSET_BASE],
	};
	memcpy(message.payload, request->payload, sizeof(message.payload));
	send(sim, c, &message);
}

static void new_request(struct sim *sim, uint32_t c)
{
	struct sim_client *client = &sim->clients[c];
	struct sim_random *random = &client->random;
	struct sim_request *request = &client->requests[client->next_seq % RING];
	/* The window is smaller than the ring, but what stays open must not be overwritten. */
	if (request->open)
		return;
	*request = (struct sim_request){
		.open = true,
		.read = sim_chance(random, 200),
		.request_seq = client->next_seq++,
		.asset_id = SIM_ASSET_BASE + sim_below(random, sim->plan.assets),
		.born_ns = sim->now_ns,
		.opcode = CLI_REGISTER_GET,
	};
	if (!request->read)
		draw_update(sim, random, request);
	request->retry_ns = sim->now_ns + sim->plan.interval_ns * sim->plan.retry_ns_factor;
	if (sim->operations_left > 0)
		sim->operations_left--;
	if (sim->plan.honest)
		sim_history_invoke(sim, client->client_id, request);
	send_request(sim, c, request, first_incomplete(client));
}

/* The same request again; some name another asset or payload, and must get the first's answer. */
static void retry(struct sim *sim, uint32_t c, struct sim_request *request)
{
	struct sim_client *client = &sim->clients[c];
	struct sim_request copy = *request;
	request->retry_ns = sim->now_ns + sim->plan.interval_ns * sim->plan.retry_ns_factor +
			    sim_below(&client->random, sim->plan.interval_ns);
	if (sim_chance(&client->random, 300))
		client->target ^= 1; /* no answer */
	if (!sim->plan.honest && !copy.read && sim_chance(&client->random, 150)) {
		copy.asset_id = SIM_ASSET_BASE + sim_below(&client->random, sim->plan.assets);
		if (sim_chance(&client->random, 500))
			draw_update(sim, &client->random, &copy);
	}
	send_request(sim, c, &copy, first_incomplete(client));
}

/* A copy of a request that is long done, as it then was. */
static void late_duplicate(struct sim *sim, uint32_t c)
{
	struct sim_client *client = &sim->clients[c];
	struct sim_random *random = &client->random;
	uint64_t seq = sim_between(random, 1, client->next_seq - 1);
	const struct sim_request *old = &client->requests[seq % RING];
	if (old->request_seq != seq || old->read)
		return;
	uint64_t first = sf_min64(seq, first_incomplete(client));
	struct sim_request copy = *old;
	if (!sim->plan.honest && sim_chance(random, 300))
		copy.asset_id = SIM_ASSET_BASE + sim_below(random, sim->plan.assets);
	send_request(sim, c, &copy, sim_between(random, 1, first));
}

static void use_session(struct sim *sim, uint32_t c)
{
	struct sim_client *client = &sim->clients[c];
	struct sim_random *random = &client->random;
	for (uint32_t i = 0; i < RING; i++)
		if (client->requests[i].open && client->requests[i].retry_ns <= sim->now_ns)
			retry(sim, c, &client->requests[i]);
	uint32_t open = open_requests(client);
	if (sim->calm) {
		/* One more, born after the faults, must finish. */
		if (open == 0 && !client->final_done)
			new_request(sim, c);
		return;
	}
	uint64_t burst = sim_between(random, 1, 4);
	while (burst-- > 0 && sim->operations_left > 0 && open < sim->plan.client_window) {
		new_request(sim, c);
		open++;
	}
	if (client->next_seq > 1 && sim_chance(random, 100))
		late_duplicate(sim, c);
	if (sim_has(sim, SIM_FAULT_CLIENT_LIES) && sim_chance(random, 30) && open > 0)
		client->requests[first_incomplete(client) % RING].open = false;
	if (sim_has(sim, SIM_FAULT_SESSION_END) && sim_chance(random, 10)) {
		struct sim_message close = {.kind = SIM_CLOSE, .client_id = client->client_id};
		send(sim, c, &close);
		forget_session(client);
	}
}

void sim_client_turn(struct sim *sim, uint32_t c)
{
	struct sim_client *client = &sim->clients[c];
	if (sim->calm && client->final_done)
		return;
	if (client->client_id != 0) {
		use_session(sim, c);
	} else if (client->open_retry_ns <= sim->now_ns) {
		struct sim_message open = {.kind = SIM_OPEN, .request_seq = client->nonce};
		client->open_retry_ns =
			sim->now_ns + sim->plan.interval_ns * sim->plan.retry_ns_factor;
		send(sim, c, &open);
		if (sim_chance(&client->random, 300))
			client->target ^= 1;
	}
	uint64_t pause_ns = 1 + sim_below(&client->random, sim->plan.think_ns);
	sim_schedule(sim, sim->now_ns + pause_ns, SIM_EVENT_CLIENT, c, 0);
}

void sim_client_hear(struct sim *sim, const struct sim_message *answer)
{
	struct sim_client *client = &sim->clients[answer->client];
	sim_note(
		sim,
		SIM_NOTE_RECEIVE,
		answer->client,
		answer->client_id,
		answer->request_seq,
		answer->status
	);
	/* C12: who has heard of a newer epoch believes no older one. */
	if (answer->epoch < client->epoch)
		return;
	client->epoch = answer->epoch;
	if (answer->status == CLI_NOT_PRIMARY && sim_chance(&client->random, 700))
		client->target = sim_chance(&client->random, 500) ? 1 : 0;
	if (answer->kind == SIM_OPEN) {
		if (answer->status == CLI_OK && client->client_id == 0 &&
		    answer->request_seq == client->nonce)
			client->client_id = answer->client_id;
		return;
	}
	struct sim_request *request = &client->requests[answer->request_seq % RING];
	if (client->client_id == 0 || answer->client_id != client->client_id || !request->open ||
	    request->request_seq != answer->request_seq)
		return;
	if (sim->plan.honest && (answer->status == CLI_OK || answer->status == CLI_REJECTED))
		sim_history_answer(sim, request, answer);
	switch (answer->status) {
	case CLI_OK:
	case CLI_REJECTED:
		request->open = false;
		client->finished++;
		if (sim->calm && request->born_ns >= sim->plan.faults_end_ns)
			client->final_done = true;
		break;
	case CLI_FORGOTTEN:
		/* The session was closed meanwhile: what was under way has an unknown outcome. */
		forget_session(client);
		break;
	default:
		break; /* says nothing about earlier copies: try again later */
	}
}

bool sim_clients_done(const struct sim *sim)
{
	for (uint32_t c = 0; c < sim->plan.clients; c++)
		if (!sim->clients[c].final_done)
			return false;
	return true;
}
