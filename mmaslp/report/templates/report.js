'use strict';
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Tables: a click on a heading sorts; undefined values stay last.
for (const button of all('th > button')) button.addEventListener('click', () => {
  const head = button.parentElement, table = head.closest('table');
  const up = head.getAttribute('aria-sort') !== 'ascending';
  for (const each of all('th[aria-sort]', table)) each.setAttribute('aria-sort', 'none');
  head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
  const value = row => row.cells[head.cellIndex].dataset.sort;
  const compare = (a, b) => a - b || a.localeCompare(b);
  table.tBodies[0].append(...all('tbody tr', table).sort((one, two) => {
    const a = value(one), b = value(two);
    return !a || !b ? !a - !b : (up ? 1 : -1) * compare(a, b);
  }));
});
