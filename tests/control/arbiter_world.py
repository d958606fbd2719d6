# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the arbiters share: configurations, talking to arbiter_drive, an etcd of their
own, and servers that misbehave."""
import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

DRIVE, CANARY = (os.path.abspath(path) for path in sys.argv[1:3])
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CANARIES = {"no-compare": 1, "no-lock": 2, "silence-is-lost": 3, "trusts": 4}
CLUSTER = "demo"
TIMEOUT_MS = 500
PATIENCE_S = 60
SKIPPED = 77


def cluster_id(name=CLUSTER):
    """log_cluster_hash, by recovery/README.md."""
    value = 0x636C7573746572
    for byte in name.encode():
        product = (value ^ 0x9E3779B97F4A7C15) * (byte ^ 0xD6E8FEB86659FD93)
        value = (product ^ product >> 64) & (1 << 64) - 1
    return value


def value_of(epoch, primary, in_sync, cluster=CLUSTER, schema=1):
    """The text of a pair record, by control/arbiter_value.h."""
    return (f'{{"schema":{schema},"cluster":"{cluster_id(cluster):016x}","epoch":{epoch},'
            f'"primary":{primary},"in_sync":[{",".join(str(node) for node in in_sync)}]}}')


def wait_until(what, question, patience_s=PATIENCE_S):
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        answer = question()
        if answer:
            return answer
        time.sleep(0.01)
    raise AssertionError(f"not within {patience_s} s: {what}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Folder:
    """A temporary folder with configurations in it."""

    def __init__(self, case):
        self.path = tempfile.mkdtemp(prefix="sfarb-", dir="/tmp")
        case.addCleanup(shutil.rmtree, self.path, ignore_errors=True)
        self.count = 0

    def conf(self, text, cluster=CLUSTER, timeout=f"{TIMEOUT_MS} ms"):
        self.count += 1
        path = os.path.join(self.path, f"{self.count}.conf")
        with open(os.path.join(TOP, "config", "examples", "demo-memif-a.conf")) as source:
            example = source.read()
        with open(path, "w") as target:
            example = re.sub(r"^arbiter: \{.*?^\};\n", "", example, flags=re.M | re.S)
            target.write(example.replace('cluster = "demo"', f'cluster = "{cluster}"')
                         + f'\narbiter: {{ timeout = "{timeout}"; {text} }};\n')
        return path

    def secret(self, name, text, mode=0o600):
        path = os.path.join(self.path, name)
        with open(path, "w") as target:
            target.write(text)
        os.chmod(path, mode)
        return path


class Talk:
    """A process that asks an arbiter, one question at a time."""

    def __init__(self, case, conf, seen=None, canary=None, environment=None):
        words = [DRIVE if canary is None else CANARY, "talk", conf]
        words += [str(word) for word in seen or []]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **(environment or {}),
                 "ARBITER_CANARY": str(CANARIES.get(canary, 0))})
        case.addCleanup(self.close)

    def close(self):
        """Ends it in good order, so that a sanitizer has its say; 5: it has refused to begin."""
        if self.process.stdin.closed:
            return
        try:
            self.process.stdin.close()
            self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        if self.process.returncode not in (0, 5):
            raise AssertionError(f"arbiter_drive ended with {self.process.returncode}")

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def receive(self):
        return json.loads(self.process.stdout.readline())

    def ask(self, line):
        self.send(line)
        return self.receive()

    def read(self):
        return self.ask("read")

    def swap(self, old, new):
        """Of pairs (epoch, primary, set)."""
        return self.ask("swap " + " ".join(str(number) for number in (*old, *new)))

    def status(self):
        return self.ask("status")

    def seen(self):
        answer = self.ask("seen")
        return answer["id"], answer["revision"], answer["epoch"]


def pair_of(answer):
    return answer["epoch"], answer["primary"], answer["in_sync"]


def race(conf, rounds, contenders, how, canary=None):
    """Exit code and line of a race."""
    result = subprocess.run(
        [DRIVE if canary is None else CANARY, "race", conf, str(rounds), str(contenders), how],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        env={**os.environ, "ARBITER_CANARY": str(CANARIES.get(canary, 0))})
    return result.returncode, result.stdout + result.stderr


# --- etcd ---

class Etcd:
    """One member, with a folder and ports of its own; on loopback, without its syncs. peers: of a
    cluster of several, peer port by name."""

    def __init__(self, case, tls=None, more=(), name="t", peers=None):
        self.folder = tempfile.mkdtemp(prefix="sfetcd-", dir="/tmp")
        case.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        case.addCleanup(self.kill)
        self.data = os.path.join(self.folder, "data")
        self.scheme = "https" if tls else "http"
        self.name = name
        self.port = free_port()
        self.peers = peers or {name: free_port()}
        self.more = list(more) + list(tls or ())
        self.process = None
        self.start(wait=peers is None)

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self, wait=True):
        peers = {name: f"http://127.0.0.1:{port}" for name, port in self.peers.items()}
        peer = peers[self.name]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ETCD_")}
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                ["etcd", "--data-dir", self.data, "--name", self.name, "--logger", "zap",
                 "--log-level", "warn", "--unsafe-no-fsync=true", "--bcrypt-cost", "4",
                 "--heartbeat-interval", "30", "--election-timeout", "300",
                 "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", ",".join(f"{n}={url}" for n, url in peers.items()),
                 *self.more],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        if wait:
            wait_until("etcd answers", self.is_up)

    def is_up(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "log")) as log:
                raise AssertionError("etcd has ended: " + log.read()[-2000:])
        if self.scheme == "https":  # a leader is there soon after
            with open(os.path.join(self.folder, "log")) as log:
                return "serving client" in log.read() or self.accepts()
        try:
            return b"header" in self.post("kv/range", {"key": "eA=="}, raw=True)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def accepts(self):
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def post(self, path, body, token=None, raw=False):
        request = urllib.request.Request(f"{self.url}/v3/{path}", json.dumps(body).encode())
        if token:
            request.add_header("Authorization", token)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            data = answer.read()
        return data if raw else json.loads(data)

    def put(self, value, key=f"/standfast/{CLUSTER}/pair"):
        value = value if isinstance(value, bytes) else value.encode()
        self.post("kv/put", {"key": base64.b64encode(key.encode()).decode(),
                             "value": base64.b64encode(value).decode()})

    def get(self, key=f"/standfast/{CLUSTER}/pair"):
        answer = self.post("kv/range", {"key": base64.b64encode(key.encode()).decode()})
        kvs = answer.get("kvs")
        return base64.b64decode(kvs[0]["value"]).decode() if kvs else None

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def signal(self, number):
        os.kill(self.process.pid, number)
        if number == signal.SIGSTOP:
            wait_until("all threads stopped", self.stands_still)

    def stands_still(self):
        states = []
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/stat") as file:
                states.append(file.read().rpartition(")")[2].split()[0])
        return set(states) == {"T"}

    def wipe(self):
        shutil.rmtree(self.data)

    def save(self, name):
        shutil.copytree(self.data, os.path.join(self.folder, name))

    def restore(self, name):
        self.wipe()
        shutil.copytree(os.path.join(self.folder, name), self.data)


# --- servers that misbehave ---

class Server:
    """Accepts connections and hands each to a thread."""

    def __init__(self, case):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.over = False
        case.addCleanup(self.close)
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self):
        self.over = True
        self.listener.close()

    def serve(self):
        while not self.over:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.guard, args=(client,), daemon=True).start()

    def guard(self, client):
        with client:
            try:
                self.handle(client)
            except OSError:
                pass

    @staticmethod
    def message(stream):
        """One HTTP message with a Content-Length or chunks; b"" at the end."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = stream.recv(65536)
            if not more:
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = [int(line.split(b":")[1]) for line in head.split(b"\r\n")
                  if line.lower().startswith(b"content-length:")]
        while (len(body) < length[0]) if length else not body.endswith(b"0\r\n\r\n"):
            more = stream.recv(65536)
            if not more:
                return b""
            body += more
        return head + b"\r\n\r\n" + body


