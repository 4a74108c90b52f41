"use strict";
// A click on a head sorts by its column, another one the other way round. What has no value stays at the end.
const heads = [...document.querySelectorAll("table.class thead th")];
const body = document.querySelector("table.class tbody");
const order = new Intl.Collator(undefined, {numeric: true}).compare;

function compare(a, b) {
  return a.trim() !== "" && b.trim() !== "" && isFinite(a) && isFinite(b) ? a - b : order(a, b);
}

heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
  const up = head.getAttribute("aria-sort") !== "ascending";
  heads.forEach(other => other.setAttribute("aria-sort", "none"));
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const rows = [...body.rows].map(row => [row.cells[column].dataset.key, row]);
  rows.sort(([a], [b]) => (a === "") - (b === "") || (up ? compare(a, b) : compare(b, a)));
  body.append(...rows.map(([, row]) => row));
}));
