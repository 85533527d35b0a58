"""Every error is a problem document with a status a caller can act on (RFC 9457)."""

import json

import pytest

from stentor import errors
from stentor.errors import Conflict, RequestError, StentorError, Unavailable


def tree(root: type[StentorError]) -> list[type[StentorError]]:
    """Return the errors of the tree itself: a package may add its own below."""
    below = [leaf for child in root.__subclasses__() for leaf in tree(child)]
    return [kind for kind in (root, *below) if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", tree(StentorError), ids=lambda kind: kind.__name__)
def test_each_is_a_problem_document(kind):
    problem = kind("Do this instead.").problem()
    assert problem["detail"] == "Do this instead."
    assert problem["status"] == kind.status
    assert problem["type"] == f"urn:stentor:problem:{kind.slug}"
    assert json.loads(json.dumps(problem)) == problem


def test_the_status_says_whose_turn_it_is():
    for kind in tree(RequestError):
        assert 400 <= kind.status < 500
    for kind in tree(Unavailable):
        assert kind.status == 503


def test_a_slug_and_numbers_may_be_added():
    problem = Conflict("Start again.", slug="speakers-not-ready", speakers=[{"person": "p"}]).problem()
    assert problem["type"] == "urn:stentor:problem:speakers-not-ready"
    assert problem["title"] == "speakers not ready"
    assert problem["speakers"] == [{"person": "p"}]


def test_the_tree_is_drawn_in_its_file():
    drawn = errors.__doc__ or ""
    for kind in tree(StentorError):
        assert kind.__name__ in drawn