class Stub(Server):
    """Gives the same bytes to every request, or what a function of the request says."""

    def __init__(self, case, answer=b""):
        self.answer = answer
        self.requests = []
        super().__init__(case)

    def handle(self, client):
        while True:
            request = self.message(client)
            if not request:
                return
            self.requests.append(request)
            answer = self.answer(request) if callable(self.answer) else self.answer
            if answer is None:
                return
            for part in answer if isinstance(answer, list) else [answer]:
                client.sendall(part)
                if isinstance(answer, list):
                    time.sleep(0.05)


def http(body, status="200 OK", more=""):
    body = body if isinstance(body, bytes) else body.encode()
    return (f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


class Relay(Server):
    """Between an arbiter's asker and etcd. lose: answers to requests that hold this are dropped;
    hold: requests that hold this wait until they are let go."""

    def __init__(self, case, port):
        self.target = port
        self.lose = self.hold = None
        self.lost = self.held = 0
        self.release = threading.Event()
        super().__init__(case)

    def handle(self, client):
        with socket.create_connection(("127.0.0.1", self.target)) as etcd:
            while True:
                request = self.message(client)
                if not request:
                    return
                if self.hold is not None and self.hold in request:
                    self.held += 1
                    self.release.wait(PATIENCE_S)
                etcd.sendall(request)
                answer = self.message(etcd)
                if self.lose is not None and self.lose in request:
                    self.lost += 1
                    return
                if not answer:
                    return
                client.sendall(answer)
