import threading

import pytest

from sslab.knobs import Adjustable, choice, number, switch


class Thing(Adjustable):
    temperature = number(0.5, 0.1, 5, log=True, help="t")
    layers = number(2, 1, 4, integer=True)
    negatives = switch(True)
    kind = choice("a", ("a", "b"))


def test_defaults_values_and_changes():
    thing = Thing(temperature=1)
    assert thing.values() == {"temperature": 1.0, "layers": 2, "negatives": True, "kind": "a"}
    thing.set(layers=3.0, negatives=0)
    assert thing.layers == 3 and isinstance(thing.layers, int) and thing.negatives is False
    thing.temperature = 2
    assert thing.temperature == 2.0 and Thing().temperature == 0.5
    assert thing.knobs["temperature"].log and thing.knobs["temperature"].help == "t"


@pytest.mark.parametrize("values, words", [
    ({"temperature": 9}, "temperature: got 9, takes a number from 0.1 to 5"),
    ({"temperature": float("nan")}, "temperature: got nan"),
    ({"temperature": "hot"}, "temperature: got 'hot'"),
    ({"temperature": True}, "temperature: got True"),
    ({"layers": 2.5}, "layers: got 2.5, takes a whole number from 1 to 4"),
    ({"negatives": "yes"}, "negatives: got 'yes', takes True or False"),
    ({"kind": "c"}, "kind: got 'c', takes one of a, b"),
    ({"temprature": 1}, "did you mean 'temperature'"),
])
def test_a_wrong_value_is_named_and_nothing_changes(values, words):
    thing = Thing()
    with pytest.raises(ValueError, match="got") as error:
        thing.set(layers=4, **values) if "layers" not in values else thing.set(**values)
    assert words in str(error.value) and thing.layers == 2


def test_a_change_during_a_step_waits_for_its_end():
    thing = Thing()
    with thing.step():
        thread = threading.Thread(target=thing.set, kwargs={"temperature": 1.0})
        thread.start()
        thread.join()
        assert thing.temperature == 0.5
    assert thing.temperature == 1.0
