"""A run whose streams share a machine and meet at points, on top of :mod:`talking`."""

from __future__ import annotations

from typing import Any

from anabranch.core import calls, inputs
from anabranch.core import events as ev
from anabranch.core.calls import Answer, Call, Caller
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.state import PointPhase
from tests.core.talking import OPERATOR, Talk


class Crew(Talk):
    """Streams that ask for resources, arrive, and are seen to do well or not."""

    def phase(self, name: str) -> str:
        return self.state.streams[StreamId(name)].phase.value

    def events(self, *kinds: type[ev.Event]) -> list[Any]:
        return [r.event for r in self.records if isinstance(r.event, kinds)]

    def held(self, name: str) -> dict[str, float]:
        return self.state.resources.held_by(StreamId(name))

    # --- the world -------------------------------------------------------------------------------

    def measures(self, **capacity: float) -> None:
        self._step(inputs.MachineSeen(capacity=capacity))

    def is_loaded(self, available_mb: float, pressure: float | None = 0.0) -> None:
        self._step(inputs.MachineLoad(memory_available_mb=available_mb, memory_pressure=pressure))

    def uses(self, name: str, memory_mb: float, cores: float = 0.0) -> None:
        attempt = self.state.streams[StreamId(name)].attempt
        self._step(
            inputs.UsageSeen(
                stream=StreamId(name), attempt=attempt, memory_mb=memory_mb, cpu_cores=cores
            )
        )

    def is_judged(self, name: str, verdict: str, evidence: str = "seen") -> None:
        attempt = self.state.streams[StreamId(name)].attempt
        self._step(
            inputs.LivenessSeen(
                stream=StreamId(name), attempt=attempt, verdict=verdict, evidence=evidence
            )
        )

    def falls_silent(self, name: str) -> None:
        attempt = self.state.registry.joined[StreamId(name)].attempt
        self._step(
            inputs.JoinedStreamSilent(stream=StreamId(name), attempt=attempt, evidence="silence")
        )

    def crashes(self, name: str) -> None:
        """Let a stream's process vanish; its work is kept."""
        stream, attempt = StreamId(name), self.state.streams[StreamId(name)].attempt
        self._step(
            inputs.ProcessLost(stream=stream, attempt=attempt, reason="its holder was killed")
        )
        self._step(
            inputs.ResultReady(
                stream=stream, attempt=attempt, commit="k", tree="t", files_changed=1, ref="refs/x"
            )
        )

    def merges(self) -> None:
        """Let what is being merged be merged."""
        for point in list(self.state.points.values()):
            if point.phase is PointPhase.MERGING:
                self._step(
                    inputs.MergeFinished(
                        point=point.id, commit="m", tree="t", branch=None, merged=point.merging
                    )
                )

    # --- calls -----------------------------------------------------------------------------------

    def call(self, kind: type[Call], by: str, request: str | None = None, **facts: Any) -> Answer:
        joined = self.state.registry.live(StreamId(by))
        if joined is None:
            return super().call(kind, by, request, **facts)
        self._requests += 1
        caller = Caller(joined.id, joined.attempt)
        name = f"q{self._requests}" if request is None else request
        answer = self._step(kind(caller=caller, request=name, **facts)).answer
        assert answer is not None
        return answer

    def asks(self, by: str, wait: bool = True, **amounts: float) -> Answer:
        return self.call(calls.RequestResources, by, amounts=amounts, wait=wait)

    def releases(self, by: str, **amounts: float) -> Answer:
        return self.call(calls.ReleaseResources, by, amounts=amounts)

    def arrives(self, by: str, point: str = "final", value: Any = None, **facts: Any) -> Answer:
        return self.call(calls.Arrive, by, point=PointId(point), value=value, **facts)

    def beats(self, by: str, status: str | None = None) -> Answer:
        return self.call(calls.Heartbeat, by, status=status)

    def registers(self, name: str, *capabilities: str, after: tuple[str, ...] = ()) -> Answer:
        return self.call(
            calls.Register,
            OPERATOR,
            id=StreamId(name),
            capabilities=capabilities,
            depends_on=tuple(StreamId(s) for s in after),
        )

    def hears_again(self, by: str, request: str) -> Answer:
        """Ask again under an id that was used before: nothing may happen twice."""
        seen = len(self.records)
        answer = self.call(calls.Heartbeat, by, request)
        assert len(self.records) == seen
        return answer
