// Scores of the search: as Sphinx has them, and pages of the guide before the API.
var Scorer = {
  score: ([docname, , , , score]) => score - (docname.startsWith('reference/') ? 100 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
