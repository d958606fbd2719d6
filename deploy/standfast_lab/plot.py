# SPDX-License-Identifier: BSD-3-Clause
"""The demo's picture: latency over time with what happened, around the failover, and by
percentile."""
import bisect
import os
import subprocess

SCRIPT = """\
set terminal pngcairo size 1400,1050 font 'DejaVu Sans,11' background '#ffffff'
set output '{out}/latency.png'
set multiplot
set border 3 lc rgb '#444444'
set tics nomirror
set grid ytics lc rgb '#dddddd' lw 1
set logscale y
set yrange [{low}:{high}]
set ytics ('1 µs' 1e-3, '10 µs' 1e-2, '100 µs' 1e-1, '1 ms' 1, '10 ms' 10, '100 ms' 100, \\
    '1 s' 1e3, '10 s' 1e4)
set lmargin 11
set rmargin 4
unset key

set origin 0,0.5
set size 1,0.5
set tmargin 6
set title "Every update at {rate} a second, from the moment it was due to its answer" \\
    font ',14' offset 0,2.6
set xlabel 'seconds since the load began'
set xrange [0:{seconds}]
{marks}
set datafile separator ','
plot '{out}/open/trace.csv' skip 1 using (($1-{first})/1e9):(($2-$1)/1e6) \\
    with points pt 7 ps 0.25 lc rgb '#901f6f9f'

unset object
unset label
unset arrow
set tmargin 4
set origin 0,0
set size 0.5,0.49
set title "{failover_title}" font ',14' offset 0,0.8
set xlabel 'seconds since the kill'
set xrange [{failover_from}:{failover_to}]
{failover_marks}
plot '{out}/failover.csv' skip 1 using 1:3 with points pt 7 ps 0.3 lc rgb '#901f6f9f'

set datafile separator whitespace
unset object
unset label
unset arrow
set origin 0.5,0
set size 0.49,0.49
set title "Latency by percentile" font ',14' offset 0,0.8
set xlabel 'share of requests that are faster'
set logscale x
set xrange [1:*]
set xtics ('0' 1, '50 %%' 2, '90 %%' 10, '99 %%' 100, '99.9 %%' 1000, '99.99 %%' 1e4, \\
    '99.999 %%' 1e5)
set grid xtics ytics lc rgb '#dddddd' lw 1
set key bottom right Left reverse samplen 2 spacing 1.3 font ',10' opaque
plot {curves}
"""
CURVE = ("'{path}' using (strcol(4) eq '' ? NaN : $4):($1/1e3) with lines lw 2.5 "
         "lc rgb '{colour}' title \"{title}\"")
COLOURS = ["#1f6f9f", "#d1742c", "#4a8c3f"]
TROUBLE, GOOD = ("#f6d9c4", "#a04a10"), ("#d9ead3", "#38761d")
BEFORE_S, AFTER_S = 0.4, 1.6        # of the failover, in its own picture and table
NARROW = 0.004                      # of the picture: a shorter band would not be seen


def _marks(events, seconds):
    """A band for each event, its name above the frame, on two levels so that names do not meet."""
    lines = []
    for number, event in enumerate(events, 1):
        band, ink = GOOD if event.get("good") else TROUBLE
        end = max(event["to"], event["from"] + seconds * NARROW)
        lines.append(f"set object {number} rectangle from first {event['from']:.3f}, graph 0 to "
                     f"first {end:.3f}, graph 1 fs solid 0.9 noborder fc rgb '{band}' behind")
        lines.append(f"set label {number} \"{event['name']}\" at first "
                     f"{(event['from'] + end) / 2:.3f}, graph {1.04 + 0.06 * (number % 2 == 0):.2f} "
                     f"center font ',10' textcolor rgb '{ink}'")
    return "\n".join(lines)


def _failover_marks(event):
    """Lines at what the nodes did, in seconds since the kill."""
    lines = []
    for number, (at, text, side) in enumerate((
            (0, "killed", "left"), (event["noticed"] - event["from"], "noticed ", "right"),
            (event["to"] - event["from"], " serves", "left")), 1):
        lines.append(f"set arrow {number} from first {at:.4f}, graph 0 to first {at:.4f}, graph 1 "
                     "nohead lw 1.2 lc rgb '#a04a10' back")
        lines.append(f"set label {number} \"{text}\" at first {at:.4f}, graph 1.03 {side} "
                     "font ',10' textcolor rgb '#a04a10'")
    return "\n".join(lines)


def _trace(out):
    """(due, answered) of each request, unix ns."""
    with open(os.path.join(out, "open", "trace.csv")) as file:
        next(file)
        return [tuple(map(int, line.split(","))) for line in file]


def gaps(out, events):
    """Of each event {from, to} in unix seconds: the longest time without an answer that lies in it
    in part, in ns."""
    answered = sorted(answer for _, answer in _trace(out))
    longest = []
    for event in events:
        begin, end = event["from"] * 1e9, event["to"] * 1e9
        first = max(0, bisect.bisect_left(answered, begin) - 1)
        last = bisect.bisect_right(answered, end) + 1
        near = answered[first:last]
        longest.append(max((b - a for a, b in zip(near, near[1:])), default=0))
    return longest


def _save_failover(out, trace, event):
    """failover.csv: what was due around the failover, in seconds since the kill."""
    killed = event["from"] * 1e9
    begin, end = killed - BEFORE_S * 1e9, (event["to"] + AFTER_S) * 1e9
    with open(os.path.join(out, "failover.csv"), "w") as file:
        file.write("due_s,answered_s,latency_ms\n")
        for due, answered in sorted(trace):
            if begin <= due <= end:
                file.write(f"{(due - killed) / 1e9:.6f},{(answered - killed) / 1e9:.6f},"
                           f"{(answered - due) / 1e6:.4f}\n")


def draw(out, rate, seconds, events, curves):
    """Writes OUT/failover.csv, OUT/latency.gp and OUT/latency.png. events: {name, from, to} in unix
    seconds, the first one the failover, with noticed; curves: (title, path of a .hgrm). None, or why
    there is no picture."""
    trace = _trace(out)
    if not trace:
        return "no request was answered"
    failover = events[0]
    _save_failover(out, trace, failover)
    first = min(due for due, _ in trace)
    latencies = [(answered - due) / 1e6 for due, answered in trace]
    shown = [{**event, "from": event["from"] - first / 1e9, "to": event["to"] - first / 1e9}
             for event in events]
    script = os.path.join(out, "latency.gp")
    with open(script, "w") as file:
        file.write(SCRIPT.format(
            out=out, rate=f"{rate:,}", seconds=f"{seconds:.3f}", first=first,
            marks=_marks(shown, seconds),
            failover_title=f"The takeover: {failover['name']}, and what was due meanwhile",
            failover_from=-BEFORE_S, failover_to=failover["to"] - failover["from"] + AFTER_S,
            failover_marks=_failover_marks(failover),
            low=max(min(latencies) / 2, 1e-3), high=max(latencies) * 2,
            curves=", \\\n    ".join(
                CURVE.format(path=path, title=title, colour=COLOURS[number % len(COLOURS)])
                for number, (title, path) in enumerate(curves))))
    try:
        result = subprocess.run(["gnuplot", script], capture_output=True, text=True, timeout=60)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        return str(error)
    return result.stderr.strip() or "gnuplot failed" if result.returncode else None
