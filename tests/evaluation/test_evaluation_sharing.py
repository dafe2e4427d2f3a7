"""Several processes share an evaluation: here threads, which meet as processes of a job do."""

import dataclasses
import threading
from typing import NamedTuple

import pytest

from vlsm_jax.evaluation.evaluate import EvaluationError, evaluate
from vlsm_jax.evaluation.predictions import PredictionLog, read_predictions, write_predictions
from vlsm_jax.evaluation.sharing import PREDICTIONS, gather_rows

SCRIPT = """
Object source = Object.create("Source");
source.name = "In";
Object sink = Object.create("Sink");
sink.name = "Out";
contextdragconnection(source, sink, "A");
"""


class Sample(NamedTuple):
    id: str
    image: str
    prompt: str
    response: str


SAMPLES = [Sample(f"s{i}", "", f"Prompt {i}", SCRIPT + f"// sample {i}\n") for i in range(5)]
SETTINGS = {"until": 600.0, "workers": 0, "batch_size": 2}


class Copier:
    """Returns each reference, the last one broken; remembers the batches it saw."""

    def __init__(self):
        self.batches = []

    def __call__(self, samples):
        self.batches.append([sample.id for sample in samples])
        return ["x = (" if sample.id == "s4" else sample.response for sample in samples]


class Job:
    """Threads that run one function each, as processes 0 to count - 1."""

    def __init__(self, count):
        self.count, self.said, self.changed = count, {}, threading.Condition()

    def run(self, work):
        found = [None] * self.count

        def one(index):
            found[index] = work(Member(self, index))

        threads = [threading.Thread(target=one, args=(index,)) for index in range(self.count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return found


@dataclasses.dataclass(frozen=True)
class Member:
    job: Job
    index: int

    @property
    def count(self):
        return self.job.count

    @property
    def first(self):
        return self.index == 0

    def _put(self, key, value):
        with self.job.changed:
            assert key not in self.job.said, "each meeting has a name of its own"
            self.job.said[key] = value
            self.job.changed.notify_all()

    def _get(self, key):
        with self.job.changed:
            assert self.job.changed.wait_for(lambda: key in self.job.said, 30)
            return self.job.said[key]

    def by_first(self, what, work):
        if self.first:
            self._put(what, work())
        return self._get(what)

    def agree(self, topic, facts):
        self._put((topic, self.index), facts)
        assert [self._get((topic, i)) for i in range(self.count)] == [facts] * self.count


def shared(folder, count, writers):
    return Job(count).run(lambda me: evaluate(SAMPLES, writers[me.index], directory=folder, processes=me, **SETTINGS))


def test_processes_share_the_samples_and_the_first_sums_up(tmp_path):
    one = evaluate(SAMPLES, Copier(), directory=tmp_path / "one", **SETTINGS)
    writers = [Copier(), Copier()]
    assert shared(tmp_path / "two", 2, writers) == [one, None]
    assert [writer.batches for writer in writers] == [[["s0", "s2"], ["s4"]], [["s1", "s3"]]]
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["predictions.jsonl", "scores.json"]
    assert (tmp_path / "two/scores.json").read_bytes() == (tmp_path / "one/scores.json").read_bytes()
    both = [{row.id: row.scores for row in read_predictions(tmp_path / n / PREDICTIONS)} for n in ("one", "two")]
    assert both[0] == both[1]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_another_number_of_processes_goes_on(tmp_path, count):
    full = evaluate(SAMPLES, Copier(), directory=tmp_path / "full", **SETTINGS)
    rows = read_predictions(tmp_path / "full" / PREDICTIONS)
    folder = tmp_path / "half"
    folder.mkdir()
    # What a job of four left: one had written nothing, the rows of one were gathered when another was killed.
    write_predictions(folder / PREDICTIONS, rows[:1])
    for name, some in {"0": rows[:1], "2": rows[3:4], "3": []}.items():
        with PredictionLog(folder / f"predictions-of-process-{name}.jsonl") as log:
            for row in some:
                log.append(row)
    writers = [Copier() for _ in range(count)]
    assert shared(folder, count, writers)[0] == full
    asked = sorted(id for writer in writers for batch in writer.batches for id in batch)
    assert asked == ["s1", "s2", "s4"]
    assert sorted(path.name for path in folder.iterdir()) == ["predictions.jsonl", "scores.json"]


def test_a_torn_line_of_a_process_is_written_again(tmp_path):
    evaluate(SAMPLES, Copier(), directory=tmp_path, **SETTINGS)
    path = tmp_path / PREDICTIONS
    path.rename(tmp_path / "predictions-of-process-1.jsonl")
    path = tmp_path / "predictions-of-process-1.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    assert list(gather_rows(tmp_path)) == ["s0", "s1", "s2", "s3"]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["predictions.jsonl", "scores.json"]
    assert gather_rows(tmp_path / "nowhere") == {}


def test_rows_that_are_not_to_be_seen_are_told(tmp_path):
    class Losing:
        """A first process whose folder does not show what another one has written."""

        index, count, first = 0, 2, True

        def by_first(self, what, work):
            return work()

        def agree(self, topic, facts):
            assert facts == {}

    with pytest.raises(EvaluationError, match=r"2 of 5 rows are not in .* the first that of 's1'; put it on a file sy"):
        evaluate(SAMPLES, Copier(), directory=tmp_path, processes=Losing(), **SETTINGS)
