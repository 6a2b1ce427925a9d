"""What is tried by hand on a trained model: patches to hide, latents to move."""

import base64
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sslab.lab
from sslab.lab import fill, latents

PNG, VIEW = b"\x89PNG\r\n\x1a\n", "application/vnd.jupyter.widget-view+json"


class Painter(nn.Module):
    """Fills in the mean of what is visible, times a weight that may be trained."""

    grid = 4

    def __init__(self):
        super().__init__()
        self.weight, self.asked = nn.Parameter(torch.ones(())), 0

    def fill(self, images, mask):
        assert not self.training and not torch.is_grad_enabled() and len(images) == len(mask) == 1
        assert 0 < mask.sum() < mask.numel()
        self.asked += 1
        hidden = mask.view(1, 1, 4, 4).repeat_interleave(2, 2).repeat_interleave(2, 3)        # [1, 1, 8, 8]
        mean = (images * ~hidden).sum() / (~hidden).sum()
        return torch.where(hidden, mean * self.weight, images)


class Halves(nn.Module):
    """Two latents: how bright the left half is, how bright the right one; more that nobody reads."""

    def __init__(self, unread=0):
        super().__init__()
        self.unread = unread

    def encode(self, images):
        halves = torch.stack([images[..., :4].flatten(1).mean(1), images[..., 4:].flatten(1).mean(1)], dim=1)
        return torch.cat([torch.zeros(len(images), self.unread), halves], dim=1)

    def decode(self, z):
        return z[:, -2:].view(-1, 1, 1, 2).repeat_interleave(8, 2).repeat_interleave(4, 3)


class WithPrior(Halves):
    def sample(self, n, generator):
        return self.decode(torch.randn(n, 2, generator=generator))


def images(count=3):
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))


# ---- patches

def test_a_hidden_patch_is_filled_in_and_its_error_said():
    pictures = images()
    toy = fill(Painter(), pictures)
    toy.hide(["#...", "....", "....", "...."])
    seen = pictures[0, 0].clone()
    seen[:2, :2] = np.nan
    mean = float(np.nanmean(seen.numpy()))
    expected = pictures[0].clone()
    expected[0, :2, :2] = mean
    assert torch.allclose(toy.picture(), expected, atol=1e-6)
    assert toy.mask.tolist() == [True] + 15 * [False]
    error = float(((pictures[0, 0, :2, :2] - mean) ** 2).mean())
    assert toy.status.startswith(f"1 of 16 patches hidden. Mean squared error there: {error:.3f};")
    assert toy.status.endswith(f"instead: {error:.3f}."), "it is what this model does"


@pytest.mark.parametrize("patches", [
    ["##..", "....", "....", "...#"], "##.............#", [[1, 1, 0, 0], 4 * [0], 4 * [0], [0, 0, 0, 1]],
    torch.tensor([0, 1, 15])[:, None].eq(torch.arange(16)).any(0), np.array([1, 1, *13 * [0], 1], dtype=bool).reshape(4, 4),
])
def test_masks_in_many_forms(patches):
    toy = fill(Painter(), images())
    toy.hide(patches)
    assert toy.mask.nonzero().flatten().tolist() == [0, 1, 15]


@pytest.mark.parametrize("patches", [["####"], 16 * "x", torch.zeros(15, dtype=torch.bool), 16 * [2], [], 17 * "#"])
def test_a_mask_that_is_none_is_refused_and_changes_nothing(patches):
    toy = fill(Painter(), images())
    before = toy.mask
    with pytest.raises(ValueError, match="patches: got .* takes 4 rows of 4"):
        toy.hide(patches)
    assert torch.equal(toy.mask, before)


def test_nothing_hidden_and_everything_hidden_ask_no_model():
    pictures = images()
    toy = fill(Painter(), pictures)
    asked = toy._model.asked
    toy.clear()
    assert torch.equal(toy.picture(), pictures[0]) and toy.status.startswith("Nothing is hidden")
    toy.hide(16 * "#")
    assert toy.picture().unique().tolist() == [0.5] and toy.status.startswith("All of it is hidden")
    assert toy._model.asked == asked
    assert toy.still()[:8] == PNG


