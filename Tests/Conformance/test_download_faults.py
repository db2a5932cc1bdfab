"""Downloads as they go wrong: cut anywhere, with wrong bytes, onto a full disk, by a server that dies, from a hub that is slow
or cannot go on in the middle. What is listed is whole and right, always."""

import concurrent.futures
import hashlib
import json
import resource
import signal
import subprocess
import threading

import pytest

from support import engine
from support.hub import FILE, REPOSITORY, TOKEN, Hub
from support.proxy import Proxy
from support.server import binary
from support.waiting import until

TINY = engine.WEIGHTS.read_bytes()
HALF = 500_000  # bytes that have been told of when the hub pauses
DOWNLOAD = "/api/v1/models/download"


@pytest.fixture
def start(hub, martlet):
    """`start(home=…)`: a server that gets its models from the stand-in."""
    return lambda **options: martlet(None, "--no-discovery", environment=hub.environment, **options)


def command(home, *words, environment=(), **options):
    """A finished command with that home."""
    return subprocess.run(
        [binary(), *words], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
        env={"PATH": "/nonexistent", "HOME": str(home), "MARTLET_HOME": str(home)} | dict(environment), **options)


def download(server, model=REPOSITORY, **more):
    return server.ask("POST", DOWNLOAD, json.dumps({"model": model} | more).encode()).json


def status(server, job):
    return server.ask("GET", f"{DOWNLOAD}/status/{job['job_id']}").json


def ended(server, job):
    """Its last status."""
    until(lambda: status(server, job)["status"] != "downloading", "the download was over", 30)
    return status(server, job)


def half(server, job):
    """Waits until about half of it has come, while the hub pauses."""
    until(lambda: status(server, job)["downloaded_bytes"] > HALF, "half had come", 20)


@pytest.mark.parametrize("data, reason", [
    (b"GGUF" + bytes(range(256)) * 20, "is no usable GGUF file"), (b"", "is cut short: the file ends at 0 bytes"),
    (b"<html>" * 500, "is no usable GGUF file")], ids=["noise", "empty", "html"])
def test_what_came_whole_and_cannot_be_loaded_is_no_success(hub, tmp_path, data, reason):
    hub.add("acme/Bad-GGUF", {"bad-Q4_K_M.gguf": data})
    for _ in range(2):
        done = command(tmp_path, "get", "acme/Bad-GGUF", environment=hub.environment)
        assert (done.returncode, done.stdout) == (1, "")
        assert "acme/Bad-GGUF has come as it is listed, and cannot be loaded: bad-Q4_K_M.gguf " in done.stderr
        assert reason in done.stderr and done.stderr.endswith(". Choose another file or repository\n")
        assert "download it again" not in done.stderr, "it would be the same again"


def test_who_waits_for_the_hub_is_told_so(hub, tmp_path):
    process = subprocess.Popen(
        [binary(), "search", "tiny"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={"PATH": "/nonexistent", "HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"})
    try:
        assert process.stderr.readline() == "martlet: cannot reach 127.0.0.1:9; trying again in 1 s\n"
    finally:
        process.kill()
        process.communicate(timeout=20)
    hub.cuts = [0]
    done = command(tmp_path, "get", REPOSITORY, environment=hub.environment)
    assert done.returncode == 0 and "; trying again in 1 s\n" in done.stderr


def cuts(hub, tmp_path, data, cuts):
    """Files that are cut after so many bytes, gone on with, and whole in the end; each with the byte its second request began at."""
    digest = hashlib.sha256(data).hexdigest()

    def get(cut):
        repository, home = f"acme/cut-at-{cut}-GGUF", tmp_path / str(cut)
        hub.add(repository, {"tiny.gguf": data})
        hub.cuts_of[repository] = [cut]
        home.mkdir()
        done = command(home, "get", repository, environment=hub.environment)
        assert done.returncode == 0, (cut, done.stderr)
        assert engine.model_files(home) == [f"{repository}/tiny.gguf"], "nothing beside it"
        path = home / "models" / repository / "tiny.gguf"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest, cut
        path.unlink()
        asked = [headers.get("range") for path, headers in hub.requests if path.startswith(f"/cdn/{repository}/")]
        assert len(asked) == 2 and asked[0] is None, (cut, asked)
        return cut, int(asked[1].removeprefix("bytes=").removesuffix("-")) if asked[1] else 0

    # Most of the time of each is the pause before it goes on.
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(get, cuts))


