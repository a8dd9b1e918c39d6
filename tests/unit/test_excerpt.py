"""Memory stays flat however long a build log is, and what counts in it is still known."""

from __future__ import annotations

import tracemalloc

from ci_deploy.layers.providers.dokku import answers
from ci_deploy.output.excerpt import WHOLE, Excerpt


def test_memory_does_not_grow_with_the_build_log() -> None:
    """The words that decide are found at its beginning, middle and end (faults J3)."""
    said = Excerpt(answers.patterns())
    tracemalloc.start()
    said.take("-----> Building hello from Dockerfile")
    for number in range(20_000):
        said.take(f"remote: step {number} of a build that never tires of speaking")
    after_half = tracemalloc.get_traced_memory()[0]
    said.take("remote: !     App build failed")
    for number in range(20_000):
        said.take(f"remote: step {number} of a build that never tires of speaking")
    said.take("=====> Application deployed:")
    grown = tracemalloc.get_traced_memory()[0] - after_half
    tracemalloc.stop()
    assert grown < 10_000
    assert len("".join(said)) < 1.1 * WHOLE
    for pattern in (answers.BUILDING, answers.DEPLOYED):
        assert any(map(pattern.search, said))
    assert answers.reason(said)[0] == "the build failed."


def test_of_later_lines_the_last_of_each_kind_are_kept_and_all_can_be_forgotten() -> None:
    """A noisy kind does not push out another (faults J3)."""
    said = Excerpt(answers.patterns())
    said.take("x" * WHOLE)
    said.take("=====> Application deployed:")
    for number in range(1000):
        said.take(f"-----> Deploying {number}")
    assert any(map(answers.DEPLOYED.search, said))
    assert said[-1] == "-----> Deploying 999"
    assert len(said) < 30
    said.clear()
    assert list(said) == []