def test_random_masks_differ_and_the_mask_stays_for_the_next_picture():
    pictures = images()
    toy = fill(Painter(), pictures)
    first = toy.mask
    assert int(first.sum()) == 12, "75 % to begin with"
    toy.random()
    assert int(toy.mask.sum()) == 12 and not torch.equal(toy.mask, first)
    toy.random(0.25)
    assert int(toy.mask.sum()) == 4
    with pytest.raises(ValueError, match="ratio"):
        toy.random(2)
    mask = toy.mask
    visible = ~mask.view(4, 4).repeat_interleave(2, 0).repeat_interleave(2, 1)
    for number in (1, 2, 0):
        toy.next()
        assert torch.equal(toy.mask, mask) and torch.equal(toy.picture()[0][visible], pictures[number, 0][visible])
    assert repr(toy).startswith("Picture 1 of 3. 4 of 16 patches hidden.")


def test_later_training_and_the_widget_do_not_touch_each_other():
    model = Painter()
    toy = fill(model, images())
    before = toy.picture()
    with torch.no_grad():
        model.weight.zero_()
    toy.hide(toy.mask)
    assert torch.equal(toy.picture(), before) and model.training and model.asked == 0


@pytest.mark.parametrize("pictures", [images()[0], images().expand(3, 2, 8, 8), images()[:0], [1], images().long()])
def test_what_is_not_a_picture_is_refused(pictures):
    with pytest.raises(ValueError, match="images: got"):
        fill(Painter(), pictures)


def test_an_objective_that_cannot_is_refused():
    with pytest.raises(ValueError, match=r"objective: got Halves, takes one with fill\(images, mask\)"):
        fill(Halves(), images())
    with pytest.raises(ValueError, match="objective: got Painter, takes one with encode"):
        latents(Painter(), images())


# ---- latents

def test_a_latent_is_set_and_the_picture_follows():
    pictures = images()
    toy = latents(Halves(), (pictures * 255).byte())
    assert torch.allclose(toy.picture()[0, 0, :4], pictures[0, 0, :, :4].mean(), atol=0.01)
    assert toy.status == "Decoded from the code of the picture."
    toy.set(0, 0.75)
    assert (toy.picture()[0, :, :4] == 0.75).all() and toy.code[0] == 0.75
    assert torch.allclose(toy.picture()[0, 0, 4:], pictures[0, 0, :, 4:].mean(), atol=0.01)
    assert "1 of 2 latents moved by hand" in toy.status
    toy.set(1, 7)
    assert toy.picture().max() == 1, "pictures end at 1"
    toy.back()
    assert "moved" not in toy.status
    toy.next()
    assert toy.code[1] == pytest.approx(float(pictures[1, 0, :, 4:].mean()), abs=0.01)


@pytest.mark.parametrize("arguments", [(2, 0.5), (-1, 0.5), (True, 0.5), (0.0, 0.5), (0, float("nan")), (0, "much")])
def test_a_latent_that_is_not_there_is_refused(arguments):
    toy = latents(Halves(), images())
    before = toy.code
    with pytest.raises(ValueError, match="latent: got|value: got"):
        toy.set(*arguments)
    assert torch.equal(toy.code, before)


def test_sliders_reach_as_far_as_the_prior_or_three_deviations():
    pictures = images(50)
    codes = Halves().encode(pictures).double().numpy()
    shown = latents(Halves(), pictures).shown
    assert np.allclose(shown["low"], np.minimum(codes.mean(0) - 3 * codes.std(0), codes.min(0)), atol=1e-5)
    assert np.allclose(shown["high"], np.maximum(codes.mean(0) + 3 * codes.std(0), codes.max(0)), atol=1e-5)
    shown = latents(WithPrior(), pictures).shown
    assert shown["low"] == [-3, -3] and shown["high"] == [3, 3]


def test_random_codes_come_from_the_prior_or_from_the_codes():
    codes = Halves().encode(images(50))[:, 0]
    for make, middle, spread in ((WithPrior, 0, 1), (Halves, float(codes.mean()), float(codes.std()))):
        toy, drawn = latents(make(), images(50)), []
        for _ in range(400):
            toy.random()
            drawn.append(float(toy.code[0]))
        assert np.mean(drawn) == pytest.approx(middle, abs=0.2 * spread)
        assert np.std(drawn) == pytest.approx(spread, rel=0.15)
    assert toy.status == "Decoded from a random code."


