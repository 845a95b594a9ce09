// Open a page in Chromium; print what axe finds and how the page behaves, as JSON.
const fs = require('fs');
const [modules, executablePath, path] = process.argv.slice(2);
const {chromium} = require(`${modules}/playwright-core`);
const axe = fs.readFileSync(`${modules}/axe-core/axe.min.js`, 'utf8');
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

async function look(browser, width, colorScheme) {
  const errors = [], asked = [];
  const options = {viewport: {width, height: 900}, colorScheme};
  const page = await browser.newPage({...options, bypassCSP: true});
  page.on('pageerror', error => errors.push(error.message));
  page.on('request', request => asked.push(request.url().slice(0, 5)));
  await page.goto(`file://${path}`);
  await page.addScriptTag({content: axe});
  const found = await page.evaluate(async () => {
    const {violations} = await axe.run(document, {resultTypes: ['violations']});
    return violations.map(each => `${each.id}: ${each.nodes[0].html.slice(0, 200)}`);
  });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  await page.close();
  return {errors, asked: [...new Set(asked)], violations: found, wide};
}

async function use(browser) {
  // With the page's own policy, which admits its own script only.
  const page = await browser.newPage({viewport: {width: 1440, height: 900}});
  await page.goto(`file://${path}`);
  const ece = () => page.$$eval('#comparison tbody tr td:nth-child(4)',
    cells => cells.map(cell => +cell.dataset.sort));
  const button = '#comparison thead th:nth-child(4) button';
  await page.focus(button);
  await page.keyboard.press('Enter');
  const ascending = await ece();
  await page.keyboard.press('Enter');
  const descending = await ece();
  const sorted = await page.getAttribute('#comparison thead th:nth-child(4)', 'aria-sort');
  const last = await page.$$eval('#baseline option', options => options.at(-1).value);
  await page.selectOption('#baseline', last);
  const baselines = await page.$$eval('[data-baseline]:not([hidden])',
    tables => tables.map(each => each.dataset.baseline));
  await page.focus('#reliability svg.chart');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  const value = await page.textContent('#reliability output');
  await page.click('button.zoom');
  const first = await page.textContent('dialog figcaption');
  await page.keyboard.press('ArrowRight');
  const second = await page.textContent('dialog figcaption');
  await page.keyboard.press('Escape');
  const open = await page.$eval('dialog', dialog => dialog.open);
  const injected = await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.ran = true';
    document.body.append(script);
    return window.ran === true;
  });
  const pdf = (await page.pdf({preferCSSPageSize: true})).length;
  return {ascending, descending, sorted, last, baselines, value, first, second, open,
    injected, pdf};
}

(async () => {
  const browser = await chromium.launch({executablePath, args: flags});
  const looks = [];
  for (const [width, scheme] of [[1440, 'light'], [360, 'dark']])
    looks.push(await look(browser, width, scheme));
  console.log(JSON.stringify({looks, used: await use(browser)}));
  await browser.close();
})().catch(error => { console.error(error); process.exit(1); });
