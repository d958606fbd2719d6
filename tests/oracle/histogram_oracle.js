// SPDX-License-Identifier: BSD-3-Clause
// As HistogramOracle.java, with the npm package hdr-histogram-js:
// node histogram_oracle.js PACKAGE-FOLDER FOLDER OUT
"use strict";
const fs = require("fs");
const path = require("path");
const hdr = require(path.resolve(process.argv[2], "node_modules", "hdr-histogram-js"));

const log = fs.readFileSync(path.join(process.argv[3], "all.hlog"), "utf8");
const reader = new hdr.HistogramLogReader(log, 64); // 64-bit counts
for (let h = reader.nextIntervalHistogram(); h; h = reader.nextIntervalHistogram()) {
  const name = !h.tag || h.tag === "NO TAG" ? "-" : h.tag;
  fs.writeFileSync(path.join(process.argv[4], name + ".hgrm"),
    h.outputPercentileDistribution(5, 1000));
  let counts = "";
  for (let i = 0; i < h.countsArrayLength; i++) {
    const count = h.getCountAtIndex(i);
    if (count > 0)
      counts += h.valueFromIndex(i) + " " + count + "\n";
  }
  fs.writeFileSync(path.join(process.argv[4], name + ".counts"), counts);
  console.log(name, Math.round(h.startTimeStampMsec),
    Math.round(h.endTimeStampMsec - h.startTimeStampMsec), h.maxValue, h.totalCount);
}
