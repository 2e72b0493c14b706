# SPDX-License-Identifier: BSD-2-Clause
"""The page of report.py: what the serial logs say, as HTML that is well-formed XML, too. No scripts,
no other files; every number comes from a log."""
import html
import math
import pathlib
import sys

import guest_log

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "bench"))

import exits as bench_exits  # noqa: E402 (after the path is set)
import fred as bench_fred  # noqa: E402

TITLES = {
    "soft": "FRED by software, in a guest",
    "native": "FRED of the processor, in a guest",
    "bare": "FRED of the processor, without Manfred",
}
# What the header tells of a boot: a name, and where the log says so.
FACTS = (
    ("Manfred", r": loader: version (\S+)"),
    ("Date of the machine", r": loader: date (.*)$"),
    ("Processor", r": loader: processor (.*)$"),
    ("Firmware", r": loader: firmware (.*)$"),
    ("Processors", r": loader: (\d+) processors?$"),
    ("Serial port", r": loader: serial port at (.*)$"),
    ("Memory", r"(?:manfred: VMM at|leaving the firmware;)\D.*?(\d+ MiB) of RAM"),
    ("VMX", r"manfred: (VMX revision .*)$"),
    ("FRED", r"manfred: FRED: (.*)$"),
    ("Method", r"manfred: fred: ([^,]*),"),
)
EVENT_TYPES = {
    0: "external interrupt", 2: "NMI", 3: "exception", 4: "software interrupt",
    5: "privileged software exception", 6: "software exception", 7: "SYSCALL or SYSENTER",
}
VALID = 1 << 31
STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;
 color:#1b1f24;background:#fff}
