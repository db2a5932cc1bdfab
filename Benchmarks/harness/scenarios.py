"""What is asked of each target, and in which order."""

from dataclasses import dataclass, replace

# What a target's name may end in, and where it is asked then.
PATHS = {
    "": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses", "native": "/api/v1/chat"}
# What the mock is said to be, by the name of a Martlet before it: settings of an upstream.
MARTLETS = {
    "martlet-exact": {"kind": "openai-compatible", "mode": "exact"},
    "martlet-repair": {"kind": "openai-compatible", "mode": "repair"},
    "martlet-to-messages": {"kind": "anthropic", "mode": "repair"},
    "martlet-to-responses": {"kind": "openai", "mode": "repair", "dialect": "responses"},
}
MANAGED = ("nginx", *MARTLETS)
# Every client's dialect before every upstream's, and LM Studio's own API before one of Chat.
RELAYED_PAIRS = ("martlet-repair", "martlet-to-messages:messages", "martlet-to-responses:responses")
TRANSLATED_PAIRS = (
    "martlet-repair:messages", "martlet-repair:responses", "martlet-repair:native", "martlet-to-messages",
    "martlet-to-messages:responses", "martlet-to-responses", "martlet-to-responses:messages",
)


@dataclass(frozen=True)
class Target:
    """Something that answers: `service` names the process, `name` the row it gets in the tables."""

    name: str
    service: str
    path: str
    url: str = ""
    pid: int = 0
    model: str = "mock"

    @property
    def is_managed(self):
        return self.service in MANAGED


def make_target(name, **place):
    """A target by its name; one that ends in ":messages", ":responses" or ":native" is asked in that API's form."""
    service, _, client = name.partition(":")
    return Target(name, service, PATHS[client], **place)


@dataclass(frozen=True)
class Scenario:
    """`flags` are the load generator's; `style` picks the runner and the table; `metric` is what ratios are made of."""

    name: str
    title: str
    style: str
    metric: str
    flags: tuple


def scenario(name, title, style, metric, flags):
    return Scenario(name, title, style, metric, tuple(flags.split()))


SCENARIOS = [
    scenario(
        "idle1000", "1000 open streams, an event a second each, freshly started", "idle", "rss_per_1000",
        "-c 1000 -s 1024 -S -n 60 -g 1000000",
    ),
    scenario("json1k", "1 KB request, 1 KB reply, 16 connections", "json", "cpu_us_req", "-c 16 -s 1024"),
    scenario("json100k", "100 KB request, 1 KB reply, 16 connections", "json", "cpu_us_req", "-c 16 -s 102400"),
    scenario(
        "sse_burst", "streams of 200 events sent at once, 16 connections", "stream", "cpu_us_event",
        "-c 16 -s 1024 -S -n 200 -g 0",
    ),
    scenario(
        "sse_paced", "64 streams of 200 events, one each 10 ms", "stream", "cpu_us_event",
        "-c 64 -s 1024 -S -n 200 -g 10000",
    ),
    scenario(
        "rate1k", "1000 requests of 1 KB a second, on a fixed schedule", "rate", "added_p50",
        "-c 64 -s 1024 -r 1000",
    ),
    scenario(
        "saturation", "1 KB requests as fast as they go, on two cores", "saturation", "rps", "-c 64 -s 1024 -D 10",
    ),
    scenario("loops", "throughput of 1 KB requests with one loop and with two", "loops", "rps", "-c 32 -s 1024"),
]


class Runner:
    """Runs scenarios over targets; each round asks every target once, in alternating order."""

    def __init__(self, bench, targets, options, say):
        self.bench = bench
        self.targets = targets
        self.options = options
        self.say = say
        self.services = {}
        self.failed_replies = 0

    def run(self, chosen):
        """Yields each scenario with its measured lines, {target: [line, ...]}."""
        for item in chosen:
            self.say(f"{item.name}: {item.title}")
            yield item, getattr(self, "run_" + item.style)(item)

    # ---- Runners, by style ----

    def run_json(self, item):
        return self.rounds(item, self.targets, self.options.rounds, self.options.seconds)

    run_stream = run_json

    def run_rate(self, item):
        lines = self.run_json(item)
        for own in lines.values():
            for line, direct in zip(own, lines["direct"]):
                line["added_p50"] = line["total_p50"] - direct["total_p50"]
                line["added_p99"] = line["total_p99"] - direct["total_p99"]
        return lines

    def run_idle(self, item):
        """A fresh process each time: what an allocator kept from other work would blur the memory."""
        targets = [target for target in self.targets if target.name != "direct"]
        lines = {target.name: [] for target in targets}
        for number in range(min(self.options.rounds, 3)):
            for target in ordered(targets, number):
                service = self.start(target.service, self.options.workers) if target.is_managed else None
                line = self.measure(item, located(target, service), 4, warm_up=2)
                line["rss_per_1000"] = (line["rss_mid"] - line["rss_start"]) * 1000 / max(line["open_mid"], 1)
                lines[target.name].append(line)
                if service:
                    self.bench.stop(service)
        return lines

    def run_saturation(self, item):
        targets = [target for target in self.targets if target.is_managed]
        return self.on_own_instances(item, targets, (2,), 1, self.options.saturation_seconds)

    def run_loops(self, item):
        targets = [target for target in self.targets if target.is_managed]
        return self.on_own_instances(item, targets, (1, 2), self.options.rounds, self.options.seconds)

    # ---- Pieces ----

    def on_own_instances(self, item, targets, loop_counts, rounds, seconds):
        """Rounds over instances with these numbers of loops, started for it; rows are named "NAME xLOOPS"."""
        self.stop_services()
        placed = []
        for target in targets:
            for loops in loop_counts:
                place = located(target, self.service(target.service, loops))
                placed.append(replace(place, name=f"{target.name} x{loops}"))
        lines = self.rounds(item, placed, rounds, seconds)
        self.stop_services()
        return lines

    def rounds(self, item, targets, rounds, seconds):
        placed = [self.place(target) for target in targets]
        lines = {target.name: [] for target in placed}
        for number in range(rounds):
            for target in ordered(placed, number):
                lines[target.name].append(self.measure(item, target, seconds))
        return lines

    def measure(self, item, target, seconds, warm_up=1):
        flags = [*item.flags, "-w", str(warm_up), "-d", str(seconds)]
        line, complaint = self.bench.load(target, flags, seconds + warm_up + 30)
        failed = line["errs"] + line["non2xx"] + (line["unfinished"] if "-D" in item.flags else 0)
        if failed:
            self.failed_replies += failed
            self.say(f"! {target.name}: {failed} failed replies in {item.name}\n{complaint}")
        return line

    def place(self, target):
        """The target with its address; what is ours is started when first needed."""
        if target.url:
            return target
        return located(target, self.service(target.service, self.options.workers))

    def service(self, name, loops):
        if (name, loops) not in self.services:
            self.services[name, loops] = self.start(name, loops)
        return self.services[name, loops]

    def start(self, name, loops):
        if name == "nginx":
            return self.bench.start_nginx(loops)
        return self.bench.start_martlet(name, MARTLETS[name], loops)

    def stop_services(self):
        for service in self.services.values():
            self.bench.stop(service)
        self.services.clear()


def located(target, service):
    return replace(target, url=service.url, pid=service.pid) if service else target


def ordered(targets, number):
    return targets if number % 2 == 0 else targets[::-1]
