// A person with a browser, who opens page.html and clicks.
//
//   node browser.mjs --chromium FILE --page URL --server URL [--blind]
//
// Prints {"tool": NAME, "text": TEXT} for every call, or {"tool": NAME, "error":
// TEXT}, and at the end {"refused": [...]}: what the page read of refusals. With
// --blind, it also sends a tool call in a way that needs no leave to read the
// answer. No token is printed.
import './runtime.mjs';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { emit, endWithStarter } from './runtime.mjs';

const { values: args } = parseArgs({
  options: {
    blind: { type: 'boolean', default: false },
    chromium: { type: 'string' },
    page: { type: 'string' },
    server: { type: 'string' },
  },
});
const patience = 15_000;

async function click(page, tool) {
  await page.evaluate(() => { document.querySelector('#shown').textContent = ''; });
  await page.getByRole('button', { name: tool, exact: true }).click();
  // The page shows a result, or leads to the login, where somebody approves.
  const approve = page.getByRole('button', { name: 'Approve' });
  const done = page.locator('#shown:not(:empty)');
  await approve.or(done).first().waitFor({ timeout: patience });
  if (await approve.isVisible()) {
    await approve.click();
    await done.waitFor({ timeout: patience });
  }
  emit({ tool, ...JSON.parse(await done.textContent()) });
}

async function story() {
  const browser = await chromium.launch({
    executablePath: args.chromium,
    headless: true,
    timeout: 2 * patience,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
  const page = await browser.newPage();
  await page.goto(`${args.page}?server=${encodeURIComponent(args.server)}`, { timeout: patience });
  for (const tool of ['public_info', 'protected_data', 'admin_report']) {
    await click(page, tool);
  }
  if (args.blind) {
    const type = await page.evaluate(async (server) => {
      const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'public_info', arguments: {} } };
      const response = await fetch(server, { method: 'POST', mode: 'no-cors', body: JSON.stringify(message) });
      return response.type;
    }, args.server);
    emit({ tool: 'blind', text: type });
  }
  emit({ refused: JSON.parse(await page.evaluate(() => sessionStorage.refused ?? '[]')) });
  await browser.close();
}

endWithStarter();
try {
  await story();
  process.exit(0);
} catch (error) {
  console.error(error);
  emit({ error: String(error) });
  process.exit(1);
}