h1{margin-bottom:.2rem} h2{margin-top:2.5rem;border-bottom:1px solid #d0d7de} p{max-width:52rem}
table{border-collapse:collapse} td,th{padding:.15rem .7rem;text-align:left;vertical-align:top}
tr{border-bottom:1px solid #eaeef2} td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.row{display:grid;grid-template-columns:minmax(12rem,1fr) repeat(3,minmax(10rem,1fr));gap:.3rem}
.head{font-weight:600;padding-left:1.2rem} details{border-bottom:1px solid #eaeef2}
details details{border:0} summary{cursor:pointer} summary .row{display:inline-grid;width:95%}
.box{padding:0 .5rem;border-radius:4px} .test{font-family:ui-monospace,monospace;font-size:13px;
 padding-left:1.2rem} pre{margin:.2rem 0 .4rem 2rem;font-size:12px;white-space:pre-wrap}
.passed{background:#dafbe1;color:#0b4a1e} .failed{background:#ffd7d5;color:#82071e;font-weight:600}
.expected,.unexpected{background:#fff3c4;color:#5c4300} .skipped,.absent{background:#eaeef2;color:#424a53}
svg{max-width:100%;height:auto;font:12px system-ui,sans-serif} .muted{color:#57606a}
"""
WAY_COLOURS = {"soft": "#8250df", "native": "#0969da", "bare": "#57606a"}


class Markup(str):
    """Text that is HTML already."""


def element(tag, *content, **attributes):
    """<tag ...>content</tag>; what is no Markup is escaped. `class_` is the attribute class."""
    inside = "".join(
        part if isinstance(part, Markup) else html.escape(str(part), quote=False) for part in content
    )
    inside = "".join(c if c >= " " or c in "\n\t" else "?" for c in inside)
    names = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for name, value in attributes.items()
    )
    return Markup(f"<{tag}{names}>{inside}</{tag}>")


def join(parts):
    return Markup("".join(parts))


def table(head, rows):
    """Numbers stand on the right."""

    def cell(content):
        if isinstance(content, int):
            return element("td", f"{content:,}", class_="n")
        return element("td", content)

    heads = [
        element("th", text, class_="n") if any(isinstance(row[column], int) for row in rows)
        else element("th", text) for column, text in enumerate(head)
    ]
    body = [element("tr", *(cell(content) for content in row)) for row in rows]
    return element("table", element("tr", *heads), *body)


def not_run(why):
    return element("span", f"not run: {why}", class_="box absent")


# ---- The machine, and the totals ----


def header(ways):
    logs = {way.name: way.logs[0] for way in ways if way.logs}
    rows = []
    for name, pattern in FACTS:
        told = {way: log.fact(pattern) for way, log in logs.items()}
        if any(told.values()):
            rows.append([name, *(told[way] or "" for way in logs)])
    return table(["", *logs], rows)


def verdict(way):
    if not way.suite:
        return not_run(way.why_no_suite)
    counts = way.suite.counts()
    text = ", ".join(
        f"{counts[outcome]:,} {label(outcome)}" for outcome in guest_log.OUTCOMES
        if counts[outcome] or outcome in (guest_log.PASSED, guest_log.FAILED)
    )
    if not way.suite.complete():
        text += "; the log is not complete"
    bad = counts[guest_log.FAILED] or not way.suite.complete()
    return element("span", text, class_="box " + ("failed" if bad else "passed"))


def label(outcome):
    return {
        guest_log.EXPECTED: "failed as a deviation says",
        guest_log.UNEXPECTED: "passed in spite of a deviation",
    }.get(outcome, outcome)


def totals(ways):
    rows = [
        [TITLES[way.name], verdict(way), f"end: {' '.join(way.suite.end)}" if way.suite and way.suite.end
         else ""]
        for way in ways
    ]
    return table(["", "results", ""], rows)


def deviations(ways):
    found = {}
    for way in ways:
        for log in way.logs:
            found.update(log.errata)
    if not found:
        return Markup("")
    rows = [[name, found[name]] for name in sorted(found, key=lambda name: (len(name), name))]
    return join([element("h3", "Deviations that the VMM's self-test found"), table(["", ""], rows)])


# ---- The matrix ----


def by_chapter(ways):
    """{chapter: {test name: {way: Test}}}, in the order of the logs."""
    chapters = {}
    for way in ways:
        for test in way.suite.tests if way.suite else ():
            names = chapters.setdefault(test.chapter, {})
            names.setdefault(test.name, {})[way.name] = test
    return chapters


def chapter_cell(way, names):
    if not way.suite:
        return element("span", "not run", class_="box absent")
    counts = dict.fromkeys(guest_log.OUTCOMES, 0)
    for tests in names.values():
        if way.name in tests:
            counts[tests[way.name].outcome] += 1
    told = [outcome for outcome in guest_log.OUTCOMES if counts[outcome]]
    if not told:
        return element("span", "not part of it", class_="box absent")
    worst = next(
        outcome for outcome in (guest_log.FAILED, guest_log.EXPECTED, guest_log.UNEXPECTED,
                                guest_log.PASSED, guest_log.SKIPPED) if counts[outcome]
    )
    text = ", ".join(f"{counts[outcome]} {outcome}" for outcome in told)
    return element("span", text, class_=f"box {worst}")


def test_row(ways, name, tests):
    cells = []
    for way in ways:
        test = tests.get(way.name)
        if test:
            text = f"{test.outcome} {test.reason}".strip()
            cells.append(element("span", text, class_=f"box {test.outcome}"))
        else:
            cells.append(element("span", "not run", class_="box absent"))
    row = element("span", element("span", name), *cells, class_="row test")
    details = [
        f"{way.name}: {line}" for way in ways if way.name in tests for line in tests[way.name].details
    ]
    if not details:
        return element("div", row)
    return element("details", element("summary", row), element("pre", "\n".join(details)))


def matrix(ways):
    head = element("div", element("span", "chapter"), *(element("span", way.name) for way in ways),
                   class_="row head")
    chapters = []
    for chapter, names in by_chapter(ways).items():
        cells = (chapter_cell(way, names) for way in ways)
        summary = element("span", element("span", f"{chapter} ({len(names)})"), *cells, class_="row")
        rows = (test_row(ways, name, tests) for name, tests in names.items())
        chapters.append(element("details", element("summary", summary), *rows))
    return join([head, *chapters])


# ---- Exits, as bars ----

BAR_LEFT, BAR_WIDTH, BAR_HEIGHT = 190, 620, 13
# Reasons with no more exits than this get no bar.
RARE = 3


def exit_bars(ways):
    told = [way for way in ways if way.suite and way.suite.exits]
    if not told:
        return element("p", not_run("no log has a VMM's list of exits"))
    reasons = sorted(
        {reason for way in told for reason in way.suite.exits},
        key=lambda reason: -max(way.suite.exits.get(reason, 0) for way in told),
    )
    most = max(max(way.suite.exits.values()) for way in told)
    rare = [reason for reason in reasons
            if all(way.suite.exits.get(reason, 0) <= RARE for way in told)]
    reasons = reasons[:len(reasons) - len(rare)]
    shapes = []
    y = 0
    for reason in reasons:
        middle = y + len(told) * BAR_HEIGHT / 2 + 4
        shapes.append(element("text", reason, x=BAR_LEFT - 8, y=middle, text_anchor="end"))
        for way in told:
            count = way.suite.exits.get(reason, 0)
            # One exit shows, too.
            width = round(BAR_WIDTH * math.log(count + 1) / math.log(most + 1), 1)
            shapes.append(element("rect", x=BAR_LEFT, y=y, width=width, height=BAR_HEIGHT - 2,
                                  fill=WAY_COLOURS[way.name]))
            shapes.append(element("text", f"{count:,}", x=BAR_LEFT + width + 5, y=y + BAR_HEIGHT - 3))
            y += BAR_HEIGHT
        y += 7
    legend = join(
        element("span", way.name, style=f"color:{WAY_COLOURS[way.name]};font-weight:600;margin-right:1rem")
        for way in told
    )
    chart = element("svg", *shapes, viewBox=f"0 0 {BAR_LEFT + BAR_WIDTH + 80} {y}", role="img",
                    aria_label="exits by reason")
    sums = ", ".join(f"{way.name} {sum(way.suite.exits.values()):,}" for way in told)
    rest = f"With {RARE} exits at most: {', '.join(rare)}." if rare else ""
    return join([element("p", legend, f"Exits of the whole suite: {sums}. The scale is logarithmic."),
                 chart, element("p", rest, class_="muted")])


# ---- Costs ----


def costs(ways):
    guests = [way for way in ways if way.name != "bare"]
    round_trips = [
        (name, [text], [target, kvm])
        for name, (text, kvm, target) in bench_exits.ROUND_TRIPS.items()
    ]
    events = []
    for (delivery, back), (event, instruction) in bench_fred.EVENTS.items():
        events.append((delivery, [f"{event}, delivery"], [bench_fred.DELIVERY]))
        events.append((back, [f"{event}, {instruction}"], [bench_fred.RETURN]))
    return join([
        element("h3", "Round trips from the guest to the VMM"),
        cost_table(guests, round_trips, ["target", "KVM"], "bench"),
        element("h3", "FRED's events"),
        cost_table(ways, events, ["target of soft"], "bench-events"),
    ])


def cost_table(ways, lines, head, scenario):
    """`lines`: the guest's name of it, and what stands left and right of the figures."""
    rows = []
    for name, left, right in lines:
        found = [way.bench.get(name, element("span", "not run", class_="muted")) for way in ways]
        if any(isinstance(value, int) for value in found):
            rows.append([*left, *found, *right])
    if not rows:
        return element("p", not_run(f"no log of the scenario {scenario}"))
    return table(["", *(way.name for way in ways), *head], rows)


# ---- One delivery, step by step ----

LINE_LEFT, LINE_WIDTH, LANE_HEIGHT, STEP_HEIGHT = 70, 860, 34, 18


def vectoring(info):
    if not info & VALID:
        return ""
    kind = EVENT_TYPES.get(info >> 8 & 7, "event")
    return f", while the {kind} with vector {info & 0xff} was being delivered"


def steps(log):
    """(ticks since the event was raised, lane, what), from the trace and the guest's own times."""
    line = log.timeline
    found = [
        (line.raised, "guest", f"{line.event.upper()} is about to be executed"),
        (line.handler, "guest", "first instruction of the handler"),
        (line.returned, "guest", "first instruction behind the return"),
    ]
    for entry in log.trace:
        if line.raised <= entry.tsc <= line.returned:
            what = f"exit: {entry.reason} at {entry.rip:#x}"
            if entry.reason == "EPT violation":
                what += f", a {'write' if entry.qualification & 2 else 'read'}"
            found.append((entry.tsc, "VMM", what + vectoring(entry.idt_vectoring)))
    return sorted((tsc - line.raised, lane, what) for tsc, lane, what in found)


def timeline_shapes(name, found):
    """The picture of these steps, and its height."""
    scale = LINE_WIDTH / max(found[-1][0], 1)
    lanes = {"guest": 20, "VMM": 20 + LANE_HEIGHT + 8}
    shapes = [
        element("text", lane, x=LINE_LEFT - 10, y=y + LANE_HEIGHT / 2 + 4, text_anchor="end")
        for lane, y in lanes.items()
    ]
    for (start, lane, _), (end, _, _) in zip(found, found[1:]):
        shapes.append(element("rect", x=round(LINE_LEFT + start * scale, 1), y=lanes[lane],
                              width=round((end - start) * scale, 1), height=LANE_HEIGHT,
                              fill=WAY_COLOURS[name] if lane == "VMM" else "#bfdfc8"))
    above, last = 0, -100.0
    for number, (ticks, lane, _) in enumerate(found, 1):
        x = round(LINE_LEFT + ticks * scale, 1)
        # Marks that would lie on each other move down.
        above = above + 1 if x - last < 16 else 0
        last = x
        bottom = lanes["VMM"] + LANE_HEIGHT
        y = bottom + 16 + above * 18
        shapes.append(element("path", d=f"M{x} {lanes[lane]}V{y - 8}", stroke="#1b1f24",
                              stroke_width=1))
        shapes.append(element("circle", cx=x, cy=y, r=8, fill="#1b1f24"))
        shapes.append(element("text", number, x=x, y=y + 4, text_anchor="middle", fill="#fff"))
    return shapes, lanes["VMM"] + LANE_HEIGHT + 16 + 18 * 4


def timeline_picture(name, found):
    shapes, height = timeline_shapes(name, found)
    return element("svg", *shapes, viewBox=f"0 0 {LINE_LEFT + LINE_WIDTH + 20} {height}", role="img",
                   aria_label=f"{name}: one delivery over time")


def timeline_file(name, found):
    """The same with its steps in words, as an SVG file that needs no page around it."""
    shapes, height = timeline_shapes(name, found)
    for number, (ticks, lane, what) in enumerate(found, 1):
        height += STEP_HEIGHT
        for x, text, anchor in ((30, number, "end"), (85, ticks, "end"), (100, lane, "start"),
                                (150, what, "start")):
            shapes.append(element("text", text, x=x, y=height - 8, text_anchor=anchor))
    width = LINE_LEFT + LINE_WIDTH + 20
    paper = element("rect", width=width, height=height, fill="#fff")
    picture = element("svg", element("title", f"{TITLES[name]}: INT3 whose frame EPT does not map"),
                      paper, *shapes, xmlns="http://www.w3.org/2000/svg",
                      viewBox=f"0 0 {width} {height}", font_family="system-ui, sans-serif",
                      font_size=12)
    return f"{picture}\n"


def timelines(ways):
    parts = [element(
        "p", "An event whose handler's stack EPT does not map. An exit counts from the VMM's note of it, "
        "its end is the next time that is known: the guest's or the next exit's. Ticks of the TSC."
    )]
    for way in ways:
        if way.name == "bare":
            continue
        parts.append(element("h3", TITLES[way.name]))
        if not way.timeline:
            parts.append(element("p", not_run(way.why or "no log of the scenario timeline")))
            continue
        found = steps(way.timeline)
        parts.append(timeline_picture(way.name, found))
        rows = [[number, ticks, lane, what] for number, (ticks, lane, what) in enumerate(found, 1)]
        parts.append(table(["", "ticks", "", "what"], rows))
    return join(parts)


def page(ways):
    """The whole file; `ways` as report.Way."""
    # Bare first: what the others are held against.
    ways = sorted(ways, key=lambda way: ("bare", "native", "soft").index(way.name))
    body = element(
        "body",
        element("h1", "Manfred: report of a run"),
        header(ways), totals(ways), deviations(ways),
        element("h2", "Conformance"),
        element("p", "A row opens to its tests, a test that failed to what it found."),
        matrix(ways),
        element("h2", "Exits by reason"), exit_bars(ways),
        element("h2", "Costs"),
        element("p", "Medians in TSC ticks, which are instructions in the emulator."), costs(ways),
        element("h2", "One delivery, with an EPT violation in the middle"), timelines(ways),
    )
    head = element("head", Markup('<meta charset="utf-8"/>'), element("title", "Manfred: report"),
                   element("style", Markup(STYLE)))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"
