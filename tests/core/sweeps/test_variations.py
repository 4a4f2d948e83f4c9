"""Which settings a sweep varies."""

import pytest

from cellcutter_core.config import PAPER, QUICK
from cellcutter_core.sweeps.variations import (
    MOST_RUNS,
    Variation,
    in_words,
    n_runs,
    settings_to_vary,
    suggested,
    vary,
)


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("training.lam=0.5,1,2", (0.5, 1, 2)),
        ("training.seed=0..4", (0, 1, 2, 3, 4)),
        ("training.seed=7,0..1", (7, 0, 1)),
        ("mask.automatic=true,false", (True, False)),
        ("mask.scaling=minmax,robust", ("minmax", "robust")),
        ("training.area=null, 64", (None, 64)),
    ],
)
def test_values_are_listed_or_a_range(given, values):
    assert Variation.parse(given).values == values


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("training.lam", "varies nothing"),
        ("lam=1,2", "varies nothing"),
        ("training.lam=", "varies nothing"),
        ("training.lam=1,,2", "between two commas"),
        ("training.lam=1,1.0", "twice"),
        ("training.seed=4..0", "not a range"),
        ("training.seed=0..9999999", "not a range"),
    ],
)
def test_what_is_not_a_variation_is_refused_with_what_to_write(given, message):
    with pytest.raises(ValueError, match=message):
        Variation.parse(given)


def test_every_combination_is_a_run_and_the_last_setting_changes_fastest():
    variations = [Variation.parse("training.lam=0.5,1"), Variation.parse("training.seed=0..2")]
    found = vary(QUICK, variations)
    assert n_runs(variations) == len(found) == 6
    assert [values for values, _ in found[:4]] == [(0.5, 0), (0.5, 1), (0.5, 2), (1, 0)]
    assert found[3][1].training.lam == 1
    assert found[3][1] == QUICK.replace(training=QUICK.training.replace(lam=1, seed=0))
    assert in_words(variations, found[1][0]) == "lam 0.5, seed 1"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["training.nothing=1,2"], "no setting called training.nothing"),
        (["no.lam=1,2"], "no setting called no.lam"),
        (["training.epochs=0,1"], "at least 1"),
        (["training.lam=1", "training.lam=2"], "varied twice"),
        (["training.seed=0..40", "training.epochs=1..40"], f"has {MOST_RUNS} at most"),
        (["mask.prior=0.9,0.98"], "mask.automatic=false first"),
        ([], "varies 1 to 3 settings"),
        (["training.seed=1", "training.lam=1", "training.beta=1", "mask.sigma=1"], "but 4 are"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused_before_anything_runs(given, message):
    with pytest.raises(ValueError, match=message):
        vary(QUICK, [Variation.parse(one) for one in given])


def test_the_graph_cut_can_be_varied_once_it_is_used():
    config = PAPER.replace(mask=PAPER.mask.replace(automatic=False))
    found = vary(config, [Variation.parse("mask.prior=0.9,0.98")])
    assert [config.mask.prior for _, config in found] == [0.9, 0.98]


def test_a_setting_that_counts_in_some_of_the_runs_may_be_varied():
    both = [Variation.parse("mask.automatic=false,true"), Variation.parse("mask.prior=0.9,0.98")]
    assert len(vary(QUICK, both)) == 4


@pytest.mark.parametrize("config", [PAPER, QUICK], ids=["paper", "quick"])
def test_what_is_suggested_for_a_setting_are_different_values(config):
    for setting in settings_to_vary(config):
        if values := suggested(config, setting):
            assert len(Variation.parse(f"{setting}={values}").values) > 1, setting


def test_what_the_taught_network_fixes_is_not_offered_to_be_varied():
    fixed = {"network.channels", "network.depth", "network.normalisation", "crops.intensity"}
    assert not fixed & set(settings_to_vary(QUICK))
    assert {"network.start", "training.lam", "crops.sigma"} <= set(settings_to_vary(QUICK))
    untaught = QUICK.replace(network=QUICK.network.replace(start="nothing"))
    assert fixed <= set(settings_to_vary(untaught))
