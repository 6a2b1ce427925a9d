"""What a question's text may hold: plain words, `code` and $latex$, written out for each place that shows it.

Where nothing typesets LaTeX (the notebook's widget, a printed page) a formula becomes letters and signs, with
subscripts and superscripts. `FORMULA` lists what may stand in one; anything else is an error when the bank is read,
so that no student meets a backslash.
"""

import html
import re
from collections.abc import Callable

PIECES = re.compile(r"`([^`]+)`|\$([^$]+)\$")
TOKENS = re.compile(r"\\[a-zA-Z]+|\\.|[a-zA-Z]|\d+(?:[.,]\d+)*|\s+|.", re.DOTALL)

SIGNS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "theta": "θ",
    "lambda": "λ", "mu": "μ", "sigma": "σ", "tau": "τ", "phi": "φ", "pi": "π", "rho": "ρ", "Delta": "Δ",
    "Sigma": "Σ", "ell": "ℓ", "times": " × ", "cdot": " · ", "cdots": "⋯", "ldots": "…", "dots": "…", "le": " ≤ ",
    "leq": " ≤ ", "ge": " ≥ ", "geq": " ≥ ", "ne": " ≠ ", "neq": " ≠ ", "approx": " ≈ ", "gg": " ≫ ", "ll": " ≪ ",
    "propto": " ∝ ", "in": " ∈ ", "notin": " ∉ ", "sim": " ~ ", "pm": " ± ", "to": " → ", "rightarrow": " → ",
    "leftarrow": " ← ", "mapsto": " ↦ ", "infty": "∞", "sum": "Σ", "prod": "Π", "partial": "∂", "nabla": "∇",
    "mid": " | ", "lVert": "‖", "rVert": "‖", "lvert": "|", "rvert": "|", "langle": "⟨", "rangle": "⟩", "top": "⊤",
    "quad": "  ", "neg": "¬", "left": "", "right": "", "bullet": "•", "circ": "∘", "odot": " ⊙ ",
    ",": " ", ";": " ", ":": " ", "!": "", " ": " ", "%": "%", "{": "{", "}": "}", "|": "‖", "_": "_", "#": "#",
    "&": "&",
}  # fmt: skip
WORDS = ("log", "exp", "cos", "sin", "max", "min", "argmax", "argmin", "softmax", "det", "dim", "ln", "Pr")
UPRIGHT = ("mathrm", "text", "operatorname", "mathbf", "mathit")
ACCENTS = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304", "vec": "\u20d7"}
LETTERS = {"mathcal": "", "mathbb": ""}
FORMULA = (*SIGNS, *WORDS, *UPRIGHT, *ACCENTS, *LETTERS, "frac", "sqrt")


def pieces(text: str) -> list[tuple[str, str]]:
    """The text cut into ("text" | "code" | "math", content).

    Raises:
        ValueError: a ` or $ without its other one.
    """
    found, end = [], 0
    for match in PIECES.finditer(text):
        found.append(("text", text[end : match.start()]))
        found.append(("code", match[1]) if match[1] is not None else ("math", match[2]))
        end = match.end()
    found.append(("text", text[end:]))
    for kind, content in found:
        if kind == "text" and re.search(r"[`$]", content):
            raise ValueError(f"a ` or $ without its other one near {content.strip()[:40]!r}")
    return [(kind, content) for kind, content in found if content]


def as_html(text: str, math: Callable[[str], str] | None = None) -> str:
    """The text as HTML; `math` writes the formulas, by default with <sub>, <sup> and letters."""
    math = math or (lambda latex: formula(latex, tags=True))
    write = {"text": html.escape, "code": lambda code: f"<code>{html.escape(code)}</code>", "math": math}
    return "".join(write[kind](content) for kind, content in pieces(text))


def as_text(text: str) -> str:
    """The text for a terminal or a printed page."""
    return "".join(formula(content) if kind == "math" else content for kind, content in pieces(text))


def formula(latex: str, tags: bool = False) -> str:
    r"""A small formula without LaTeX: "\log(2B - 1)" -> "log(2B − 1)".

    Args:
        latex: letters, numbers, signs, _ and ^, and the commands in `FORMULA`.
        tags: subscripts as <sub> and letters as <i>, escaped for HTML; else x_i and x^2.
    Raises:
        ValueError: a command that is not among them, or braces that do not match.
    """
    tokens = TOKENS.findall(latex.strip())
    written = _row(tokens, tags, "")
    if tokens:
        raise ValueError(f"formula: got a }} too many in ${latex}$")
    return re.sub(r" {2,}", " ", written).strip()


def _row(tokens: list[str], tags: bool, closing: str) -> str:
    """Everything up to `closing`, which is taken away too."""
    parts = []
    while tokens and tokens[0] != "}":
        parts.append(_one(tokens, tags))
    if closing:
        if not tokens:
            raise ValueError("formula: got a { without its }")
        tokens.pop(0)
    return "".join(parts)


def _one(tokens: list[str], tags: bool) -> str:
    """The next symbol, group or command with its arguments."""
    if not tokens:
        raise ValueError("formula: got an end where a symbol is wanted")
    token = tokens.pop(0)
    if token == "{":
        return _row(tokens, tags, "}")
    if token in "_^":
        inner = _one(tokens, tags).strip()
        if tags:
            return f"<sub>{inner}</sub>" if token == "_" else f"<sup>{inner}</sup>"
        return token + (inner if len(inner) == 1 or inner.isalnum() else f"({inner})")
    if token.startswith("\\"):
        return _command(token[1:], tokens, tags)
    if token.isalpha():
        return f"<i>{token}</i>" if tags else token
    token = {"-": "−", "'": "′"}.get(token, " " if token.isspace() else token)
    return html.escape(token) if tags else token


def _command(name: str, tokens: list[str], tags: bool) -> str:
    if name in SIGNS:
        return html.escape(SIGNS[name]) if tags else SIGNS[name]
    if name in WORDS:
        return name if tokens and tokens[0] in "_^({" else f"{name} "
    while tokens and tokens[0].isspace():
        tokens.pop(0)
    if name == "frac":
        above, below = _one(tokens, tags), _one(tokens, tags)
        return f"{_wrapped(above)}/{_wrapped(below)}"
    if name == "sqrt":
        return f"√{_wrapped(_one(tokens, tags))}"
    if name in UPRIGHT:
        return re.sub(r"</?i>", "", _one(tokens, tags))
    if name in ACCENTS:
        inner = _one(tokens, tags)
        return inner.removesuffix("</i>") + ACCENTS[name] + ("</i>" if inner.endswith("</i>") else "")
    if name in LETTERS:
        return _one(tokens, tags)
    raise ValueError(f"formula: got \\{name}, takes one of {', '.join(FORMULA)}")


def _wrapped(part: str) -> str:
    bare = re.sub(r"<[^>]+>", "", part).strip()
    return part.strip() if bare.isalnum() or len(bare) == 1 else f"({part.strip()})"
