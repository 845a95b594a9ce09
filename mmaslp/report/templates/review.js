
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
