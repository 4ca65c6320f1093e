"""The metrics of the serving path, taken in the proxies, exported by Ray on every node's metrics port with the prefix `ray_`.

    rayspan_time_to_first_token_seconds   streaming requests: arrival to the first event with generated output
    rayspan_inter_token_latency_seconds   streaming requests: between successive events with generated output
    rayspan_request_duration_seconds      requests that ended well: arrival to the last byte handed on
    rayspan_requests_total                by outcome: ok, error (ours), rejected (the client's: 4xx), cancelled
    rayspan_output_tokens_total           from `usage` where the response has it, else events with output
    rayspan_requests_in_flight            now

    rayspan_streams_total, rayspan_streams_first_token_seconds_total
    rayspan_answers_total, rayspan_answers_seconds_total
    rayspan_sending_seconds_total         waiting for clients to take what was sent

Those that end in `_seconds_total` are sums, exact: the sums that Ray exports of a histogram are of its buckets'
middles (ray/_private/telemetry/open_telemetry_metric_recorder.py). Streams are counted with their first token,
answers when they ended well. Each replica counts the same of its engine, as `rayspan_engine_...` (`EngineMeter`).

Counters also name the replica that served, as Serve calls it ("" where none did). A request without streaming has
no first token to be seen, and leaves no time to first token here; vLLM's own
`ray_vllm_time_to_first_token_seconds` counts it. A gap between two events is recorded once, however many tokens
the second one holds: that is the gap that the client sees.
"""

from ray.util.metrics import Counter, Gauge, Histogram

from rayspan_serving.boundaries import boundaries


class Meter:
    """Records for one model. Make it in the process that serves: Ray's metrics belong to a worker."""

    def __init__(self, model: str) -> None:
        self._tags = {"model": model}
        self._first = self._histogram(
            "rayspan_time_to_first_token_seconds", "Arrival to first generated output, streaming requests."
        )
        self._inter = self._histogram(
            "rayspan_inter_token_latency_seconds", "Between successive events with generated output."
        )
        self._duration = self._histogram(
            "rayspan_request_duration_seconds", "Arrival to last byte, requests that ended well."
        )
        self._requests = Counter(
            "rayspan_requests_total", "Requests ended, by outcome.", tag_keys=("model", "outcome", "replica")
        )
        self._tokens = Counter(
            "rayspan_output_tokens_total", "Tokens generated.", tag_keys=("model", "replica")
        )
        self._in_flight = Gauge(
            "rayspan_requests_in_flight", "Requests being served now.", tag_keys=("model",)
        )
        self._streams = Sums("rayspan", "streams", "first_token", ("model",))
        self._answers = Sums("rayspan", "answers", "", ("model",))
        self._sending = Counter(
            "rayspan_sending_seconds_total", "Waiting for clients to take what was sent.", tag_keys=("model",)
        )
        self._count = 0
        self._in_flight.set(0, tags=self._tags)

    def _histogram(self, name: str, description: str) -> Histogram:
        return Histogram(name, description, boundaries=boundaries(), tag_keys=("model",))

    def began(self) -> None:
        self._count += 1
        self._in_flight.set(self._count, tags=self._tags)

    def first_token(self, seconds: float) -> None:
        self._first.observe(seconds, tags=self._tags)
        self._streams.add(seconds, self._tags)

    def inter_token(self, seconds: float) -> None:
        self._inter.observe(seconds, tags=self._tags)

    def ended(self, outcome: str, seconds: float, tokens: int, replica: str) -> None:
        self._count -= 1
        self._in_flight.set(self._count, tags=self._tags)
        self._requests.inc(1, tags={**self._tags, "outcome": outcome, "replica": replica})
        if tokens:
            self._tokens.inc(tokens, tags={**self._tags, "replica": replica})
        if outcome == "ok":
            self._duration.observe(seconds, tags=self._tags)
            self._answers.add(seconds, self._tags)

    def sent(self, seconds: float) -> None:
        if seconds > 0:
            self._sending.inc(seconds, tags=self._tags)


class EngineMeter:
    """Records for the engine of one replica."""

    def __init__(self, replica: str) -> None:
        self._tags = {"replica": replica}
        self._streams = Sums("rayspan_engine", "streams", "first_token", ("replica",))
        self._answers = Sums("rayspan_engine", "answers", "", ("replica",))

    def first_token(self, seconds: float) -> None:
        self._streams.add(seconds, self._tags)

    def ended(self, seconds: float) -> None:
        self._answers.add(seconds, self._tags)


class Sums:
    """How many, and how long together."""

    def __init__(self, prefix: str, what: str, until: str, keys: tuple[str, ...]) -> None:
        name = "_".join(filter(None, (prefix, what, until, "seconds_total")))
        self._number = Counter(f"{prefix}_{what}_total", f"{what.capitalize()} counted.", tag_keys=keys)
        self._seconds = Counter(name, f"Seconds of {what} together.", tag_keys=keys)

    def add(self, seconds: float, tags: dict[str, str]) -> None:
        self._number.inc(1, tags=tags)
        if seconds > 0:
            self._seconds.inc(seconds, tags=tags)
