"""`get`, `search`, `ls`, `rm` and `import`, as a new user meets them, with a stand-in for the hub and the real engine."""

import json
import os
import pty
import shutil
import signal
import subprocess
import threading

import pytest

from support import engine
from support.hub import FILE, REPOSITORY, TOKEN, Hub
from support.proxy import Authority
from support.server import binary
from support.waiting import until

TINY = engine.WEIGHTS.read_bytes()


@pytest.fixture
def commands(tmp_path, hub):
    """`commands("get", "…", NAME="…")`: the finished command, with a home of its own and the stand-in as its hub."""
    class Commands:
        home = tmp_path
        models = tmp_path / "models"
        environment = {"PATH": "/nonexistent", "HOME": str(tmp_path), "MARTLET_HOME": str(tmp_path)} | hub.environment

        def __call__(self, *words, **environment):
            return subprocess.run(
                [binary(), *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                env=self.environment | environment)

        def json(self, *words, **environment):
            done = self(*words, "--json", **environment)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        def files(self):
            return engine.model_files(self.home)

    return Commands()


def put(path, data=TINY):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# The tour

def test_a_new_user_finds_gets_asks_and_removes_a_model(hub, martlet, commands):
    server = martlet(None, "--no-discovery", engines=engine.engines(), environment={"MARTLET_ENGINE_THREADS": "1"})
    assert server.models() == [] and "martlet get OWNER/REPOSITORY" in "".join(server.output)
    home = {"MARTLET_HOME": str(server.home)}
    found = commands("search", "tiny")
    assert found.stdout.split()[:4] == ["MODEL", "DOWNLOADS", "LIKES", REPOSITORY]
    got = commands("get", REPOSITORY, **home)
    assert (got.returncode, got.stdout) == (
        0, 'tiny-chat is here, and checked\nnext: martlet chat -m tiny-chat "hello", while martlet serve runs\n')
    assert f"{FILE}: 100%  1.9 MB of 1.9 MB\n" in got.stderr
    head, row = commands("ls", **home).stdout.splitlines()
    assert head.split() == ["MODEL", "PARAMS", "ARCH", "QUANT", "SIZE", "CONTEXT", "CAN"]
    assert row.split() == ["tiny-chat", "0.9M", "llama", "F16", "1.9", "MB", "131072", "tools"]
    # The server that was running all the while has it, without a restart.
    assert server.models() == ["tiny-chat"]
    [entry] = server.ask("GET", "/v1/models").json["data"]
    assert (entry["max_context_length"], entry["capabilities"]) == (131072, ["tool_use"])
    said = commands("chat", "--host", server.url, "-m", "tiny-chat", "--max-tokens", "8", "hello")
    assert said.returncode == 0 and said.stdout.strip(), said.stderr
    native = server.ask("GET", "/api/v1/models").json["models"][0]
    assert native["loaded_instances"][0]["id"] == "tiny-chat"
    assert native["loaded_instances"][0]["config"]["context_length"] > 0
    legacy = server.ask("GET", "/api/v0/models/tiny-chat").json
    assert (legacy["state"], legacy["loaded_context_length"] > 0) == ("loaded", True)
    gone = commands("rm", "tiny-chat", "--yes", **home)
    assert (gone.returncode, gone.stdout) == (0, "tiny-chat removed, 1.9 MB are free\n")
    assert server.models() == [] and engine.model_files(server.home) == [] and not (server.home / "models/acme").exists()


# get

def test_what_is_here_is_checked_and_not_got_again(hub, commands):
    assert commands.json("get", REPOSITORY) == {
        "status": "downloaded", "key": "tiny-chat", "repository": REPOSITORY, "commit": "c" * 40, "quantization": "F16",
        "size_bytes": len(TINY), "path": str(commands.models / REPOSITORY / FILE), "files": [FILE]}
    assert commands.json("get", REPOSITORY)["status"] == "already_downloaded"
    assert hub.bytes_requests() == [None]
    # What is damaged is got anew.
    (commands.models / REPOSITORY / FILE).write_bytes(bytes(len(TINY)))
    assert commands("get", REPOSITORY).returncode == 0
    assert (commands.models / REPOSITORY / FILE).read_bytes() == TINY


def test_a_connection_that_breaks_is_gone_on_with(hub, commands):
    cuts = [300_000, 300_000, 0, 700_000]
    hub.cuts = list(cuts)
    done = commands("get", REPOSITORY)
    assert done.returncode == 0, done.stderr
    starts = [0] + [int(one[6:-1]) for one in hub.bytes_requests()[1:]]
    assert len(starts) == 5
    # What the system still held when the connection broke may be lost.
    assert all(start < then <= start + cut or then == start + cut for start, cut, then in zip(starts, cuts, starts[1:])), starts
    assert (commands.models / REPOSITORY / FILE).read_bytes() == TINY


def test_an_interrupted_download_says_so_and_goes_on_later(hub, commands):
    hub.pause = threading.Event()
    process = subprocess.Popen(
        [binary(), "get", REPOSITORY], env=commands.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)
    until(lambda: any(path.endswith(".part") for path in commands.files()), "a part was there", 20)
    until(lambda: sum(path.stat().st_size for path in commands.models.rglob("*.part")) > 500_000, "half was there", 20)
    during = commands("ls")
    assert during.returncode == 0 and f"{REPOSITORY}/{FILE} is being downloaded, " in during.stderr, during.stderr
    assert "martlet get OWNER" in during.stderr and "is not whole" not in during.stderr and "martlet rm" not in during.stderr
    process.send_signal(signal.SIGINT)
    output, complaints = process.communicate(timeout=20)
    assert (process.returncode, output) == (130, "")
    assert "interrupted; what has come is kept (" in complaints
    assert complaints.endswith(f"Go on with: martlet get {REPOSITORY}:F16\n")
    listed = commands("ls")
    assert listed.stdout == "", "what is not whole is in no list"
    assert f"{REPOSITORY}/{FILE} is not whole (" in listed.stderr and f"martlet rm {REPOSITORY}/{FILE}\n" in listed.stderr
    hub.pause.set()
    hub.pause = None
    assert commands("get", f"{REPOSITORY}:F16").returncode == 0
    assert int(hub.bytes_requests()[-1][6:-1]) > 500_000
    assert commands.files() == [f"{REPOSITORY}/{FILE}"], "no part and no lock is left"


def test_what_an_interrupted_download_left_can_be_removed(commands):
    part = put(commands.models / f"{REPOSITORY}/{FILE}.0123456789ab.part", b"12345")
    refused = commands("rm", f"{REPOSITORY}/{FILE}")
    assert refused.returncode == 2 and f"remove what there is of {REPOSITORY}/{FILE}, 5 B?" in refused.stderr
    assert part.exists()
    assert commands.json("rm", f"{REPOSITORY}/{FILE}", "--yes") == {
        "removed": [f"{REPOSITORY}/{FILE}"], "files": 1, "freed_bytes": 5}
    assert not list(commands.models.iterdir())


def test_what_is_not_what_the_hub_lists_is_never_a_model(hub, commands):
    hub.digests[FILE] = "0" * 64
    done = commands("get", REPOSITORY)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not what 127.0.0.1" in done.stderr and "its digest is wrong. It was removed" in done.stderr
    assert commands.files() == [] and commands("ls", "--json").stdout == "[]\n"


def test_a_gated_model_says_how_to_get_it(hub, commands):
    hub.gated.add(REPOSITORY)
    done = commands("get", REPOSITORY)
    assert done.returncode == 1 and f"is gated: accept its conditions at {hub.url}/{REPOSITORY}" in done.stderr and "HF_TOKEN" in done.stderr
    assert commands("get", REPOSITORY, HF_TOKEN=TOKEN).returncode == 0
    sent = [path for path, headers in hub.requests if headers.get("authorization") == f"Bearer {TOKEN}"]
    assert sent and TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize("words, reason", [
    (["acme/none"], "acme/none does not exist at"), ([f"{REPOSITORY}:Q2_K"], "has no Q2_K; it has F16"),
    (["nothing fits this"], "has no GGUF model that fits"), (["https://example.com/a/b"], "not from \"example.com\""),
    (["../../etc"], "cannot be")], ids=str)
def test_what_cannot_be_got_is_said(hub, commands, words, reason):
    done = commands("get", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert reason in done.stderr and not commands.models.exists()


def test_a_projector_that_is_none_gives_no_eyes_and_stops_no_load(hub, martlet, commands):
    hub.add("acme/Vis-GGUF", {"v-F16.gguf": TINY, "mmproj-v-f16.gguf": TINY})
    assert commands("get", "acme/Vis-GGUF").returncode == 0
    [model] = commands.json("ls")
    assert model["capabilities"] == {"vision": False, "trained_for_tool_use": True}
    server = martlet(
        None, "--no-discovery", engines=engine.engines(),
        environment={"MARTLET_ENGINE_THREADS": "1", "MARTLET_ENGINE_MODELS": str(commands.models)})
    said = commands("chat", "--host", server.url, "-m", model["key"], "--max-tokens", "4", "hello")
    assert said.returncode == 0, said.stderr


def test_words_give_a_choice(hub, commands):
    hub.add("acme/Tiny-Other-GGUF", {"o.gguf": TINY})
    done = commands("get", "tiny")
    assert done.returncode == 1 and "1  acme/Tiny-Chat-GGUF" in done.stderr and "2  acme/Tiny-Other-GGUF" in done.stderr
    assert "martlet get acme/Tiny-Chat-GGUF, or take the first by --yes" in done.stderr
    assert not commands.models.exists()
    fewer = commands("get", "--limit", "1", "tiny")
    assert "1  acme/Tiny-Chat-GGUF" in fewer.stderr and "acme/Tiny-Other-GGUF" not in fewer.stderr
    assert commands("get", "tiny", "--yes").stdout.startswith("tiny-chat is here")
    # On a terminal it asks.
    main, side = pty.openpty()
    process = subprocess.Popen(
        [binary(), "get", "tiny"], env=commands.environment, stdin=side, stdout=subprocess.PIPE, stderr=side)
    os.close(side)
    os.write(main, b"2\n")
    shown = b""
    try:
        while piece := os.read(main, 4096):
            shown += piece
    except OSError:
        pass  # that is how the end of a terminal looks
    output = process.communicate(timeout=20)[0]
    os.close(main)
    assert process.returncode == 0 and output.startswith(b"tiny-other is here"), shown
    assert b"which one? [1-2, nothing for none]" in shown
    assert b"\ro.gguf" in shown and b"[####" in shown and b"100%" in shown, "there is a bar"


def test_a_search_is_also_json(hub, commands):
    assert commands.json("search", "tiny") == [{"id": REPOSITORY, "downloads": 1000, "likes": 7, "gated": False}]
    done = commands("search", "nothing", "fits")
    assert (done.returncode, done.stdout) == (1, "") and "nothing fits" in done.stderr


# names

def test_who_was_there_first_keeps_the_name(hub, commands):
    hub.add("acme/Two-GGUF", {"Two-Q8_0.gguf": TINY, "Two-IQ2_XS.gguf": TINY + bytes(32)})
    hub.add("aaaa/Two-GGUF", {"Two-Q4_0.gguf": TINY + bytes(64)})
    sizes = lambda: {entry["key"]: entry["size_bytes"] - len(TINY) for entry in commands.json("ls")}
    assert commands("get", "acme/Two-GGUF:Q8_0").stdout.startswith("two is here")
    other = commands("get", "acme/Two-GGUF:IQ2_XS").stdout
    assert other.startswith("two@iq2_xs is here") and "martlet chat -m two@iq2_xs" in other
    assert commands("get", "aaaa/Two-GGUF").stdout.startswith("aaaa/two is here")
    assert sizes() == {"two": 0, "two@iq2_xs": 32, "aaaa/two": 64}
    assert commands("rm", "two", "--yes").stdout.startswith("two removed")
    again = commands("rm", "two", "--yes")
    assert again.returncode == 1 and 'there is no model "two" here; closest: ' in again.stderr
    assert "two@iq2_xs" in again.stderr and "aaaa/two" in again.stderr
    assert sizes() == {"two@iq2_xs": 32, "aaaa/two": 64}
    assert commands("get", "acme/Two-GGUF:Q8_0").stdout.startswith("two is here")


def test_a_server_that_runs_and_the_commands_agree_on_names(hub, commands, martlet):
    hub.add("acme/Two-GGUF", {"Two-Q8_0.gguf": TINY, "Two-IQ2_XS.gguf": TINY + bytes(32)})
    server = martlet(None, "--no-discovery", engines=engine.engines(), environment={"MARTLET_ENGINE_THREADS": "1"})
    home = {"MARTLET_HOME": str(server.home)}
    assert commands("get", "acme/Two-GGUF:Q8_0", **home).returncode == 0 and server.models() == ["two"]
    hello = json.dumps({"model": "two", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}).encode()
    assert server.ask("POST", "/v1/chat/completions", hello).status == 200
    assert commands("get", "acme/Two-GGUF:IQ2_XS", **home).returncode == 0
    models = {entry["key"]: entry for entry in server.ask("GET", "/api/v1/models").json["models"]}
    assert {key: len(entry["loaded_instances"]) for key, entry in models.items()} == {"two": 1, "two@iq2_xs": 0}
    assert models["two"]["size_bytes"] == len(TINY)
    assert commands("rm", "two", "--yes", **home).returncode == 0
    assert server.ask("POST", "/v1/chat/completions", hello).status == 404
    assert server.models() == ["two@iq2_xs"]


def test_names_that_cannot_be_kept_are_given_all_the_same(commands):
    put(commands.models / "p/m/m-Q4_0.gguf")
    put(commands.models / ".martlet", b"in the way")
    done = commands("ls")
    assert done.returncode == 0 and done.stdout.splitlines()[1].startswith("m ")
    assert done.stderr.count("the names of models cannot be kept in") == 1
    (commands.models / ".martlet").unlink()
    put(commands.models / ".martlet/names.json", b"{broken")
    done = commands("ls")
    assert done.returncode == 0 and "is set aside as names.json.damaged" in done.stderr
    assert commands("ls").stderr == ""


# ls

def test_a_listing_says_why_a_model_cannot_be_used(commands):
    put(commands.models / "p/good/good-F16.gguf")
    put(commands.models / "p/bad/bad.gguf", b"this is no model")
    put(commands.models / "stray.gguf")
    done = commands("ls")
    assert done.returncode == 0 and "stray.gguf is passed over" in done.stderr
    assert "\nbad cannot be used: bad.gguf is no usable GGUF file" in done.stdout
    bad, good = commands.json("ls")
    assert bad["problem"].startswith("bad.gguf is no usable GGUF file") and bad["path"] == "p/bad/bad.gguf"
    assert good == {
        "type": "llm", "publisher": "p", "key": "good", "display_name": good["display_name"], "architecture": "llama",
        "quantization": {"name": "F16", "bits_per_weight": 16}, "size_bytes": len(TINY), "params_string": "0.9M",
        "max_context_length": 131072, "format": "gguf", "description": None, "path": "p/good/good-F16.gguf",
        "capabilities": {"vision": False, "trained_for_tool_use": True}}


def test_who_names_none_of_several_models_is_told_so(martlet, commands):
    server = martlet(None, "--no-discovery")
    for name in ("one", "two"):
        put(server.home / f"models/p/{name}/{name}-F16.gguf")
    put(server.home / "models/p/bad/bad.gguf", b"this is no model")
    done = commands("chat", "--host", server.url, "hi")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("martlet: no model is named (-m MODEL) and 2 are served; name one of: one, two, ")


# rm

def test_all_parts_go_and_what_others_use_stays(commands):
    folder = commands.models / "p/m"
    for number in (1, 2):
        put(folder / f"big-F16-0000{number}-of-00002.gguf")
    put(folder / "other-Q8_0.gguf")
    put(folder / "mmproj-F16.gguf")
    put(folder / "notes.txt", b"mine")
    refused = commands("rm", "m")
    assert refused.returncode == 2 and "remove m, 3.7 MB in 2 files? Say --yes" in refused.stderr
    assert commands.json("rm", "m@f16", "--yes") == {"removed": ["m"], "files": 2, "freed_bytes": 2 * len(TINY)}
    assert commands.files() == ["p/m/mmproj-F16.gguf", "p/m/notes.txt", "p/m/other-Q8_0.gguf"]
    gone = commands("rm", "m", "-y")
    assert gone.returncode == 1 and 'there is no model "m" here; closest: m@q8_0' in gone.stderr, "nothing slides into its place"
    assert commands("rm", "m@q8_0", "-y").returncode == 0
    assert commands.files() == ["p/m/notes.txt"], "the projector went with the last that used it"


def test_of_a_link_only_the_link_goes(commands):
    real = put(commands.home / "elsewhere/tiny.gguf")
    (commands.models / "p/m").mkdir(parents=True)
    (commands.models / "p/m/m.gguf").symlink_to(real)
    done = commands("rm", "m", "--yes")
    assert (done.returncode, done.stdout) == (0, "m removed, of which only links were here\n")
    assert real.read_bytes() == TINY and not commands.files()


@pytest.mark.parametrize("name", ["m", "M@F16", "p/m/m-F16.gguf"])
def test_a_link_that_leads_nowhere_is_told_and_can_be_removed(commands, name):
    folder = commands.home / "Downloads"
    real, eye = put(folder / "m-F16.gguf"), put(folder / "mmproj-m.gguf")
    assert commands("import", "--link", "--as", "p/m", str(real)).returncode == 0
    assert commands("ls").stderr == ""
    real.unlink()
    eye.unlink()
    put(commands.models / "p/other/other.gguf")
    done = commands("ls")
    assert done.returncode == 0 and [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["other"]
    assert done.stderr == (
        f"martlet: p/m/m-F16.gguf is a link to {real}, which is not there: bring that back, or remove the link with: "
        "martlet rm m\n")
    assert commands("rm", "no", "--yes").returncode == 1
    gone = commands("rm", name, "--yes")
    assert (gone.returncode, gone.stdout) == (0, "m removed, of which only links were here\n"), gone.stderr
    assert commands.files() == ["p/other/other.gguf"] and not (commands.models / "p/m").exists()
    assert commands("ls").stderr == ""


def test_what_lies_elsewhere_is_left_alone(commands):
    real = put(commands.home / "elsewhere/tiny.gguf")
    put(commands.models / "p/m/m.gguf")
    for name in (str(real), "../elsewhere/tiny.gguf", "./p/m/m.gguf"):
        done = commands("rm", name, "--yes")
        assert done.returncode == 1 and "what lies elsewhere is left alone" in done.stderr
    done = commands("rm", "m", "nn", "--yes")
    assert done.returncode == 1 and 'there is no model "nn" here; closest: m' in done.stderr
    assert real.exists() and commands.files() == ["p/m/m.gguf"], "all are looked up before the first goes"


# import

@pytest.fixture
def studio(commands):
    """LM Studio's folder of models, as it lays it out."""
    folder = commands.home / ".lmstudio/models"
    put(folder / "lmstudio-community/Writer-8B-GGUF/Writer-8B-Q4_K_M.gguf")
    put(folder / "lmstudio-community/Writer-8B-GGUF/mmproj-Writer-8B-F16.gguf")
    for number in (1, 2):
        put(folder / f"acme/Broken-GGUF/Broken-0000{number}-of-00003.gguf")
    (folder / "mlx-community/Other-4bit").mkdir(parents=True)
    (folder / "mlx-community/Other-4bit/model.safetensors").write_bytes(b"mlx")
    return folder


def contents(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("way", ["link", "copy", "hard-link"])
def test_models_of_lm_studio_are_taken_and_stay_as_they_are(commands, studio, way):
    before = contents(studio)
    done = commands("import", "--from-lmstudio", *([] if way == "link" else [f"--{way}"]))
    assert done.returncode == 1, "one is broken, and the others are taken all the same"
    assert "2 of its 3 parts" in done.stderr
    place = "lmstudio-community/Writer-8B-GGUF"
    assert commands.files() == [f"{place}/Writer-8B-Q4_K_M.gguf", f"{place}/mmproj-Writer-8B-F16.gguf"]
    weights = commands.models / place / "Writer-8B-Q4_K_M.gguf"
    assert (weights.is_symlink(), weights.stat().st_nlink) == {"link": (True, 1), "copy": (False, 1), "hard-link": (False, 2)}[way]
    assert [entry["key"] for entry in commands.json("ls")] == ["writer-8b"]
    again = commands("import", "--from-lmstudio")
    assert "writer-8b is here already" in again.stdout
    assert contents(studio) == before
    assert commands("rm", "writer-8b", "-y").returncode == 0 and contents(studio) == before


def test_what_lm_studio_has_is_never_moved(commands, studio):
    before = contents(studio)
    inside = str(studio / "lmstudio-community/Writer-8B-GGUF/Writer-8B-Q4_K_M.gguf")
    for words in (["--from-lmstudio"], [inside]):
        done = commands("import", *words, "--move")
        assert done.returncode == 1 and "only read, and not moved" in done.stderr
    assert commands("import", inside).returncode == 0
    assert (commands.models / "lmstudio-community/Writer-8B-GGUF/Writer-8B-Q4_K_M.gguf").is_symlink()
    assert contents(studio) == before


def test_lm_studio_may_keep_its_models_elsewhere(commands):
    moved = put(commands.home / "big disk/p/m/m.gguf")
    own = commands.home / "studio"
    own.mkdir()
    (own / "settings.json").write_text(json.dumps({"downloadsFolder": str(commands.home / "big disk")}))
    assert "no folder of models here" in commands("import", "--from-lmstudio").stderr
    (commands.home / ".lmstudio-home-pointer").write_text(f"{own}\n")
    assert commands("import", "--from-lmstudio").returncode == 0
    assert (commands.models / "p/m/m.gguf").readlink() == moved


def test_a_file_is_moved_to_where_it_is_found(commands):
    source = put(commands.home / "Downloads/Some Model-Q4_K_M.gguf")
    said = commands("import", "--dry-run", str(source))
    assert "would come to imported/Some-Model, moved" in said.stdout and source.exists() and not commands.models.exists()
    done = commands("import", str(source))
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "some-model is here: Some Model-Q4_K_M.gguf (1.9 MB), moved")
    assert not source.exists() and commands.files() == ["imported/Some-Model/Some Model-Q4_K_M.gguf"]


def test_a_place_may_be_named_and_what_has_it_stays(commands):
    first, second = put(commands.home / "a/m.gguf"), put(commands.home / "b/m.gguf", TINY[:-1] + b"x")
    [entry] = commands.json("import", str(first), "--copy", "--as", "me/mine")
    assert (entry["key"], entry["status"], entry["way"]) == ("mine", "imported", "copy")
    done = commands("import", str(second), "--copy", "--as", "me/mine")
    assert done.returncode == 1 and "me/mine/m.gguf is there already, and is another file" in done.stderr
    assert (commands.models / "me/mine/m.gguf").read_bytes() == TINY
    done = commands("import", str(second), "--as", "../mine")
    assert done.returncode == 1 and "is no place for a model" in done.stderr and second.exists()


def test_only_models_are_imported(commands):
    text = put(commands.home / "notes.gguf", b"just words")
    (commands.home / "empty").mkdir()
    for path, reason in ((text, "notes.gguf is no usable GGUF file"), (commands.home / "nothing.gguf", "there is no nothing.gguf"),
                         (commands.home / "empty", "holds no weights")):
        done = commands("import", str(path))
        assert (done.returncode, done.stdout) == (1, "") and reason in done.stderr
    assert text.exists() and not commands.models.exists()
    assert commands("import").returncode == 2 and commands("import", "x", "--copy", "--link").returncode == 2


def test_a_folder_comes_with_all_that_is_in_it(commands):
    folder = commands.home / "Writer"
    for name in ("Writer-Q4_K_M.gguf", "Writer-Q8_0.gguf", "mmproj-F16.gguf"):
        put(folder / name)
    assert commands("import", str(folder), "--copy").returncode == 0
    assert commands.files() == [
        "imported/Writer/Writer-Q4_K_M.gguf", "imported/Writer/Writer-Q8_0.gguf", "imported/Writer/mmproj-F16.gguf"]
    assert [entry["key"] for entry in commands.json("ls")] == ["writer", "writer@q8_0"]
    shutil.rmtree(commands.models)


def test_a_projector_of_several_quantisations_is_moved_with_the_last(commands, tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    engine.make_models(made)
    eye = (made / "mmproj-tiny-vision.gguf").read_bytes()
    folder = commands.home / "Downloads/Vis"
    weights = ["vis-Q4_K_M.gguf", "vis-Q8_0.gguf"]
    for name in weights:
        put(folder / name)
    put(folder / "mmproj-vis-f16.gguf", eye)
    assert [entry["status"] for entry in commands.json("import", str(folder), "--dry-run")] == ["would_import"] * 2
    done = commands("import", str(folder))
    assert (done.returncode, done.stderr) == (0, "") and not list(folder.iterdir())
    assert commands.files() == ["imported/vis/mmproj-vis-f16.gguf"] + [f"imported/vis/{name}" for name in weights]
    assert [entry["capabilities"]["vision"] for entry in commands.json("ls")] == [True, True]


def test_a_model_that_cannot_come_keeps_its_projector(commands):
    folder = commands.home / "Downloads/Vis"
    for name in ("vis-Q4_K_M.gguf", "vis-Q5_K_M.gguf", "vis-Q8_0.gguf", "mmproj-vis-f16.gguf"):
        put(folder / name)
    put(commands.models / "imported/vis/vis-Q5_K_M.gguf", TINY[:-1] + b"x")
    done = commands("import", str(folder))
    assert done.returncode == 1 and "imported/vis/vis-Q5_K_M.gguf is there already, and is another file" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["mmproj-vis-f16.gguf", "vis-Q5_K_M.gguf"]
    assert commands.files() == [
        "imported/vis/mmproj-vis-f16.gguf", *(f"imported/vis/vis-{type}.gguf" for type in ("Q4_K_M", "Q5_K_M", "Q8_0"))]


@pytest.mark.parametrize("way", [[], ["--copy"], ["--link"]], ids=str)
def test_a_projector_goes_to_the_model_that_it_is_named_after(commands, way):
    folder = commands.home / "Downloads"
    for name in ("alpha-Q4_K_M.gguf", "beta-Q8_0.gguf", "mmproj-beta-f16.gguf", "mmproj-f16.gguf"):
        put(folder / name)
    done = commands("import", *way, str(folder))
    assert done.returncode == 0, done.stderr
    assert commands.files() == [
        "imported/alpha/alpha-Q4_K_M.gguf", "imported/beta/beta-Q8_0.gguf", "imported/beta/mmproj-beta-f16.gguf"]
    root = commands.models
    assert done.stderr.endswith(
        "martlet: mmproj-f16.gguf may be of each of alpha-Q4_K_M.gguf, beta-Q8_0.gguf, and is left where it is: put it to "
        f"the model that it is of, into {root}/imported/alpha/ or {root}/imported/beta/\n")
    assert sorted(path.name for path in folder.iterdir())[-1] == "mmproj-f16.gguf"


# Whom to trust

def test_a_hub_whose_authority_only_SSL_CERT_FILE_names(commands, tmp_path):
    authority = Authority(tmp_path, "localhost")
    mirror = Hub(tls=authority.server)
    try:
        mirror.add(REPOSITORY, {FILE: TINY})
        refused = commands("get", REPOSITORY, **mirror.environment)
        assert refused.returncode == 1
        assert "is not trusted: SSL_CERT_FILE can name the authorities to trust" in refused.stderr
        (tmp_path / "empty.pem").write_text("")
        broken = commands("get", REPOSITORY, SSL_CERT_FILE=str(tmp_path / "empty.pem"), **mirror.environment)
        assert "empty.pem, which is no PEM file of certificates that can be read" in broken.stderr
        assert mirror.requests == []
        got = commands("get", REPOSITORY, SSL_CERT_FILE=str(authority.file), **mirror.environment)
        assert got.returncode == 0 and "tiny-chat is here, and checked" in got.stdout, got.stderr
    finally:
        mirror.close()
