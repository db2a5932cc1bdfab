"""Tables of medians, their ratios to nginx, and the goals Martlet is held to."""

from dataclasses import dataclass
from statistics import median

from .scenarios import TRANSLATED_PAIRS

BASE = "nginx"
BASES = {"loops": "nginx x1", "saturation": "nginx x2"}
LIVE = ("martlet-exact", "martlet-repair")

# Columns of each style's table: heading, key of the load generator's line, digits after the point, factor.
COLUMNS = {
    "json": [
        ("requests/s", "rps", 0, 1), ("CPU µs/request", "cpu_us_req", 1, 1), ("ratio", "ratio", 2, 1),
        ("spread %", "spread", 0, 100), ("user µs", "user_us_req", 1, 1), ("p50 µs", "total_p50", 0, 1),
        ("p99 µs", "total_p99", 0, 1),
    ],
    "stream": [
        ("events/s", "events_per_s", 0, 1), ("CPU µs/event", "cpu_us_event", 3, 1), ("ratio", "ratio", 2, 1),
        ("spread %", "spread", 0, 100), ("first byte p50 µs", "ttfb_p50", 0, 1),
        ("event delay p50 µs", "ev_p50", 0, 1), ("event delay p99 µs", "ev_p99", 0, 1),
    ],
    "rate": [
        ("p50 µs", "total_p50", 1, 1), ("added p50 µs", "added_p50", 1, 1), ("ratio", "ratio", 2, 1),
        ("p99 µs", "total_p99", 0, 1), ("added p99 µs", "added_p99", 0, 1), ("CPU µs/request", "cpu_us_req", 1, 1),
        ("late", "late", 0, 1),
    ],
    "idle": [
        ("RSS at start MB", "rss_start", 1, 1 / 1024), ("streams open", "open_mid", 0, 1),
        ("MB/1000 streams", "rss_per_1000", 1, 1 / 1024), ("ratio", "ratio", 2, 1),
    ],
    "saturation": [
        ("requests/s", "rps", 0, 1), ("ratio", "ratio", 2, 1), ("started", "started", 0, 1),
        ("unfinished", "unfinished", 0, 1), ("p50 µs", "total_p50", 0, 1), ("p99 µs", "total_p99", 0, 1),
        ("cores used", "cpu_util", 2, 1),
    ],
    "loops": [
        ("requests/s", "rps", 0, 1), ("ratio", "ratio", 2, 1), ("spread %", "spread", 0, 100),
        ("cores used", "cpu_util", 2, 1), ("CPU µs/request", "cpu_us_req", 1, 1),
        ("machine busy %", "machine_busy", 0, 100),
    ],
}


def paired_ratio(lines, base_lines, metric):
    """The median of the ratios round by round: what disturbs a whole round falls out."""
    ratios = [own[metric] / base[metric] for own, base in zip(lines, base_lines) if base[metric] > 0]
    return median(ratios) if ratios else None


def spread(lines, metric):
    """How far the rounds lie apart, as a share of their median."""
    values = [line[metric] for line in lines]
    middle = median(values)
    return (max(values) - min(values)) / middle if middle else 0


def summarize(item, lines):
    """One row of medians per target, with `ratio` (None without a base) and `spread` of the scenario's metric."""
    base = BASES.get(item.style, BASE)
    rows = {}
    for name, own in lines.items():
        row = {key: median(line[key] for line in own) for key in own[0] if key != "label"}
        row["errors"] = sum(line["errs"] + line["non2xx"] for line in own)
        row["ratio"] = paired_ratio(own, lines[base], item.metric) if base in lines else None
        row["spread"] = spread(own, item.metric)
        rows[name] = row
    return rows


