// Draws the charts of the language that is shown; charts, tiles and tables follow the chosen language, period and source.
(() => {
  const given = JSON.parse(document.getElementById("report").textContent);
  const views = new Map();
  const chosen = { days: "0", source: "all" };

  // columns are sent, because rows would repeat every name
  const rows = ({ day, ...others }) =>
    day.map((one, n) => ({ day: one, ...Object.fromEntries(Object.entries(others).map(([name, all]) => [name, all[n]])) }));
  // all periods are in one data set, and a filter selects one: replacing data makes Vega warn of empty scales
  const datasets = {};
  Object.values(given.periods).forEach(({ parameters: { period }, data }) =>
    Object.entries(data).forEach(([name, columns]) => {
      datasets[name] = [...(datasets[name] || []), ...rows(columns).map((row) => ({ ...row, period }))];
    }),
  );

  const draw = async (language) => {
    const { numbers, dates, charts } = given.languages[language];
    for (const [name, spec] of Object.entries(charts)) {
      const place = document.getElementById(`${name}-${language}`);
      if (!place || views.has(place.id)) continue;
      views.set(place.id, null);
      const drawn = await vegaEmbed(place, { ...spec, datasets }, {
        actions: false,
        logLevel: 1, // errors: Vega warns of every scale without values, such as the rates of a period with few attempts
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

  const follow = (view) => {
    if (!view) return;
    Object.entries(given.periods[chosen.days].parameters).forEach(([name, value]) => view.signal(name, value));
    view.signal("source", chosen.source).runAsync();
  };

  const element = (name, text, attributes = {}) => {
    const one = document.createElement(name);
    one.textContent = text;
    Object.entries(attributes).forEach(([key, value]) => one.setAttribute(key, value));
    return one;
  };

  const fillTable = (table, [columns, lines]) => {
    table.tHead.rows[0].replaceChildren(...columns.map((title) => element("th", title, { scope: "col" })));
    table.tBodies[0].replaceChildren(
      ...lines.map((cells) => {
        const row = document.createElement("tr");
        row.append(...cells.map((cell, n) => (n ? element("td", cell) : element("th", cell, { scope: "row" }))));
        return row;
      }),
    );
  };

  // tiles and tables in both languages show what the charts show
  const write = () => {
    document.querySelectorAll("main.edition").forEach((main) => {
      const view = given.languages[main.lang].views[chosen.days];
      const { tiles, tables } = view.sources[chosen.source];
      main.querySelectorAll(".period .tile").forEach((tile, n) => {
        tile.querySelector(".value").textContent = tiles[n][0];
        tile.querySelector(".note").textContent = tiles[n][1];
      });
      main.querySelectorAll("[data-table]").forEach((details) => {
        const table = tables[details.dataset.table];
        const isEmpty = !table || !table[1].length;
        const figure = details.closest("figure");
        figure.querySelector(".empty").hidden = !isEmpty;
        [details, figure.querySelector(".chart")].forEach((one) => (one.hidden = isEmpty));
        if (!isEmpty) fillTable(details.querySelector("table"), table);
      });
      const source = main.querySelector(`[data-source="${CSS.escape(chosen.source)}"]`);
      const { period, bins, notice } = view;
      const shown = { period, bins, notice, ...(source && { source: source.textContent.trim() }) };
      main.querySelectorAll("[data-shown]").forEach((one) => {
        if (!(one.dataset.shown in shown)) return;
        one.hidden = shown[one.dataset.shown] === null;
        one.textContent = shown[one.dataset.shown];
      });
    });
  };

  const show = (language) => {
    document.documentElement.lang = language;
    document.title = given.languages[language].title;
    document.querySelectorAll("[data-language]").forEach((one) => {
      one.setAttribute("aria-pressed", String(one.dataset.language === language));
    });
    draw(language);
  };

  const choose = (name, value) => {
    chosen[name] = value;
    document.querySelectorAll(`[data-${name}]`).forEach((one) => {
      one.setAttribute("aria-pressed", String(one.dataset[name] === value));
    });
    write();
    views.forEach(follow);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.language) {
      history.replaceState(null, "", `#${button.dataset.language}`);
      show(button.dataset.language);
    } else if (button.dataset.days) {
      choose("days", button.dataset.days);
    } else if (button.dataset.source) {
      choose("source", button.dataset.source);
    }
  });

  // paper is narrower than a screen: charts are drawn again for it, so that their letters keep their size
  const paper = { width: 318, height: 84 };
  window.addEventListener("beforeprint", () =>
    views.forEach((view) => {
      if (view) view.width(paper.width).height(paper.height).run().resize().run(); // legends follow in the second run
    }),
  );
  window.addEventListener("afterprint", () => {
    views.forEach((view) => view && view.height(given.height).run());
    window.dispatchEvent(new Event("resize"));
  });

  const wished = [location.hash.slice(1), given.language, (navigator.language || "").slice(0, 2)];
  show(wished.find((one) => one && one in given.languages) || "fr");
})();
