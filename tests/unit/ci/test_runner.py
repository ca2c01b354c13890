"""Which machine a label may ask for: those of the list, the first of several, else GitHub's, with the reason."""

import pytest

from delivery.ci import runner


@pytest.mark.parametrize(
    ("labels", "known", "place", "said"),
    [
        ([], ["gpu"], ["ubuntu-24.04"], "The pipeline runs on ubuntu-24.04."),
        (["bug", "gpu"], ["gpu"], ["ubuntu-24.04"], "The pipeline runs on ubuntu-24.04."),
        (["runner:gpu"], ["big", "gpu"], ["self-hosted", "gpu"], "The pipeline runs on self-hosted gpu."),
        (["runner:gpu"], [], ["ubuntu-24.04"], "`runner:gpu` is ignored: the repository's variable RUNNERS lists nothing"),
        (["runner:gp"], ["gpu"], ["ubuntu-24.04"], "`runner:gp` is ignored: the repository's variable RUNNERS lists `gpu`"),
        (["runner:gpu", "runner:big"], ["big", "gpu"], ["self-hosted", "big"], "`runner:gpu` is ignored"),
    ],
)  # fmt: skip
def test_a_label_places_the_pipeline_where_the_list_allows_it(labels, known, place, said):
    found, why = runner.choose(labels, known)
    assert found == place
    assert said in why