def test_cut_at_every_percent_and_resumed_where_it_was_cut(hub, tiny_models, tmp_path):
    data = (tiny_models / "tiny-embed.gguf").read_bytes()
    for cut, begin in cuts(hub, tmp_path, data, [len(data) * percent // 100 for percent in range(1, 100)]):
        assert begin == cut


def test_of_a_large_file_too_all_that_came_is_kept(hub, tmp_path):
    # Far more than is read at a time; what comes faster than it is written lies in buffers when the connection breaks.
    data = TINY + bytes(60_000_000)
    for cut, begin in cuts(hub, tmp_path, data, [1_000_000, 7_000_001, 40_000_000, 55_555_555]):
        assert begin == cut


@pytest.mark.parametrize("lie", ["digest", "more", "less"])
def test_what_is_not_what_was_promised_is_never_listed_and_leaves_nothing(hub, start, lie):
    if lie == "digest":
        hub.digests[FILE] = "0" * 64
    else:
        hub.sizes[FILE] = len(TINY) + (1000 if lie == "more" else -1000)
    server = start()
    over = ended(server, download(server))
    assert over["status"] == "failed" and over["error"]["type"] == f"hub_wrong_{'digest' if lie == 'digest' else 'size'}"
    assert server.models() == [] and server.ask("GET", "/api/v1/models").json["models"] == []
    assert engine.model_files(server.home) == [] and not (server.home / "models/acme").exists()
    hub.digests.clear()
    hub.sizes.clear()
    assert ended(server, download(server))["status"] == "completed" and server.models() == ["tiny-chat"]


def limit_files(size):
    """No file of the process may grow beyond that: its writes fail, as on a full disk. Needs no rights."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_full_disk_under_a_command(hub, tmp_path):
    done = command(tmp_path, "get", REPOSITORY, environment=hub.environment, preexec_fn=lambda: limit_files(1_000_000))
    assert done.returncode == 1 and "the disk is full after 1.0 MB of Tiny-Chat-F16.gguf: make room for 871" in done.stderr
    [part] = engine.model_files(tmp_path)
    assert part.endswith(".part") and (tmp_path / "models" / part).read_bytes() == TINY[:1_000_000]
    assert command(tmp_path, "ls", "--json").stdout == "[]\n"
    assert command(tmp_path, "get", REPOSITORY, environment=hub.environment).returncode == 0
    assert hub.bytes_requests() == [None, "bytes=1000000-"] and engine.model_files(tmp_path) == [f"{REPOSITORY}/{FILE}"]
    assert (tmp_path / "models" / REPOSITORY / FILE).read_bytes() == TINY


def test_a_full_disk_under_a_server(hub, start):
    server = start()
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
    over = ended(server, download(server))
    assert over["status"] == "failed" and over["error"]["type"] == "hub_disk_full"
    assert server.models() == [] and server.ask("GET", "/health").status == 200
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert ended(server, download(server))["status"] == "completed"
    assert hub.bytes_requests() == [None, "bytes=500000-"]
    assert (server.home / "models" / REPOSITORY / FILE).read_bytes() == TINY


def test_a_server_that_is_killed_goes_on_where_it_was(hub, start):
    hub.pause = threading.Event()
    first = start()
    half(first, download(first))
    first.signal(signal.SIGKILL)
    first.wait()
    hub.pause.set()
    hub.pause = None
    second = start(home=first.home)
    assert second.models() == []
    assert ended(second, download(second))["status"] == "completed"
    assert int(hub.bytes_requests()[-1][6:-1]) > HALF
    assert engine.model_files(second.home) == [f"{REPOSITORY}/{FILE}"] and second.models() == ["tiny-chat"]
    assert (second.home / "models" / REPOSITORY / FILE).read_bytes() == TINY


def test_a_slow_hub_is_waited_for(hub, start):
    hub.trickle = 0.1
    server = start()
    job = download(server)
    seen = []
    until(lambda: seen.append(status(server, job)) or seen[-1]["status"] != "downloading", "it was done", 60)
    bytes_seen = [one["downloaded_bytes"] for one in seen]
    assert seen[-1]["status"] == "completed" and bytes_seen == sorted(bytes_seen) and len(set(bytes_seen)) > 3
    assert any("bytes_per_second" in one and "estimated_completion" in one for one in seen)


def test_a_hub_that_knows_no_ranges_is_begun_anew_with(hub, tmp_path):
    hub.ranges = False
    hub.cuts = [700_000]
    assert command(tmp_path, "get", REPOSITORY, environment=hub.environment).returncode == 0
    first, second = hub.bytes_requests()
    assert first is None and second.startswith("bytes=")
    assert (tmp_path / "models" / REPOSITORY / FILE).read_bytes() == TINY


# Ended by whoever wants to

def test_a_download_is_cancelled_over_http_and_gone_on_with(hub, start):
    hub.pause = threading.Event()
    server = start()
    job = download(server)
    half(server, job)
    reply = server.ask("DELETE", f"{DOWNLOAD}/{job['job_id']}")
    assert reply.status == 200 and reply.json["status"] == "paused" and reply.json["job_id"] == job["job_id"]
    assert status(server, job)["status"] == "paused" and server.models() == []
    [part] = engine.model_files(server.home)
    assert part.startswith(f"{REPOSITORY}/{FILE}.") and part.endswith(".part"), "no lock is left"
    hub.pause.set()
    hub.pause = None
    again = download(server)
    assert again["job_id"] != job["job_id"] and ended(server, again)["status"] == "completed"
    assert int(hub.bytes_requests()[-1][6:-1]) > HALF
    assert server.ask("DELETE", f"{DOWNLOAD}/{again['job_id']}").json["status"] == "completed", "what is over stays as it is"
    unknown = server.ask("DELETE", f"{DOWNLOAD}/job_0000000000")
    assert (unknown.status, unknown.json["error"]["type"]) == (404, "job_not_found")


def test_what_is_being_got_is_not_removed(hub, start):
    hub.pause = threading.Event()
    server = start()
    job = download(server)
    half(server, job)
    refused = command(server.home, "rm", "--yes", f"{REPOSITORY}/{FILE}")
    assert refused.returncode == 1 and f"{FILE} is being downloaded: end that first" in refused.stderr
    assert server.ask("DELETE", f"{DOWNLOAD}/{job['job_id']}").status == 200
    removed = command(server.home, "rm", "--yes", f"{REPOSITORY}/{FILE}")
    assert removed.returncode == 0 and not (server.home / "models/acme").exists()


def test_two_quantisations_with_one_projector_at_a_time(hub, start, tiny_models):
    projector = (tiny_models / "mmproj-tiny-vision.gguf").read_bytes()
    hub.add("acme/Seer-GGUF", {"Seer-Q4_K_M.gguf": TINY, "Seer-Q8_0.gguf": TINY, "mmproj-F16.gguf": projector})
    hub.pause = threading.Event()
    server = start()
    jobs = [download(server, "acme/Seer-GGUF", quantization=one) for one in ("Q4_K_M", "Q8_0")]
    assert jobs[0]["job_id"] != jobs[1]["job_id"]
    for job in jobs:
        half(server, job)
    hub.pause.set()
    assert [ended(server, job)["status"] for job in jobs] == ["completed", "completed"]
    assert engine.model_files(server.home) == [f"acme/Seer-GGUF/{name}" for name in ("Seer-Q4_K_M.gguf", "Seer-Q8_0.gguf", "mmproj-F16.gguf")]
    assert len([path for path, _ in hub.requests if path.startswith("/cdn/") and "mmproj" in path]) == 1
    assert [one["capabilities"] for one in server.ask("GET", "/v1/models").json["data"]] == [["tool_use", "vision"]] * 2


# What the environment says

def test_hugging_faces_own_token_is_used_and_goes_nowhere_else(hub, tmp_path):
    hub.gated.add(REPOSITORY)
    place = tmp_path / ".cache/huggingface/token"
    place.parent.mkdir(parents=True)
    place.write_text(TOKEN + "\n")
    elsewhere = Hub()
    elsewhere.add(REPOSITORY, {FILE: TINY})
    hub.bytes_at = elsewhere.url
    try:
        done = command(tmp_path, "get", REPOSITORY, environment=hub.environment)
        assert done.returncode == 0, done.stderr
        assert elsewhere.bytes_requests() == [None]
        assert not any("authorization" in headers for _, headers in elsewhere.requests)
        assert any(headers.get("authorization") == f"Bearer {TOKEN}" for _, headers in hub.requests)
        assert TOKEN not in done.stdout + done.stderr
    finally:
        elsewhere.close()
    place.write_text("hf_other")
    refused = command(tmp_path, "get", "acme/none", environment=hub.environment)
    assert refused.returncode == 1 and "the token that hf auth login saved may not read it" in refused.stderr


def test_offline_means_that_nothing_is_asked(hub, tmp_path):
    done = command(tmp_path, "get", REPOSITORY, environment=hub.environment | {"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 1 and "HF_HUB_OFFLINE is set" in done.stderr and hub.requests == []


def test_a_proxy_stands_before_hubs_with_tls_and_no_others(hub, tmp_path):
    proxy = Proxy(0, "407 Proxy Authentication Required")
    environment = {"HTTPS_PROXY": f"http://me:canary-pass@127.0.0.1:{proxy.port}", "HF_ENDPOINT": "https://hub.invalid"}
    try:
        done = command(tmp_path, "get", REPOSITORY, environment=environment)
        assert done.returncode == 1 and "wants a user and a password: set them in HTTPS_PROXY" in done.stderr
        assert "canary-pass" not in done.stderr
        [head] = proxy.heads
        assert head.startswith("CONNECT hub.invalid:443 HTTP/1.1\r\n")
        assert "proxy-authorization: basic bwu6y2fuyxj5lxbhc3m=" in head.lower()
        assert command(tmp_path, "get", REPOSITORY, environment=environment | hub.environment).returncode == 0
        assert len(proxy.heads) == 1
    finally:
        proxy.close()
