"""How many of many short things went on at a time, over a span that nobody knows beforehand."""

from __future__ import annotations

BUCKETS = 512
FINEST_SECONDS = 0.25


class Density:
    """Busy seconds in buckets; when time outgrows them each takes twice as much.

    Its size does not depend on how many things there were.
    """

    def __init__(self) -> None:
        self.bucket_seconds = FINEST_SECONDS
        self.count = 0
        self._busy = [0.0] * BUCKETS

    def note(self, begin: float, seconds: float) -> None:
        """Count one thing that went on for some seconds."""
        begin = max(begin, 0.0)
        end = begin + max(seconds, 0.0)
        while end >= self.bucket_seconds * BUCKETS:
            pairs = zip(self._busy[::2], self._busy[1::2], strict=True)
            self._busy = [one + other for one, other in pairs] + [0.0] * (BUCKETS // 2)
            self.bucket_seconds *= 2
        self.count += 1
        for index in range(int(begin / self.bucket_seconds), int(end / self.bucket_seconds) + 1):
            from_, to = index * self.bucket_seconds, (index + 1) * self.bucket_seconds
            self._busy[index] += min(end, to) - max(begin, from_)

    def mean(self, begin: float, end: float) -> float:
        """Return how many went on at a time between two moments, in the mean."""
        width, total = self.bucket_seconds, 0.0
        first, last = int(max(begin, 0.0) / width), int(max(end, 0.0) / width)
        for index in range(first, min(last + 1, BUCKETS)):
            shared = min(end, (index + 1) * width) - max(begin, index * width)
            total += self._busy[index] * max(shared, 0.0) / width
        return total / (end - begin) if end > begin else 0.0
