// A formula wider than its column scrolls by itself. Only what has the focus can be scrolled with the keyboard.
window.addEventListener("load", () => {
  const reach = () => {
    for (const formula of document.querySelectorAll("mjx-container[display]")) {
      if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
      else formula.removeAttribute("tabindex");
    }
  };
  window.MathJax?.startup?.promise?.then(() => {
    reach();
    window.addEventListener("resize", reach);
  });
});
