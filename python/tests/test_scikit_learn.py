"""What scikit-learn's own checks say of a ranker of one task. Each exception has its reason here."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import pleiad

EXPECTED: dict[str, str] = {}


def ranker():
    return pleiad.Ranker(
        pleiad.SingleTask(bottom=[16], tower=[8]),
        epochs=60,
        batch_size=16,
        optimizer={"kind": "adam", "learning_rate": 1e-2},
        explain=False,
        seed=0,
    )


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([ranker()], expected_failed_checks=lambda _: EXPECTED)
def test_scikit_learn(estimator, check):
    check(estimator)