def test_of_many_latents_the_ones_that_vary_get_sliders():
    toy = latents(Halves(unread=20), images())
    assert len(toy.shown["names"]) == 16 and toy.shown["names"][-2:] == ["z20", "z21"]
    toy.receive({"chosen": [*toy.chosen[:-1], 0.25]})
    assert toy.code[21] == 0.25 and len(toy.code) == 22


# ---- towards a front end

@pytest.mark.parametrize("make", [lambda: fill(Painter(), images()), lambda: latents(Halves(), images())])
def test_shown_as_a_widget_a_picture_and_a_sentence(make, monkeypatch):
    bundle = make()._repr_mimebundle_()
    assert VIEW in bundle and base64.b64decode(bundle["image/png"])[:8] == PNG
    assert bundle["text/plain"].startswith("Picture 1 of 3.")
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "sslab.lab.widget", raising=False)
    assert set(make()._repr_mimebundle_()) == {"text/plain", "image/png"}


def test_the_widget_hears_and_answers():
    pictures = images()
    toy = fill(Painter(), pictures)
    toy._repr_mimebundle_()
    widget = toy._widget
    widget.set_state({"chosen": "#" + 15 * "."})
    assert toy.mask.tolist() == [True] + 15 * [False] and widget.shown["status"] == toy.status
    assert widget.shown["titles"] == ["What the model sees", "What it fills in", "What was there"]
    sees, filled, truth = (np.frombuffer(each, np.uint8).reshape(widget.shown["shape"]) for each in widget.shown["pictures"])
    assert np.array_equal(filled, (toy.picture() * 255).round().byte().permute(1, 2, 0).numpy())
    assert (sees[:2, :2] == 128).all() and np.array_equal(sees[2:], truth[2:])
    widget._handle_custom_msg({"press": "next"}, [])
    assert toy.index == 1 and np.frombuffer(widget.shown["pictures"][2], np.uint8)[0] == round(float(pictures[1, 0, 0, 0]) * 255)
    toy.random()
    assert widget.chosen == toy.chosen and widget.chosen.count("#") == 12
    widget.close()


@pytest.mark.parametrize("message", [{"chosen": "###"}, {"chosen": 7}, {"chosen": None}, {"press": "still"}, {"press": ["next"]},
                                     {}, None, 3])
def test_garbage_from_a_page_changes_nothing(message):
    for toy in (fill(Painter(), images()), latents(Halves(), images())):
        before = toy.chosen
        toy.receive(message)
        assert toy.chosen == before and toy.index == 0 and toy.status


def test_an_error_of_the_model_is_shown():
    class Broken(Painter):
        def fill(self, images, mask):
            if self.asked:
                raise RuntimeError("no idea")
            return super().fill(images, mask)

    toy = fill(Broken(), images())
    toy.receive({"press": "random"})
    assert toy.status == "RuntimeError: no idea"


