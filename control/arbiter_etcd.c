/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The arbiter "etcd": one key, by etcd's JSON gateway and libcurl. The endpoints are tried in turn,
 * from the one that answered last; each gets its part of what is left of the question's time. A
 * read goes on to the next endpoint whatever happened; a swap only while it is certain that no etcd
 * has seen it: as soon as a byte of it was sent, and no answer came that says that it was not made,
 * its outcome is unknown, and arbiter.c reads.
 *
 * libcurl sends a request a second time when a kept connection turns out to be dead; it may not for
 * a swap, so the body of one cannot be rewound. No redirects, no proxies, no netrc; HTTP/1.1.
 *
 * References: etcd 3.4, api/v3/kv and auth; what the gateway really says was tried (etcd_json.h).
 */
#include "control/arbiter_way.h"
#include "control/text.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_RANGE "/v3/kv/range"
#define PATH_TXN "/v3/kv/txn"
#define PATH_LOGIN "/v3/auth/authenticate"
#define URL_BYTES (CFG_TEXT_BYTES + 32)
#define SECRET_BYTES 1024 /* of a password, with the final 0 */
#define STATUS_OK 200

struct etcd_way {
	struct arbiter_way way;
	const struct cfg_settings *settings;
	CURL *curl;
	uint32_t first; /* endpoint to begin with */
	char key[CFG_TEXT_BYTES];
	char token[CTL_ETCD_TOKEN_BYTES]; /* "": none, or not yet */
	/* The request. */
	const char *request;
	size_t request_bytes, request_sent;
	/* The answer. */
	char body[CTL_ETCD_BODY_BYTES];
	size_t body_bytes;
	bool overflow;
	long status;
	char curl_error[CURL_ERROR_SIZE];
};

/* What came of one request at one endpoint. */
enum post_result {
	POST_ANSWERED, /* with STATUS_OK */
	POST_REFUSED,  /* with an error that says that nothing was done */
	POST_UNSENT,   /* not a byte of it has left */
	POST_LOST,     /* anything else */
};

static struct etcd_way *of(struct arbiter_way *way)
{
	return (struct etcd_way *)way;
}

/* ---------------------------------------------------------------- libcurl's callbacks */

static size_t give_body(char *to, size_t size, size_t count, void *argument)
{
	struct etcd_way *etcd = argument;
	size_t bytes = etcd->request_bytes - etcd->request_sent;
	if (bytes > size * count)
		bytes = size * count;
	memcpy(to, etcd->request + etcd->request_sent, bytes);
	etcd->request_sent += bytes;
	return bytes;
}

static int rewind_body(void *argument, curl_off_t offset, int origin)
{
	struct etcd_way *etcd = argument;
	if (origin != SEEK_SET || offset < 0 || (size_t)offset > etcd->request_bytes)
		return CURL_SEEKFUNC_FAIL;
	etcd->request_sent = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

static int refuse_rewind(void *argument, curl_off_t offset, int origin)
{
	(void)argument, (void)offset, (void)origin;
	return CURL_SEEKFUNC_FAIL;
}

static size_t take_body(char *data, size_t size, size_t count, void *argument)
{
	struct etcd_way *etcd = argument;
	size_t bytes = size * count;
	etcd->overflow = etcd->overflow || bytes > sizeof(etcd->body) - etcd->body_bytes;
	if (etcd->overflow)
		return 0; /* ends the transfer */
	memcpy(etcd->body + etcd->body_bytes, data, bytes);
	etcd->body_bytes += bytes;
	return bytes;
}

/* ---------------------------------------------------------------- secrets */

/* One line of a file that only its owner and group may read. */
static bool read_secret(const char *path, char *secret, size_t room, char *why)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got = fd >= 0 && fstat(fd, &status) == 0 ? read(fd, secret, room - 1) : -1;
	int error = errno;
	if (fd >= 0)
		close(fd);
	if (got < 0) {
		snprintf(why, CTL_ARBITER_WHY_BYTES, "%s: %s", path, strerror(error));
		return false;
	}
	secret[got] = 0;
	secret[strcspn(secret, "\r\n")] = 0;
	bool open_to_others = (status.st_mode & 07) != 0;
	bool good = !open_to_others && secret[0] != 0 && (size_t)got < room - 1;
	for (const char *c = secret; good && *c; c++)
		good = (unsigned char)*c >= ' ' && *c != 0x7f;
	if (!good)
		snprintf(
			why,
			CTL_ARBITER_WHY_BYTES,
			"%s: %s",
			path,
			open_to_others ? "may be read by others" : "does not hold one short line"
		);
	return good;
}

