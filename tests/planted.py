"""What holds of every check's planted answers. A test file has WRONG, name -> {misconception: answer}, and RIGHT, name -> answers."""

from sslab.lab import check


def each_answer(metafunc):
    """Called by conftest: one test an answer."""
    wrong, right = (getattr(metafunc.module, name, {}) for name in ("WRONG", "RIGHT"))
    if metafunc.function is test_every_mistake_is_named:
        metafunc.parametrize("name, mistake", [(name, mistake) for name in wrong for mistake in wrong[name]])
    elif metafunc.function is test_right_answers_pass:
        metafunc.parametrize("name, number", [(name, number) for name in right for number in range(len(right[name]))])


def test_every_mistake_is_named(name, mistake, request):
    result = getattr(check, name)(request.module.WRONG[name][mistake])
    assert not result.passed and result.misconception == mistake and result.hint and result.convention, result


def test_right_answers_pass(name, number, request):
    result = getattr(check, name)(request.module.RIGHT[name][number])
    assert result.passed and result.misconception is None and "Convention" in repr(result), result
