"""How long exported models take: one process a runtime, turns in rounds, so that all meet the same machine.

Run as a program it is one of these processes: it reads a line of JSON on its standard input and answers with one.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prune_tools import runtimes
from run_tools.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
DEADLINE = 600.0
"""Seconds that a process may take for one answer; it has hung when it takes longer."""
PREFIX = "input:"
"""In front of names in the file of inputs: `np.savez` has arguments of its own, such as `file`."""


@dataclass(frozen=True)
class Contender:
    """One model of one runtime.

    Attributes:
        kind: as `runtimes.open_model` takes it; those of a kind share a process.
        path: its file or folder.
        precision: as `runtimes.open_model` takes it.
        modules: likewise.
    """

    kind: str
    path: str
    precision: str | None = None
    modules: tuple[str, ...] = ()


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure(
    contenders: Sequence[Contender],
    inputs: Mapping[str, np.ndarray],
    threads: int,
    rounds: int = 7,
    calls: int = 5,
    warm_up: int = 3,
) -> list[dict[str, Any]]:
    """Times models, one call after the other; in each round every model has its turn, in another order each time.

    Args:
        contenders: what to time.
        inputs: input's name → array; a Keras model gets them in this order.
        threads: of each runtime, at least 1.
        rounds: how many turns each gets.
        calls: how many calls a turn.
        warm_up: calls before the first round, not counted.

    Returns:
        For each: milliseconds, the median of all calls; fastest; rounds, the median of each round; precision (None: the
        model's own); runtime.

    Raises:
        InputError: when a process cannot run its model, with what it said, or gives no answer for `DEADLINE`.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        arrays: dict[str, Any] = {PREFIX + name: array for name, array in inputs.items()}
        np.savez(folder / "inputs.npz", **arrays)
        workers: dict[str, _Worker] = {}
        told = []
        for index, contender in enumerate(contenders):
            if contender.kind not in workers:
                workers[contender.kind] = stack.enter_context(_worker(contender.kind, folder / "inputs.npz", threads))
            worker = workers[contender.kind]
            told.append(worker.ask({"open": index, **asdict(contender)}))
            worker.ask({"run": index, "calls": warm_up})
        times: list[list[list[float]]] = [[] for _ in contenders]
        for turn in range(rounds):
            for place in range(len(contenders)):
                index = (place + turn) % len(contenders)
                answer = workers[contenders[index].kind].ask({"run": index, "calls": calls})
                times[index].append(answer["seconds"])
    return [
        {
            "milliseconds": 1000 * statistics.median(second for turn in own for second in turn),
            "fastest": 1000 * min(second for turn in own for second in turn),
            "rounds": [1000 * statistics.median(turn) for turn in own],
            **each,
        }
        for each, own in zip(told, times, strict=True)
    ]


@dataclass
class _Worker:
    """The other end of a process."""

    kind: str
    process: subprocess.Popen
    errors: Path

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        hung = threading.Event()

        def give_up() -> None:
            hung.set()
            self.process.kill()  # upon which its answers end

        timer = threading.Timer(DEADLINE, give_up)
        timer.start()
        try:
            line = self._answer(request)
        finally:
            timer.cancel()
        if hung.is_set() and not line:
            told = f"a model that {self.kind} hung on: no answer for {DEADLINE:g} s"
            raise InputError(told, "one that answers", "leave this runtime out")
        answer: dict[str, Any] = json.loads(line) if line else {"error": self._last_words()}
        if "error" in answer:
            told = " ".join(str(answer["error"]).split())[:300]
            raise InputError(f"a model that {self.kind} cannot run ({told})", "one it can", "leave this runtime out")
        return answer

    def _answer(self, request: Mapping[str, Any]) -> str:
        """Its line; empty when it has ended."""
        if self.process.stdin is not None and self.process.stdout is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(json.dumps(request) + "\n")
                self.process.stdin.flush()
                return str(self.process.stdout.readline())
        return ""

    def _last_words(self) -> str:
        lines = self.errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else f"its process ended with code {self.process.wait()}"


@contextlib.contextmanager
def _worker(kind: str, inputs: Path, threads: int) -> Iterator[_Worker]:
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    settings = {"PYTHONPATH": paths, "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": "-1"}
    errors = inputs.with_name(f"{kind}.txt")
    command = [sys.executable, "-m", "prune_tools.latency", str(inputs), str(threads)]
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            command, env={**os.environ, **settings}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
            text=True,
        )  # fmt: skip
    with process:  # closes its input, upon which it ends, and waits
        yield _Worker(kind, process, errors)


def main(arguments: Sequence[str]) -> int:
    """What the process of a runtime does: answers requests until its input ends.

    Args:
        arguments: path of the inputs (`.npz`), number of threads.

    Returns:
        Exit code 0.
    """
    # Answers go where standard output went; what libraries print goes to the error stream.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with np.load(arguments[0]) as stored:
        inputs = {name.removeprefix(PREFIX): stored[name] for name in stored.files}
    models: dict[int, runtimes.Runner] = {}
    for line in sys.stdin:
        try:
            answer = _answer(json.loads(line), models, inputs, int(arguments[1]))
        except Exception as error:  # noqa: BLE001 - whatever goes wrong here is told to the other process
            answer = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(answer) + "\n")
        replies.flush()
    return 0


def _answer(
    request: dict[str, Any], models: dict[int, runtimes.Runner], inputs: runtimes.Arrays, threads: int
) -> dict[str, Any]:
    if "open" in request:
        runner = runtimes.open_model(
            request["kind"], request["path"], threads, request["precision"], request["modules"]
        )
        models[request["open"]] = runner
        return {"precision": runner.precision, "runtime": runner.runtime}
    runner, seconds = models[request["run"]], []
    for _ in range(request["calls"]):
        begun = time.perf_counter()
        runner.call(inputs)
        seconds.append(time.perf_counter() - begun)
    return {"seconds": seconds}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
