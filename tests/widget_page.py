"""Our widgets in a real browser without a notebook: their own scripts and styles, JupyterLab's theme, and the real kernel side.

    front = Front(page)
    view = front.lab(lab)                    # or .toy(toy), .prediction(predict(...))
    front.until("document.querySelector('.sslab-lab').sslab.rows.length > 3")

What a widget sends is heard while the page is waited for; what the kernel sends is handed over then, too.
"""

import base64
import json
import queue
import time
from pathlib import Path
from types import SimpleNamespace

import jupyterlab

from sslab.lab.widget import Dashboard, ToyView

THEMES = Path(jupyterlab.__file__).parents[4] / "share" / "jupyter" / "lab" / "themes" / "@jupyterlab"
PAGE = """<!doctype html><html lang="en"><head><title>Widgets</title><style>{theme}
body {{ margin: 0; padding: 8px; background: var(--jp-layout-color0); color: var(--jp-ui-font-color1); font-family: sans-serif; font-size: 13px; }}
</style></head><body data-jp-theme-light="{light}" data-jp-theme-name="{name}"><main><h1>Widgets</h1><button id="before">before</button><div id="here"></div>
<button id="after">after</button></main></body></html>"""
MOUNT = """async ([id, esm, css, traits]) => {
  const decode = (value) => {
    if (Array.isArray(value)) return value.map(decode);
    if (value === null || typeof value !== "object") return value;
    if ("$bytes" in value) return new DataView(Uint8Array.from(atob(value.$bytes), (c) => c.charCodeAt(0)).buffer);
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, decode(each)]));
  };
  const heard = {}, state = decode(traits), el = document.createElement("div"), style = document.createElement("style");
  const model = {
    get: (name) => state[name], set: (name, value) => { state[name] = value; },
    save_changes: () => window.toKernel(id, { chosen: state.chosen }), send: (content) => window.toKernel(id, content),
    on: (event, hear) => (heard[event] ??= new Set()).add(hear), off: (event, hear) => heard[event]?.delete(hear),
  };
  const tell = (event, ...rest) => [...(heard[event] || [])].forEach((hear) => hear(...rest));
  (window.widgets ??= {})[id] = {
    message: (content, buffers) => tell("msg:custom", content, buffers.map((buffer) => decode({ $bytes: buffer }))),
    traits: (changed) => Object.entries(decode(changed)).forEach(([name, value]) => { state[name] = value; tell(`change:${name}`); }),
  };
  style.textContent = css;
  el.id = id;
  document.head.append(style);
  document.querySelector("#here").append(el);
  const { default: { render } } = await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })));
  render({ model, el });
}"""


def _plain(value):
    """As JSON, bytes in base64."""
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


class Front:
    """A page with widgets."""

    def __init__(self, page, theme: str = "light") -> None:
        self.page, self._receivers = page, {}
        self._waiting: queue.SimpleQueue = queue.SimpleQueue()
        page.expose_function("toKernel", lambda name, content: self._receivers[name](content))
        style = (THEMES / f"theme-{theme}-extension" / "index.css").read_text("utf-8")
        page.set_content(PAGE.format(theme=style, light=str(theme == "light").lower(), name=f"JupyterLab {theme.title()}"))

    def _mount(self, widget, traits: dict, receive) -> str:
        name = f"widget{len(self._receivers)}"
        self._receivers[name] = receive
        self.page.evaluate(MOUNT, [name, str(widget._esm), str(widget._css), _plain(traits)])
        return name

    def lab(self, lab) -> str:
        """The dashboard of a Lab, or of one that follows."""
        dashboard = lab.dashboard = getattr(lab, "dashboard", None) or Dashboard(lab)
        bridge = dashboard.bridge

        def send(content, buffers=()):
            self._waiting.put(("message", name, json.loads(json.dumps(content, default=float)), [base64.b64encode(b).decode() for b in buffers]))

        bridge.send = send
        name = self._mount(dashboard, {"still": ""}, bridge.receive)
        return name

    def toy(self, toy) -> str:
        """A Filling or Latents."""
        toy._widget = SimpleNamespace(tell=lambda: self._waiting.put(("traits", name, _plain({"chosen": toy.chosen, "shown": toy.shown}), None)))
        name = self._mount(ToyView(toy), {"chosen": toy.chosen, "shown": toy.shown}, toy.receive)
        return name

    def prediction(self, guess) -> str:
        """A question."""
        traits = ("question", "options", "low", "high", "unit", "status")
        guess.observe(lambda change: self._waiting.put(("traits", name, {"status": change["new"]}, None)), "status")
        name = self._mount(guess, {trait: getattr(guess, trait) for trait in traits}, lambda content: guess._asked(None, content, None))
        return name

    def pump(self) -> None:
        """Hand over what the kernel has sent."""
        while not self._waiting.empty():
            kind, name, content, buffers = self._waiting.get()
            if kind == "message":
                self.page.evaluate("([name, content, buffers]) => window.widgets[name].message(content, buffers)", [name, content, buffers])
            else:
                self.page.evaluate("([name, changed]) => window.widgets[name].traits(changed)", [name, content])

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump()
            self.page.wait_for_timeout(40)

    def until(self, condition: str, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not self.page.evaluate(f"Boolean({condition})"):
            assert time.monotonic() < end, f"not within {seconds} s: {condition}"
            self.pump()
            self.page.wait_for_timeout(40)
