// SPDX-License-Identifier: BSD-3-Clause
// Reads an interval log with the HdrHistogram library and writes, for each line, what it found:
// FOLDER/TAG.counts and FOLDER/TAG.hgrm, in the form of histogram_files.c; on standard output
// "tag start_ms length_ms max total" (tag "-" when there is none).

import java.io.File;
import java.io.PrintStream;
import org.HdrHistogram.AbstractHistogram;
import org.HdrHistogram.HistogramIterationValue;
import org.HdrHistogram.HistogramLogReader;

public final class HistogramOracle {
    public static void main(String[] args) throws Exception {
        HistogramLogReader reader = new HistogramLogReader(new File(args[0], "all.hlog"));
        AbstractHistogram h;
        while ((h = (AbstractHistogram) reader.nextIntervalHistogram()) != null) {
            String name = h.getTag() == null ? "-" : h.getTag();
            try (PrintStream out = new PrintStream(new File(args[1], name + ".hgrm"))) {
                h.outputPercentileDistribution(out, 5, 1000.0);
            }
            try (PrintStream out = new PrintStream(new File(args[1], name + ".counts"))) {
                for (HistogramIterationValue v : h.recordedValues()) {
                    long low = h.lowestEquivalentValue(v.getValueIteratedTo());
                    out.println(low + " " + v.getCountAtValueIteratedTo());
                }
            }
            System.out.println(name + " " + h.getStartTimeStamp() + " "
                + (h.getEndTimeStamp() - h.getStartTimeStamp()) + " " + h.getMaxValue() + " "
                + h.getTotalCount());
        }
    }
}
