// The official TypeScript SDK as a real client of the server under test.
//
//   node client.mjs --url URL
//
// Prints {"step": NAME, ...} for every step that held, or {"error": TEXT} and
// exits 1. No token is printed.
import './runtime.mjs';
import { parseArgs } from 'node:util';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { login } from './login.mjs';
import { emit, endWithStarter } from './runtime.mjs';

const redirectUri = 'http://127.0.0.1/callback';
const { values: { url } } = parseArgs({ options: { url: { type: 'string' } } });

// What the SDK asks its application to keep, in memory.
class Memory {
  redirectUrl = redirectUri;

  clientMetadata = {
    client_name: 'gatehouse e2e',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
  };

  clientInformation() { return this.client; }

  saveClientInformation(client) { this.client = client; }

  tokens() { return this.saved; }

  saveTokens(tokens) { this.saved = tokens; }

  codeVerifier() { return this.verifier; }

  saveCodeVerifier(verifier) { this.verifier = verifier; }

  discoveryState() { return this.discovery; }

  saveDiscoveryState(state) { this.discovery = state; }

  redirectToAuthorization(location) { this.location = location; }

  scopes() { return this.saved?.scope?.split(' ').sort() ?? []; }

  forgetRefreshToken() { delete this.saved.refresh_token; }
}

const memory = new Memory();
const connection = () => new StreamableHTTPClientTransport(new URL(url), { authProvider: memory });

function assert(condition, text) {
  if (!condition) throw new Error(text);
}

// Runs operation, which must be refused for want of a login, and logs in.
async function loginAfter(transport, operation) {
  let refusal;
  try {
    await operation();
  } catch (error) {
    refusal = error;
  }
  if (!(refusal instanceof UnauthorizedError)) {
    throw refusal ?? new Error('the server let the client in without a login');
  }
  const answer = await login(memory.location, redirectUri);
  assert(answer.get('code'), `no code: ${answer.get('error')} ${answer.get('error_description')}`);
  await transport.finishAuth(answer.get('code'));
}

async function list(client) {
  const { tools } = await client.listTools();
  return tools.map(({ name }) => name).sort();
}

async function call(client, tool) {
  const result = await client.callTool({ name: tool, arguments: {} });
  assert(!result.isError, `${tool} failed`);
  return result.content[0].text;
}

async function story() {
  const identity = { name: 'gatehouse-e2e', version: '1.0.0' };
  const first = connection();
  await loginAfter(first, () => new Client(identity).connect(first));
  emit({
    step: 'discovered',
    resource: memory.discovery.resourceMetadata.resource,
    metadata: memory.discovery.resourceMetadataUrl,
    issuer: memory.discovery.authorizationServerMetadata.issuer,
  });
  emit({ step: 'registered', held: Boolean(memory.client.client_id) });
  emit({ step: 'logged in', scopes: memory.scopes() });

  const before = memory.saved.access_token;
  const transport = connection();
  const client = new Client(identity);
  await client.connect(transport);
  emit({ step: 'connected', refreshed: memory.saved.access_token !== before });

  emit({ step: 'listed', tools: await list(client) });
  emit({ step: 'called', text: await call(client, 'protected_data') });

  // This version answers a 403 with its refresh token, which cannot widen the
  // scopes, and gives up: an application that steps up has to drop it first.
  memory.forgetRefreshToken();
  await loginAfter(transport, () => call(client, 'admin_report'));
  emit({ step: 'stepped up', scopes: memory.scopes() });
  emit({ step: 'called', text: await call(client, 'admin_report') });
  emit({ step: 'listed', tools: await list(client) });

  await transport.terminateSession();
  await client.close();
  emit({ step: 'closed' });
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