def markdown(headings, rows):
    lines = ["| " + " | ".join(headings) + " |", "|---" + "|---:" * (len(headings) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def number(value, digits=2):
    return "–" if value is None else f"{value:.{digits}f}"


def cell(row, column):
    """A value as the table shows it; a time of zero means there was nothing to measure."""
    _, key, digits, factor = column
    value = row[key]
    if value is None or (value == 0 and key.endswith(("_p50", "_p99"))):
        return "–"
    return number(value * factor, digits)


def scenario_table(item, rows):
    columns = COLUMNS[item.style]
    headings = ["target", *(column[0] for column in columns), "errors"]
    body = [[name, *(cell(row, column) for column in columns), str(row["errors"])] for name, row in rows.items()]
    return f"### {item.name}: {item.title}\n\n" + markdown(headings, body)


def one_line(item, rows):
    """The scenario's metric for every target, to show while the rest still runs."""
    return ", ".join(f"{name} {number(row[item.metric])} ({number(row['ratio'])})" for name, row in rows.items())


def overview(summary):
    """CPU and latency of every target in one table, each with its ratio to nginx; empty without such scenarios."""
    columns = [
        ("json1k", "cpu_us_req", "1 KB request, CPU µs", 1),
        ("json100k", "cpu_us_req", "100 KB request, CPU µs", 1),
        ("sse_burst", "cpu_us_event", "burst, CPU µs/event", 2),
        ("sse_paced", "cpu_us_event", "paced, CPU µs/event", 1),
        ("rate1k", "added_p50", "added p50 µs", 1),
    ]
    columns = [column for column in columns if column[0] in summary]
    if not columns:
        return ""
    names = list(dict.fromkeys(name for column in columns for name in summary[column[0]]))
    body = []
    for name in names:
        cells = [name]
        for item, key, _, digits in columns:
            row = summary[item].get(name)
            cells.append(f"{number(row[key], digits)} ({number(row['ratio'])})" if row else "–")
        body.append(cells)
    return markdown(["target", *(column[2] for column in columns)], body)


# ---- Goals ----


@dataclass
class Goal:
    text: str
    target: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def held(self):
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def cells(self):
        sign = "≥" if self.at_least else "≤"
        return [self.text, self.target, f"{self.value:.2f}", f"{sign} {self.limit:g}", "yes" if self.held else "**no**"]


NGINX_RATIOS = [
    ("json1k", "CPU per 1 KB request, ratio to nginx", 1.6),
    ("json100k", "CPU per 100 KB request, ratio to nginx", 1.4),
    ("sse_burst", "CPU per relayed event, burst, ratio to nginx", 1.0),
    ("sse_paced", "CPU per relayed event, paced, ratio to nginx", 1.5),
    ("rate1k", "added p50, ratio to nginx", 1.1),
]
RELAYED = "martlet-repair"
PEER_RATIOS = [("litellm", 1 / 300), ("tensorzero", 1 / 3)]
TRANSLATED_RATIOS = [
    ("sse_burst", "CPU per translated event over relayed, burst", 2.0),
    ("sse_paced", "CPU per translated event over relayed, paced", 1.15),
]


def ratio_goals(summary, name):
    for item, text, limit in NGINX_RATIOS:
        row = summary.get(item, {}).get(name)
        if row and row["ratio"] is not None:
            yield Goal(text, name, row["ratio"], limit)
    for peer, limit in PEER_RATIOS:
        rows = summary.get("json1k", {})
        if peer in rows and name in rows:
            value = rows[name]["cpu_us_req"] / rows[peer]["cpu_us_req"]
            yield Goal(f"CPU per 1 KB request, ratio to {peer}", name, value, round(limit, 4))


def translated_goals(measured):
    """Of each pair of dialects, against the relay of the smallest events there are, Chat's."""
    for item, text, limit in TRANSLATED_RATIOS:
        lines = measured.get(item, {})
        for name in TRANSLATED_PAIRS:
            if RELAYED in lines and name in lines:
                value = paired_ratio(lines[name], lines[RELAYED], "cpu_us_event")
                if value is not None:
                    yield Goal(text, name, value, limit)


def other_goals(summary, ready_ms, name):
    idle = summary.get("idle1000", {}).get(name)
    if idle:
        yield Goal("RSS at start, MB", name, idle["rss_start"] / 1024, 25)
        yield Goal("RSS per 1000 open streams, MB", name, idle["rss_per_1000"] / 1024, 25)
        yield Goal("streams held open", name, idle["open_mid"], 1000, at_least=True)
    if name in ready_ms:
        yield Goal("time to the ready line, ms", name, median(ready_ms[name]), 100)
    saturated = summary.get("saturation", {}).get(name + " x2")
    if saturated:
        lost = saturated["errors"] + saturated["unfinished"]
        yield Goal("requests lost at saturation", name, lost, 0)
    yield from loop_goals(summary.get("loops", {}), name)


def gain(loops, name):
    """How much more a target answers with two loops than with one."""
    return loops[name + " x2"]["rps"] / loops[name + " x1"]["rps"]


def loop_goals(loops, name):
    if name + " x2" not in loops:
        return
    text = f"throughput, two loops over one (nginx: {gain(loops, BASE):.2f})"
    yield Goal(text, name, gain(loops, name), 1.5, at_least=True)
    cost = loops[name + " x2"]["cpu_us_req"] / loops[name + " x1"]["cpu_us_req"]
    yield Goal("CPU per request, two loops over one", name, cost, 1.33)


def goals(measured, summary, ready_ms):
    """What Martlet is held to, as far as it was measured."""
    found = []
    for name in LIVE:
        found += ratio_goals(summary, name)
        found += other_goals(summary, ready_ms, name)
    found += translated_goals(measured)
    return found


def goals_table(found):
    return markdown(["goal", "target", "measured", "limit", "held"], [goal.cells() for goal in found])


def document(machine, settings, summary, items, found):
    """The whole report as markdown."""
    parts = [
        f"Measured {machine['date']} on {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}; "
        f"{', '.join(machine['versions'])}. "
        f"Other work used {machine['cores_used_by_others']:.1f} cores at the start. "
        f"{settings['rounds']} rounds of {settings['seconds']} s, interleaved; medians; "
        f"{settings['workers']} worker or loop each unless a row says otherwise. "
        "In brackets and in the column ratio: to nginx, the median of the rounds' ratios."
    ]
    table = overview(summary)
    if table:
        parts.append("### CPU and latency\n\n" + table)
    if found:
        parts.append("### Goals\n\n" + goals_table(found))
    parts += [scenario_table(item, summary[item.name]) for item in items]
    return "\n\n".join(parts) + "\n"
