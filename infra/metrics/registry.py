"""The counts of a process, and how Prometheus reads them.

Every declared metric of the component is there from the start, also one that was never counted.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from infra.distribution import VERSION
from infra.metrics.declared import BUILD, DeclaredMetric, of_component
from infra.metrics.meters import Value

logger = logging.getLogger(__name__)

_ALWAYS = ("run", "component")


class PrometheusMeters(Collector):
    """The counts of one process of a run (`infra.metrics.meters`)."""

    def __init__(self, run: str, component: str, kind: str) -> None:
        """`component`: the process's name, such as `generator-main`; `kind`: of which component it is."""
        self._always = (run, component)
        self._metrics = {metric.name: metric for metric in of_component(kind)}
        self._made: dict[str, Counter | Gauge | Histogram] = {}
        self._read: dict[str, Callable[[], Value]] = {}
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more a counter: when it began
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self.set(BUILD, 1.0, VERSION)

    def add(self, metric: DeclaredMetric, amount: float = 1.0, *labels: str) -> None:
        cast(Counter, self._of(metric)).labels(*self._always, *labels).inc(amount)

    def set(self, metric: DeclaredMetric, value: float, *labels: str) -> None:
        cast(Gauge, self._of(metric)).labels(*self._always, *labels).set(value)

    def observe(self, metric: DeclaredMetric, value: float) -> None:
        cast(Histogram, self._of(metric)).labels(*self._always).observe(value)

    def read(self, metric: DeclaredMetric, value: Callable[[], Value]) -> None:
        self._read[self._metrics[metric.name].name] = value

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics in the format that an Accept header asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterator[Metric]:
        """For the library: every declared metric with its samples."""
        for metric in self._metrics.values():
            if metric.name in self._read:
                yield self._asked(metric, self._read[metric.name])
            else:
                yield from self._of(metric).collect()

    def _of(self, metric: DeclaredMetric) -> Counter | Gauge | Histogram:
        found = self._made.get(metric.name)
        return self._make(self._metrics[metric.name]) if found is None else found

    def _make(self, metric: DeclaredMetric) -> Counter | Gauge | Histogram:
        labels = (*_ALWAYS, *metric.labels)
        match metric.kind:
            case "counter":
                made: Counter | Gauge | Histogram = Counter(metric.name, metric.sentence, labels, registry=None)
            case "gauge":
                made = Gauge(metric.name, metric.sentence, labels, registry=None)
            case "histogram":
                made = Histogram(metric.name, metric.sentence, labels, registry=None, buckets=metric.buckets)
        return self._made.setdefault(metric.name, made)

    def _asked(self, metric: DeclaredMetric, ask: Callable[[], Value]) -> Metric:
        family = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
            metric.name, metric.sentence, labels=(*_ALWAYS, *metric.labels)
        )
        try:
            found = ask()
        except Exception as error:  # noqa: BLE001 - the other metrics must still be had
            logger.warning("the metric %s could not be read: %r", metric.name, error)
            found = None
        if isinstance(found, Mapping):
            for label, value in found.items():
                family.add_metric((*self._always, label), value)
        elif found is not None:
            family.add_metric(self._always, found)
        return family
