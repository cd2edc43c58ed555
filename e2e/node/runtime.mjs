// What both programs need before anything else is loaded.

// oidc-provider calls URL.parse, which early releases of Node 20 lack.
URL.parse ??= (url, base) => {
  try {
    return new URL(url, base);
  } catch {
    return null;
  }
};

// Standard output carries one JSON value a line and nothing else: libraries
// that print their notices there are sent to standard error.
console.log = console.error;
console.info = console.error;

export function emit(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

// Whoever started this program holds the other end of standard input. It
// closes when they are gone, however they went, so that nothing is left over.
export function endWithStarter() {
  process.stdin.on('close', () => process.exit(0));
  process.stdin.resume();
}
