
// Pictures: one large, arrow keys go through the pictures.
const dialog = document.querySelector('dialog');
let panels, at;
const enlarge = to => {
  at = (to + panels.length) % panels.length;
  const {src, alt} = panels[at].querySelector('img');
  Object.assign(dialog.querySelector('img'), {src, alt});
  dialog.querySelector('figcaption').textContent = alt;
};
for (const button of all('button.zoom')) button.addEventListener('click', () => {
  panels = all('button.zoom', button.closest('.shown'));
  enlarge(panels.indexOf(button));
  dialog.showModal();
});
dialog.querySelector('.close').addEventListener('click', () => dialog.close());
dialog.addEventListener('keydown', event => {
  enlarge(at + ({ArrowRight: 1, ArrowLeft: -1}[event.key] || 0));
});

// Review: arrow keys go from image to image, the most doubtful first.
const cards = all('.cards > li');
let card = -1;
for (const each of cards) each.addEventListener('focusin', () => { card = cards.indexOf(each); });
document.addEventListener('keydown', event => {
  const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
  if (!step || dialog.open || event.target.closest('.scroll')) return;
  event.preventDefault();
  cards[Math.min(Math.max(card + step, 0), cards.length - 1)].focus();
});
