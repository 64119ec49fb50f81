// Lets the reader choose language and image, and shows the word that is touched or focused on the other side too.
(() => {
  const root = document.documentElement;

  const press = (attribute, value) =>
    document.querySelectorAll(`[${attribute}]`).forEach((one) => {
      one.setAttribute("aria-pressed", String(one.getAttribute(attribute) === value));
    });

  const speak = (language) => {
    root.lang = language;
    press("data-language", language);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.language) speak(button.dataset.language);
    if (button?.dataset.chooseImage) {
      root.dataset.image = button.dataset.chooseImage;
      press("data-choose-image", button.dataset.chooseImage);
    }
  });

  let shown = [];
  const show = (word, touched) => {
    shown.forEach((one) => one.classList.remove("shown"));
    shown = word ? [...document.querySelectorAll(`[data-word="${word}"]`)] : [];
    shown.forEach((one) => {
      one.classList.add("shown");
      if (touched && one !== touched && !touched.contains(one)) one.scrollIntoView({ block: "nearest" });
    });
  };
  document.addEventListener("pointerover", (event) => show(event.target.closest("[data-word]")?.dataset.word));
  document.addEventListener("click", (event) => {
    const touched = event.target.closest("[data-word]");
    if (touched && getSelection().isCollapsed) show(touched.dataset.word, touched);
  });

  document.addEventListener("focusin", (event) => {
    const focused = event.target.closest("[data-word]");
    if (focused) show(focused.dataset.word, focused);
  });

  const wished = [root.dataset.asked, (navigator.language || "").slice(0, 2)];
  speak(wished.find((one) => one === "fr" || one === "en") || "fr");
})();
