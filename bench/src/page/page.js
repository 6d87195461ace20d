"use strict";
(() => {
  const all = (from, what) => Array.from(from.querySelectorAll(what));

  // A key hides its broker everywhere and shows it again.
  for (const key of all(document, ".key")) {
    key.addEventListener("click", () => {
      const shown = key.getAttribute("aria-pressed") !== "true";
      key.setAttribute("aria-pressed", String(shown));
      for (const part of all(document, `main [data-of="${key.dataset.of}"]`)) part.classList.toggle("off", !shown);
    });
  }

  // Ratios against another broker; as `numbers::ratio` writes them.
  const ratio = (value) => {
    if (!Number.isFinite(value) || value <= 0) return "–";
    if (value === 1) return "1";
    const inverse = 1 / value;
    if (value >= 99.95) return `${value.toFixed(0)}x`;
    if (value >= 9.995) return `${value.toFixed(1)}x`;
    if (value >= 0.5) return `${value.toFixed(2)}x`;
    return inverse >= 99.95 ? `1/${inverse.toFixed(0)}` : `1/${inverse.toFixed(1)}`;
  };
  document.getElementById("base").addEventListener("change", (event) => {
    for (const group of all(document, "tbody, .bars")) {
      const cells = all(group, ".ratio[data-value]");
      for (const measure of new Set(cells.map((cell) => cell.dataset.ofMeasure))) {
        const alike = cells.filter((cell) => cell.dataset.ofMeasure === measure);
        const base = alike.find((cell) => cell.closest("[data-of]").dataset.of === event.target.value) ?? alike[0];
        for (const cell of alike) cell.textContent = ratio(cell.dataset.value / base.dataset.value);
      }
    }
  });

  // The values under the pointer, of every broker that is shown.
  const tip = document.getElementById("tip");
  const near = (points, x) => points.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best));
  for (const plot of all(document, ".plot")) {
    const cross = plot.querySelector(".cross");
    const lines = all(plot, ".line").map((line) => ({ line, points: JSON.parse(line.dataset.points) }));
    const leave = () => {
      tip.hidden = true;
      cross.style.visibility = "hidden";
    };
    plot.addEventListener("pointerleave", leave);
    plot.addEventListener("pointermove", (event) => {
      const shown = lines.filter(({ line }) => !line.classList.contains("off"));
      if (shown.length === 0) return leave();
      const box = plot.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * plot.viewBox.baseVal.width;
      const at = near(shown[0].points, x);
      tip.textContent = "";
      const head = document.createElement("b");
      head.textContent = at[1];
      tip.append(head);
      for (const { line, points } of shown) {
        const row = document.createElement("div");
        const dot = document.createElement("i");
        row.className = line.getAttribute("class").split(" ").find((name) => /^c\d$/.test(name));
        row.append(dot, `${line.dataset.label}: ${near(points, at[0])[2]}`);
        tip.append(row);
      }
      cross.setAttribute("x1", at[0]);
      cross.setAttribute("x2", at[0]);
      cross.style.visibility = "visible";
      tip.hidden = false;
      const left = Math.min(event.clientX + 16, innerWidth - tip.offsetWidth - 8);
      const top = event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 14 : event.clientY + 18;
      tip.style.left = `${Math.max(8, left)}px`;
      tip.style.top = `${top}px`;
    });
  }
})();