/* ---------------------------------------------------------------- one request */

static struct curl_slist *headers_of(const struct etcd_way *etcd, bool with_token)
{
	char line[CTL_ETCD_TOKEN_BYTES + 32];
	struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
	struct curl_slist *more = list != NULL ? curl_slist_append(list, "Expect:") : NULL;
	if (more != NULL && with_token && etcd->token[0] != 0) {
		snprintf(line, sizeof(line), "Authorization: %s", etcd->token);
		more = curl_slist_append(list, line);
	}
	if (more == NULL)
		curl_slist_free_all(list);
	return more != NULL ? list : NULL;
}

static enum post_result judge_post(struct etcd_way *etcd, CURLcode code, char *why)
{
	char text[CTL_ETCD_ERROR_BYTES];
	long sent = 0;
	curl_easy_getinfo(etcd->curl, CURLINFO_REQUEST_SIZE, &sent);
	curl_easy_getinfo(etcd->curl, CURLINFO_RESPONSE_CODE, &etcd->status);
	if (code != CURLE_OK) {
		const char *said =
			etcd->curl_error[0] != 0 ? etcd->curl_error : curl_easy_strerror(code);
		snprintf(
			why,
			CTL_ARBITER_WHY_BYTES,
			"%s",
			etcd->overflow ? "an answer that is too large" : said
		);
		return sent == 0 ? POST_UNSENT : POST_LOST;
	}
	if (etcd->status == STATUS_OK)
		return POST_ANSWERED;
	int grpc = ctl_etcd_take_error(etcd->body, etcd->body_bytes, text);
	snprintf(why, CTL_ARBITER_WHY_BYTES, "status %ld %s", etcd->status, text);
	/* etcd looks at these before it changes anything. */
	bool untouched = grpc == CTL_ETCD_INVALID || grpc == CTL_ETCD_DENIED ||
			 grpc == CTL_ETCD_UNAUTHENTICATED;
	return untouched ? POST_REFUSED : POST_LOST;
}

/* Posts a body, which may be NULL for want of memory. once: never sent twice. */
static enum post_result
post(struct etcd_way *etcd,
     const char *endpoint,
     const char *path,
     const char *request,
     bool once,
     uint64_t deadline_ns,
     char *why)
{
	char url[URL_BYTES];
	CURL *curl = etcd->curl;
	uint64_t now_ns = ctl_monotonic_ns();
	struct curl_slist *headers = headers_of(etcd, strcmp(path, PATH_LOGIN) != 0);
	snprintf(why, CTL_ARBITER_WHY_BYTES, "no time is left");
	if (request == NULL || headers == NULL || now_ns + 1000000 > deadline_ns) {
		curl_slist_free_all(headers);
		return POST_UNSENT;
	}
	snprintf(url, sizeof(url), "%s%s", endpoint, path);
	etcd->request = request;
	etcd->request_bytes = strlen(request);
	etcd->request_sent = 0;
	etcd->body_bytes = 0;
	etcd->overflow = false;
	etcd->status = 0;
	etcd->curl_error[0] = 0;
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)etcd->request_bytes);
	curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, once ? refuse_rewind : rewind_body);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)((deadline_ns - now_ns) / 1000000));
	CURLcode code = curl_easy_perform(curl);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(headers);
	return judge_post(etcd, code, why);
}

/* ---------------------------------------------------------------- who we are */

/* Has a token where one is wanted. */
static bool log_in(struct etcd_way *etcd, const char *endpoint, uint64_t deadline_ns, char *why)
{
	char password[SECRET_BYTES], error[CTL_ETCD_ERROR_BYTES];
	const char *token_file = etcd->settings->arbiter.token_file;
	const char *user = etcd->settings->arbiter.user;
	if (etcd->token[0] != 0)
		return true;
	if (token_file[0] != 0)
		return read_secret(token_file, etcd->token, sizeof(etcd->token), why);
	if (user[0] == 0)
		return true;
	if (!read_secret(etcd->settings->arbiter.password_file, password, sizeof(password), why))
		return false;
	char *request = ctl_etcd_put_login(user, password);
	enum post_result result =
		post(etcd, endpoint, PATH_LOGIN, request, false, deadline_ns, why);
	explicit_bzero(password, sizeof(password));
	if (request != NULL)
		explicit_bzero(request, strlen(request));
	free(request);
	if (result != POST_ANSWERED)
		return false;
	if (ctl_etcd_take_login(etcd->body, etcd->body_bytes, etcd->token, error))
		return true;
	snprintf(why, CTL_ARBITER_WHY_BYTES, "%s", error);
	return false;
}

