import pytest

from sslab import figures


def test_leaderboard_sorts_by_the_first_dataset_and_draws_the_controls():
    boards = {"digits": {"a": (0.7, (0.6, 0.8)), "b": (0.9, None)}, "fashion": {"a": (0.5, None), "b": (0.4, None)}}
    controls = {"digits": {"chance": 0.1, "supervised": 0.8}, "fashion": {"chance": 0.1, "supervised": 0.6}}
    figure = figures.leaderboard(boards, controls)
    axis, other = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]                        # upwards
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["chance", "supervised"]
    assert list(other.lines[1].get_xdata()) == [0.6, 0.6]
    assert any(list(line.get_xdata()) == [0.6, 0.8] for line in axis.lines)                            # the interval of a


def test_removals_compare_each_part_with_its_own_whole():
    whole, less = {"std": 1.0, "rank": 20.0, "loss": -2.0}, {"std": 0.5, "rank": 160.0, "loss": 0.0}
    figure = figures.removals({"A": whole, "A, no b": less, "C": less}, {"rank": ".0f"}, plain=("loss",))
    axis = figure.axes[0]
    shade = axis.images[0].get_array()
    assert shade[0].tolist() == [0, 0, 0] and shade[2].tolist() == [0, 0, 0]
    assert shade[1].tolist() == pytest.approx([-1, 2, 0])              # half; eight times, cut at four; not coloured
    assert [text.get_text() for text in axis.texts][3:6] == ["0.50", "160", "0.00"]


def test_removals_survive_a_whole_of_zero():
    figure = figures.removals({"A": {"std": 0.0}, "A, no b": {"std": 1.0}})
    assert figure.axes[0].images[0].get_array().tolist() == [[0], [0]]


def test_gauges_skip_steps_that_were_not_read():
    rows = [{"step": 0, "loss": 3.0, "std": 0.9, "effective_rank": 50.0}, {"step": 1, "loss": 2.0, "std": None, "effective_rank": None},
            {"step": 2, "loss": 1.0, "std": 0.1, "effective_rank": 2.0}]
    axes = figures.gauges({"run": (rows, {"chance": 6.9}), "other": (rows, {})}, dimensions=128).axes
    assert len(axes) == 6 and axes[0].get_ylabel() == "run"
    assert list(axes[0].lines[0].get_ydata()) == [3, 2, 1] and list(axes[0].lines[1].get_ydata()) == [6.9, 6.9]
    assert list(axes[1].lines[0].get_xdata()) == [0, 2] and list(axes[2].lines[0].get_ydata()) == [50, 2]
