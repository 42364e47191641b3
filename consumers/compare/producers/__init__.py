"""The two producers side by side, and the strategies of the second: what they yield, and how diverse it is.

rows             the kept rows and the generations of a run, by producer
document_share   how much of each output stands in its document
equal_samples    diversity at equal sample sizes, with intervals
groups           the counts and means of a producer's or a strategy's rows
correlations     of perplexity, gain and the judge's score
extraction       whether extracts of documents give more diverse instructions than whole documents
found            all of them together; `tables` for people
"""

from consumers.compare.producers.found import ProducerComparison, compare_producers

__all__ = ["ProducerComparison", "compare_producers"]