/* A token ends after a while, with its member, or when users change: get another one, once. */
static enum post_result post_as_user(
	struct etcd_way *etcd,
	const char *endpoint,
	const char *path,
	const char *request,
	bool once,
	uint64_t deadline_ns,
	char *why
)
{
	enum post_result result = POST_UNSENT;
	for (int attempt = 0; attempt < 2; attempt++) {
		bool had_token = etcd->token[0] != 0;
		if (!log_in(etcd, endpoint, deadline_ns, why)) {
			etcd->token[0] = 0;
			return POST_UNSENT;
		}
		result = post(etcd, endpoint, path, request, once, deadline_ns, why);
		if (result != POST_REFUSED || etcd->token[0] == 0)
			return result;
		etcd->token[0] = 0;
		if (!had_token)
			return result; /* a fresh one does not help either */
	}
	return result;
}

/* ---------------------------------------------------------------- the endpoints in turn */

static void add_why(char *why, const char *endpoint, const char *one)
{
	size_t used = strlen(why);
	snprintf(
		why + used,
		CTL_ARBITER_WHY_BYTES - used,
		"%s%s: %s",
		used > 0 ? "; " : "",
		endpoint,
		one
	);
}

static void take_found(const struct ctl_etcd_found *from, struct arbiter_found *found)
{
	*found = (struct arbiter_found){
		.present = from->present,
		.id = from->cluster_id,
		.revision = from->mod_revision,
		.bytes = from->value_bytes,
	};
	memcpy(found->text, from->value, from->value_bytes);
}

/* Posts to one endpoint and understands the answer. *result: what is certain if this is true, or
 * whether a swap may have been made. */
static bool ask_endpoint(
	struct etcd_way *etcd,
	const char *endpoint,
	const char *request,
	bool swap,
	uint64_t deadline_ns,
	struct arbiter_found *found,
	enum arbiter_result *result,
	char *why
)
{
	struct ctl_etcd_found got;
	char error[CTL_ETCD_ERROR_BYTES];
	const char *path = swap ? PATH_TXN : PATH_RANGE;
	enum post_result posted =
		post_as_user(etcd, endpoint, path, request, swap, deadline_ns, why);
	*result = swap && posted != POST_UNSENT && posted != POST_REFUSED ? ARBITER_UNKNOWN
									  : ARBITER_SILENT;
	if (posted != POST_ANSWERED)
		return false;
	bool good =
		swap ? ctl_etcd_take_exchange(etcd->body, etcd->body_bytes, etcd->key, &got, error)
		     : ctl_etcd_take_range(etcd->body, etcd->body_bytes, etcd->key, &got, error);
	if (!good) {
		snprintf(why, CTL_ARBITER_WHY_BYTES, "%s", error);
		return false;
	}
	take_found(&got, found);
	*result = swap && got.succeeded ? ARBITER_SWAPPED : ARBITER_FOUND;
	return true;
}

static enum arbiter_result ask_in_turn(
	struct etcd_way *etcd,
	const char *request,
	bool swap,
	uint64_t deadline_ns,
	struct arbiter_found *found,
	char *why
)
{
	char one[CTL_ARBITER_WHY_BYTES];
	uint32_t count = etcd->settings->arbiter.endpoint_count;
	enum arbiter_result result = ARBITER_SILENT;
	why[0] = 0;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t index = (etcd->first + i) % count;
		const char *endpoint = etcd->settings->arbiter.endpoints[index];
		uint64_t now_ns = ctl_monotonic_ns();
		uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
		uint64_t until_ns = now_ns + left_ns / (count - i);
		if (ask_endpoint(etcd, endpoint, request, swap, until_ns, found, &result, one)) {
			etcd->first = index;
			return result;
		}
		add_why(why, endpoint, one);
		if (result == ARBITER_UNKNOWN) {
			etcd->first = (index + 1) % count;
			return result;
		}
	}
	return ARBITER_SILENT;
}

static enum arbiter_result
etcd_read(struct arbiter_way *way, uint64_t deadline_ns, struct arbiter_found *found, char *why)
{
	struct etcd_way *etcd = of(way);
	char *request = ctl_etcd_put_range(etcd->key);
	enum arbiter_result result = ask_in_turn(etcd, request, false, deadline_ns, found, why);
	free(request);
	return result;
}

