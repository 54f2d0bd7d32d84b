"""What scikit-learn's own checks say of a ranker of one task. Each exception has its reason here."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import pleiad

EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "rows are learned in batches whose composition depends on the number of rows",
    "check_classifiers_regression_target": "a task whose labels are numbers is a regression, not an error",
    "check_classifier_not_supporting_multiclass": "a task whose labels are three numbers is a regression, not an error",
}


def ranker():
    return pleiad.Ranker(
        pleiad.SingleTask(bottom=[16], tower=[8]),
        epochs=60,
        batch_size=16,
        optimizer={"kind": "adam", "learning_rate": 1e-2},
        explanation=False,
        seed=0,
    )


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([ranker()], expected_failed_checks=lambda _: EXPECTED)
def test_scikit_learn(estimator, check):
    check(estimator)
