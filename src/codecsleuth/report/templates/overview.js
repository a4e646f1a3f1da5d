"use strict";
(() => {
  const table = document.getElementById("overview");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const bar = document.createElement("p");
  bar.className = "tools";
  bar.innerHTML = '<label>Filter by name <input type="search"></label> ' +
    '<label>Verdict <select><option value="">all</option></select></label> <output></output>';
  const [search, select, output] = bar.querySelectorAll("input, select, output");
  for (const item of document.querySelectorAll("[data-count]")) {
    select.add(new Option(item.dataset.words, item.dataset.count));
  }
  const show = () => {
    const wanted = search.value.toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const named = row.textContent.toLowerCase().includes(wanted);
      row.hidden = !named || (select.value !== "" && row.dataset.look !== select.value);
      shown += !row.hidden;
    }
    output.textContent = shown + " of " + rows.length + " files";
  };
  bar.addEventListener("input", show);
  table.parentElement.before(bar);
  show();
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell === undefined ? "" : cell.dataset.value ?? cell.textContent;
  };
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((a, b) => {
        const one = value(a, column), other = value(b, column);
        const order = head.classList.contains("n")
          ? (one === "" ? -Infinity : +one) - (other === "" ? -Infinity : +other)
          : one.localeCompare(other);
        return down ? -order : order;
      });
      body.append(...rows);
    });
  });
  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const details = target && target.querySelector(":scope > details");
    if (details) details.open = true;
  };
  addEventListener("hashchange", open);
  open();
})();
