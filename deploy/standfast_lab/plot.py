# SPDX-License-Identifier: BSD-3-Clause
"""The demo's picture: latency over time with the faults marked, and latency by percentile."""
import os
import subprocess

SCRIPT = """\
set terminal pngcairo size 1400,1000 font 'DejaVu Sans,11' background '#ffffff'
set output '{out}/latency.png'
set multiplot
set border 3 lc rgb '#444444'
set tics nomirror
set grid ytics lc rgb '#dddddd' lw 1
set logscale y
set yrange [{low}:{high}]
set ytics ('1 µs' 1e-3, '10 µs' 1e-2, '100 µs' 1e-1, '1 ms' 1, '10 ms' 10, '100 ms' 100, \\
    '1 s' 1e3, '10 s' 1e4)

set origin 0,0.48
set size 1,0.52
set lmargin 11
set rmargin 4
set tmargin 5
set title "Every update at {rate} a second, from the moment it was due to its answer" \\
    font ',14' offset 0,1.4
set xlabel 'seconds since the load began'
set xrange [0:{seconds}]
unset key
{marks}
set datafile separator ','
plot '{out}/open/trace.csv' skip 1 using (($1-{first})/1e9):(($2-$1)/1e6) \\
    with points pt 7 ps 0.25 lc rgb '#901f6f9f'

set datafile separator whitespace
unset object
unset label
set origin 0,0
set size 0.99,0.48
set tmargin 4
set title "Latency by percentile" font ',14' offset 0,0
set xlabel 'share of requests that are faster'
set logscale x
set xrange [1:*]
set xtics ('0 %%' 1, '50 %%' 2, '90 %%' 10, '99 %%' 100, '99.9 %%' 1000, '99.99 %%' 1e4, \\
    '99.999 %%' 1e5)
set grid xtics ytics lc rgb '#dddddd' lw 1
set key bottom right Left reverse samplen 2 spacing 1.3
plot {curves}
"""
CURVE = ("'{path}' using (strcol(4) eq '' ? NaN : $4):($1/1e3) with lines lw 2.5 "
         "lc rgb '{colour}' title \"{title}\"")
COLOURS = ["#1f6f9f", "#d1742c", "#4a8c3f"]


def _marks(events):
    """A band for each time of trouble, its name above the frame."""
    lines = []
    for number, event in enumerate(events, 1):
        lines.append(f"set object {number} rectangle from first {event['from']:.3f}, graph 0 to "
                     f"first {event['to']:.3f}, graph 1 fs solid 0.9 noborder fc rgb '#f6d9c4' "
                     "behind")
        middle = (event["from"] + event["to"]) / 2
        lines.append(f"set label {number} \"{event['name']}\" at first {middle:.3f}, graph 1.04 "
                     "center font ',10' textcolor rgb '#a04a10'")
    return "\n".join(lines)


def _extremes(trace):
    """Of a trace.csv: first due time, lowest and highest latency in ms."""
    first, low, high = None, 1e9, 0.0
    with open(trace) as file:
        next(file)
        for line in file:
            due, answered = map(int, line.split(","))
            first = due if first is None else min(first, due)
            low, high = min(low, (answered - due) / 1e6), max(high, (answered - due) / 1e6)
    return first, low, high


def draw(out, rate, seconds, events, curves):
    """Writes OUT/latency.gp and OUT/latency.png. events: {name, from, to} in unix seconds; curves:
    (title, path of a .hgrm). None, or why there is no picture."""
    first, low, high = _extremes(os.path.join(out, "open", "trace.csv"))
    if first is None:
        return "no request was answered"
    shown = [{**event, "from": event["from"] - first / 1e9, "to": event["to"] - first / 1e9}
             for event in events]
    script = os.path.join(out, "latency.gp")
    with open(script, "w") as file:
        file.write(SCRIPT.format(
            out=out, rate=f"{rate:,}", seconds=seconds, first=first, marks=_marks(shown),
            low=max(low / 2, 1e-3), high=high * 2,
            curves=", \\\n    ".join(
                CURVE.format(path=path, title=title, colour=COLOURS[number % len(COLOURS)])
                for number, (title, path) in enumerate(curves))))
    try:
        result = subprocess.run(["gnuplot", script], capture_output=True, text=True, timeout=60)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        return str(error)
    return result.stderr.strip() or "gnuplot failed" if result.returncode else None