def test_messages_from_several_threads_leave_it_whole():
    toy = latents(Halves(), images())
    threads = [threading.Thread(target=lambda value=value: [toy.receive({"chosen": [value, value]}) for _ in range(30)])
               for value in (0.25, 0.5, 0.75)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(toy.picture().unique()) == 1 and toy.chosen[0] == toy.chosen[1]


# ---- the page code in a browser, on a stand-in for its model

STAND_IN = """(given) => {
    const values = {chosen: given.chosen, shown: given.shown}, listeners = {};
    window.sent = [];
    window.model = {
        get: (name) => values[name], off: () => {}, save_changes: () => window.sent.push(values.chosen),
        on: (event, listener) => { listeners[event] = listener; },
        set: (name, value) => { values[name] = value; },
        send: (content) => window.sent.push(content),
        tell: (name, value) => { values[name] = value; listeners[`change:${name}`](); },
    };
    values.shown.pictures = values.shown.pictures.map((bytes) => new DataView(Uint8Array.from(bytes).buffer));
    widget.render({model, el: document.getElementById("here")});
}"""


def page_of(browser, toy):
    page = browser.new_page()
    page.set_content('<div id="here"></div>')
    static = Path(sslab.lab.__file__).parent / "static"
    code = "\n".join((static / name).read_text("utf-8") for name in ("keys.js", "pictures.js", "toys.js"))
    page.add_style_tag(content="\n".join((static / name).read_text("utf-8") for name in ("base.css", "toys.css")))
    page.add_script_tag(content=code.replace("export default", "window.widget ="))
    page.evaluate(STAND_IN, {"chosen": toy.chosen, "shown": {**toy.shown, "pictures": list(map(list, toy.shown["pictures"]))}})
    return page


@pytest.mark.browser
def test_patches_by_mouse_touch_and_keyboard(browser):
    toy = fill(Painter(), images())
    toy.clear()
    page = page_of(browser, toy)
    board = page.get_by_role("grid", name="Patches, 4 rows of 4.")
    box = board.bounding_box()
    assert box["width"] == box["height"] == 240

    def place(row, column):
        return box["x"] + (column + 0.5) * 60, box["y"] + (row + 0.5) * 60

    page.mouse.move(*place(0, 0))
    page.mouse.down()
    page.mouse.move(*place(0, 3))                                    # one event: a fast hand
    page.mouse.move(*place(3, 3))
    page.mouse.up()
    assert page.evaluate("sent.at(-1)") == "####" + 3 * "...#"
    page.mouse.click(*place(0, 1))                                   # what is hidden is revealed
    assert page.evaluate("sent.at(-1)") == "#.##" + 3 * "...#"
    count = page.evaluate("sent.length")
    page.mouse.move(*place(2, 0))
    assert page.evaluate("sent.length") == count, "nothing is pressed"

    for key in ("ArrowDown", "ArrowDown", "ArrowLeft", "Space"):
        page.keyboard.press(key)
    assert page.evaluate("sent.at(-1)") == "#.##" + "...#" + "#..#" + "...#"
    assert page.evaluate("document.activeElement.ariaLabel") == "row 3, column 1, hidden"
    for key in ("ArrowLeft", "ArrowLeft", "Enter"):                  # there is nothing further to the left
        page.keyboard.press(key)
    assert page.evaluate("sent.at(-1)") == "#.##" + "...#" + "...#" + "...#"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.locator("[role=gridcell][tabindex='0']").count() == 1

    page.evaluate("""(box) => { const at = (x, y, type) => document.querySelector("[role=grid]").dispatchEvent(
        new PointerEvent(type, {pointerType: "touch", pointerId: 7, isPrimary: true, button: 0, bubbles: true,
                                clientX: box.x + x, clientY: box.y + y}));
        at(30, 210, "pointerdown"); at(150, 210, "pointermove"); at(150, 210, "pointerup"); }""", box)
    assert page.evaluate("sent.at(-1)").endswith("####")
    assert page.evaluate("getComputedStyle(document.querySelector('[role=grid]')).touchAction") == "none"

    page.evaluate("model.tell('chosen', '#'.repeat(16))")
    assert page.locator("[role=gridcell][aria-selected=true]").count() == 16
    page.get_by_role("button", name="Random mask, 75 %").click()
    assert page.evaluate("sent.at(-1)") == {"press": "random"}
    assert page.get_by_role("status").text_content() == toy.status
    assert page.get_by_role("img", name="What it fills in. Nothing is hidden").count() == 1
    page.close()


@pytest.mark.browser
def test_latents_by_keyboard(browser):
    toy = latents(WithPrior(), images())
    page = page_of(browser, toy)
    slider = page.get_by_label("z1", exact=True)
    slider.focus()
    page.keyboard.press("End")
    assert page.evaluate("sent.at(-1)") == [toy.chosen[0], 3]
    assert slider.get_attribute("aria-valuetext") == "3.00"
    page.evaluate("document.activeElement.blur(); model.tell('chosen', [-1, 2])")
    assert float(slider.input_value()) == pytest.approx(2, abs=0.01)
    assert page.get_by_label("z0", exact=True).get_attribute("aria-valuetext") == "-1.00"
    page.get_by_role("button", name="Back to the picture's code").click()
    assert page.evaluate("sent.at(-1)") == {"press": "back"}
    page.close()
