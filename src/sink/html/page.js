
"use strict";
(() => {
  const body = document.querySelector("#leaks tbody");
  if (!body) return;
  const rows = Array.from(body.rows);
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const field = (id) => document.getElementById(id);
  const search = field("search");
  const choices = ["severity", "host", "rule", "exposure"].map(field);
  const shown = field("shown");
  let span = null;

  const fits = (row, index) =>
    search.value.toLowerCase().split(/\s+/).every((word) => texts[index].includes(word)) &&
    choices.every((choice) => !choice.value || row.dataset[choice.id] === choice.value ||
      (choice.id === "exposure" && row.dataset.exposure.split(" ").includes(choice.value))) &&
    (!span || (BigInt(row.dataset.time) >= BigInt(span.dataset.from) && BigInt(row.dataset.time) < BigInt(span.dataset.until)));

  const apply = () => {
    let amount = 0;
    rows.forEach((row, index) => {
      row.hidden = !fits(row, index);
      if (!row.hidden) amount += 1;
    });
    shown.textContent = `${amount} of ${rows.length}`;
    document.querySelectorAll("[data-filter]").forEach((bar) => {
      const choice = field(bar.dataset.filter);
      bar.classList.toggle("on", choice ? choice.value === bar.dataset.value : bar === span);
    });
  };

  const choose = (bar) => {
    const choice = field(bar.dataset.filter);
    if (choice) choice.value = choice.value === bar.dataset.value ? "" : bar.dataset.value;
    else span = span === bar ? null : bar;
    apply();
  };

  document.querySelectorAll("[data-filter]").forEach((bar) => {
    bar.addEventListener("click", () => choose(bar));
    if (bar.tagName === "g") bar.addEventListener("keydown", (event) => event.key === "Enter" && choose(bar));
  });
  const form = document.querySelector(".filters");
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => { span = null; setTimeout(apply); });

  // Sorted by a column; a second click turns it round.
  document.querySelectorAll("th[data-sort]").forEach((head) => {
    head.addEventListener("click", () => {
      const key = head.dataset.sort;
      const turn = head.dataset.turn === "1" ? -1 : 1;
      head.dataset.turn = String(turn);
      const number = key === "rank" || key === "time";
      Array.from(body.rows)
        .sort((one, other) => {
          const [a, b] = [one.dataset[key], other.dataset[key]];
          if (number) return turn * (BigInt(a) < BigInt(b) ? -1 : BigInt(a) > BigInt(b) ? 1 : 0);
          return turn * a.localeCompare(b);
        })
        .forEach((row) => body.append(row));
    });
  });

  // A link to a leak opens it, whatever is filtered.
  const open = () => {
    const row = location.hash.length > 2 && document.getElementById(location.hash.slice(1));
    if (row && row.querySelector) {
      row.hidden = false;
      row.querySelector("details").open = true;
      row.scrollIntoView();
    }
  };
  addEventListener("hashchange", open);
  apply();
  open();
})();
