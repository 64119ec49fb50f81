// Draws the charts of the language that is shown, and lets the reader choose language, days and source.
(() => {
  const given = JSON.parse(document.getElementById("report").textContent);
  const day = 864e5;
  const views = new Map();
  // columns are sent, because rows would repeat every name
  const rows = ({ day, ...others }) =>
    day.map((one, n) => ({ day: one, ...Object.fromEntries(Object.entries(others).map(([name, all]) => [name, all[n]])) }));
  const datasets = Object.fromEntries(Object.entries(given.data).map(([name, columns]) => [name, rows(columns)]));
  const chosen = { first_day: given.first_day, source: "all" };

  const draw = async (language) => {
    const { numbers, dates, charts } = given.languages[language];
    for (const [name, spec] of Object.entries(charts)) {
      const place = document.getElementById(`${name}-${language}`);
      if (!place || views.has(place.id)) continue;
      views.set(place.id, null);
      const drawn = await vegaEmbed(place, { ...spec, datasets }, {
        actions: false,
        ast: true, // expressions are interpreted, so the page needs no right to evaluate code
        renderer: "svg",
        formatLocale: numbers,
        timeFormatLocale: dates,
        loader: { target: "_blank", http: { redirect: "error" } },
      });
      views.set(place.id, drawn.view);
      follow(drawn.view);
    }
    document.documentElement.dataset.drawn = language;
  };

  const follow = (view) => view && view.signal("first_day", chosen.first_day).signal("source", chosen.source).runAsync();
  const followAll = () => views.forEach(follow);

  const show = (language) => {
    document.documentElement.lang = language;
    document.title = given.languages[language].title;
    document.querySelectorAll("[data-language]").forEach((one) => {
      one.setAttribute("aria-pressed", String(one.dataset.language === language));
    });
    draw(language);
  };

  const press = (attribute, value) => {
    document.querySelectorAll(`[${attribute}]`).forEach((one) => {
      one.setAttribute("aria-pressed", String(one.getAttribute(attribute) === value));
    });
    // paper has no buttons: a line says what was chosen
    document.querySelectorAll(`[data-chosen="${attribute.slice("data-".length)}"]`).forEach((one) => {
      const chosen = one.closest("main").querySelector(`[${attribute}][aria-pressed="true"]`);
      one.textContent = chosen.textContent.trim();
    });
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.language) {
      history.replaceState(null, "", `#${button.dataset.language}`);
      show(button.dataset.language);
    } else if (button.dataset.days) {
      const days = Number(button.dataset.days);
      chosen.first_day = days ? given.last_day - days * day : given.first_day;
      press("data-days", button.dataset.days);
      followAll();
    } else if (button.dataset.source) {
      chosen.source = button.dataset.source;
      press("data-source", button.dataset.source);
      followAll();
    }
  });

  // paper is narrower than a screen: charts are drawn anew for it, so that their letters keep their size
  const paper = { wide: 670, half: 318, height: 120 };
  window.addEventListener("beforeprint", () =>
    views.forEach((view, id) => {
      if (!view) return;
      const first = document.getElementById(id).closest("figure").matches(":first-child");
      view.width(first ? paper.wide : paper.half).height(paper.height).run().resize().run(); // legends follow in the second run
    }),
  );
  window.addEventListener("afterprint", () => {
    views.forEach((view) => view && view.height(given.height).run());
    window.dispatchEvent(new Event("resize"));
  });

  const wished = [location.hash.slice(1), given.language, (navigator.language || "").slice(0, 2)];
  show(wished.find((one) => one && one in given.languages) || "fr");
})();
