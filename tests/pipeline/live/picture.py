#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The picture of a live run: records per second at each stage over time, both regions, and what the
scenario did meanwhile.

usage: picture.py FOLDER NAME       reads series.csv and steps.csv there, writes pipeline.gp and .png
"""
import csv
import os
import re
import subprocess
import sys

COLOURS = ("#1f6f9f", "#d1742c")        # region 1, region 2
BANDS = {"harm": ("#f6d9c4", "#a04a10"), "switch": ("#dfe7f5", "#2f4f8f"),
         "heal": ("#d9ead3", "#38761d")}
BUCKETS = 150           # of the picture, at most: fewer records in one are noise
PANEL, GAP, TITLE, ROW, BOTTOM = 110, 18, 58, 17, 62       # pixels
LEFT, RIGHT, NAMES = 0.215, 0.985, 0.168                   # of the width

HEAD = """\
set terminal pngcairo size 1400,{height} font 'DejaVu Sans,11' background '#ffffff'
set output '{out}/pipeline.png'
set multiplot
set datafile separator ','
set border 3 lc rgb '#888888'
set tics nomirror textcolor rgb '#444444'
set lmargin at screen {left}
set rmargin at screen {right}
set xrange [0:{seconds:.4f}]
set yrange [0:{most:.0f}]
set ytics (0, '{half_text}' {half:.0f}, '{most_text}' {most:.0f})
set grid ytics lc rgb '#e4e4e4' lw 1
set style fill solid 0.55 noborder
unset key
"""
PANEL_TEXT = """\
set tmargin at screen {top:.5f}
set bmargin at screen {bottom:.5f}
set format x '{format}'
set xlabel '{xlabel}'
set label 1000 "{name}" at screen {names},{middle:.5f} right textcolor rgb '#222222'
plot '{data}' using 1:{one} with filledcurves y=0 lc rgb '{c1}', \\
     '{data}' using 1:{two} with filledcurves y=0 lc rgb '{c2}', \\
     '{data}' using 1:{one} with lines lw 1.3 lc rgb '{c1}', \\
     '{data}' using 1:{two} with lines lw 1.3 lc rgb '{c2}'
