// JupyterLab takes letters and arrows for its own commands, even where a slider or a list of ours has the focus.

const KEYED = "input, select, [role=slider], [role=application], [role=gridcell]";     // what does something with such keys

/** Keep them for our controls; with Ctrl, Cmd or Alt, and Shift+Enter, they stay JupyterLab's. Returns how to end it. */
function ownKeys(root) {
  const hear = ({ target, key, shiftKey, ctrlKey, metaKey, altKey }) => {
    if (!root.contains(target) || !target.matches(KEYED)) return;
    target.toggleAttribute("data-lm-suppress-shortcuts", !(ctrlKey || metaKey || altKey || (shiftKey && key === "Enter")));
  };
  window.addEventListener("keydown", hear, true);         // before JupyterLab, which listens to the document
  return () => window.removeEventListener("keydown", hear, true);
}