static enum arbiter_result etcd_swap(
	struct arbiter_way *way,
	const char *from,
	const char *to,
	uint64_t deadline_ns,
	struct arbiter_found *found,
	char *why
)
{
	struct etcd_way *etcd = of(way);
	char *request = ctl_etcd_put_exchange(etcd->key, from, to);
	enum arbiter_result result = ask_in_turn(etcd, request, true, deadline_ns, found, why);
	free(request);
	return result;
}

static void etcd_shun(struct arbiter_way *way)
{
	struct etcd_way *etcd = of(way);
	etcd->first = (etcd->first + 1) % etcd->settings->arbiter.endpoint_count;
}

/* ---------------------------------------------------------------- making and ending */

static void etcd_close(struct arbiter_way *way)
{
	struct etcd_way *etcd = of(way);
	curl_easy_cleanup(etcd->curl);
	explicit_bzero(etcd->token, sizeof(etcd->token));
	free(etcd);
}

static bool set_tls(CURL *curl, const struct cfg_settings *settings)
{
	const char *ca = settings->arbiter.ca_file;
	const char *certificate = settings->arbiter.certificate_file;
	bool good = curl_easy_setopt(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
	if (ca[0] != 0) {
		good = good && curl_easy_setopt(curl, CURLOPT_CAINFO, ca) == CURLE_OK;
		/* Else the system's would count too. */
		good = good && curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK;
	}
	if (certificate[0] != 0) {
		const char *key = settings->arbiter.private_key_file;
		good = good && curl_easy_setopt(curl, CURLOPT_SSLCERT, certificate) == CURLE_OK;
		good = good && curl_easy_setopt(curl, CURLOPT_SSLKEY, key) == CURLE_OK;
	}
	return good;
}

static bool set_up(struct etcd_way *etcd)
{
	CURL *curl = etcd->curl;
	bool good = curl != NULL && set_tls(curl, etcd->settings);
#define SET(option, value) (good = good && curl_easy_setopt(curl, (option), (value)) == CURLE_OK)
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_NOSIGNAL, 1L);
	/* A resolver that hangs would else hold up the end of each request. */
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_READFUNCTION, give_body);
	SET(CURLOPT_READDATA, etcd);
	SET(CURLOPT_SEEKDATA, etcd);
	SET(CURLOPT_WRITEFUNCTION, take_body);
	SET(CURLOPT_WRITEDATA, etcd);
	SET(CURLOPT_ERRORBUFFER, etcd->curl_error);
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_MAXCONNECTS, (long)CFG_MAX_ENDPOINTS);
	SET(CURLOPT_MAXAGE_CONN, 60L);
	SET(CURLOPT_CA_CACHE_TIMEOUT, 60L); /* certificates are renewed while we run */
#undef SET
	return good;
}

/* What is wrong with the files now is easier to put right than at the first failover. */
static bool files_are_good(const struct cfg_settings *settings, char *why)
{
	char secret[CTL_ETCD_TOKEN_BYTES];
	const char *files[] = {
		settings->arbiter.ca_file,
		settings->arbiter.certificate_file,
		settings->arbiter.private_key_file,
	};
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (files[i][0] != 0 && access(files[i], R_OK) != 0) {
			snprintf(why, CTL_ARBITER_WHY_BYTES, "%s: %s", files[i], strerror(errno));
			return false;
		}
	}
	bool good = true;
	if (settings->arbiter.password_file[0] != 0)
		good = read_secret(settings->arbiter.password_file, secret, SECRET_BYTES, why);
	if (good && settings->arbiter.token_file[0] != 0)
		good = read_secret(settings->arbiter.token_file, secret, sizeof(secret), why);
	explicit_bzero(secret, sizeof(secret));
	return good;
}

struct arbiter_way *arbiter_open_etcd(const struct cfg_settings *settings, char *why)
{
	struct etcd_way *etcd = calloc(1, sizeof(*etcd));
	if (etcd == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(etcd);
		return NULL;
	}
	etcd->way = (struct arbiter_way){
		.read = etcd_read,
		.swap = etcd_swap,
		.shun = etcd_shun,
		.close = etcd_close,
	};
	etcd->settings = settings;
	if (settings->arbiter.key[0] != 0)
		snprintf(etcd->key, sizeof(etcd->key), "%s", settings->arbiter.key);
	else
		snprintf(etcd->key, sizeof(etcd->key), "/standfast/%s/pair", settings->cluster);
	etcd->curl = curl_easy_init();
	if (files_are_good(settings, why)) {
		if (settings->arbiter.endpoint_count > 0 && set_up(etcd))
			return &etcd->way;
		snprintf(why, CTL_ARBITER_WHY_BYTES, "libcurl does not take these settings");
	}
	etcd_close(&etcd->way);
	return NULL;
}