unset label 1000
"""


def read(folder):
    with open(os.path.join(folder, "series.csv"), newline="") as file:
        rows = list(csv.reader(file))
    heading, rows = rows[0], [[float(cell) for cell in row] for row in rows[1:]]
    with open(os.path.join(folder, "steps.csv"), newline="") as file:
        steps = [{**step, "from": float(step["from_s"]), "to": float(step["to_s"])}
                 for step in csv.DictReader(file)]
    return heading, rows, steps


def thin(rows):
    """Fewer and longer buckets."""
    many = max(1, -(-len(rows) // BUCKETS))
    kept = [rows[i:i + many] for i in range(0, len(rows), many)]
    return [[part[0][0]] + [sum(column) / many for column in list(zip(*part))[1:]]
            for part in kept]


def corners(rows):
    """Steps as a line: each value at both ends of its time."""
    for row, after in zip(rows, rows[1:]):
        yield row
        yield [after[0]] + row[1:]


def bands(steps, seconds):
    """What was done, neighbours of one kind as one: {from, to, kind, region, count, text}."""
    found = []
    for step in steps:
        if step["kind"] == "goes":
            continue
        last = found[-1] if found else None
        if last and (last["kind"], last["region"]) == (step["kind"], step["region"]) \
                and step["from"] - last["to"] < seconds * 0.004:
            last["to"] = step["to"]
            last["count"] += int(step["count"])
        else:
            text = re.sub(r" and \d+ more$", "", step["text"].split(": ", 1)[-1])
            found.append({**step, "text": text, "count": int(step["count"])})
    return found


def label(band):
    more = band["count"] - 1
    if band["kind"] == "switch":
        verb = "offline" if band["text"].startswith("offline") else "to"
        what = "switch" if more else band["text"].split()[-1]
        return f"{what} to region {band['region']}" if verb == "to" else \
            f"region {band['region']} offline"
    return band["text"] + (f" and {more} more" if more else "")


def spread(places, widths):
    """A row for each label, so that none covers another."""
    ends = []
    rows = []
    for place, width in zip(places, widths):
        begin = place - width / 2
        row = next((i for i, end in enumerate(ends) if end < begin), len(ends))
        if row == len(ends):
            ends.append(0)
        ends[row] = place + width / 2 + 0.01
        rows.append(row)
    return rows


def places_of(found, seconds):
    """Of each label: its middle, as a share of the width, and its row."""
    widths = [len(label(band)) * 6.4 / 1400 for band in found]
    middles = [LEFT + (RIGHT - LEFT) * (band["from"] + band["to"]) / 2 / seconds for band in found]
    middles = [min(max(middle, LEFT + width / 2), RIGHT - width / 2)
               for middle, width in zip(middles, widths)]
    return list(zip(middles, spread(middles, widths)))


def marks(found, places, seconds, top, bottom, height):
    """Bands behind all panels, and their names above."""
    lines = []
    for number, (band, (middle, row)) in enumerate(zip(found, places), 1):
        fill, ink = BANDS[band["kind"]]
        end = min(max(band["to"], band["from"] + seconds * 0.003), seconds)
        x1, x2 = (LEFT + (RIGHT - LEFT) * x / seconds for x in (band["from"], end))
        lines.append(f"set object {number} rectangle from screen {x1:.5f}, screen {bottom:.5f} to "
                     f"screen {x2:.5f}, screen {top:.5f} fs solid 1 noborder fc rgb '{fill}' "
                     "behind")
        lines.append(f"set label {number} \"{label(band)}\" at screen {middle:.5f}, screen "
                     f"{top + (10 + ROW * row) / height:.5f} center font ',10' "
                     f"textcolor rgb '{ink}'")
    return lines


def si(number):
    return f"{number / 1000:g} k" if number >= 1000 else f"{number:g}"


def round_up(number):
    step = 10 ** max(0, len(str(int(number))) - 1)
    return max(2, -(-int(number + 0.999) // step) * step)


def draw(folder, name):
    heading, rows, steps = read(folder)
    rows = thin(rows)
    seconds = max(rows[-1][0], max((step["to"] for step in steps), default=0), 0.02)
    data = os.path.join(folder, "picture.csv")
    with open(data, "w") as file:
        file.writelines(",".join(f"{cell:g}" for cell in row) + "\n" for row in corners(rows))
    found = bands(steps, seconds)
    places = places_of(found, seconds)
    panels = [(heading[i].rsplit(".", 1)[0], i + 1) for i in range(1, len(heading), 2)]
    head = TITLE + ROW * (1 + max((row for _, row in places), default=0))
    height = head + BOTTOM + PANEL * len(panels)
    most = round_up(max(max(row[1:]) for row in rows))
    title_y = 1 - 24 / height
    script = HEAD.format(height=height, out=folder, seconds=seconds, most=most, half=most / 2,
                         half_text=si(most / 2), most_text=si(most), left=LEFT, right=RIGHT)
    lines = [f'set label 900 "{name}, live: records a second at each stage" at screen '
             f'{LEFT},{title_y:.5f} font ",14"']
    for number, (text, colour, x) in enumerate((("region 1", COLOURS[0], 0.86),
                                                ("region 2", COLOURS[1], 0.93)), 901):
        lines.append(f'set label {number} "■ {text}" at screen {x},{title_y:.5f} '
                     f'textcolor rgb "{colour}"')
    lines += marks(found, places, seconds, 1 - head / height, (BOTTOM + GAP) / height, height)
    script += "\n".join(lines) + "\n"
    for number, (panel, column) in enumerate(panels):
        last = number == len(panels) - 1
        upper = 1 - (head + PANEL * number) / height
        lower = upper - (PANEL - GAP) / height
        script += PANEL_TEXT.format(
            top=upper, bottom=lower, middle=(upper + lower) / 2, name=panel, data=data, one=column,
            two=column + 1, c1=COLOURS[0], c2=COLOURS[1], format="%g" if last else "",
            xlabel="seconds" if last else "", names=NAMES)
        if number == 0:         # drawn once: they stand behind all panels
            script += "unset object\n" + "".join(
                f"unset label {i}\n" for i in [900, 901, 902, *range(1, len(found) + 1)])
    script += "unset multiplot\n"
    path = os.path.join(folder, "pipeline.gp")
    with open(path, "w") as file:
        file.write(script)
    result = subprocess.run(["gnuplot", path], capture_output=True, text=True, timeout=60)
    if result.returncode:
        raise OSError(result.stderr.strip() or "gnuplot failed")


def main():
    try:
        draw(sys.argv[1], sys.argv[2])
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        print(f"no picture: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
